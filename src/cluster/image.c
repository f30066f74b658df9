/* Reading an image: its trees, its objects, look-ups. The edit is in image_edit.c. */

#include "cluster/image.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/image_int.h"

const struct ot_uuid ot_directory_migrating = { { 0 } };
const struct ot_uuid ot_directory_unassigned = { { [15] = 1 } };
const struct ot_uuid ot_directory_lost = { { [15] = 2 } };

/* ---- references ----------------------------------------------------------------------------- */

/* Each value begins with its count. */
static void
item_ref(void *item)
{
	ot_refs_take(item);
}

/* For values that are one piece of memory. */
static void
item_unref(void *item)
{
	if (ot_refs_drop(item))
		ot_free(item);
}

void
image_topic_unref(struct ot_topic_image *topic)
{
	if (topic == NULL || !ot_refs_drop(&topic->refs))
		return;
	tree_unref(topic->partitions, &image_partitions);
	image_config_unref(topic->config);
	ot_free(topic);
}

struct ot_config_image *
image_config_ref(struct ot_config_image *config)
{
	if (config != NULL)
		ot_refs_take(&config->refs);
	return config;
}

void
image_config_unref(struct ot_config_image *config)
{
	if (config == NULL || !ot_refs_drop(&config->refs))
		return;
	ot_arena_fini(&config->arena);
	ot_free(config);
}

static void
topic_unref(void *topic)
{
	image_topic_unref(topic);
}

static void
config_unref(void *config)
{
	image_config_unref(config);
}

/* ---- orders --------------------------------------------------------------------------------- */

static int
compare_names(const struct ot_str *a, const struct ot_str *b)
{
	return ot_str_compare(*a, *b);
}

static int
compare_topic_name(const void *key, const void *value)
{
	return compare_names(key, &((const struct ot_topic_image *)value)->name);
}

struct tree_key
image_key_of_hash(const struct ot_str *name)
{
	return (struct tree_key){ tree_word_of_hash(*name), name };
}

struct tree_key
image_key_of_name(const struct ot_str *name)
{
	return (struct tree_key){ tree_word_of_name(*name), name };
}

struct tree_key
image_key_of_int(int32_t number)
{
	return (struct tree_key){ tree_word_of_int(number), NULL };
}

struct tree_key
image_key_of_id(const struct ot_uuid *id)
{
	return (struct tree_key){ ot_get_u64(id->bytes), id };
}

static struct tree_key
topic_key_hash(const void *value)
{
	return image_key_of_hash(&((const struct ot_topic_image *)value)->name);
}

static struct tree_key
topic_key_name(const void *value)
{
	return image_key_of_name(&((const struct ot_topic_image *)value)->name);
}

static struct tree_key
topic_key_id(const void *value)
{
	return image_key_of_id(&((const struct ot_topic_image *)value)->id);
}

static int
compare_topic_id(const void *key, const void *value)
{
	const struct ot_topic_image *topic = value;

	return memcmp(key, &topic->id, sizeof(topic->id));
}

/* In this order names that metrics take for one another are neighbours: '_' counts as '.', and the
 * name itself decides where that makes them equal. */
static uint8_t
collision_byte(char byte)
{
	return byte == '_' ? '.' : (uint8_t)byte;
}

static int
compare_collision(struct ot_str a, struct ot_str b)
{
	for (int32_t i = 0; i < a.len && i < b.len; i++) {
		int order = collision_byte(a.data[i]) - collision_byte(b.data[i]);

		if (order != 0)
			return order;
	}
	return a.len - b.len;
}

static int
compare_topic_collision(const void *key, const void *value)
{
	const struct ot_str *a = key, *b = &((const struct ot_topic_image *)value)->name;
	int order = compare_collision(*a, *b);

	return order != 0 ? order : compare_names(a, b);
}

static struct tree_key
key_of_collision(const struct ot_str *name)
{
	uint64_t word = 0;

	for (int32_t i = 0; i < 8; i++)
		word = word << 8 | (i < name->len ? collision_byte(name->data[i]) : 0u);
	return (struct tree_key){ word, name };
}

