/* The partitions of one shard, and their folders.
 *
 * A folder has one owner at a time. A topic that is deleted may be made again at once, and both
 * topics' partitions want the folder <topic>-<n>; since owners go by name, they are of the same
 * shard. The new partition is the heir of the folder and waits:
 *
 *   old partition:  closing --closed--> folder renamed --> what it was is removed --> forgotten
 *   its heir:       waiting -----------------\--> opens
 *
 * A crash after the rename leaves a "-delete" folder, which the next start removes. One before it
 * leaves a folder with the id of a topic that is not in the metadata, and so does a deletion while
 * this broker was away: the first image finds it. A topic of that name in the image says that the
 * folder's was deleted, and it goes; else it is renamed to "-stray" and kept, as Kafka does, since
 * metadata that were lost or put back would look the same.
 *
 * A replica that moves to another directory is its own heir:
 *
 *   copying --closed segments are there--> old one closes --the rest is there, renamed-->
 *   old folder renamed --> heir opens in the new folder --> what was the old folder is removed
 *
 * Should the end of the copy fail, the heir opens the old folder. A crash before the new folder has
 * its name leaves a "-future" folder, which the next start removes; one before the old folder has
 * lost its own leaves two that are the same.
 */
#include "replica/replicas.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/report.h"
#include "log/logdir.h"
#include "replica/folder_copy_int.h"
#include "replica/replicas_int.h"

enum {
	REPLICAS_TICK_MS = 500,
	REPLICAS_DIR_COUNT_MAX = 64,
	REPLICAS_KEY_BYTES = 20,        /* topic id, partition */
	REPLICAS_COPY_BYTES = 16 << 20, /* that one job copies, or one segment's file */
};

/* A set of partitions that were opened together. */
struct batch {
	uint32_t pending_count;
	void (*done)(void *arg);
	void *arg;
};

/* A replica on its way into another directory. */
struct move {
	struct replica *replica; /* that is copied; NULL: no more, the copy goes */
	struct ot_replicas *replicas;
	struct ot_list link;
	struct ot_job job;
	struct ot_timer pause; /* between jobs, for the throttle */
	struct folder_copy *copy;
	size_t dir;
	bool is_job_running;
	ot_err err;
	uint64_t bytes_max; /* for the job */
	uint64_t bytes;     /* that the last job copied */
	bool is_done;       /* nothing is left that can be copied while the log is open */
};

/* A folder that is on its way out. */
struct removal {
	struct ot_list link;
	struct ot_job job;
	struct ot_replicas *replicas;
	struct replica *heir; /* waits for the folder; NULL: nobody */
	size_t dir;
	bool is_stray;     /* kept under another name */
	char *path;        /* where the folder is; heap */
	char *moved_path;  /* where it is since its place is free; NULL: not yet; heap */
	struct move *move; /* what is in it goes to another directory; NULL: to nowhere */
	char *next_path;   /* where it is then; NULL without a move; heap */
	struct ot_dirs_place
	    place;            /* of a move: the folder that the heir opens, first the old one */
	bool is_heir_deleted; /* of a move: the heir was, while it waited */
	struct ot_uuid unique;
	ot_err err;
};

struct replica {
	uint8_t key[REPLICAS_KEY_BYTES];
	struct ot_part *part;
	struct ot_replicas *replicas;
	struct batch *batch; /* that waits for its opening; NULL: none */
	size_t dir;
	struct removal *waits_for; /* its folder's owner before; NULL: the folder is its own */
	struct removal *removal; /* of its folder, once the log is closed; NULL: the folder stays */
	struct move *move;       /* into another directory; NULL: it stays */
	bool is_leading;         /* on_lead was told */
	int32_t told_epoch;      /* with it */
	bool is_following;       /* on_follow was told */
	bool has_failed;         /* its log; the directory was looked at */
	bool is_anew;            /* its folder was not there: it has nothing yet */
	struct ot_uuid told_dir; /* with on_dir, and not in the metadata yet; zero: none */
	UT_hash_handle hh;
	UT_hash_handle hh_part;
};

struct ot_replicas {
	struct ot_replicas_conf conf; /* [const] */
	struct ot_image *image;  /* [owner] a reference to what was applied last; NULL: nothing */
	struct replica *by_key;  /* [owner] */
	struct replica *by_part; /* [owner] those that are closing, too */
	struct replicas_probes *probes;
	struct ot_list removals; /* [owner] */
	struct ot_list moves;    /* [owner] */
	struct ot_timer tick;
	bool is_closing; /* [owner] images change nothing any more */
	ot_wall_ms retention_due;
	int64_t retention_interval_ms;
	void (*closed)(void *arg, const struct ot_replicas_final *final);
	void *closed_arg;
	bool is_dir_clean[REPLICAS_DIR_COUNT_MAX];
	struct ot_dirs_row *final_rows; /* heap; topics too */
	size_t final_count;
};

/* ---- the map ------------------------------------------------------------------------------- */

static void
make_key(uint8_t key[REPLICAS_KEY_BYTES], const struct ot_uuid *topic_id, int32_t index)
{
	memcpy(key, topic_id->bytes, sizeof(topic_id->bytes));
	ot_put_u32(key + sizeof(topic_id->bytes), (uint32_t)index);
}

static struct replica *
find_replica(const struct ot_replicas *replicas, const struct ot_uuid *topic_id, int32_t index)
{
	uint8_t key[REPLICAS_KEY_BYTES];
	struct replica *replica;
	make_key(key, topic_id, index);
	HASH_FIND(hh, replicas->by_key, key, sizeof(key), replica);
	return replica;
}

