/* Fetch (key 1): a read of many partitions at their owners, and the wait for enough to read.
 *
 *   READING --enough, or no time left--> (CONVERTING, for old clients) --> ANSWERED
 *      |  ^
 *      |  +-- woken by an append, or out of time (then for the last time)
 *      v  |
 *   WATCHING: a watcher stands at each partition
 *
 * A follower's fetch is the same, but that it reads to the log's end, is woken by each write, and
 * tells the leader how far the follower is. A consumer may be sent to a replica in its own rack
 * instead of being given records (KIP-392), and may read at followers.
 *
 * Reading goes over the shards as one scatter; each owner fills the reads of its own partitions
 * within its share of max_bytes. Watching is another scatter, sent only when the client will really
 * wait. Watchers are taken away by the next reading scatter, at each owner before it reads, so the
 * operation never ends with one standing. A wake is one message from an owner, and since messages
 * of one shard to another keep their order, it has arrived when the scatter that follows it has. At
 * home a wake is work for the end of the turn, which the answer cancels.
 */
#include "broker/broker_int.h"

#include <string.h>

#include "base/alloc.h"
#include "broker/fetch_session_int.h"
#include "broker/legacy_int.h"
#include "replica/throttle.h"
#include "wire/msg_fetch.h"

enum {
	FETCH_VERSION_MAGIC_1 = 2,
	FETCH_VERSION_CLOSEST = 11, /* KIP-392 */
	FETCH_VERSION_TOPIC_ID = 13,
	FETCH_VERSION_REPLICA_STATE = 15, /* KIP-903 */
	FETCH_VERSION_LEADERS = 16,       /* KIP-951 */
};

enum fetch_state { FETCH_READING, FETCH_WATCHING, FETCH_CONVERTING, FETCH_ANSWERED };

/* One partition of the request. */
struct fetch_part {
	struct ot_scatter_item item;
	struct ot_part_read read;
	struct ot_part_watcher watcher;
	struct fetch_op *op;
	struct fetch_part_state state; /* as the client asked; what it was told last */
	int32_t closest;               /* the replica that it should read from; -1: this one */
	struct ot_uuid topic_id;       /* of the topic that was found */
	bool is_found;                 /* else read.err says why not */
	bool is_measured;              /* its bytes count against the throttled rate */
	bool is_held_back;             /* no records now: the rate is exceeded */
	uint32_t shard_index;
	struct ot_file_range range;
	struct legacy_range *legacy; /* what an old client gets instead of the range */
	bool is_watching;            /* [owner: the partition's shard] */
	bool is_reserved; /* [owner: the partition's shard] bytes were taken from the shard's share
	                   */
};

/* What one owner shard does for the operation; touched by that shard only. */
struct fetch_share {
	struct ot_mail wake;
	struct fetch_op *op;
	int64_t bytes_left;
	bool is_wake_posted;
	bool has_first; /* a partition was promised its first batch whatever its size */
};

struct fetch_op {
	struct ot_scatter scatter;
	struct ot_request *request;
	struct broker_shard *self;
	struct ot_fetch_request *body;
	int32_t replica_id;            /* of the follower that asks; below 0: a consumer */
	int64_t replica_epoch;         /* its broker epoch; -1: not told */
	bool is_rack_told;             /* a consumer that may be sent to a closer replica */
	struct fetch_session *session; /* NULL: none */
	int32_t session_id;            /* told to the client */
	bool is_incremental;
	bool is_read; /* once at least */
	enum fetch_state state;
	struct fetch_part *parts;
	size_t part_count;
	struct ot_job convert_job;
	struct fetch_share *shares; /* by shard index */
	uint32_t share_count;       /* shards that have a partition of ours */
	int64_t share_bytes;        /* each one's part of the most bytes of the answer */
	struct ot_turn_work wake_work;
	bool is_woken; /* since the watching began */
	struct ot_timer timer;
	ot_mono_ns deadline;
	struct ot_fetch_response response;
};

static void start_reading(struct fetch_op *op);