static struct tree_key
topic_key_collision(const void *value)
{
	return key_of_collision(&((const struct ot_topic_image *)value)->name);
}

static struct tree_key
partition_key(const void *value)
{
	return image_key_of_int(((const struct ot_partition_image *)value)->index);
}

static struct tree_key
broker_key(const void *value)
{
	return image_key_of_int(((const struct ot_broker_image *)value)->id);
}

struct tree_key
image_key_of_config(const struct ot_config_image *config)
{
	uint64_t word =
	    (uint64_t)(uint8_t)config->resource << 56 | tree_word_of_name(config->name) >> 8;

	return (struct tree_key){ word, config };
}

static struct tree_key
config_key(const void *value)
{
	return image_key_of_config(value);
}

static int
compare_config(const void *key, const void *value)
{
	const struct ot_config_image *a = key, *b = value;

	OT_ASSERT(a->resource == b->resource);
	return compare_names(&a->name, &b->name);
}

static struct tree_key
feature_key(const void *value)
{
	return image_key_of_name(&((const struct image_feature *)value)->name);
}

static int
compare_feature(const void *key, const void *value)
{
	return compare_names(key, &((const struct image_feature *)value)->name);
}

static struct ot_str
kept_key_text(const struct image_kept *kept)
{
	return (struct ot_str){ (const char *)kept->key.data, kept->key.len };
}

struct tree_key
image_key_of_kept(const struct image_kept *kept)
{
	uint64_t word =
	    (uint64_t)(uint16_t)kept->type << 48 | tree_word_of_name(kept_key_text(kept)) >> 16;

	return (struct tree_key){ word, kept };
}

static struct tree_key
kept_key(const void *value)
{
	return image_key_of_kept(value);
}

static int
compare_kept(const void *key, const void *value)
{
	const struct image_kept *a = key, *b = value;

	OT_ASSERT(a->type == b->type);
	return ot_str_compare(kept_key_text(a), kept_key_text(b));
}

const struct tree_ops image_topics_by_hash = { topic_key_hash, compare_topic_name, item_ref,
	topic_unref };
const struct tree_ops image_topics_by_id = { topic_key_id, compare_topic_id, item_ref,
	topic_unref };
const struct tree_ops image_topics_by_name = { topic_key_name, compare_topic_name, item_ref,
	topic_unref };
const struct tree_ops image_topics_colliding = { topic_key_collision, compare_topic_collision,
	item_ref, topic_unref };
const struct tree_ops image_partitions = { partition_key, NULL, item_ref, item_unref };
const struct tree_ops image_brokers = { broker_key, NULL, item_ref, item_unref };
const struct tree_ops image_configs = { config_key, compare_config, item_ref, config_unref };
const struct tree_ops image_features = { feature_key, compare_feature, item_ref, item_unref };
const struct tree_ops image_kept = { kept_key, compare_kept, item_ref, item_unref };

/* ---- making objects ------------------------------------------------------------------------- */

static struct ot_topic_image *
topic_alloc(struct ot_str name)
{
	struct ot_topic_image *topic;
	char *text;

	OT_ASSERT(name.len >= 0);
	topic = ot_must_alloc(sizeof(*topic) + (size_t)name.len + 1);
	text = (char *)(topic + 1);
	ot_refs_init(&topic->refs);
	memcpy(text, name.data, (size_t)name.len);
	topic->name = (struct ot_str){ text, name.len };
	return topic;
}

struct ot_topic_image *
image_topic_create(struct ot_str name, const struct ot_uuid *id)
{
	struct ot_topic_image *topic = topic_alloc(name);

	topic->id = *id;
	return topic;
}