static struct replica *
replica_of(const struct ot_replicas *replicas, const struct ot_part *part)
{
	struct replica *replica;
	HASH_FIND(hh_part, replicas->by_part, &part, sizeof(part), replica);
	OT_ASSERT(replica != NULL);
	return replica;
}

struct ot_part *
ot_replicas_find(struct ot_replicas *replicas, const struct ot_uuid *topic_id, int32_t index)
{
	struct replica *replica = find_replica(replicas, topic_id, index);
	return replica != NULL ? replica->part : NULL;
}

/* ---- coming ------------------------------------------------------------------------------- */

static void
finish_one(struct batch *batch)
{
	OT_ASSERT(batch->pending_count > 0);
	if (--batch->pending_count > 0)
		return;
	batch->done(batch->arg);
	ot_free(batch);
}

static void
tell_lead(struct replica *replica)
{
	if (ot_part_check_leader(replica->part, -1) != OT_OK)
		return;
	int32_t epoch = ot_part_leader_epoch(replica->part);
	if (replica->is_leading && replica->told_epoch == epoch)
		return;
	replica->is_leading = true;
	replica->told_epoch = epoch;
	replica->replicas->conf.events->on_lead(replica->replicas->conf.arg, replica->part);
}

static void
tell_resign(struct replica *replica)
{
	if (!replica->is_leading)
		return;
	replica->is_leading = false;
	replica->replicas->conf.events->on_resign(replica->replicas->conf.arg, replica->part);
}

static void
tell_unfollow(struct replica *replica)
{
	const struct ot_replicas_conf *conf = &replica->replicas->conf;
	if (!replica->is_following)
		return;
	replica->is_following = false;
	if (conf->events->on_unfollow != NULL)
		conf->events->on_unfollow(conf->arg, replica->part);
}

/* Each time: leader, epoch or end of the log may be others. */
static void
tell_follow(struct replica *replica)
{
	const struct ot_replicas_conf *conf = &replica->replicas->conf;
	replica->is_following = true;
	if (conf->events->on_follow != NULL)
		conf->events->on_follow(conf->arg, replica->part);
}

static void
tell_role(struct replica *replica)
{
	struct ot_part_follow state;
	bool leads = ot_part_check_leader(replica->part, -1) == OT_OK;
	bool follows = ot_part_follow_state(replica->part, &state);
	if (!leads)
		tell_resign(replica);
	if (!follows)
		tell_unfollow(replica);
	if (leads)
		tell_lead(replica);
	if (follows)
		tell_follow(replica);
}

static void
on_role(void *arg, struct ot_part *part)
{
	tell_role(replica_of(arg, part));
}

static void
on_isr_wanted(void *arg, struct ot_part *part)
{
	struct ot_replicas *replicas = arg;
	if (replicas->conf.events->on_isr_wanted != NULL)
		replicas->conf.events->on_isr_wanted(replicas->conf.arg, part);
}

/* As the metadata knows the broker. */
static bool
is_eligible(void *arg, int32_t broker, int64_t epoch)
{
	const struct ot_replicas *replicas = arg;
	const struct ot_broker_image *image =
	    replicas->image != NULL ? ot_image_broker(replicas->image, broker) : NULL;
	return image != NULL && !image->is_fenced && !image->is_in_controlled_shutdown &&
	       (epoch < 0 || epoch == image->epoch);
}

static bool
is_alive(void *arg, int32_t broker)
{
	const struct ot_replicas *replicas = arg;
	const struct ot_broker_image *image =
	    replicas->image != NULL ? ot_image_broker(replicas->image, broker) : NULL;
	return image != NULL && !image->is_fenced;
}

/* Tells where the replica is if the metadata says otherwise. One whose log has failed in a
 * directory that has not is nowhere: so the controller lets others lead and takes it out of the
 * ISR. */
static void
tell_dir(struct replica *replica)
{
	const struct ot_replicas_conf *conf = &replica->replicas->conf;
	enum ot_part_state state = ot_part_state(replica->part);
	if (conf->events->on_dir == NULL || (state != OT_PART_ONLINE && !replica->has_failed))
		return;
	bool is_lost = replica->has_failed && !ot_dirs_has_failed(conf->dirs, replica->dir);
	struct ot_uuid dir = is_lost ? ot_directory_lost : ot_dirs_id(conf->dirs, replica->dir);
	/* Of one whose id nobody could read the metadata know more. */
	if (ot_uuid_is_zero(&dir))
		return;
	enum replicas_dir found = replicas_find_dir(replica->replicas->image, replica->part,
	    conf->node_id, &dir, replica->is_anew);
	if (found == REPLICAS_DIR_KNOWN) {
		replica->told_dir = (struct ot_uuid){ 0 };
	} else if (found == REPLICAS_DIR_NEWS && !ot_uuid_equal(&replica->told_dir, &dir)) {
		replica->told_dir = dir;
		conf->events->on_dir(conf->arg, replica->part, &dir);
	}
}

/* A log that waits for space or descriptors has not failed. */
static void
note_failure(struct replica *replica)
{
	if (replica->has_failed || !ot_part_has_failed(replica->part))
		return;
	replica->has_failed = true;
	if (ot_dirs_has_failed(replica->replicas->conf.dirs, replica->dir))
		tell_dir(replica);
	else
		replicas_probes_look(replica->replicas->probes, replica->dir);
}