static bool
is_replica(const struct fetch_op *op)
{
	return op->replica_id >= 0;
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* An incremental answer names a partition only if the client learns something from it. */
static bool
is_news(const struct fetch_part *part)
{
	const struct ot_part_read *read = &part->read;
	const struct fetch_part_state *state = &part->state;
	return read->err != OT_OK || read->bytes > 0 || read->diverging_epoch >= 0 ||
	       part->closest >= 0 || state->high_watermark != read->high_watermark ||
	       state->log_start_offset != read->log_start_offset || state->error_code != 0;
}

static void
fill_aborted(struct fetch_op *op, struct fetch_part *part,
    struct ot_fetch_response_partition *answer)
{
	struct ot_part_read *read = &part->read;
	answer->aborted_transactions_count = -1;
	if (read->aborted_count < 0)
		return;
	answer->aborted_transactions =
	    ot_fetch_response_aborted_transaction_array(&op->request->arena, read->aborted_count);
	if (answer->aborted_transactions != NULL) {
		answer->aborted_transactions_count = read->aborted_count;
		for (int32_t i = 0; i < read->aborted_count; i++) {
			answer->aborted_transactions[i].producer_id = read->aborted[i].producer_id;
			answer->aborted_transactions[i].first_offset =
			    read->aborted[i].first_offset;
		}
	}
}

/* Each node once. Without memory the client asks Metadata, as older ones do. */
static void
add_node(struct fetch_op *op, const struct broker_leader *leader)
{
	struct ot_fetch_response *response = &op->response;
	for (int32_t i = 0; i < response->node_endpoints_count; i++) {
		if (response->node_endpoints[i].node_id == leader->id)
			return;
	}
	struct ot_fetch_response_node_endpoint *nodes = ot_fetch_response_node_endpoint_array(
	    &op->request->arena, response->node_endpoints_count + 1);
	if (nodes == NULL)
		return;
	for (int32_t i = 0; i < response->node_endpoints_count; i++)
		nodes[i] = response->node_endpoints[i];
	struct ot_fetch_response_node_endpoint *node = &nodes[response->node_endpoints_count++];
	node->node_id = leader->id;
	node->host = leader->address->host;
	node->port = leader->address->port;
	node->rack = leader->broker->rack;
	response->node_endpoints = nodes;
}

/* Tells the client where to go (KIP-951). */
static void
fill_leader(struct fetch_op *op, const struct fetch_part *part,
    struct ot_fetch_response_partition *answer)
{
	if (op->request->header.request_api_version < FETCH_VERSION_LEADERS || !part->is_found)
		return;
	struct broker_leader leader = broker_find_leader(op->self, op->request, &part->topic_id,
	    part->state.wanted.partition);
	answer->current_leader.leader_id = leader.id;
	answer->current_leader.leader_epoch = leader.epoch;
	if (leader.address != NULL)
		add_node(op, &leader);
}

static void
fill_part(struct fetch_op *op, struct fetch_part *part, struct ot_fetch_response_partition *answer)
{
	struct ot_part_read *read = &part->read;
	answer->partition_index = part->state.wanted.partition;
	answer->error_code = ot_err_to_wire(read->err);
	answer->high_watermark = read->high_watermark;
	answer->last_stable_offset = read->last_stable_offset;
	answer->log_start_offset = read->log_start_offset;
	answer->preferred_read_replica = part->closest;
	answer->records = (struct ot_records){ .data = (const uint8_t *)"", .len = 0 };
	if (read->err == OT_ERR_NOT_LEADER_OR_FOLLOWER || read->err == OT_ERR_FENCED_LEADER_EPOCH)
		fill_leader(op, part, answer);
	if (read->diverging_epoch >= 0) {
		answer->diverging_epoch.epoch = read->diverging_epoch;
		answer->diverging_epoch.end_offset = read->diverging_end_offset;
	}
	fill_aborted(op, part, answer);
	if (part->legacy != NULL) {
		answer->records.data = part->legacy->out.data;
		answer->records.len = (int32_t)part->legacy->out.bytes;
		return;
	}
	if (read->file == NULL)
		return;
	part->range = (struct ot_file_range){ .file = read->file, .place = read->place };
	answer->records.len = (int32_t)read->bytes;
	answer->records.source = &part->range;
	read->file = NULL; /* the response drops the reference when it has left */
}

static void
note_told(struct fetch_op *op, struct fetch_part *part)
{
	struct fetch_part_state *state = &part->state;
	state->high_watermark = part->read.high_watermark;
	state->log_start_offset = part->read.log_start_offset;
	state->error_code = ot_err_to_wire(part->read.err);
	if (op->session != NULL)
		fetch_session_note(op->session, state, part->read.bytes > 0);
}

static bool
is_same_topic(const struct ot_fetch_response_topic *topic, const struct fetch_part_state *state)
{
	return ot_uuid_equal(&topic->topic_id, &state->topic_id) &&
	       ot_str_equal(topic->topic, state->topic);
}

/* Neighbours of one topic share its entry, as in Kafka. */
static ot_err
fill_topics(struct fetch_op *op)
{
	struct ot_arena *arena = &op->request->arena;
	struct ot_fetch_response *response = &op->response;
	struct ot_fetch_response_topic *topics =
	    ot_fetch_response_topic_array(arena, (int32_t)op->part_count);
	struct ot_fetch_response_partition *answers =
	    ot_fetch_response_partition_array(arena, (int32_t)op->part_count);
	if (topics == NULL || answers == NULL)
		return OT_ERR_NO_MEMORY;
	response->responses = topics;
	response->responses_count = 0;
	for (size_t i = 0; i < op->part_count; i++) {
		struct fetch_part *part = &op->parts[i];
		if (op->is_incremental && !is_news(part))
			continue;
		struct ot_fetch_response_topic *topic =
		    response->responses_count > 0 ? &topics[response->responses_count - 1] : NULL;
		if (topic == NULL || !is_same_topic(topic, &part->state)) {
			topic = &topics[response->responses_count++];
			topic->topic = part->state.topic;
			topic->topic_id = part->state.topic_id;
			topic->partitions = answers;
			topic->partitions_count = 0;
		}
		fill_part(op, part, answers++);
		topic->partitions_count++;
		note_told(op, part);
	}
	return OT_OK;
}

static void
drop_reads(struct fetch_op *op)
{
	for (size_t i = 0; i < op->part_count; i++) {
		struct ot_part_read *read = &op->parts[i].read;
		if (op->parts[i].legacy != NULL)
			legacy_range_fini(op->parts[i].legacy);
		op->parts[i].legacy = NULL;
		ot_file_unref(read->file);
		read->file = NULL;
		read->bytes = 0;
		ot_free(read->aborted);
		read->aborted = NULL;
	}
}

static void
send_answer(struct fetch_op *op)
{
	op->state = FETCH_ANSWERED;
	/* The session may have been evicted or closed while the request waited. */
	if (op->session != NULL)
		op->session = fetch_session_find(op->self->fetch_sessions, op->session_id);
	ot_err err = fill_topics(op);
	if (err != OT_OK) {
		drop_reads(op);
		ot_request_abort(op->request, "no memory for a fetch response");
		return;
	}
	op->response.session_id = op->session_id;
	/* Answering copies what is in memory, and may be the end of the request with all its
	 * memory. */
	struct ot_request *request = op->request;
	ot_request_encode(request, &ot_fetch_response_msg, &op->response);
	drop_reads(op);
	ot_request_send(request);
}

/* ---- old clients --------------------------------------------------------------------------- */

static void
run_conversion(struct ot_job *job)
{
	struct fetch_op *op = OT_CONTAINER_OF(job, struct fetch_op, convert_job);
	struct ot_codec_ctx *codecs = ot_codec_ctx_create();
	for (size_t i = 0; i < op->part_count; i++) {
		if (op->parts[i].legacy != NULL)
			legacy_convert_range(codecs, op->parts[i].legacy);
	}
	ot_codec_ctx_destroy(codecs);
}

static void
conversion_is_done(struct ot_job *job)
{
	struct fetch_op *op = OT_CONTAINER_OF(job, struct fetch_op, convert_job);
	for (size_t i = 0; i < op->part_count; i++) {
		struct fetch_part *part = &op->parts[i];
		if (part->legacy == NULL || part->legacy->err == OT_OK)
			continue;
		part->read.err = part->legacy->err;
		legacy_range_fini(part->legacy);
		part->legacy = NULL;
		ot_file_unref(part->read.file);
		part->read.file = NULL;
	}
	send_answer(op);
}

/* Below version 4 batches become message sets, in a worker. False without memory. */
static bool
start_conversion(struct fetch_op *op)
{
	int16_t version = op->request->header.request_api_version;
	for (size_t i = 0; i < op->part_count; i++) {
		struct fetch_part *part = &op->parts[i];
		if (part->read.file == NULL)
			continue;
		part->legacy = ot_arena_alloc(&op->request->arena, sizeof(*part->legacy));
		if (part->legacy == NULL)
			return false;
		*part->legacy = (struct legacy_range){
			.file = part->read.file,
			.place = part->read.place,
			.bytes = part->read.bytes,
			.first_offset = part->state.wanted.fetch_offset,
			.magic = version < FETCH_VERSION_MAGIC_1 ? OT_MAGIC_V0 : OT_MAGIC_V1,
		};
	}
	op->state = FETCH_CONVERTING;
	op->convert_job = (struct ot_job){ .work = run_conversion, .done = conversion_is_done };
	ot_io_submit(op->self->shard->io, &op->convert_job);
	return true;
}

static void
answer(struct fetch_op *op)
{
	ot_timer_cancel(op->self->shard->io, &op->timer);
	ot_turn_work_cancel(&op->wake_work);
	if (op->request->header.request_api_version >= LEGACY_FETCH_VERSION_END) {
		send_answer(op);
		return;
	}
	if (!start_conversion(op)) {
		drop_reads(op);
		ot_request_abort(op->request, "no memory for a fetch response");
	}
}

static void
answer_error(struct ot_request *request, ot_err err)
{
	struct ot_fetch_response response;
	ot_fetch_response_init(&response);
	response.error_code = ot_err_to_wire(err);
	ot_request_answer(request, &ot_fetch_response_msg, &response);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void
wake(struct fetch_op *op)
{
	op->is_woken = true;
	if (op->state == FETCH_WATCHING && op->scatter.pending_count == 0)
		start_reading(op);
}

static void
wake_arrives(struct ot_mail *mail)
{
	wake(OT_CONTAINER_OF(mail, struct fetch_share, wake)->op);
}

static void
run_wake_work(struct ot_turn_work *work)
{
	wake(OT_CONTAINER_OF(work, struct fetch_op, wake_work));
}

/* Nobody waits any more: as if its time were over. */
static void
on_orphan(struct ot_request *request)
{
	struct fetch_op *op = request->op;
	op->deadline = 0;
	if (op->state == FETCH_WATCHING)
		ot_shard_defer(op->self->shard, &op->wake_work, OT_TURN_SEND);
}

/* On the partition's owner: one wake for all of the operation's partitions there. */
static void
on_more(struct ot_part_watcher *watcher)
{
	struct fetch_part *part = OT_CONTAINER_OF(watcher, struct fetch_part, watcher);
	struct fetch_op *op = part->op;
	struct fetch_share *share = &op->shares[part->shard_index];
	if (share->is_wake_posted)
		return;
	share->is_wake_posted = true;
	if (ot_shard_self == op->self->shard) {
		ot_shard_defer(op->self->shard, &op->wake_work, OT_TURN_SEND);
		return;
	}
	share->wake.deliver = wake_arrives;
	ot_shard_post(op->self->shard, &share->wake);
}

/* Since it was read. */
static bool
has_changed(const struct fetch_part *part, const struct ot_part *found)
{
	if (ot_part_leader_epoch(found) != part->read.current_leader_epoch)
		return true;
	return !part->is_held_back &&
	       ot_part_end(found, part->watcher.is_replica) != part->read.end;
}

/* On the partition's owner. */
static void
visit_to_watch(struct ot_scatter_item *item)
{
	struct fetch_part *part = OT_CONTAINER_OF(item, struct fetch_part, item);
	struct broker_shard *self = ot_shard_self->user;
	struct ot_part *found =
	    ot_replicas_find(self->replicas, &part->topic_id, part->state.wanted.partition);
	if (found == NULL || has_changed(part, found)) {
		on_more(&part->watcher);
	} else if (!part->is_held_back) { /* else only time lets it have more */
		part->is_watching = true;
		ot_part_watch(found, &part->watcher);
	}
	ot_scatter_item_done(item);
}

static bool
is_out_of_time(const struct fetch_op *op)
{
	return ot_io_now(op->self->shard->io) >= op->deadline;
}

static void
on_deadline(struct ot_timer *timer)
{
	struct fetch_op *op = OT_CONTAINER_OF(timer, struct fetch_op, timer);
	if (op->state == FETCH_WATCHING && op->scatter.pending_count == 0)
		start_reading(op);
}

/* The watchers stand; what happened meanwhile could not be acted on until now. */
static void
all_are_watched(struct ot_scatter *scatter)
{
	struct fetch_op *op = OT_CONTAINER_OF(scatter, struct fetch_op, scatter);
	if (op->is_woken || is_out_of_time(op))
		start_reading(op);
}

/* Begins a scatter over the partitions that were found. */
static void
scatter_parts(struct fetch_op *op, void (*visit)(struct ot_scatter_item *item),
    void (*done)(struct ot_scatter *scatter))
{
	ot_scatter_reset(&op->scatter);
	for (size_t i = 0; i < op->part_count; i++) {
		if (op->parts[i].is_found)
			ot_scatter_add(&op->scatter, &op->parts[i].item, op->parts[i].shard_index);
	}
	ot_scatter_run(&op->scatter, visit, done);
}

static void
start_watching(struct fetch_op *op)
{
	op->state = FETCH_WATCHING;
	op->is_woken = false;
	drop_reads(op);
	if (!ot_timer_is_armed(&op->timer))
		ot_timer_arm(op->self->shard->io, &op->timer, op->deadline);
	scatter_parts(op, visit_to_watch, all_are_watched);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The bytes that a read is worth. One that ended before the records did, since the next batch is
 * too large for what is left of its allowance or lies in the next segment, has used all of it. */
static int64_t
bytes_of_read(const struct ot_part_read *read)
{
	bool is_cut = read->bytes > 0 && read->plan.next_offset < read->readable_end;
	return is_cut ? OT_MAX((int64_t)read->bytes, read->bytes_max) : (int64_t)read->bytes;
}

/* Enough to answer: the bytes that were asked for, or anything that cannot wait. More than a
 * shard's share will not come together however long one waits. */
static bool
is_enough(const struct fetch_op *op)
{
	int64_t bytes = 0;
	for (size_t i = 0; i < op->part_count; i++) {
		const struct ot_part_read *read = &op->parts[i].read;
		if (read->err != OT_OK || read->diverging_epoch >= 0 || op->parts[i].closest >= 0)
			return true;
		bytes += bytes_of_read(read);
	}
	return bytes >= OT_MIN((int64_t)op->body->min_bytes, op->share_bytes) ||
	       op->part_count == 0;
}

static void
all_are_read(struct ot_scatter *scatter)
{
	struct fetch_op *op = OT_CONTAINER_OF(scatter, struct fetch_op, scatter);
	op->is_read = true;
	if (is_enough(op) || op->body->max_wait_ms <= 0 || is_out_of_time(op))
		answer(op);
	else
		start_watching(op);
}

/* On the partition's owner. A cold read may end after others have begun: what it did not need of
 * its reservation goes back for those that come later. */
static void
read_is_done(struct ot_part_read *read)
{
	struct fetch_part *part = OT_CONTAINER_OF(read, struct fetch_part, read);
	struct fetch_share *share = &part->op->shares[part->shard_index];
	if (part->is_measured && read->bytes > 0)
		ot_throttle_note(part->op->self->broker->leader_throttle, read->bytes);
	share->bytes_left += read->bytes_max - (int64_t)read->bytes;
	if (read->is_one_at_least && read->bytes == 0)
		share->has_first = false;
	ot_scatter_item_done(&part->item);
}

/* An answer without records. On the partition's owner, or at home for one that was not found. */
static void
give_nothing(struct fetch_part *part, ot_err err)
{
	struct ot_part_read *read = &part->read;
	*read = (struct ot_part_read){
		.err = err,
		.high_watermark = -1,
		.last_stable_offset = -1,
		.log_start_offset = -1,
		.current_leader_epoch = -1,
		.diverging_epoch = -1,
		.aborted_count = -1,
	};
}

/* Whether leader.replication.throttled.* holds for what the follower reads. Those in the ISR are
 * never held back, since producers wait for them. */
static void
note_throttle(struct broker_shard *self, struct fetch_part *part, const struct ot_part *found)
{
	const struct fetch_op *op = part->op;
	int64_t rate = ot_settings_number(ot_image_settings(self->image),
	    OT_BROKER_LEADER_REPLICATION_THROTTLED_RATE);
	part->is_measured = part->is_held_back = false;
	if (!is_replica(op) || rate == INT64_MAX)
		return;
	const struct ot_topic_image *topic = ot_image_topic_by_id(self->image, &part->topic_id);
	part->is_measured =
	    topic != NULL && ot_throttled_replicas_have(
				 &ot_image_topic_settings(self->image, topic)->leader_throttled,
				 part->state.wanted.partition, self->broker->node_id);
	struct ot_part_follower follower;
	part->is_held_back =
	    part->is_measured && ot_part_follower(found, op->replica_id, &follower) &&
	    !follower.is_in_sync && ot_throttle_rate(self->broker->leader_throttle) > rate;
}

static void
fill_read(struct fetch_part *part, struct fetch_share *share)
{
	struct fetch_op *op = part->op;
	const struct ot_fetch_request_partition *wanted = &part->state.wanted;
	bool is_committed = op->body->isolation_level == OT_READ_COMMITTED && !is_replica(op);
	part->read = (struct ot_part_read){
		.offset = wanted->fetch_offset,
		.bytes_max =
		    part->is_held_back
			? 0
			: (int32_t)OT_MAX(
			      OT_MIN((int64_t)wanted->partition_max_bytes, share->bytes_left), 0),
		.leader_epoch = wanted->current_leader_epoch,
		.last_fetched_epoch = wanted->last_fetched_epoch,
		.replica_id = is_replica(op) ? op->replica_id : -1,
		.replica_epoch = op->replica_epoch,
		.replica_log_start = wanted->log_start_offset,
		.is_replica_known = op->is_read,
		.is_follower_allowed =
		    op->request->header.request_api_version >= FETCH_VERSION_CLOSEST,
		.isolation = is_committed ? OT_READ_COMMITTED : OT_READ_UNCOMMITTED,
		.is_one_at_least = !share->has_first && !part->is_held_back,
		.done = read_is_done,
	};
}

/* Sends the consumer to a closer replica, if there is one that has what it wants: it gets the
 * watermarks, and no records. */
static bool
is_sent_away(struct broker_shard *self, struct fetch_part *part, struct ot_part *found)
{
	struct fetch_op *op = part->op;
	const struct ot_fetch_request_partition *wanted = &part->state.wanted;
	if (!op->is_rack_told || ot_part_check_leader(found, wanted->current_leader_epoch) != OT_OK)
		return false;
	part->closest = broker_closest_replica(self, op->request, found, op->body->rack_id,
	    wanted->fetch_offset);
	if (part->closest < 0)
		return false;
	give_nothing(part, OT_OK);
	part->read.high_watermark = ot_part_high_watermark(found);
	part->read.last_stable_offset =
	    ot_log_last_stable_offset(ot_part_log(found), part->read.high_watermark);
	part->read.log_start_offset = ot_log_start_offset(ot_part_log(found));
	return true;
}

/* On the partition's owner. */
static void
visit_to_read(struct ot_scatter_item *item)
{
	struct fetch_part *part = OT_CONTAINER_OF(item, struct fetch_part, item);
	struct broker_shard *self = ot_shard_self->user;
	struct fetch_share *share = &part->op->shares[part->shard_index];
	if (part->is_watching)
		ot_part_unwatch(&part->watcher);
	part->is_watching = false;
	share->is_wake_posted = false;
	struct ot_part *found =
	    ot_replicas_find(self->replicas, &part->topic_id, part->state.wanted.partition);
	if (found == NULL)
		give_nothing(part, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	if (found == NULL || is_sent_away(self, part, found)) {
		ot_scatter_item_done(item);
		return;
	}
	note_throttle(self, part, found);
	fill_read(part, share);
	share->has_first = share->has_first || part->read.is_one_at_least;
	share->bytes_left -= part->read.bytes_max;
	ot_part_read(found, &part->read);
}

static void
start_reading(struct fetch_op *op)
{
	const struct ot_settings *settings = op->self->broker->settings;
	int32_t bytes_max =
	    OT_MIN(op->body->max_bytes, ot_settings_int(settings, OT_BROKER_FETCH_MAX_BYTES));
	op->state = FETCH_READING;
	op->share_bytes = bytes_max / (int64_t)OT_MAX(op->share_count, 1u);
	for (uint32_t i = 0; i <= op->self->shard->set->count; i++) {
		struct fetch_share *share = &op->shares[i];
		share->op = op;
		share->has_first = false;
		share->bytes_left = op->share_bytes;
	}
	scatter_parts(op, visit_to_read, all_are_read);
}

/* ---- which partitions ---------------------------------------------------------------------- */

static void
add_part(struct fetch_op *op, const struct fetch_part_state *state)
{
	struct fetch_part *part = &op->parts[op->part_count++];
	bool by_id = op->request->header.request_api_version >= FETCH_VERSION_TOPIC_ID;
	part->op = op;
	part->state = *state;
	part->closest = -1;
	part->watcher.on_more = on_more;
	part->watcher.is_replica = is_replica(op);
	ot_list_init(&part->watcher.link);
	struct broker_place place = broker_find(op->self, state->topic,
	    by_id ? &state->topic_id : NULL, state->wanted.partition);
	give_nothing(part, place.err);
	if (place.err != OT_OK)
		return;
	part->is_found = true;
	part->topic_id = place.topic->id;
	part->shard_index = place.shard_index;
	if (op->shares[place.shard_index].op == NULL)
		op->share_count++;
	op->shares[place.shard_index].op = op;
}

static size_t
count_wanted(const struct ot_fetch_request *body)
{
	size_t count = 0;
	for (int32_t i = 0; i < body->topics_count; i++)
		count += (size_t)OT_MAX(body->topics[i].partitions_count, 0);
	return count;
}

/* Everything is copied: the next request, or an eviction, may change the session while this one
 * waits. */
static ot_err
add_session_parts(struct fetch_op *op)
{
	struct ot_arena *arena = &op->request->arena;
	op->parts = ot_arena_array(arena, op->session->part_count, sizeof(*op->parts));
	if (op->parts == NULL)
		return OT_ERR_NO_MEMORY;
	OT_LIST_FOREACH(link, &op->session->parts) {
		struct fetch_part_state state = *fetch_session_part_state(link);
		if (state.topic.len > 0) {
			state.topic.data =
			    ot_arena_strndup(arena, state.topic.data, (size_t)state.topic.len);
			if (state.topic.data == NULL)
				return OT_ERR_NO_MEMORY;
		}
		add_part(op, &state);
	}
	return OT_OK;
}

static ot_err
add_request_parts(struct fetch_op *op)
{
	const struct ot_fetch_request *body = op->body;
	size_t count = count_wanted(body);
	struct ot_arena *arena = &op->request->arena;
	op->parts = ot_arena_array(arena, count, sizeof(*op->parts));
	if (op->parts == NULL)
		return OT_ERR_NO_MEMORY;
	for (int32_t i = 0; i < body->topics_count; i++) {
		const struct ot_fetch_request_topic *topic = &body->topics[i];
		for (int32_t j = 0; j < topic->partitions_count; j++) {
			struct fetch_part_state state = {
				.topic = topic->topic,
				.topic_id = topic->topic_id,
				.wanted = topic->partitions[j],
			};
			add_part(op, &state);
		}
	}
	return OT_OK;
}

/* Finds, makes or ends the session that the request names (KIP-227). */
static ot_err
enter_session(struct fetch_op *op)
{
	struct fetch_sessions *sessions = op->self->fetch_sessions;
	const struct ot_fetch_request *body = op->body;
	bool by_id = op->request->header.request_api_version >= FETCH_VERSION_TOPIC_ID;
	struct fetch_session *session = fetch_session_find(sessions, body->session_id);
	if (body->session_epoch == FETCH_EPOCH_FINAL ||
	    body->session_epoch == FETCH_EPOCH_INITIAL) {
		if (session != NULL)
			fetch_session_remove(sessions, session);
		if (body->session_epoch == FETCH_EPOCH_FINAL)
			return OT_OK;
		const struct fetch_session_args args = {
			.part_count = (uint32_t)count_wanted(body),
			.by_id = by_id,
			.is_replica = is_replica(op),
		};
		op->session = fetch_session_create(sessions, op->self->shard->io, &args);
	} else {
		if (session == NULL)
			return OT_ERR_FETCH_SESSION_ID_NOT_FOUND;
		if (session->epoch != body->session_epoch)
			return OT_ERR_INVALID_FETCH_SESSION_EPOCH;
		if (session->by_id != by_id)
			return OT_ERR_FETCH_SESSION_TOPIC_ID_ERROR;
		session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
		op->session = session;
		op->is_incremental = true;
	}
	if (op->session == NULL)
		return OT_OK;
	op->session_id = op->session->id;
	fetch_session_touch(sessions, op->session, ot_io_now(op->self->shard->io));
	fetch_session_update(op->session, body);
	if (op->is_incremental && op->session->part_count == 0) {
		/* A client that wants nothing any more has no use for its session: id 0 says so. */
		fetch_session_remove(sessions, op->session);
		op->session = NULL;
		op->session_id = FETCH_SESSION_NONE;
		op->is_incremental = false;
	}
	return OT_OK;
}

static struct fetch_op *
create_op(struct broker_shard *self, struct ot_request *request, struct ot_fetch_request *body)
{
	struct fetch_op *op = broker_alloc(request, 1, sizeof(*op));
	if (op == NULL)
		return NULL;
	op->request = request;
	op->self = self;
	op->body = body;
	bool has_state = request->header.request_api_version >= FETCH_VERSION_REPLICA_STATE;
	op->replica_id = has_state ? body->replica_state.replica_id : body->replica_id;
	op->replica_epoch = has_state ? body->replica_state.replica_epoch : -1;
	op->is_rack_told = !is_replica(op) && body->rack_id.len > 0 &&
	                   ot_settings_names_class(self->broker->settings,
			       OT_BROKER_REPLICA_SELECTOR_CLASS, "RackAwareReplicaSelector");
	request->op = op;
	request->on_orphan = on_orphan;
	op->deadline =
	    ot_io_now(self->shard->io) + (ot_mono_ns)OT_MAX(body->max_wait_ms, 0) * OT_NS_PER_MS;
	ot_timer_init(&op->timer, on_deadline);
	ot_turn_work_init(&op->wake_work, run_wake_work);
	ot_fetch_response_init(&op->response);
	op->shares = broker_alloc(request, self->shard->set->count + 1, sizeof(*op->shares));
	return op->shares != NULL ? op : NULL;
}

void
broker_handle_fetch(struct broker_shard *self, struct ot_request *request)
{
	struct ot_fetch_request *body = broker_decode(request);
	if (body == NULL)
		return;
	struct fetch_op *op = create_op(self, request, body);
	if (op == NULL)
		return;
	ot_err err = enter_session(op);
	if (err != OT_OK) {
		answer_error(request, err);
		return;
	}
	err = ot_scatter_init(&op->scatter, self->shard, &request->arena);
	if (err == OT_OK)
		err = op->session != NULL ? add_session_parts(op) : add_request_parts(op);
	if (err != OT_OK) {
		ot_request_abort(request, "no memory for a fetch request");
		return;
	}
	start_reading(op);
}