struct ot_topic_image *
image_topic_copy(const struct ot_topic_image *topic)
{
	struct ot_topic_image *copy = topic_alloc(topic->name);

	copy->id = topic->id;
	copy->is_internal = topic->is_internal;
	copy->partition_count = topic->partition_count;
	copy->partitions = tree_ref(topic->partitions);
	copy->config = image_config_ref(topic->config);
	return copy;
}

static struct ot_str
arena_text(struct ot_arena *arena, struct ot_str text)
{
	char *copy;

	if (text.len < 0)
		return text;
	copy = ot_arena_strndup(arena, text.data, (size_t)text.len);
	OT_ASSERT(copy != NULL);
	return (struct ot_str){ copy, text.len };
}

struct ot_config_image *
image_config_create(int8_t resource, struct ot_str name, const struct ot_config_pair *pairs,
    int32_t pair_count)
{
	struct ot_config_image *config = OT_NEW(struct ot_config_image);

	ot_refs_init(&config->refs);
	ot_arena_init(&config->arena, 0);
	config->resource = resource;
	config->name = arena_text(&config->arena, name);
	config->pairs =
	    ot_arena_array(&config->arena, (size_t)pair_count, sizeof(config->pairs[0]));
	OT_ASSERT(config->pairs != NULL);
	config->pair_count = pair_count;
	for (int32_t i = 0; i < pair_count; i++) {
		config->pairs[i].name = arena_text(&config->arena, pairs[i].name);
		config->pairs[i].value = arena_text(&config->arena, pairs[i].value);
	}
	return config;
}

void
image_config_settle(struct ot_config_image *config, const struct ot_settings *settings)
{
	ot_err err;

	OT_ASSERT(!config->has_topic_settings);
	err = ot_topic_settings_make(settings, config->pairs, (size_t)config->pair_count,
	    &config->arena, &config->topic_settings);
	OT_ASSERT(err == OT_OK); /* the arena has no bound */
	config->has_topic_settings = true;
}

static int32_t *
put_ids(int32_t *to, struct ot_ids ids, uint16_t *ret_count)
{
	OT_ASSERT(ids.count >= 0 && ids.count <= INT16_MAX);
	if (ids.count > 0)
		memcpy(to, ids.items, (size_t)ids.count * sizeof(*to));
	*ret_count = (uint16_t)ids.count;
	return to + ids.count;
}

struct ot_partition_image *
image_partition_create(const struct image_partition_lists *lists)
{
	size_t id_count = (size_t)lists->replicas.count + (size_t)lists->isr.count +
	                  (size_t)lists->adding.count + (size_t)lists->removing.count +
	                  (size_t)lists->elr.count + (size_t)lists->last_known_elr.count;
	bool has_directories = false;
	struct ot_partition_image *partition;
	int32_t *next;

	for (int32_t i = 0; lists->directories != NULL && i < lists->replicas.count; i++) {
		if (!ot_uuid_equal(&lists->directories[i], &ot_directory_migrating))
			has_directories = true;
	}
	partition = ot_must_alloc(
	    sizeof(*partition) + id_count * sizeof(int32_t) +
	    (has_directories ? (size_t)lists->replicas.count * sizeof(struct ot_uuid) : 0));
	ot_refs_init(&partition->refs);
	partition->has_directories = has_directories;
	next = put_ids(partition->ids, lists->replicas, &partition->replica_count);
	next = put_ids(next, lists->isr, &partition->isr_count);
	next = put_ids(next, lists->adding, &partition->adding_count);
	next = put_ids(next, lists->removing, &partition->removing_count);
	next = put_ids(next, lists->elr, &partition->elr_count);
	next = put_ids(next, lists->last_known_elr, &partition->last_known_elr_count);
	if (has_directories)
		memcpy(next, lists->directories,
		    (size_t)lists->replicas.count * sizeof(struct ot_uuid));
	return partition;
}