static void
on_open(void *arg, struct ot_part *part)
{
	struct replica *replica = replica_of(arg, part);
	struct batch *batch = replica->batch;
	replica->batch = NULL;
	tell_role(replica);
	note_failure(replica);
	tell_dir(replica);
	if (batch != NULL)
		finish_one(batch);
}

static void on_closed(void *arg, struct ot_part *part);

/* The removal that still holds the folder; NULL: it is free. */
static struct removal *
find_occupant(const struct ot_replicas *replicas, const char *path)
{
	OT_LIST_FOREACH(link, &replicas->removals) {
		struct removal *removal = OT_CONTAINER_OF(link, struct removal, link);
		bool is_next = removal->next_path != NULL && strcmp(removal->next_path, path) == 0;
		if (removal->moved_path == NULL && (is_next || strcmp(removal->path, path) == 0))
			return removal;
	}
	return NULL;
}

static void
open_or_wait(struct ot_replicas *replicas, struct replica *replica, const char *path)
{
	struct removal *occupant = find_occupant(replicas, path);
	if (occupant == NULL) {
		ot_part_open(replica->part);
		return;
	}
	OT_ASSERT(occupant->heir == NULL);
	occupant->heir = replica;
	replica->waits_for = occupant;
}

static struct replica *
create_replica(struct ot_replicas *replicas, const struct ot_image *image,
    const struct ot_topic_image *topic, int32_t index, const struct ot_dirs_place *place)
{
	struct replica *replica = OT_NEW(struct replica);
	const struct ot_part_conf conf = {
		.owner = replicas->conf.shard,
		.codecs = replicas->conf.codecs,
		.topic = topic->name,
		.topic_id = topic->id,
		.index = index,
		.settings = replicas_settings(image, topic),
		.dirs = replicas->conf.dirs,
		.place = *place,
		.node_id = replicas->conf.node_id,
		.on_role = on_role,
		.on_isr_wanted = on_isr_wanted,
		.is_eligible = is_eligible,
		.is_alive = is_alive,
		.on_open = on_open,
		.on_closed = on_closed,
		.arg = replicas,
	};
	const struct ot_log_open_args args = {
		.fs = replicas->conf.shard->io->fs,
		.dir = place->path,
		.settings = conf.settings.log,
		.start_offset = place->start_offset,
		.recovery_point = place->recovery_point,
		.is_clean = place->is_clean,
		.now = ot_io_wall(replicas->conf.shard->io),
		.random = ot_io_random_u64(replicas->conf.shard->io),
	};
	replica->replicas = replicas;
	replica->dir = place->dir;
	replica->is_anew = !place->is_found;
	replica->part = ot_part_create(&conf, &args);
	make_key(replica->key, &topic->id, index);
	HASH_ADD(hh, replicas->by_key, key, sizeof(replica->key), replica);
	HASH_ADD(hh_part, replicas->by_part, part, sizeof(replica->part), replica);
	return replica;
}

static void
add_replica(struct ot_replicas *replicas, const struct ot_image *image,
    const struct ot_topic_image *topic, int32_t index, struct batch *batch)
{
	struct ot_dirs_place place;
	ot_dirs_find(replicas->conf.dirs, topic->name, &topic->id, index, &place);
	bool is_missing =
	    replicas_is_missing(replicas->conf.dirs, topic, index, replicas->conf.node_id, &place);
	struct replica *replica = create_replica(replicas, image, topic, index, &place);
	replica->batch = batch;
	batch->pending_count++;
	if (is_missing)
		ot_part_leave_offline(replica->part);
	else
		open_or_wait(replicas, replica, place.path);
}

/* ---- going --------------------------------------------------------------------------------- */

static void
finish_closing(struct ot_replicas *replicas)
{
	if (replicas->closed == NULL || replicas->by_part != NULL ||
	    !replicas_probes_are_idle(replicas->probes) || !ot_list_is_empty(&replicas->removals) ||
	    !ot_list_is_empty(&replicas->moves))
		return;
	const struct ot_replicas_final final = {
		.rows = replicas->final_rows,
		.row_count = replicas->final_count,
		.is_dir_clean = replicas->is_dir_clean,
	};
	void (*closed)(void *arg, const struct ot_replicas_final *final) = replicas->closed;
	replicas->closed = NULL;
	closed(replicas->closed_arg, &final);
}

static void
end_removal(struct removal *removal)
{
	struct ot_replicas *replicas = removal->replicas;
	if (removal->err != OT_OK)
		OT_WARN("replica", "%s could not be removed: %s", removal->path,
		    ot_err_message(removal->err));
	ot_list_remove(&removal->link);
	ot_free(removal->path);
	ot_free(removal->moved_path);
	ot_free(removal->next_path);
	ot_free(removal);
	finish_closing(replicas);
}

static void
run_removal(struct ot_job *job)
{
	struct removal *removal = OT_CONTAINER_OF(job, struct removal, job);
	removal->err = ot_fs_remove_all(removal->replicas->conf.shard->io->fs, removal->moved_path);
}

static void
removal_is_done(struct ot_job *job)
{
	end_removal(OT_CONTAINER_OF(job, struct removal, job));
}

static void
run_giving_up(struct ot_job *job)
{
	struct removal *removal = OT_CONTAINER_OF(job, struct removal, job);
	removal->err = ot_dirs_give_up(removal->replicas->conf.dirs, removal->dir, removal->path,
	    removal->is_stray ? OT_PARTITION_STRAY : OT_PARTITION_DELETED, &removal->unique,
	    &removal->moved_path);
}

