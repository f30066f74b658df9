/* Following the metadata log beside the brokers. */
#include "oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/snapshot.h"

enum { DUMP_BYTES = 1024 * 1024 };

/* The image after one batch. */
struct point {
	int64_t next_offset;
	struct ot_image *image;
};

struct oracle {
	struct cluster *cluster;
	struct history *history;
	const struct oracle_topic *topics;
	int32_t topic_count;
	struct point *points;
	size_t point_count;
	size_t point_capacity;
	struct ot_image_edit *edit; /* of a metadata transaction that goes on */
	uint64_t next_fact;
	uint32_t clean; /* a bit for each broker that registered since it lost power */
	uint32_t complete[HISTORY_TOPICS_MAX][HISTORY_PARTITIONS_MAX];
	bool is_known[HISTORY_TOPICS_MAX][HISTORY_PARTITIONS_MAX];
};

static struct ot_image *
newest(const struct oracle *oracle)
{
	return oracle->points[oracle->point_count - 1].image;
}

static void
add_point(struct oracle *oracle, int64_t next_offset, struct ot_image *image)
{
	if (oracle->point_count == oracle->point_capacity) {
		oracle->point_capacity = OT_MAX(256, oracle->point_capacity * 2);
		oracle->points =
		    ot_realloc(oracle->points, oracle->point_capacity * sizeof(*oracle->points));
		OT_ASSERT(oracle->points != NULL);
	}
	oracle->points[oracle->point_count++] = (struct point){ next_offset, image };
}

struct oracle *
oracle_create(struct cluster *cluster, struct history *history, const struct oracle_topic *topics,
    int32_t topic_count)
{
	struct oracle *oracle = OT_NEW(struct oracle);

	oracle->cluster = cluster;
	oracle->history = history;
	oracle->topics = topics;
	oracle->topic_count = topic_count;
	add_point(oracle, 0, ot_image_create(cluster->brokers[0].settings, "oracle"));
	return oracle;
}

void
oracle_destroy(struct oracle *oracle)
{
	if (oracle == NULL)
		return;
	ot_image_edit_drop(oracle->edit);
	for (size_t i = 0; i < oracle->point_count; i++)
		ot_image_unref(oracle->points[i].image);
	ot_free(oracle->points);
	ot_free(oracle);
}

struct ot_image *
oracle_image(const struct oracle *oracle)
{
	return oracle->cluster->conf.is_local ? NULL : newest(oracle);
}

/* ---- complete replicas ----------------------------------------------------------------------- */

static uint32_t
bits_of(struct ot_ids ids)
{
	uint32_t bits = 0;

	for (int32_t i = 0; i < ids.count; i++)
		bits |= 1u << ids.items[i];
	return bits;
}

static uint32_t
keepers(const struct ot_partition_image *partition)
{
	return bits_of(ot_partition_isr(partition)) | bits_of(ot_partition_elr(partition));
}

/* "1,2,4" */
static const char *
list(struct ot_ids ids, char *text, size_t capacity)
{
	size_t bytes = 0;

	text[0] = '\0';
	for (int32_t i = 0; i < ids.count && bytes < capacity; i++)
		bytes += (size_t)snprintf(text + bytes, capacity - bytes, "%s%d", i > 0 ? "," : "",
		    (int)ids.items[i]);
	return text;
}

static void
trace_partition(const struct oracle *oracle, struct history_place place,
    const struct ot_partition_image *partition)
{
	char what[56], isr[24], elr[24];

	snprintf(what, sizeof(what), "%s-%d by %d isr %s elr %s", oracle->topics[place.topic].name,
	    (int)place.partition, (int)partition->leader,
	    list(ot_partition_isr(partition), isr, sizeof(isr)),
	    list(ot_partition_elr(partition), elr, sizeof(elr)));
	ot_sim_trace_put(ot_sim_world_trace(oracle->cluster->world),
	    &(struct ot_sim_event){ .at = ot_sim_world_now(oracle->cluster->world),
		.verb = "leader",
		.what = what,
		.host = -1,
		.a = (uint64_t)partition->leader_epoch,
		.b = (uint64_t)partition->partition_epoch });
}

static void
consider_partition(struct oracle *oracle, struct history_place place,
    const struct ot_partition_image *before, const struct ot_partition_image *after)
{
	uint32_t *complete = &oracle->complete[place.topic][place.partition];
	uint32_t old = before == NULL ? 0 : keepers(before), new = keepers(after);

	*complete = (*complete & new) | (new & ~old & oracle->clean);
	oracle->is_known[place.topic][place.partition] = true;
	trace_partition(oracle, place, after);
	if (*complete == 0)
		history_excuse(oracle->history, place);
}

static void
consider_brokers(struct oracle *oracle, const struct ot_image *before, const struct ot_image *after)
{
	for (int32_t id = 1; id <= CLUSTER_BROKERS_MAX; id++) {
		const struct ot_broker_image *old = ot_image_broker(before, id);
		const struct ot_broker_image *new = ot_image_broker(after, id);

		if (new != NULL && (old == NULL || old->epoch != new->epoch))
			oracle->clean |= 1u << id;
	}
}