struct image_partition_lists
image_partition_lists(const struct ot_partition_image *partition, struct ot_uuid *directories_room)
{
	for (int32_t i = 0; directories_room != NULL && i < partition->replica_count; i++)
		directories_room[i] = ot_partition_directory(partition, i);
	return (struct image_partition_lists){
		.replicas = ot_partition_replicas(partition),
		.isr = ot_partition_isr(partition),
		.adding = ot_partition_adding(partition),
		.removing = ot_partition_removing(partition),
		.elr = ot_partition_elr(partition),
		.last_known_elr = ot_partition_last_known_elr(partition),
		.directories = directories_room,
	};
}

/* ---- the image ------------------------------------------------------------------------------ */

struct ot_image *
ot_image_create(struct ot_settings *settings, const char *cluster_id)
{
	struct ot_image *image = OT_NEW(struct ot_image);
	size_t bytes = strlen(cluster_id);

	OT_ASSERT(bytes < 256);
	ot_refs_init(&image->refs);
	image->place = (struct ot_image_place){ .offset = -1, .timestamp = -1 };
	image->settings_static = ot_settings_ref(settings);
	image->settings = ot_settings_ref(settings);
	image->topic_defaults = image_config_create(OT_RESOURCE_TOPIC, OT_STR_LIT(""), NULL, 0);
	image_config_settle(image->topic_defaults, settings);
	image->cluster_id = ot_blob_create(bytes + 1);
	OT_ASSERT(image->cluster_id != NULL);
	memcpy(image->cluster_id->data, cluster_id, bytes + 1);
	image->controller_id = -1;
	return image;
}

struct ot_image *
ot_image_ref(struct ot_image *image)
{
	ot_refs_take(&image->refs);
	return image;
}

void
ot_image_unref(struct ot_image *image)
{
	if (image == NULL || !ot_refs_drop(&image->refs))
		return;
	tree_unref(image->topics_by_hash, &image_topics_by_hash);
	tree_unref(image->topics_by_id, &image_topics_by_id);
	tree_unref(image->topics_by_name, &image_topics_by_name);
	tree_unref(image->topics_colliding, &image_topics_colliding);
	tree_unref(image->brokers, &image_brokers);
	tree_unref(image->configs, &image_configs);
	tree_unref(image->features, &image_features);
	tree_unref(image->kept, &image_kept);
	image_config_unref(image->topic_defaults);
	ot_settings_unref(image->settings);
	ot_settings_unref(image->settings_static);
	ot_blob_unref(image->cluster_id);
	ot_free(image);
}

struct ot_image_place
ot_image_place(const struct ot_image *image)
{
	return image->place;
}

const char *
ot_image_cluster_id(const struct ot_image *image)
{
	return (const char *)image->cluster_id->data;
}

struct ot_settings *
ot_image_settings(const struct ot_image *image)
{
	return image->settings;
}

int32_t
ot_image_controller(const struct ot_image *image)
{
	return image->controller_id;
}

/* ---- topics --------------------------------------------------------------------------------- */

const struct ot_topic_image *
ot_image_topic(const struct ot_image *image, struct ot_str name)
{
	return tree_find(image->topics_by_hash, &image_topics_by_hash, image_key_of_hash(&name));
}

const struct ot_topic_image *
ot_image_topic_by_id(const struct ot_image *image, const struct ot_uuid *id)
{
	return tree_find(image->topics_by_id, &image_topics_by_id, image_key_of_id(id));
}

const struct ot_topic_image *
ot_image_topic_from(const struct ot_image *image, struct ot_str name, bool is_after)
{
	const struct ot_topic_image *topic;
	struct tree_cursor cursor;

	if (name.len < 0)
		name = OT_STR_LIT("");
	tree_seek(&cursor, image->topics_by_name, &image_topics_by_name, image_key_of_name(&name));
	topic = tree_at(&cursor);
	if (topic == NULL || !is_after || !ot_str_equal(topic->name, name))
		return topic;
	tree_next(&cursor);
	return tree_at(&cursor);
}

void
ot_image_visit_topics(const struct ot_image *image, ot_image_visit_topic *visit, void *arg)
{
	struct tree_cursor cursor;

	tree_begin(&cursor, image->topics_by_name);
	while (tree_at(&cursor) != NULL && visit(arg, tree_at(&cursor)))
		tree_next(&cursor);
}