/* A folder that could not be renamed is in the heir's way; its opening removes it or fails. */
static void
folder_is_given_up(struct ot_job *job)
{
	struct removal *removal = OT_CONTAINER_OF(job, struct removal, job);
	struct replica *heir = removal->heir;
	removal->heir = NULL;
	if (heir != NULL) {
		heir->waits_for = NULL;
		ot_part_open(heir->part);
	}
	if (removal->err == OT_OK && removal->is_stray)
		OT_WARN("replica",
		    "%s is of a topic that the metadata do not have: kept as %s, remove it if the "
		    "topic was deleted",
		    removal->path, removal->moved_path);
	if (removal->err != OT_OK || removal->is_stray) {
		end_removal(removal);
		return;
	}
	removal->job = (struct ot_job){ .work = run_removal, .done = removal_is_done };
	ot_io_submit(removal->replicas->conf.shard->io, &removal->job);
}

/* From now on the folder's next owner has to wait. */
static struct removal *
create_removal(struct ot_replicas *replicas, size_t dir, const char *path)
{
	struct removal *removal = OT_NEW(struct removal);
	removal->replicas = replicas;
	removal->dir = dir;
	removal->path = ot_must_strdup(path);
	removal->unique = ot_io_random_uuid(replicas->conf.shard->io);
	ot_list_push_back(&replicas->removals, &removal->link);
	return removal;
}

static void finish_move(struct removal *removal, const struct replica *replica);

static void
start_removal(struct removal *removal, const struct replica *replica)
{
	if (removal->move != NULL) {
		finish_move(removal, replica);
		return;
	}
	removal->job = (struct ot_job){ .work = run_giving_up, .done = folder_is_given_up };
	ot_io_submit(removal->replicas->conf.shard->io, &removal->job);
}

static void
note_final_row(struct ot_replicas *replicas, const struct replica *replica)
{
	struct ot_str topic = ot_part_topic(replica->part);
	struct ot_dirs_row *row = &replicas->final_rows[replicas->final_count++];
	*row = (struct ot_dirs_row){
		.topic = { ot_must_strndup(topic.data, (size_t)topic.len), topic.len },
		.topic_id = *ot_part_topic_id(replica->part),
		.index = ot_part_index(replica->part),
		.dir = replica->dir,
		.high_watermark = ot_part_high_watermark(replica->part),
	};
	ot_part_final_offsets(replica->part, &row->start_offset, &row->recovery_point);
	if (!ot_part_is_clean(replica->part))
		replicas->is_dir_clean[replica->dir] = false;
}

static void
on_closed(void *arg, struct ot_part *part)
{
	struct ot_replicas *replicas = arg;
	struct replica *replica = replica_of(replicas, part);
	if (replica->removal != NULL)
		start_removal(replica->removal, replica);
	else if (replica->waits_for != NULL)
		replica->waits_for->heir = NULL; /* it never had a folder */
	else
		note_final_row(replicas, replica);
	HASH_DELETE(hh_part, replicas->by_part, replica);
	if (replica->batch != NULL)
		finish_one(replica->batch);
	ot_part_destroy(part);
	ot_free(replica);
	finish_closing(replicas);
}

static void stop_move(struct replica *replica);

static void
close_replica(struct ot_replicas *replicas, struct replica *replica, bool is_deleted)
{
	stop_move(replica);
	if (is_deleted && replica->waits_for == NULL)
		replica->removal =
		    create_removal(replicas, replica->dir, ot_part_dir(replica->part));
	else if (is_deleted)
		replica->waits_for->is_heir_deleted = true;
	HASH_DELETE(hh, replicas->by_key, replica);
	tell_resign(replica);
	tell_unfollow(replica);
	ot_part_close(replica->part, is_deleted ? OT_LOG_CLOSE_DROP : OT_LOG_CLOSE_CLEAN);
}

/* ---- moving -------------------------------------------------------------------------------- */

static void
end_move(struct move *move)
{
	struct ot_replicas *replicas = move->replicas;
	ot_list_remove(&move->link);
	folder_copy_destroy(move->copy);
	ot_free(move);
	finish_closing(replicas);
}

static void
run_dropping(struct ot_job *job)
{
	struct move *move = OT_CONTAINER_OF(job, struct move, job);
	move->err =
	    ot_fs_remove_all(move->replicas->conf.shard->io->fs, folder_copy_to(move->copy));
}

static void
copy_is_dropped(struct ot_job *job)
{
	struct move *move = OT_CONTAINER_OF(job, struct move, job);
	if (move->err != OT_OK)
		OT_WARN("replica", "%s could not be removed: %s", folder_copy_to(move->copy),
		    ot_err_message(move->err));
	end_move(move);
}

/* Removes what has been copied; nobody wants it any more. */
static void
drop_copy(struct move *move)
{
	move->job = (struct ot_job){ .work = run_dropping, .done = copy_is_dropped };
	ot_io_submit(move->replicas->conf.shard->io, &move->job);
}

static void
stop_move(struct replica *replica)
{
	struct move *move = replica->move;
	if (move == NULL)
		return;
	replica->move = NULL;
	move->replica = NULL;
	ot_timer_cancel(move->replicas->conf.shard->io, &move->pause);
	if (!move->is_job_running)
		drop_copy(move);
}

static void switch_over(struct move *move);
static void take_role(struct replica *replica, const struct ot_partition_image *partition);

static void
run_copying(struct ot_job *job)
{
	struct move *move = OT_CONTAINER_OF(job, struct move, job);
	move->err = folder_copy_pass(move->copy, move->bytes_max, &move->bytes, &move->is_done);
}

