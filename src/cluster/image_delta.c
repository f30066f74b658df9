/* What differs between two images, and what tests ask of one. */
#include "cluster/image_int.h"

#include "base/panic.h"
#include "cluster/snapshot.h"

/* ---- differences ---------------------------------------------------------------------------- */

/* Pairs of pointers that grow in an arena; the delta structs have this shape. */
struct pair {
	const void *before;
	const void *after;
};

struct pairs {
	struct ot_arena *arena;
	struct pair *items;
	size_t count;
	size_t capacity;
	bool failed;
};

_Static_assert(sizeof(struct pair) == sizeof(struct ot_topic_delta), "one shape");
_Static_assert(sizeof(struct pair) == sizeof(struct ot_broker_delta), "one shape");
_Static_assert(sizeof(struct pair) == sizeof(struct ot_config_delta), "one shape");

static void
pairs_add(void *arg, void *before, void *after)
{
	struct pairs *pairs = arg;

	if (pairs->count == pairs->capacity) {
		size_t capacity = OT_MAX((size_t)8, pairs->capacity * 2);
		struct pair *items = ot_arena_array(pairs->arena, capacity, sizeof(*items));

		if (items == NULL) {
			pairs->failed = true;
			return;
		}
		for (size_t i = 0; i < pairs->count; i++)
			items[i] = pairs->items[i];
		pairs->items = items;
		pairs->capacity = capacity;
	}
	pairs->items[pairs->count++] = (struct pair){ before, after };
}

/* Deleted ones first, each part in its order. */
static ot_err
order_deleted_first(struct pairs *pairs)
{
	struct pair *items;
	size_t count = 0;

	if (pairs->failed)
		return OT_ERR_NO_MEMORY;
	items = ot_arena_array(pairs->arena, pairs->count, sizeof(*items));
	if (items == NULL)
		return OT_ERR_NO_MEMORY;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < pairs->count; i++) {
			if ((pairs->items[i].after == NULL) == (pass == 0))
				items[count++] = pairs->items[i];
		}
	}
	pairs->items = items;
	return OT_OK;
}

static struct pairs
pairs_of(const struct ot_image_tree *before, const struct ot_image_tree *after,
    const struct tree_ops *ops, struct ot_arena *arena)
{
	struct pairs pairs = { .arena = arena };

	tree_diff(before, after, ops, pairs_add, &pairs);
	return pairs;
}

ot_err
ot_image_delta_make(const struct ot_image *before, const struct ot_image *after,
    struct ot_arena *arena, struct ot_image_delta *ret_delta)
{
	static const struct ot_image nothing = { .controller_id = -1 };
	const struct ot_image *old = before == NULL ? &nothing : before;
	struct pairs topics =
	    pairs_of(old->topics_by_id, after->topics_by_id, &image_topics_by_id, arena);
	struct pairs brokers = pairs_of(old->brokers, after->brokers, &image_brokers, arena);
	struct pairs configs = pairs_of(old->configs, after->configs, &image_configs, arena);

	if (order_deleted_first(&topics) != OT_OK || brokers.failed || configs.failed)
		return OT_ERR_NO_MEMORY;
	*ret_delta = (struct ot_image_delta){
		.before = before,
		.after = after,
		.topics = (struct ot_topic_delta *)topics.items,
		.topic_count = topics.count,
		.brokers = (struct ot_broker_delta *)brokers.items,
		.broker_count = brokers.count,
		.configs = (struct ot_config_delta *)configs.items,
		.config_count = configs.count,
		.is_settings_changed = old->settings != after->settings,
		.is_features_changed = old->features != after->features,
		.is_kept_changed = old->kept != after->kept,
		.is_controller_changed = old->controller_id != after->controller_id,
	};
	return OT_OK;
}

struct partition_visit {
	ot_visit_partition_delta *visit;
	void *arg;
};

static void
visit_partition(void *arg, void *before, void *after)
{
	struct partition_visit *visit = arg;

	visit->visit(visit->arg, before, after);
}

void
ot_topic_visit_partition_deltas(const struct ot_topic_image *before,
    const struct ot_topic_image *after, ot_visit_partition_delta *visit, void *arg)
{
	struct partition_visit both = { visit, arg };

	tree_diff(before == NULL ? NULL : before->partitions,
	    after == NULL ? NULL : after->partitions, &image_partitions, visit_partition, &both);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void
put(struct ot_writer *out, const struct ot_text *text)
{
	ot_write_raw(out, text->data, text->bytes);
}

static ot_err
print_record(struct ot_bytes framed, struct ot_arena *arena, struct ot_writer *out)
{
	struct ot_typed_record record;
	char room[80];
	struct ot_text head = OT_TEXT(room);
	ot_err err;

	ot_arena_reset(arena);
	err = ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, arena, &record);
	if (err != OT_OK)
		return err;
	ot_text_put(&head, "%s v%d ", record.type->name, record.version);
	put(out, &head);
	err = ot_msg_print(record.type, record.version, record.msg, out);
	ot_write_raw(out, "\n", 1);
	return err;
}