int64_t
ot_image_topic_count(const struct ot_image *image)
{
	return image->topic_count;
}

int64_t
ot_image_partition_count(const struct ot_image *image)
{
	return image->partition_count;
}

const struct ot_topic_settings *
ot_image_topic_settings(const struct ot_image *image, const struct ot_topic_image *topic)
{
	const struct ot_config_image *config =
	    topic->config != NULL ? topic->config : image->topic_defaults;

	OT_ASSERT(config->has_topic_settings);
	return &config->topic_settings;
}

bool
image_name_may_collide(struct ot_str name)
{
	return memchr(name.data, '.', (size_t)name.len) != NULL ||
	       memchr(name.data, '_', (size_t)name.len) != NULL;
}

struct ot_str
ot_image_topic_colliding(const struct ot_image *image, struct ot_str name)
{
	char text[256];
	struct ot_str least = { text, name.len };
	const struct ot_topic_image *topic;
	struct tree_cursor cursor;

	if (name.len <= 0 || name.len > (int32_t)sizeof(text) || !image_name_may_collide(name))
		return OT_STR_NULL;
	/* '.' is less than '_': of all names that collide, the one without '_' comes first. */
	for (int32_t i = 0; i < name.len; i++)
		text[i] = (char)collision_byte(name.data[i]);
	tree_seek(&cursor, image->topics_colliding, &image_topics_colliding,
	    key_of_collision(&least));
	while ((topic = tree_at(&cursor)) != NULL && compare_collision(topic->name, name) == 0) {
		if (!ot_str_equal(topic->name, name))
			return topic->name;
		tree_next(&cursor);
	}
	return OT_STR_NULL;
}

/* ---- partitions ----------------------------------------------------------------------------- */

const struct ot_partition_image *
ot_topic_partition(const struct ot_topic_image *topic, int32_t index)
{
	return tree_find(topic->partitions, &image_partitions, image_key_of_int(index));
}

void
ot_topic_visit_partitions(const struct ot_topic_image *topic, ot_topic_visit_partition *visit,
    void *arg)
{
	struct tree_cursor cursor;

	tree_begin(&cursor, topic->partitions);
	while (tree_at(&cursor) != NULL && visit(arg, tree_at(&cursor)))
		tree_next(&cursor);
}

struct ot_ids
ot_partition_replicas(const struct ot_partition_image *partition)
{
	return (struct ot_ids){ partition->ids, partition->replica_count };
}

struct ot_ids
ot_partition_isr(const struct ot_partition_image *partition)
{
	struct ot_ids before = ot_partition_replicas(partition);

	return (struct ot_ids){ before.items + before.count, partition->isr_count };
}

struct ot_ids
ot_partition_adding(const struct ot_partition_image *partition)
{
	struct ot_ids before = ot_partition_isr(partition);

	return (struct ot_ids){ before.items + before.count, partition->adding_count };
}

struct ot_ids
ot_partition_removing(const struct ot_partition_image *partition)
{
	struct ot_ids before = ot_partition_adding(partition);

	return (struct ot_ids){ before.items + before.count, partition->removing_count };
}

struct ot_ids
ot_partition_elr(const struct ot_partition_image *partition)
{
	struct ot_ids before = ot_partition_removing(partition);

	return (struct ot_ids){ before.items + before.count, partition->elr_count };
}

struct ot_ids
ot_partition_last_known_elr(const struct ot_partition_image *partition)
{
	struct ot_ids before = ot_partition_elr(partition);

	return (struct ot_ids){ before.items + before.count, partition->last_known_elr_count };
}