static int64_t
rate_of(const struct move *move)
{
	return OT_MAX(ot_settings_number(ot_image_settings(move->replicas->image),
			  OT_BROKER_REPLICA_ALTER_LOG_DIRS_IO_MAX_BYTES_PER_SECOND),
	    1);
}

static void copying_is_done(struct ot_job *job);

/* At most what a second allows, or one file. */
static void
copy_more(struct move *move)
{
	move->is_job_running = true;
	move->bytes_max = OT_MIN((uint64_t)rate_of(move), (uint64_t)REPLICAS_COPY_BYTES);
	move->job = (struct ot_job){ .work = run_copying, .done = copying_is_done };
	ot_io_submit(move->replicas->conf.shard->io, &move->job);
}

static void
on_pause_over(struct ot_timer *timer)
{
	copy_more(OT_CONTAINER_OF(timer, struct move, pause));
}

/* For how long replica.alter.log.dirs.io.max.bytes.per.second forbids to go on. */
static int64_t
pause_ms(const struct move *move)
{
	double ms = (double)move->bytes * 1000 / (double)rate_of(move);
	return (int64_t)OT_MIN(ms, (double)INT32_MAX);
}

static void
copying_is_done(struct ot_job *job)
{
	struct move *move = OT_CONTAINER_OF(job, struct move, job);
	move->is_job_running = false;
	if (move->replica == NULL) {
		drop_copy(move);
		return;
	}
	if (move->err != OT_OK) {
		OT_ERROR("replica", "%s stays where it is, it cannot be copied to %s: %s",
		    ot_part_dir(move->replica->part), folder_copy_to(move->copy),
		    ot_err_message(move->err));
		stop_move(move->replica);
		return;
	}
	int64_t pause = pause_ms(move);
	enum ot_part_state state = ot_part_state(move->replica->part);
	if (state == OT_PART_OFFLINE)
		stop_move(move->replica);
	else if (move->is_done && move->bytes == 0 && state == OT_PART_ONLINE)
		switch_over(move); /* no segment was closed during the last pass */
	else if (state != OT_PART_ONLINE)
		ot_timer_arm_in_ms(move->replicas->conf.shard->io, &move->pause, REPLICAS_TICK_MS);
	else if (pause > 0)
		ot_timer_arm_in_ms(move->replicas->conf.shard->io, &move->pause, pause);
	else
		copy_more(move);
}

/* The same folder in another directory; heap. */
static char *
next_path(const struct ot_replicas *replicas, const char *path, size_t dir)
{
	char next[1024];
	snprintf(next, sizeof(next), "%s%s", ot_dirs_path(replicas->conf.dirs, dir),
	    strrchr(path, '/'));
	return ot_must_strdup(next);
}

/* Lets the log go, so that the rest of it can be copied; the heir takes over what is told of the
 * partition meanwhile. */
static void
switch_over(struct move *move)
{
	struct ot_replicas *replicas = move->replicas;
	struct replica *replica = move->replica;
	const struct ot_uuid *topic_id = ot_part_topic_id(replica->part);
	int32_t index = ot_part_index(replica->part);
	const struct ot_topic_image *topic = ot_image_topic_by_id(replicas->image, topic_id);
	OT_ASSERT(topic != NULL); /* the replica of another is closed, and its move stopped */
	struct removal *removal =
	    create_removal(replicas, replica->dir, ot_part_dir(replica->part));
	removal->move = move;
	removal->place = (struct ot_dirs_place){
		.dir = replica->dir,
		.is_found = true,
		.topic_id = *topic_id,
	};
	snprintf(removal->place.path, sizeof(removal->place.path), "%s", removal->path);
	ot_part_checkpoint_offsets(replica->part, &removal->place.start_offset,
	    &removal->place.recovery_point);
	removal->place.high_watermark = ot_part_high_watermark(replica->part);
	removal->next_path = next_path(replicas, removal->path, move->dir);
	replica->removal = removal;
	replica->move = NULL;
	move->replica = NULL;
	HASH_DELETE(hh, replicas->by_key, replica);
	tell_resign(replica);
	tell_unfollow(replica);
	struct replica *heir =
	    create_replica(replicas, replicas->image, topic, index, &removal->place);
	heir->waits_for = removal;
	removal->heir = heir;
	take_role(heir, ot_topic_partition(topic, index));
	ot_part_close(replica->part, OT_LOG_CLOSE_CLEAN);
}

/* The folder is taken in before the other is given up: there is one at any time. */
static void
run_finishing(struct ot_job *job)
{
	struct removal *removal = OT_CONTAINER_OF(job, struct removal, job);
	struct move *move = removal->move;
	struct ot_dirs *dirs = removal->replicas->conf.dirs;
	removal->err = removal->place.is_clean ? folder_copy_finish(move->copy) : OT_ERR_IO;
	if (removal->err == OT_OK)
		removal->err = ot_dirs_take_in(dirs, move->dir, folder_copy_to(move->copy),
		    removal->next_path);
	if (removal->err == OT_OK)
		removal->err = ot_dirs_give_up(dirs, removal->dir, removal->path,
		    OT_PARTITION_DELETED, &removal->unique, &removal->moved_path);
	if (removal->err != OT_OK)
		return;
	removal->place.dir = move->dir;
	snprintf(removal->place.path, sizeof(removal->place.path), "%s", removal->next_path);
}