static void
consider(struct oracle *oracle, const struct ot_image *before, const struct ot_image *after)
{
	consider_brokers(oracle, before, after);
	for (int32_t i = 0; i < oracle->topic_count; i++) {
		struct ot_str name = ot_str_from(oracle->topics[i].name);
		const struct ot_topic_image *old = ot_image_topic(before, name);
		const struct ot_topic_image *new = ot_image_topic(after, name);

		for (int32_t j = 0; new != NULL &&new != old &&j < new->partition_count; j++) {
			const struct ot_partition_image *one =
			    old == NULL ? NULL : ot_topic_partition(old, j);
			const struct ot_partition_image *other = ot_topic_partition(new, j);

			if (one != other)
				consider_partition(oracle, (struct history_place){ i, j }, one,
				    other);
		}
	}
}

void
oracle_power_lost(struct oracle *oracle, int32_t broker_id)
{
	oracle_follow(oracle);
	oracle->clean &= ~(1u << broker_id);
	for (int32_t i = 0; i < oracle->topic_count; i++) {
		for (int32_t j = 0; j < oracle->topics[i].partition_count; j++) {
			const struct history_place place = { i, j };
			uint32_t *complete = &oracle->complete[i][j];

			if (oracle->topics[i].is_flushed)
				continue;
			*complete &= ~(1u << broker_id);
			if (*complete == 0 &&
			    (oracle->is_known[i][j] || oracle->cluster->conf.is_local))
				history_excuse(oracle->history, place);
		}
	}
}

/* ---- following ------------------------------------------------------------------------------- */

static void
apply(struct oracle *oracle, const struct ot_metalog_batch *batch)
{
	struct ot_typed_record record;
	struct ot_why why = { "" };
	struct ot_image *image;
	struct ot_arena arena;

	if (oracle->edit == NULL)
		oracle->edit = ot_image_edit_begin(newest(oracle));
	ot_arena_init(&arena, 0);
	for (int32_t i = 0; i < batch->record_count; i++) {
		if (ot_typed_record_decode(OT_RECORD_LOG_METADATA, batch->records[i], &arena,
			&record) != OT_OK ||
		    ot_image_edit_apply(oracle->edit, &record, &why) != OT_OK)
			OT_PANIC("the metadata log has a bad record at %" PRId64 ": %s",
			    batch->base_offset + i, why.text);
	}
	ot_arena_fini(&arena);
	if (ot_image_edit_is_in_txn(oracle->edit))
		return;
	if (ot_image_edit_end(oracle->edit,
		(struct ot_image_place){ batch->next_offset - 1, batch->epoch, batch->timestamp },
		&image, &why) != OT_OK)
		OT_PANIC("the metadata log has a bad batch at %" PRId64 ": %s", batch->base_offset,
		    why.text);
	oracle->edit = NULL;
	consider(oracle, newest(oracle), image);
	add_point(oracle, batch->next_offset, image);
}

void
oracle_follow(struct oracle *oracle)
{
	const struct metalog_store *store = oracle->cluster->store;
	struct ot_metalog_batch batch;
	struct ot_arena arena;

	ot_arena_init(&arena, 0);
	while (oracle->next_fact < metalog_store_fact_count(store)) {
		ot_arena_reset(&arena);
		if (metalog_store_batch(store, oracle->next_fact++, &arena, &batch))
			apply(oracle, &batch);
	}
	ot_arena_fini(&arena);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void
dump(struct ot_image *image, struct ot_metadata_records *out)
{
	struct ot_image_dump *it = ot_image_dump_begin(image);
	int32_t count;

	ot_metadata_records_init(out);
	do {
		count = out->count;
		if (ot_image_dump_next(it, DUMP_BYTES, out) != OT_OK)
			OT_PANIC("an image cannot be dumped");
	} while (out->count > count);
	ot_image_dump_end(it);
}

static struct ot_image *
image_at(const struct oracle *oracle, int64_t next_offset)
{
	size_t low = 0, high = oracle->point_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (oracle->points[middle].next_offset < next_offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == oracle->point_count || oracle->points[low].next_offset != next_offset)
		return NULL;
	return oracle->points[low].image;
}

static bool
is_same(struct ot_image *one, struct ot_image *other)
{
	struct ot_metadata_records a, b;
	bool same;

	dump(one, &a);
	dump(other, &b);
	same = a.bytes.bytes == b.bytes.bytes &&
	       (a.bytes.bytes == 0 || memcmp(a.bytes.data, b.bytes.data, a.bytes.bytes) == 0);
	ot_metadata_records_fini(&a);
	ot_metadata_records_fini(&b);
	return same;
}

void
oracle_check_broker(struct oracle *oracle, const struct cluster_broker *broker)
{
	struct ot_image *image, *expected;
	int64_t next;

	if (oracle->cluster->conf.is_local || !cluster_is_running(broker))
		return;
	oracle_follow(oracle);
	for (uint32_t i = 0; i < broker->set->count; i++) {
		image = broker->broker->shards[i].image;
		if (image == NULL || ot_image_place(image).offset < 0)
			continue;
		next = ot_image_place(image).offset + 1;
		expected = image_at(oracle, next);
		if (expected == NULL)
			history_fail(oracle->history,
			    "broker %d has a metadata image up to offset %" PRId64
			    ", where no batch ends",
			    broker->id, next);
		else if (!is_same(image, expected))
			history_fail(oracle->history,
			    "broker %d has another metadata image at offset %" PRId64
			    " than the log",
			    broker->id, next);
	}
}