struct ot_uuid
ot_partition_directory(const struct ot_partition_image *partition, int32_t place)
{
	struct ot_ids before = ot_partition_last_known_elr(partition);
	struct ot_uuid directory;

	OT_ASSERT(place >= 0 && place < partition->replica_count);
	if (!partition->has_directories)
		return ot_directory_migrating;
	memcpy(&directory,
	    (const uint8_t *)(before.items + before.count) + (size_t)place * sizeof(directory),
	    sizeof(directory));
	return directory;
}

bool
ot_ids_have(struct ot_ids ids, int32_t id)
{
	for (int32_t i = 0; i < ids.count; i++) {
		if (ids.items[i] == id)
			return true;
	}
	return false;
}

/* ---- brokers -------------------------------------------------------------------------------- */

const struct ot_broker_image *
ot_image_broker(const struct ot_image *image, int32_t id)
{
	return tree_find(image->brokers, &image_brokers, image_key_of_int(id));
}

const struct ot_broker_image *
ot_image_broker_from(const struct ot_image *image, int32_t id)
{
	struct tree_cursor cursor;

	tree_seek(&cursor, image->brokers, &image_brokers, image_key_of_int(id));
	return tree_at(&cursor);
}

int32_t
ot_image_broker_count(const struct ot_image *image)
{
	return image->broker_count;
}

const struct ot_endpoint_image *
ot_broker_endpoint(const struct ot_broker_image *broker, struct ot_str listener)
{
	for (int32_t i = 0; i < broker->endpoint_count; i++) {
		const struct ot_endpoint_image *endpoint = &broker->endpoints[i];

		if (endpoint->name.len == listener.len && listener.len > 0 &&
		    strncasecmp(endpoint->name.data, listener.data, (size_t)listener.len) == 0)
			return endpoint;
	}
	return NULL;
}

/* ---- dynamic settings and the rest ---------------------------------------------------------- */

const struct ot_config_image *
ot_image_config(const struct ot_image *image, enum ot_config_resource resource, struct ot_str name)
{
	struct ot_config_image key = { .resource = (int8_t)resource, .name = name };

	return tree_find(image->configs, &image_configs, image_key_of_config(&key));
}

void
ot_image_visit_configs(const struct ot_image *image, enum ot_config_resource resource,
    ot_image_visit_config *visit, void *arg)
{
	struct ot_config_image key = { .resource = (int8_t)resource, .name = OT_STR_LIT("") };
	const struct ot_config_image *config;
	struct tree_cursor cursor;

	tree_seek(&cursor, image->configs, &image_configs, image_key_of_config(&key));
	while ((config = tree_at(&cursor)) != NULL && config->resource == key.resource) {
		if (!visit(arg, config))
			return;
		tree_next(&cursor);
	}
}

int16_t
ot_image_feature(const struct ot_image *image, struct ot_str name)
{
	const struct image_feature *feature =
	    tree_find(image->features, &image_features, image_key_of_name(&name));

	return feature == NULL ? 0 : feature->level;
}

void
ot_image_visit_features(const struct ot_image *image, ot_image_visit_feature *visit, void *arg)
{
	struct tree_cursor cursor;

	for (tree_begin(&cursor, image->features); tree_at(&cursor) != NULL; tree_next(&cursor)) {
		const struct image_feature *feature = tree_at(&cursor);

		if (!visit(arg, feature->name, feature->level))
			return;
	}
}

int64_t
ot_image_features_epoch(const struct ot_image *image)
{
	return image->place.offset;
}

int64_t
ot_image_producer_id_next(const struct ot_image *image)
{
	return image->producer_id_next;
}

void
ot_image_visit_kept_records(const struct ot_image *image, int16_t type, ot_image_visit_kept *visit,
    void *arg)
{
	struct image_kept key = { .type = type, .key = { (const uint8_t *)"", 0 } };
	const struct image_kept *kept;
	struct tree_cursor cursor;

	tree_seek(&cursor, image->kept, &image_kept, image_key_of_kept(&key));
	while ((kept = tree_at(&cursor)) != NULL && kept->type == type) {
		if (!visit(arg, kept->framed))
			return;
		tree_next(&cursor);
	}
}