static void
note_final_place(struct ot_replicas *replicas, const struct removal *removal)
{
	const char *name = strrchr(removal->place.path, '/') + 1;
	struct ot_partition_dir folder;
	bool is_name = ot_partition_dir_parse(name, &folder);
	OT_ASSERT(is_name);
	replicas->final_rows[replicas->final_count++] = (struct ot_dirs_row){
		.topic = { ot_must_strndup(folder.topic.data, (size_t)folder.topic.len),
		    folder.topic.len },
		.topic_id = removal->place.topic_id,
		.index = folder.partition,
		.dir = removal->place.dir,
		.recovery_point = removal->place.recovery_point,
		.start_offset = removal->place.start_offset,
		.high_watermark = removal->place.high_watermark,
	};
	if (!removal->place.is_clean)
		replicas->is_dir_clean[removal->place.dir] = false;
}

/* What is left of the old folder goes; without success the copy. */
static void
end_finishing(struct removal *removal)
{
	struct move *move = removal->move;
	removal->move = NULL;
	if (removal->err == OT_OK) {
		removal->job = (struct ot_job){ .work = run_removal, .done = removal_is_done };
		ot_io_submit(removal->replicas->conf.shard->io, &removal->job);
		end_move(move);
		return;
	}
	drop_copy(move);
	removal->err = OT_OK; /* it was told already, and nothing is to be removed */
	end_removal(removal);
}

/* The heir was deleted while it waited: what it would have opened is given up. A partition of a new
 * topic of that name may wait by now. */
static void
remove_unwanted(struct removal *removal, struct replica *stranger)
{
	struct ot_replicas *replicas = removal->replicas;
	struct removal *other = create_removal(replicas, removal->place.dir, removal->place.path);
	if (stranger != NULL)
		stranger->waits_for = NULL;
	if (stranger != NULL && strcmp(ot_part_dir(stranger->part), other->path) == 0) {
		other->heir = stranger;
		stranger->waits_for = other;
	} else if (stranger != NULL) {
		ot_part_open(stranger->part);
	}
	start_removal(other, NULL);
}

static void
finishing_is_done(struct ot_job *job)
{
	struct removal *removal = OT_CONTAINER_OF(job, struct removal, job);
	struct replica *heir = removal->heir;
	removal->heir = NULL;
	if (removal->err == OT_OK)
		OT_INFO("replica", "%s has moved to %s", removal->path, removal->place.path);
	else
		OT_ERROR("replica", "%s stays where it is, it cannot move to %s: %s", removal->path,
		    folder_copy_to(removal->move->copy), ot_err_message(removal->err));
	if (removal->is_heir_deleted) {
		remove_unwanted(removal, heir);
	} else if (heir != NULL) {
		heir->waits_for = NULL;
		heir->dir = removal->place.dir;
		ot_part_set_place(heir->part, &removal->place);
		ot_part_open(heir->part);
	} else {
		note_final_place(removal->replicas, removal);
	}
	end_finishing(removal);
}

/* The log is closed. */
static void
finish_move(struct removal *removal, const struct replica *replica)
{
	removal->place.is_clean = ot_part_is_clean(replica->part);
	removal->place.high_watermark = ot_part_high_watermark(replica->part);
	ot_part_final_offsets(replica->part, &removal->place.start_offset,
	    &removal->place.recovery_point);
	removal->job = (struct ot_job){ .work = run_finishing, .done = finishing_is_done };
	ot_io_submit(removal->replicas->conf.shard->io, &removal->job);
}

static void
start_move(struct replica *replica, size_t dir)
{
	struct ot_replicas *replicas = replica->replicas;
	struct ot_io *io = replicas->conf.shard->io;
	struct ot_uuid unique = ot_io_random_uuid(io);
	char path[1024];
	ot_dirs_future_path(replicas->conf.dirs, dir, ot_part_topic(replica->part),
	    ot_part_index(replica->part), &unique, path, sizeof(path));
	struct move *move = OT_NEW(struct move);
	move->replica = replica;
	move->replicas = replicas;
	move->dir = dir;
	move->copy = folder_copy_create(io->fs, ot_part_dir(replica->part), path);
	ot_timer_init(&move->pause, on_pause_over);
	ot_list_push_back(&replicas->moves, &move->link);
	replica->move = move;
	copy_more(move);
}

ot_err
ot_replicas_move(struct ot_replicas *replicas, struct ot_part *part, size_t dir)
{
	OT_ON_SHARD(replicas->conf.shard);
	OT_ASSERT(dir < ot_dirs_count(replicas->conf.dirs));
	struct replica *replica = replica_of(replicas, part);
	if (replica->move != NULL && replica->move->dir == dir)
		return OT_OK;
	if (ot_part_state(part) == OT_PART_OFFLINE || ot_dirs_has_failed(replicas->conf.dirs, dir))
		return OT_ERR_KAFKA_STORAGE_ERROR;
	if (ot_part_log(part) == NULL)
		return OT_ERR_REPLICA_NOT_AVAILABLE;
	stop_move(replica);
	if (dir != replica->dir)
		start_move(replica, dir);
	return OT_OK;
}

bool
ot_replicas_future(const struct ot_replicas *replicas, const struct ot_part *part,
    struct ot_replicas_future *ret_future)
{
	const struct move *move = replica_of(replicas, part)->move;
	if (move == NULL)
		return false;
	*ret_future = (struct ot_replicas_future){
		.dir = move->dir,
		.bytes = (int64_t)folder_copy_bytes(move->copy),
		.offset = folder_copy_offset(move->copy),
	};
	return true;
}

/* ---- applying images ----------------------------------------------------------------------- */

struct application {
	struct ot_replicas *replicas;
	const struct ot_image *after;
	const struct ot_topic_image *topic;
	struct batch *batch;
};

