/* The way down, step by step as life_int.h tells. */
#include "broker/life_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/report.h"
#include "broker/groups_int.h"
#include "broker/quorum_int.h"

/* A step's message to a shard, and its answer. */
struct stop_mail {
	struct ot_mail mail;
	struct broker *broker;
	struct broker_shard *shard;
	uint32_t half_count; /* coordinators and partitions that are not closed yet */
	/* The replicas', which stand until the threads have ended. */
	struct ot_replicas_final final;
};

/* Sends a step to all shards. */
static void
tell_shards(struct broker *broker, enum life_stop step, void (*deliver)(struct ot_mail *mail))
{
	broker->life->stop = step;
	broker->life->stop_pending_count = broker->set->count;
	for (uint32_t i = 0; i < broker->set->count; i++) {
		struct stop_mail *stop = &broker->life->stop_mails[i];
		stop->mail.deliver = deliver;
		ot_shard_post(broker->shards[i].shard, &stop->mail);
	}
}

/* On a shard: its part of the step is done. */
static void
answer(struct stop_mail *stop, void (*deliver)(struct ot_mail *mail))
{
	stop->mail.deliver = deliver;
	ot_shard_post(ot_shard_control(stop->broker->set), &stop->mail);
}

/* On the control thread: true when that was the last shard's answer. */
static bool
is_last_answer(const struct stop_mail *stop)
{
	struct broker_life *life = stop->broker->life;
	OT_ASSERT(life->stop_pending_count > 0);
	return --life->stop_pending_count == 0;
}

/* ---- 6: the loops -------------------------------------------------------------------------- */

static void
shard_has_ended(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	struct broker_life *life = stop->broker->life;
	if (!is_last_answer(stop))
		return;
	life->stop = LIFE_STOPPED;
	life->args.on_stopped(life->args.arg, life->err, life->why.text);
}

static void
end_shard(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	const struct broker_args *args = &stop->broker->life->args;
	answer(stop, shard_has_ended);
	args->on_shard_stopped(args->arg, stop->shard->shard);
}

/* ---- 4 and 5: the metadata log, the files ------------------------------------------------------
 */

static void
etcd_has_ended(void *arg)
{
	struct broker *broker = arg;
	struct broker_life *life = broker->life;
	int64_t epoch = broker_control_epoch(broker->control);
	ot_err err = ot_dirs_write_checkpoints(broker->dirs, life->stop_rows, life->stop_row_count);
	for (size_t i = 0; i < ot_dirs_count(broker->dirs); i++) {
		if (err == OT_OK && life->is_dir_clean[i])
			err = ot_dirs_mark_clean(broker->dirs, i, epoch);
	}
	if (err != OT_OK)
		OT_WARN("broker", "the next start will scan the logs: %s", ot_err_message(err));
	tell_shards(broker, LIFE_STOP_LOOPS, end_shard);
}

static void
metadata_is_closed(void *arg)
{
	struct broker *broker = arg;
	if (broker->life->quorum != NULL)
		broker_quorum_close(broker->life->quorum, etcd_has_ended, broker);
	else
		etcd_has_ended(broker);
}

/* ---- 3: coordinators and partitions ------------------------------------------------------------
 */

static void
add_rows(struct broker_life *life, size_t dir_count, const struct ot_replicas_final *final)
{
	size_t total = life->stop_row_count + final->row_count;
	struct ot_dirs_row *rows = ot_must_alloc(total * sizeof(*rows));
	if (life->stop_row_count > 0)
		memcpy(rows, life->stop_rows, life->stop_row_count * sizeof(*rows));
	if (final->row_count > 0)
		memcpy(rows + life->stop_row_count, final->rows, final->row_count * sizeof(*rows));
	ot_free(life->stop_rows);
	life->stop_rows = rows;
	life->stop_row_count = total;
	for (size_t i = 0; i < dir_count; i++)
		life->is_dir_clean[i] = life->is_dir_clean[i] && final->is_dir_clean[i];
}