static ot_err
print_records(struct ot_image_dump *dump, struct ot_writer *out)
{
	struct ot_metadata_records records;
	struct ot_arena arena;
	ot_err err;

	ot_arena_init(&arena, 0);
	ot_metadata_records_init(&records);
	do {
		ot_metadata_records_reset(&records);
		err = ot_image_dump_next(dump, 64 * OT_KIB, &records);
		for (int32_t i = 0; err == OT_OK && i < records.count; i++)
			err = print_record(ot_metadata_records_at(&records, i), &arena, out);
	} while (err == OT_OK && records.count > 0);
	ot_metadata_records_fini(&records);
	ot_arena_fini(&arena);
	return err == OT_OK && out->failed ? OT_ERR_NO_MEMORY : err;
}

ot_err
ot_image_print(const struct ot_image *image, struct ot_writer *out)
{
	struct ot_image_dump *dump = ot_image_dump_begin((struct ot_image *)image);
	char room[512];
	struct ot_text head = OT_TEXT(room);
	ot_err err;

	ot_text_put(&head, "cluster %s, offset %lld, epoch %d\n", ot_image_cluster_id(image),
	    (long long)image->place.offset, image->place.epoch);
	put(out, &head);
	err = print_records(dump, out);
	ot_image_dump_end(dump);
	return err;
}

/* ---- checks --------------------------------------------------------------------------------- */

struct count {
	uint64_t bytes;
	uint64_t partitions;
};

static void
check_partition(const struct ot_partition_image *partition, int32_t index, struct count *count)
{
	OT_ASSERT(partition->index == index);
	OT_ASSERT(partition->replica_count > 0);
	OT_ASSERT(partition->leader == OT_NO_LEADER ||
		  ot_ids_have(ot_partition_replicas(partition), partition->leader));
	count->bytes +=
	    sizeof(*partition) +
	    (size_t)(partition->replica_count + partition->isr_count + partition->adding_count +
		     partition->removing_count + partition->elr_count +
		     partition->last_known_elr_count) *
		sizeof(int32_t) +
	    (partition->has_directories ? partition->replica_count * sizeof(struct ot_uuid) : 0);
	count->partitions++;
}

static void
check_topic(const struct ot_image *image, const struct ot_topic_image *topic, struct count *count)
{
	struct tree_cursor cursor;
	int32_t index = 0;

	OT_ASSERT(ot_image_topic(image, topic->name) == topic);
	OT_ASSERT(ot_image_topic_by_id(image, &topic->id) == topic);
	OT_ASSERT(topic->config == ot_image_config(image, OT_RESOURCE_TOPIC, topic->name));
	OT_ASSERT(topic->config == NULL || topic->config->has_topic_settings);
	OT_ASSERT(tree_check(topic->partitions, &image_partitions, &count->bytes) ==
		  (uint64_t)topic->partition_count);
	count->bytes += sizeof(*topic) + (size_t)topic->name.len + 1;
	for (tree_begin(&cursor, topic->partitions); tree_at(&cursor) != NULL; tree_next(&cursor))
		check_partition(tree_at(&cursor), index++, count);
	OT_ASSERT(index == topic->partition_count);
}

static struct count
image_count(const struct ot_image *image)
{
	struct count count = { .bytes = sizeof(*image) };
	uint64_t topic_count = (uint64_t)image->topic_count;
	struct tree_cursor cursor;

	OT_ASSERT(
	    tree_check(image->topics_by_hash, &image_topics_by_hash, &count.bytes) == topic_count);
	OT_ASSERT(
	    tree_check(image->topics_by_id, &image_topics_by_id, &count.bytes) == topic_count);
	OT_ASSERT(
	    tree_check(image->topics_by_name, &image_topics_by_name, &count.bytes) == topic_count);
	OT_ASSERT(tree_check(image->topics_colliding, &image_topics_colliding, &count.bytes) <=
		  topic_count);
	OT_ASSERT(tree_check(image->brokers, &image_brokers, &count.bytes) ==
		  (uint64_t)image->broker_count);
	(void)tree_check(image->features, &image_features, &count.bytes);
	(void)tree_check(image->configs, &image_configs, &count.bytes);
	(void)tree_check(image->kept, &image_kept, &count.bytes);
	for (tree_begin(&cursor, image->topics_by_name); tree_at(&cursor) != NULL;
	     tree_next(&cursor))
		check_topic(image, tree_at(&cursor), &count);
	for (tree_begin(&cursor, image->configs); tree_at(&cursor) != NULL; tree_next(&cursor)) {
		const struct ot_config_image *config = tree_at(&cursor);

		OT_ASSERT(config->pair_count > 0);
		count.bytes += sizeof(*config) + config->arena.bytes_total;
	}
	OT_ASSERT(count.partitions == (uint64_t)image->partition_count);
	return count;
}

void
ot_image_check(const struct ot_image *image)
{
	(void)image_count(image);
}

uint64_t
ot_image_bytes(const struct ot_image *image)
{
	return image_count(image).bytes;
}