static bool
is_ours(const struct ot_replicas *replicas, struct ot_str topic, int32_t index)
{
	const struct ot_shard *shard = replicas->conf.shard;
	return ot_part_owner_index(topic, index, shard->set->count) == shard->index;
}

static void
take_role(struct replica *replica, const struct ot_partition_image *partition)
{
	const struct ot_part_role role = {
		.leader_id = partition->leader,
		.leader_epoch = partition->leader_epoch,
		.partition_epoch = partition->partition_epoch,
		.is_recovering = partition->recovery_state != 0,
		.replicas = ot_partition_replicas(partition),
		.isr = ot_partition_isr(partition),
	};
	ot_part_set_role(replica->part, &role);
}

static void
apply_partition(void *arg, const struct ot_partition_image *before,
    const struct ot_partition_image *after)
{
	struct application *application = arg;
	struct ot_replicas *replicas = application->replicas;
	const struct ot_uuid *topic_id = &application->topic->id;
	int32_t index = after != NULL ? after->index : before->index;
	if (!is_ours(replicas, application->topic->name, index))
		return;
	struct replica *replica = find_replica(replicas, topic_id, index);
	bool is_wanted =
	    after != NULL && ot_ids_have(ot_partition_replicas(after), replicas->conf.node_id);
	if (!is_wanted) {
		if (replica != NULL)
			close_replica(replicas, replica, true);
		return;
	}
	if (replica == NULL) {
		add_replica(replicas, application->after, application->topic, index,
		    application->batch);
		replica = find_replica(replicas, topic_id, index);
	}
	take_role(replica, after);
	tell_dir(replica);
}

static void
apply_settings(struct ot_replicas *replicas, const struct ot_image *after,
    const struct ot_topic_image *topic)
{
	struct ot_part_settings settings = replicas_settings(after, topic);
	for (int32_t i = 0; i < topic->partition_count; i++) {
		struct replica *replica = find_replica(replicas, &topic->id, i);
		if (replica != NULL)
			ot_part_set_settings(replica->part, &settings);
	}
}

static bool
apply_settings_of(void *arg, const struct ot_topic_image *topic)
{
	struct application *application = arg;
	apply_settings(application->replicas, application->after, topic);
	return true;
}

static bool
put_stray_aside(void *arg, struct ot_str topic, int32_t index, size_t dir)
{
	struct ot_replicas *replicas = arg;
	if (!is_ours(replicas, topic, index))
		return false;
	char path[sizeof(((struct ot_dirs_place *)0)->path)];
	snprintf(path, sizeof(path), "%s/%.*s-%d", ot_dirs_path(replicas->conf.dirs, dir),
	    OT_STR_ARG(topic), index);
	struct removal *removal = create_removal(replicas, dir, path);
	removal->is_stray = true;
	start_removal(removal, NULL);
	return true;
}

static void
apply_topic(struct application *application, const struct ot_topic_delta *delta)
{
	application->topic = delta->after != NULL ? delta->after : delta->before;
	ot_topic_visit_partition_deltas(delta->before, delta->after, apply_partition, application);
	bool is_reconfigured = delta->before != NULL && delta->after != NULL &&
	                       delta->before->config != delta->after->config;
	if (is_reconfigured)
		apply_settings(application->replicas, application->after, delta->after);
}

/* Who may enter an ISR is looked up in it. */
static void
keep_image(struct ot_replicas *replicas, const struct ot_image *image)
{
	struct ot_image *before = replicas->image;
	replicas->image = ot_image_ref((struct ot_image *)(uintptr_t)image);
	ot_image_unref(before);
}

void
ot_replicas_apply(struct ot_replicas *replicas, const struct ot_image *before,
    const struct ot_image *after, void (*done)(void *arg), void *arg)
{
	OT_ON_SHARD(replicas->conf.shard);
	if (replicas->is_closing) {
		done(arg);
		return;
	}
	struct ot_arena arena;
	struct ot_image_delta delta;
	keep_image(replicas, after);
	ot_arena_init(&arena, 0);
	if (ot_image_delta_make(before, after, &arena, &delta) != OT_OK)
		OT_PANIC("no memory for a change of the metadata");
	struct batch *batch = OT_NEW(struct batch);
	*batch = (struct batch){ .pending_count = 1, .done = done, .arg = arg };
	struct application application = { .replicas = replicas, .after = after, .batch = batch };
	/* What goes first: a new topic may have the name of a deleted one. */
	for (size_t i = 0; i < delta.topic_count; i++) {
		if (delta.topics[i].after == NULL)
			apply_topic(&application, &delta.topics[i]);
	}
	for (size_t i = 0; i < delta.topic_count; i++) {
		if (delta.topics[i].after != NULL)
			apply_topic(&application, &delta.topics[i]);
	}
	if (before == NULL)
		ot_dirs_visit_strays(replicas->conf.dirs, put_stray_aside, replicas);
	if (delta.is_settings_changed && before != NULL)
		ot_image_visit_topics(after, apply_settings_of, &application);
	replicas->retention_interval_ms =
	    ot_settings_number(ot_image_settings(after), OT_BROKER_LOG_RETENTION_CHECK_INTERVAL_MS);
	ot_arena_fini(&arena);
	finish_one(batch);
}

/* ---- steady work --------------------------------------------------------------------------- */