static void
shard_is_closed(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	struct broker *broker = stop->broker;
	add_rows(broker->life, ot_dirs_count(broker->dirs), &stop->final);
	if (!is_last_answer(stop))
		return;
	broker->life->stop = LIFE_STOP_METADATA;
	broker_control_close(broker->control, metadata_is_closed, broker);
}

static void
half_is_closed(struct stop_mail *stop)
{
	if (--stop->half_count == 0)
		answer(stop, shard_is_closed);
}

static void
replicas_are_closed(void *arg, const struct ot_replicas_final *final)
{
	struct stop_mail *stop = arg;
	stop->final = *final;
	half_is_closed(stop);
}

static void
groups_are_closed(void *arg)
{
	half_is_closed(arg);
}

/* What coordinators have under way may wait for other brokers: their partitions end it. */
static void
close_shard(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	stop->half_count = 2;
	broker_groups_close(stop->shard->groups, groups_are_closed, stop);
	ot_replicas_close(stop->shard->replicas, replicas_are_closed, stop);
}

/* ---- 2: connections ------------------------------------------------------------------------- */

static void
connections_are_closed(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	if (is_last_answer(stop))
		tell_shards(stop->broker, LIFE_STOP_SHARDS, close_shard);
}

static void
close_connections(struct ot_mail *mail)
{
	struct stop_mail *stop = OT_CONTAINER_OF(mail, struct stop_mail, mail);
	stop->shard->is_closing = true;
	ot_conn_host_close(&stop->shard->conns);
	answer(stop, connections_are_closed);
}

/* ---- 1 --------------------------------------------------------------------------------------- */

void
life_go_on_stopping(struct broker *broker)
{
	struct broker_life *life = broker->life;
	OT_ASSERT(life->stop == LIFE_STOP_WANTED && life->checkpoint == NULL);
	life->stop_mails = ot_must_alloc(broker->set->count * sizeof(*life->stop_mails));
	life->is_dir_clean = ot_must_alloc(ot_dirs_count(broker->dirs) * sizeof(bool));
	for (size_t i = 0; i < ot_dirs_count(broker->dirs); i++)
		life->is_dir_clean[i] = true;
	for (uint32_t i = 0; i < broker->set->count; i++) {
		life->stop_mails[i].broker = broker;
		life->stop_mails[i].shard = &broker->shards[i];
	}
	tell_shards(broker, LIFE_STOP_CONNECTIONS, close_connections);
}

static void
begin_closing(struct broker *broker)
{
	struct broker_life *life = broker->life;
	life->stop = LIFE_STOP_WANTED;
	ot_timer_cancel(ot_shard_control(broker->set)->io, &life->checkpoint_timer);
	life_close_listeners(broker);
	if (life->checkpoint == NULL)
		life_go_on_stopping(broker);
}

/* ---- 0 --------------------------------------------------------------------------------------- */

static void
others_lead(void *arg)
{
	struct broker *broker = arg;
	if (broker->life->stop == LIFE_STOP_LEADING)
		begin_closing(broker);
}

void
broker_stop(struct broker *broker, ot_err err, const char *why)
{
	struct broker_life *life = broker->life;
	OT_ON_SHARD(ot_shard_control(broker->set));
	if (life->err == OT_OK && err != OT_OK) {
		life->err = err;
		ot_why_set(&life->why, "%s: %s", why, ot_err_message(err));
	}
	/* Who asks twice does not want to wait for the others. */
	bool is_urgent = err != OT_OK || life->stop == LIFE_STOP_LEADING;
	if (life->stop == LIFE_RUNS) {
		OT_INFO("broker", "stopping");
		life->stop = LIFE_STOP_LEADING;
		life->args.on_stopping(life->args.arg);
		if (err == OT_OK && life->is_ready)
			broker_control_leave(broker->control, others_lead, broker);
	}
	/* Whatever went wrong, or came before anybody was let in, waits for nobody. */
	if (life->stop == LIFE_STOP_LEADING && (is_urgent || !life->is_ready))
		begin_closing(broker);
}
