/* Checkpoint files from time to time: each shard tells the rows of its partitions, a worker writes
 * the files. A round that the machine does not survive costs the next start some scanning, see
 * replica/dirs.h. */
#include "broker/life_int.h"

#include "base/alloc.h"
#include "base/report.h"

/* One round of writing checkpoint files: rows of all shards, then a worker. */
struct checkpoint_round {
	struct ot_job job;
	struct broker *broker;
	uint32_t pending_count;
	struct ot_dirs_row **rows; /* by shard; heap */
	size_t *counts;
	ot_err err;
};

struct row_mail {
	struct ot_mail mail;
	struct checkpoint_round *checkpoint;
	struct broker_shard *shard;
};

static void
run_checkpoint(struct ot_job *job)
{
	struct checkpoint_round *checkpoint = OT_CONTAINER_OF(job, struct checkpoint_round, job);
	uint32_t shard_count = checkpoint->broker->set->count;
	size_t total = 0, count = 0;
	for (uint32_t i = 0; i < shard_count; i++)
		total += checkpoint->counts[i];
	struct ot_dirs_row *rows = ot_must_alloc(total * sizeof(*rows));
	for (uint32_t i = 0; i < shard_count; i++) {
		for (size_t j = 0; j < checkpoint->counts[i]; j++)
			rows[count++] = checkpoint->rows[i][j];
	}
	checkpoint->err = ot_dirs_write_checkpoints(checkpoint->broker->dirs, rows, count);
	ot_free(rows);
}

static void
arm_checkpoint(struct broker *broker)
{
	int64_t interval =
	    ot_settings_number(broker->settings, OT_BROKER_LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS);
	ot_timer_arm_in_ms(ot_shard_control(broker->set)->io, &broker->life->checkpoint_timer,
	    interval);
}

static void
checkpoint_is_written(struct ot_job *job)
{
	struct checkpoint_round *checkpoint = OT_CONTAINER_OF(job, struct checkpoint_round, job);
	struct broker *broker = checkpoint->broker;
	if (checkpoint->err != OT_OK)
		OT_WARN("broker", "checkpoint files: %s; tried again later",
		    ot_err_message(checkpoint->err));
	for (uint32_t i = 0; i < broker->set->count; i++)
		ot_free(checkpoint->rows[i]);
	ot_free(checkpoint->rows);
	ot_free(checkpoint->counts);
	ot_free(checkpoint);
	broker->life->checkpoint = NULL;
	if (broker->life->stop < LIFE_STOP_WANTED)
		arm_checkpoint(broker);
	else
		life_go_on_stopping(broker);
}

static void
rows_are_here(struct ot_mail *mail)
{
	struct row_mail *request = OT_CONTAINER_OF(mail, struct row_mail, mail);
	struct checkpoint_round *checkpoint = request->checkpoint;
	ot_free(request);
	if (--checkpoint->pending_count > 0)
		return;
	checkpoint->job = (struct ot_job){ .work = run_checkpoint, .done = checkpoint_is_written };
	ot_io_submit(ot_shard_control(checkpoint->broker->set)->io, &checkpoint->job);
}

static void
collect_rows(struct ot_mail *mail)
{
	struct row_mail *request = OT_CONTAINER_OF(mail, struct row_mail, mail);
	struct broker_shard *shard = request->shard;
	uint32_t index = shard->shard->index;
	request->checkpoint->rows[index] =
	    ot_replicas_rows(shard->replicas, &request->checkpoint->counts[index]);
	/* The next round writes what these syncs reach. */
	ot_replicas_checkpoint(shard->replicas);
	request->mail.deliver = rows_are_here;
	ot_shard_post(ot_shard_control(shard->shard->set), &request->mail);
}

static void
on_checkpoint_due(struct ot_timer *timer)
{
	struct broker_life *life = OT_CONTAINER_OF(timer, struct broker_life, checkpoint_timer);
	struct broker *broker = life->broker;
	uint32_t shard_count = broker->set->count;
	struct checkpoint_round *checkpoint = OT_NEW(struct checkpoint_round);
	checkpoint->broker = broker;
	checkpoint->pending_count = shard_count;
	checkpoint->rows = ot_must_alloc(shard_count * sizeof(struct ot_dirs_row *));
	checkpoint->counts = ot_must_alloc(shard_count * sizeof(size_t));
	life->checkpoint = checkpoint;
	for (uint32_t i = 0; i < shard_count; i++) {
		struct row_mail *request = OT_NEW(struct row_mail);
		request->checkpoint = checkpoint;
		request->shard = &broker->shards[i];
		request->mail.deliver = collect_rows;
		ot_shard_post(request->shard->shard, &request->mail);
	}
}

void
life_start_checkpoints(struct broker *broker)
{
	ot_timer_init(&broker->life->checkpoint_timer, on_checkpoint_due);
	arm_checkpoint(broker);
}