static void
on_tick(struct ot_timer *timer)
{
	struct ot_replicas *replicas = OT_CONTAINER_OF(timer, struct ot_replicas, tick);
	ot_wall_ms now = ot_io_wall(replicas->conf.shard->io);
	bool is_retention_due = now >= replicas->retention_due;
	if (is_retention_due)
		replicas->retention_due = now + replicas->retention_interval_ms;
	struct replica *replica, *next;
	HASH_ITER(hh, replicas->by_key, replica, next) {
		if (ot_dirs_has_failed(replicas->conf.dirs, replica->dir))
			ot_part_fail(replica->part);
		ot_part_tick(replica->part, now, is_retention_due);
		if (ot_part_state(replica->part) != OT_PART_OFFLINE)
			continue;
		tell_role(replica);
		note_failure(replica);
	}
	ot_timer_arm_in_ms(replicas->conf.shard->io, timer, REPLICAS_TICK_MS);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Where replicas are whose logs have failed depends on whether the directory has. */
static void
dir_is_probed(void *arg, size_t dir, bool has_failed)
{
	struct ot_replicas *replicas = arg;
	struct replica *replica, *next;
	if (has_failed && replicas->conf.events->on_dir_failed != NULL)
		replicas->conf.events->on_dir_failed(replicas->conf.arg, dir);
	HASH_ITER(hh, replicas->by_key, replica, next) {
		if (replica->has_failed && replica->dir == dir)
			tell_dir(replica);
	}
	finish_closing(replicas);
}

struct ot_replicas *
ot_replicas_create(const struct ot_replicas_conf *conf)
{
	OT_ASSERT(ot_dirs_count(conf->dirs) <= REPLICAS_DIR_COUNT_MAX);
	struct ot_replicas *replicas = OT_NEW(struct ot_replicas);
	replicas->conf = *conf;
	replicas->retention_interval_ms = INT32_MAX;
	for (size_t i = 0; i < REPLICAS_DIR_COUNT_MAX; i++)
		replicas->is_dir_clean[i] = true;
	ot_list_init(&replicas->removals);
	ot_list_init(&replicas->moves);
	const struct replicas_probes_conf probes_conf = {
		.shard = conf->shard,
		.dirs = conf->dirs,
		.on_done = dir_is_probed,
		.arg = replicas,
	};
	replicas->probes = replicas_probes_create(&probes_conf);
	ot_timer_init(&replicas->tick, on_tick);
	ot_timer_arm_in_ms(conf->shard->io, &replicas->tick, REPLICAS_TICK_MS);
	return replicas;
}

void
ot_replicas_destroy(struct ot_replicas *replicas)
{
	if (replicas == NULL)
		return;
	OT_ASSERT(replicas->by_key == NULL && replicas->by_part == NULL);
	for (size_t i = 0; i < replicas->final_count; i++)
		ot_free((void *)(uintptr_t)replicas->final_rows[i].topic.data);
	ot_free(replicas->final_rows);
	replicas_probes_destroy(replicas->probes);
	ot_image_unref(replicas->image);
	ot_free(replicas);
}

void
ot_replicas_close(struct ot_replicas *replicas,
    void (*done)(void *arg, const struct ot_replicas_final *final), void *arg)
{
	OT_ON_SHARD(replicas->conf.shard);
	OT_ASSERT(!replicas->is_closing);
	ot_timer_cancel(replicas->conf.shard->io, &replicas->tick);
	replicas->is_closing = true;
	replicas->closed = done;
	replicas->closed_arg = arg;
	replicas->final_rows =
	    ot_must_alloc(OT_MAX(ot_replicas_count(replicas), 1u) * sizeof(*replicas->final_rows));
	struct replica *replica, *next;
	HASH_ITER(hh, replicas->by_key, replica, next)
		close_replica(replicas, replica, false);
	finish_closing(replicas);
}

void
ot_replicas_each(struct ot_replicas *replicas, ot_replicas_visit *visit, void *arg)
{
	struct replica *replica, *next;
	HASH_ITER(hh, replicas->by_key, replica, next)
		visit(arg, replica->part);
}

size_t
ot_replicas_dir(const struct ot_replicas *replicas, const struct ot_part *part)
{
	return replica_of(replicas, part)->dir;
}

uint32_t
ot_replicas_count(const struct ot_replicas *replicas)
{
	return HASH_COUNT(replicas->by_key);
}

struct ot_dirs_row *
ot_replicas_rows(struct ot_replicas *replicas, size_t *ret_count)
{
	size_t capacity = ot_replicas_count(replicas);
	size_t name_bytes = 0;
	struct replica *replica, *next;
	HASH_ITER(hh, replicas->by_key, replica, next)
		name_bytes += (size_t)ot_part_topic(replica->part).len;
	struct ot_dirs_row *rows = ot_must_alloc(capacity * sizeof(*rows) + name_bytes);
	char *names = (char *)(rows + capacity);
	size_t count = 0;
	HASH_ITER(hh, replicas->by_key, replica, next) {
		struct ot_str topic = ot_part_topic(replica->part);
		struct ot_dirs_row *row = &rows[count++];
		memcpy(names, topic.data, (size_t)topic.len);
		*row = (struct ot_dirs_row){
			.topic = { names, topic.len },
			.topic_id = *ot_part_topic_id(replica->part),
			.index = ot_part_index(replica->part),
			.dir = replica->dir,
			.high_watermark = ot_part_high_watermark(replica->part),
		};
		ot_part_checkpoint_offsets(replica->part, &row->start_offset, &row->recovery_point);
		names += topic.len;
	}
	*ret_count = count;
	return rows;
}

void
ot_replicas_checkpoint(struct ot_replicas *replicas)
{
	struct replica *replica, *next;
	HASH_ITER(hh, replicas->by_key, replica, next)
		ot_part_checkpoint(replica->part);
}
