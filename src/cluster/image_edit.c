/* Making an image: records applied to a copy in progress.
 *
 * The copy shares all trees with the image that it began from; tree_int.h says why a change then
 * costs one path. A topic stands in three or four trees, so one that changes is taken aside as a
 * draft (a copy that only the edit knows), its partitions change there, and the finished draft is
 * put into all trees at once. Drafts are few: they are put back when DRAFTS_MAX are open, and at
 * the end.
 *
 * A metadata transaction (KIP-868) keeps what the image was at its beginning; abort goes back
 * there.
 *
 * Records come from a disk or a peer: everything in them is checked before it is believed, and a
 * record that contradicts the image is refused, never asserted on.
 */
#include "cluster/image_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/panic.h"
#include "base/report.h"
#include "cluster/controller.h"
#include "cluster/feature_levels.h"
#include "wire/msg_metadata_log.h"
#include "wire/recordio.h"

enum { DRAFTS_MAX = 1024, REPLICAS_MAX = INT16_MAX, LEADER_STAYS = -2 };

struct draft {
	struct ot_uuid id;
	struct ot_topic_image *topic; /* ours alone */
	UT_hash_handle hh;
};

struct ot_image_edit {
	struct ot_image *image;  /* ours alone */
	struct ot_image *before; /* at the begin of the transaction that is open; or NULL */
	struct draft *drafts;
	bool is_settings_stale;   /* dynamic settings of this process have changed */
	int32_t gap_count;        /* topics whose partitions have gaps, which must not stay */
	int32_t gap_count_before; /* at the begin of the transaction */
};

/* ---- begin and end -------------------------------------------------------------------------- */

static struct ot_image *
image_copy(const struct ot_image *image)
{
	struct ot_image *copy = OT_NEW(struct ot_image);

	*copy = *image;
	ot_refs_init(&copy->refs);
	tree_ref(copy->topics_by_hash);
	tree_ref(copy->topics_by_id);
	tree_ref(copy->topics_by_name);
	tree_ref(copy->topics_colliding);
	tree_ref(copy->brokers);
	tree_ref(copy->configs);
	tree_ref(copy->features);
	tree_ref(copy->kept);
	ot_blob_ref(copy->cluster_id);
	image_config_ref(copy->topic_defaults);
	ot_settings_ref(copy->settings);
	ot_settings_ref(copy->settings_static);
	return copy;
}

struct ot_image_edit *
ot_image_edit_begin(struct ot_image *image)
{
	struct ot_image_edit *edit = OT_NEW(struct ot_image_edit);

	edit->image = image_copy(image);
	return edit;
}

static void
drafts_drop(struct ot_image_edit *edit)
{
	struct draft *draft, *next;

	HASH_ITER(hh, edit->drafts, draft, next) {
		HASH_DEL(edit->drafts, draft);
		image_topic_unref(draft->topic);
		ot_free(draft);
	}
}

void
ot_image_edit_drop(struct ot_image_edit *edit)
{
	if (edit == NULL)
		return;
	drafts_drop(edit);
	ot_image_unref(edit->image);
	ot_image_unref(edit->before);
	ot_free(edit);
}

/* ---- drafts of topics ----------------------------------------------------------------------- */

/* Puts a topic, of which one reference is taken over, into all trees. */
static void
topic_put(struct ot_image *image, struct ot_topic_image *topic)
{
	bool may_collide = image_name_may_collide(topic->name);

	for (int i = 0; i < (may_collide ? 3 : 2); i++)
		ot_refs_take(&topic->refs);
	tree_put(&image->topics_by_hash, &image_topics_by_hash, topic);
	tree_put(&image->topics_by_name, &image_topics_by_name, topic);
	if (may_collide)
		tree_put(&image->topics_colliding, &image_topics_colliding, topic);
	if (tree_put(&image->topics_by_id, &image_topics_by_id, topic))
		image->topic_count++;
}

/* The settings of a topic under the image's: the config's are computed when a topic first has it.
 */
static void
topic_settle(struct ot_image *image, struct ot_topic_image *topic)
{
	struct ot_config_image key = { .resource = OT_RESOURCE_TOPIC, .name = topic->name };
	struct ot_config_image *config =
	    tree_find(image->configs, &image_configs, image_key_of_config(&key));

	image_config_ref(config);
	image_config_unref(topic->config);
	topic->config = config;
	/* Not computed: then it was made by this edit, and nobody else can see it. */
	if (config != NULL && !config->has_topic_settings)
		image_config_settle(config, image->settings);
}

static void
drafts_flush(struct ot_image_edit *edit)
{
	struct draft *draft, *next;

	HASH_ITER(hh, edit->drafts, draft, next) {
		HASH_DEL(edit->drafts, draft);
		topic_settle(edit->image, draft->topic);
		topic_put(edit->image, draft->topic);
		ot_free(draft);
	}
}

static struct draft *
draft_add(struct ot_image_edit *edit, struct ot_topic_image *topic)
{
	struct draft *draft;

	if (HASH_COUNT(edit->drafts) >= DRAFTS_MAX)
		drafts_flush(edit);
	draft = OT_NEW(struct draft);
	draft->id = topic->id;
	draft->topic = topic;
	HASH_ADD(hh, edit->drafts, id, sizeof(draft->id), draft);
	return draft;
}

/* The topic to work on; NULL when there is none of that id. */
static struct ot_topic_image *
draft_of(struct ot_image_edit *edit, const struct ot_uuid *id)
{
	const struct ot_topic_image *topic;
	struct draft *draft;

	HASH_FIND(hh, edit->drafts, id, sizeof(*id), draft);
	if (draft != NULL)
		return draft->topic;
	topic = ot_image_topic_by_id(edit->image, id);
	if (topic == NULL)
		return NULL;
	return draft_add(edit, image_topic_copy(topic))->topic;
}

/* ---- lists off the wire --------------------------------------------------------------------- */

static ot_err
refuse(struct ot_why *why, const char *what, const struct ot_uuid *id, int32_t partition)
{
	char text[OT_UUID_TEXT_BYTES];

	ot_uuid_to_text(id, text);
	ot_why_set(why, "%s: topic id %s, partition %d", what, text, partition);
	return OT_ERR_MALFORMED;
}

/* Null changes nothing: then `otherwise` holds. */
static struct ot_ids
ids_of(const int32_t *items, int32_t count, struct ot_ids otherwise)
{
	return count < 0 ? otherwise : (struct ot_ids){ items, count };
}

static bool
lists_are_sane(const struct image_partition_lists *lists, int32_t directory_count)
{
	const struct ot_ids *all[] = { &lists->replicas, &lists->isr, &lists->adding,
		&lists->removing, &lists->elr, &lists->last_known_elr };

	for (size_t i = 0; i < OT_ARRAY_COUNT(all); i++) {
		if (all[i]->count > REPLICAS_MAX)
			return false;
	}
	return lists->replicas.count >= 1 &&
	       (directory_count <= 0 || directory_count == lists->replicas.count);
}

static bool
leader_is_sane(const struct image_partition_lists *lists, int32_t leader)
{
	return leader == OT_NO_LEADER || ot_ids_have(lists->replicas, leader);
}

/* Partitions have numbers of their own, from 0: one is missing just when another is too great. */
static int
gap_count(const struct ot_topic_image *topic)
{
	struct tree_cursor cursor;

	tree_seek(&cursor, topic->partitions, &image_partitions,
	    (struct tree_key){ tree_word_of_int(topic->partition_count), NULL });
	return tree_at(&cursor) != NULL;
}

/* ---- topics and partitions ------------------------------------------------------------------ */

static ot_err
apply_topic(struct ot_image_edit *edit, const struct ot_topic_record *record, struct ot_why *why)
{
	struct ot_topic_image *topic;

	if (record->name.len <= 0 || record->name.len > 255)
		return refuse(why, "a topic without a name", &record->topic_id, -1);
	if (draft_of(edit, &record->topic_id) != NULL)
		return refuse(why, "a topic's id that is taken", &record->topic_id, -1);
	if (ot_image_topic(edit->image, record->name) != NULL)
		return refuse(why, "a topic's name that is taken", &record->topic_id, -1);
	topic = image_topic_create(record->name, &record->topic_id);
	topic->is_internal = ot_topic_name_is_internal(record->name);
	/* Known by name from now on; its draft takes the place of this one. */
	draft_add(edit, image_topic_copy(topic));
	topic_put(edit->image, topic);
	return OT_OK;
}

static ot_err
apply_remove_topic(struct ot_image_edit *edit, const struct ot_remove_topic_record *record,
    struct ot_why *why)
{
	struct ot_image *image = edit->image;
	struct ot_topic_image *topic = draft_of(edit, &record->topic_id);
	struct ot_config_image config = { .resource = OT_RESOURCE_TOPIC };
	struct draft *draft;

	if (topic == NULL)
		return refuse(why, "the end of a topic that is not there", &record->topic_id, -1);
	config.name = topic->name;
	tree_remove(&image->configs, &image_configs, image_key_of_config(&config));
	tree_remove(&image->topics_by_hash, &image_topics_by_hash, image_key_of_hash(&topic->name));
	tree_remove(&image->topics_by_name, &image_topics_by_name, image_key_of_name(&topic->name));
	tree_remove(&image->topics_colliding, &image_topics_colliding,
	    image_topics_colliding.key_of(topic));
	if (tree_remove(&image->topics_by_id, &image_topics_by_id, image_key_of_id(&topic->id)))
		image->topic_count--;
	image->partition_count -= topic->partition_count;
	edit->gap_count -= gap_count(topic);
	HASH_FIND(hh, edit->drafts, &record->topic_id, sizeof(record->topic_id), draft);
	OT_ASSERT(draft != NULL);
	HASH_DEL(edit->drafts, draft);
	image_topic_unref(draft->topic);
	ot_free(draft);
	return OT_OK;
}

static ot_err
apply_partition(struct ot_image_edit *edit, const struct ot_partition_record *record,
    struct ot_why *why)
{
	struct ot_topic_image *topic = draft_of(edit, &record->topic_id);
	struct ot_ids none = { 0 };
	struct image_partition_lists lists = {
		.replicas = ids_of(record->replicas, record->replicas_count, none),
		.isr = ids_of(record->isr, record->isr_count, none),
		.adding = ids_of(record->adding_replicas, record->adding_replicas_count, none),
		.removing =
		    ids_of(record->removing_replicas, record->removing_replicas_count, none),
		.elr = ids_of(record->eligible_leader_replicas,
		    record->eligible_leader_replicas_count, none),
		.last_known_elr =
		    ids_of(record->last_known_elr, record->last_known_elr_count, none),
		.directories = record->directories_count > 0 ? record->directories : NULL,
	};
	struct ot_partition_image *partition;

	if (topic == NULL)
		return refuse(why, "a partition of no topic", &record->topic_id,
		    record->partition_id);
	if (record->partition_id < 0 || !lists_are_sane(&lists, record->directories_count) ||
	    !leader_is_sane(&lists, record->leader))
		return refuse(why, "a partition that makes no sense", &record->topic_id,
		    record->partition_id);
	edit->gap_count -= gap_count(topic);
	partition = image_partition_create(&lists);
	partition->index = record->partition_id;
	partition->leader = record->leader;
	partition->leader_epoch = record->leader_epoch;
	partition->partition_epoch = record->partition_epoch;
	partition->recovery_state = (uint8_t)record->leader_recovery_state;
	if (tree_put(&topic->partitions, &image_partitions, partition)) {
		topic->partition_count++;
		edit->image->partition_count++;
	}
	edit->gap_count += gap_count(topic);
	return OT_OK;
}

/* A partition after a change of it: what the record leaves out stays, and a leader that is named
 * begins a new epoch, even when it led before. */
static struct ot_partition_image *
partition_changed(const struct ot_partition_image *old,
    const struct ot_partition_change_record *record, const struct image_partition_lists *lists)
{
	struct ot_partition_image *new = image_partition_create(lists);
	bool has_leader = record->leader != LEADER_STAYS;

	new->index = old->index;
	new->leader = has_leader ? record->leader : old->leader;
	new->leader_epoch = old->leader_epoch + (has_leader ? 1 : 0);
	new->partition_epoch = old->partition_epoch + 1;
	new->recovery_state = record->leader_recovery_state < 0
	                          ? old->recovery_state
	                          : (uint8_t)record->leader_recovery_state;
	return new;
}

static ot_err
apply_partition_change(struct ot_image_edit *edit, const struct ot_partition_change_record *record,
    struct ot_why *why)
{
	struct ot_topic_image *topic = draft_of(edit, &record->topic_id);
	const struct ot_partition_image *old =
	    topic == NULL ? NULL : ot_topic_partition(topic, record->partition_id);
	struct image_partition_lists lists;
	struct ot_uuid *directories;
	ot_err err = OT_OK;

	if (old == NULL)
		return refuse(why, "a change of a partition that is not there", &record->topic_id,
		    record->partition_id);
	directories = ot_must_alloc((size_t)old->replica_count * sizeof(*directories));
	lists = image_partition_lists(old, directories);
	lists.replicas = ids_of(record->replicas, record->replicas_count, lists.replicas);
	lists.isr = ids_of(record->isr, record->isr_count, lists.isr);
	lists.adding = ids_of(record->adding_replicas, record->adding_replicas_count, lists.adding);
	lists.removing =
	    ids_of(record->removing_replicas, record->removing_replicas_count, lists.removing);
	lists.elr = ids_of(record->eligible_leader_replicas, record->eligible_leader_replicas_count,
	    lists.elr);
	lists.last_known_elr =
	    ids_of(record->last_known_elr, record->last_known_elr_count, lists.last_known_elr);
	if (record->directories_count >= 0)
		lists.directories = record->directories_count > 0 ? record->directories : NULL;
	else if (lists.replicas.count != old->replica_count)
		lists.directories = NULL; /* written before directories were known */
	if (lists_are_sane(&lists, record->directories_count) &&
	    leader_is_sane(&lists, record->leader == LEADER_STAYS ? old->leader : record->leader))
		tree_put(&topic->partitions, &image_partitions,
		    partition_changed(old, record, &lists));
	else
		err = refuse(why, "a change that makes no sense", &record->topic_id,
		    record->partition_id);
	ot_free(directories);
	return err;
}

/* ---- eligible leader replicas (KIP-966) ----------------------------------------------------- */

static void
clear_topic_elrs(struct ot_image_edit *edit, const struct ot_uuid *id)
{
	struct ot_partition_change_record change;
	struct ot_topic_image *topic = draft_of(edit, id);

	ot_partition_change_record_init(&change);
	change.topic_id = *id;
	change.eligible_leader_replicas_count = 0;
	change.last_known_elr_count = 0;
	for (int32_t i = 0; i < topic->partition_count; i++) {
		const struct ot_partition_image *partition = ot_topic_partition(topic, i);

		if (partition == NULL ||
		    (partition->elr_count == 0 && partition->last_known_elr_count == 0))
			continue;
		change.partition_id = i;
		OT_ASSERT(apply_partition_change(edit, &change, NULL) == OT_OK);
	}
}

static ot_err
apply_clear_elr(struct ot_image_edit *edit, const struct ot_clear_elr_record *record,
    struct ot_why *why)
{
	const struct ot_topic_image *topic;
	struct ot_image *whole;
	struct tree_cursor cursor;

	if (record->topic_name.len > 0) {
		topic = ot_image_topic(edit->image, record->topic_name);
		if (topic == NULL) {
			ot_why_set(why, "ELRs of a topic that is not there: %.*s",
			    OT_STR_ARG(record->topic_name));
			return OT_ERR_MALFORMED;
		}
		clear_topic_elrs(edit, &topic->id);
		return OT_OK;
	}
	drafts_flush(edit);
	whole = image_copy(edit->image); /* the tree changes below the cursor */
	for (tree_begin(&cursor, whole->topics_by_id); tree_at(&cursor) != NULL; tree_next(&cursor))
		clear_topic_elrs(edit, &((const struct ot_topic_image *)tree_at(&cursor))->id);
	ot_image_unref(whole);
	return OT_OK;
}

/* ---- dynamic settings ----------------------------------------------------------------------- */

/* The pairs of a config with one of them set, or without it when its value is null. In order. */
static int32_t
pairs_with(const struct ot_config_image *old, struct ot_config_pair pair,
    struct ot_config_pair *ret_pairs)
{
	int32_t old_count = old == NULL ? 0 : old->pair_count;
	bool is_put = pair.value.len < 0;
	int32_t count = 0;

	for (int32_t i = 0; i < old_count; i++) {
		int order = ot_str_compare(old->pairs[i].name, pair.name);

		if (order >= 0 && !is_put) {
			ret_pairs[count++] = pair;
			is_put = true;
		}
		if (order != 0)
			ret_pairs[count++] = old->pairs[i];
	}
	if (!is_put)
		ret_pairs[count++] = pair;
	return count;
}

static bool
is_of_this_process(const struct ot_image *image, int8_t resource, struct ot_str name)
{
	char id[16];

	if (resource != OT_RESOURCE_BROKER)
		return false;
	(void)snprintf(id, sizeof(id), "%d", image->settings_static->node_id);
	return name.len == 0 || ot_str_is(name, id);
}

static ot_err
apply_config(struct ot_image_edit *edit, const struct ot_config_record *record, struct ot_why *why)
{
	struct ot_image *image = edit->image;
	struct ot_config_image key = { .resource = record->resource_type,
		.name = record->resource_name };
	const struct ot_config_image *old =
	    tree_find(image->configs, &image_configs, image_key_of_config(&key));
	struct ot_config_pair *pairs;
	const struct ot_topic_image *topic;
	int32_t count;

	if (record->name.len <= 0 || record->resource_name.len < 0) {
		ot_why_set(why, "a setting without a name");
		return OT_ERR_MALFORMED;
	}
	pairs = ot_must_alloc((size_t)((old == NULL ? 0 : old->pair_count) + 1) * sizeof(*pairs));
	count = pairs_with(old, (struct ot_config_pair){ record->name, record->value }, pairs);
	if (count > 0)
		tree_put(&image->configs, &image_configs,
		    image_config_create(key.resource, key.name, pairs, count));
	else
		tree_remove(&image->configs, &image_configs, image_key_of_config(&key));
	ot_free(pairs);
	if (record->resource_type == OT_RESOURCE_TOPIC) {
		topic = ot_image_topic(image, record->resource_name);
		if (topic != NULL)
			(void)draft_of(edit, &topic->id);
	}
	if (is_of_this_process(image, record->resource_type, record->resource_name))
		edit->is_settings_stale = true;
	return OT_OK;
}

static void
report_notes(const struct ot_config_notes *notes)
{
	for (const struct ot_config_note *note = notes->first; note != NULL; note = note->next)
		OT_WARN("cluster", "dynamic setting: %s", note->text);
}

/* New settings of this process, of the image's dynamic ones. */
static void
settings_renew(struct ot_image *image)
{
	char id[16];
	struct ot_settings_input input = { 0 };
	const struct ot_config_image *config;
	struct ot_config_notes notes;
	struct ot_settings *settings;

	(void)snprintf(id, sizeof(id), "%d", image->settings_static->node_id);
	config = ot_image_config(image, OT_RESOURCE_BROKER, OT_STR_LIT(""));
	if (config != NULL) {
		input.dynamic_default = config->pairs;
		input.dynamic_default_count = (size_t)config->pair_count;
	}
	config = ot_image_config(image, OT_RESOURCE_BROKER, ot_str_from(id));
	if (config != NULL) {
		input.dynamic_broker = config->pairs;
		input.dynamic_broker_count = (size_t)config->pair_count;
	}
	ot_config_notes_init(&notes);
	if (ot_settings_create_changed(image->settings_static, &input, &notes, &settings) ==
	    OT_OK) {
		ot_settings_unref(image->settings);
		image->settings = settings;
	} else {
		OT_ERROR("cluster", "the dynamic settings as a whole are not valid: those before "
				    "them stay");
	}
	report_notes(&notes);
	ot_config_notes_fini(&notes);
}

/* Topic settings under new settings of the process: of the topics that override something, anew. */
static void
topic_settings_renew(struct ot_image_edit *edit)
{
	struct ot_image *image = edit->image;
	struct ot_image_tree *configs = tree_ref(image->configs); /* it changes below the cursor */
	struct tree_cursor cursor;

	image_config_unref(image->topic_defaults);
	image->topic_defaults = image_config_create(OT_RESOURCE_TOPIC, OT_STR_LIT(""), NULL, 0);
	image_config_settle(image->topic_defaults, image->settings);
	for (tree_begin(&cursor, configs); tree_at(&cursor) != NULL; tree_next(&cursor)) {
		const struct ot_config_image *old = tree_at(&cursor);
		const struct ot_topic_image *topic;

		if (old->resource != OT_RESOURCE_TOPIC)
			continue;
		tree_put(&image->configs, &image_configs,
		    image_config_create(old->resource, old->name, old->pairs, old->pair_count));
		topic = ot_image_topic(image, old->name);
		if (topic != NULL)
			(void)draft_of(edit, &topic->id);
	}
	tree_unref(configs, &image_configs);
}

/* Puts everything into the image that the edit still holds beside it. */
static void
edit_settle(struct ot_image_edit *edit)
{
	if (edit->is_settings_stale) {
		settings_renew(edit->image);
		topic_settings_renew(edit);
		edit->is_settings_stale = false;
	}
	drafts_flush(edit);
}

const struct ot_image *
ot_image_edit_peek(struct ot_image_edit *edit)
{
	edit_settle(edit);
	return edit->image;
}

struct ot_image *
ot_image_edit_snapshot(struct ot_image_edit *edit)
{
	edit_settle(edit);
	return image_copy(edit->image);
}

const struct ot_topic_image *
ot_image_edit_topic(const struct ot_image_edit *edit, const struct ot_uuid *id)
{
	struct draft *draft;

	HASH_FIND(hh, edit->drafts, id, sizeof(*id), draft);
	return draft != NULL ? draft->topic : ot_image_topic_by_id(edit->image, id);
}

void
ot_image_edit_set_controller(struct ot_image_edit *edit, int32_t controller_id)
{
	edit->image->controller_id = controller_id;
}

/* ---- metadata transactions ------------------------------------------------------------------ */

static ot_err
apply_txn_begin(struct ot_image_edit *edit, struct ot_why *why)
{
	if (edit->before != NULL) {
		ot_why_set(why, "a metadata transaction within another one");
		return OT_ERR_MALFORMED;
	}
	edit_settle(edit);
	edit->before = image_copy(edit->image);
	edit->gap_count_before = edit->gap_count;
	return OT_OK;
}

static ot_err
apply_txn_end(struct ot_image_edit *edit, bool is_abort, struct ot_why *why)
{
	if (edit->before == NULL) {
		ot_why_set(why, "the end of a metadata transaction that never began");
		return OT_ERR_MALFORMED;
	}
	if (is_abort) {
		drafts_drop(edit);
		edit->is_settings_stale = false;
		edit->gap_count = edit->gap_count_before;
		ot_image_unref(edit->image);
		edit->image = edit->before;
	} else {
		ot_image_unref(edit->before);
	}
	edit->before = NULL;
	return OT_OK;
}

bool
ot_image_edit_is_in_txn(const struct ot_image_edit *edit)
{
	return edit->before != NULL;
}

/* ---- the rest of the records ---------------------------------------------------------------- */

static ot_err
apply_feature(struct ot_image *image, const struct ot_feature_level_record *record,
    struct ot_why *why)
{
	struct image_feature *feature;
	size_t bytes = (size_t)OT_MAX(record->name.len, 0);

	const struct ot_feature *own = ot_feature_find(record->name);

	/* Others are only told to clients; this one says what the log itself may hold. */
	if (own != NULL && ot_str_is(record->name, OT_METADATA_VERSION) &&
	    (record->feature_level < own->min || record->feature_level > own->max)) {
		ot_why_set(why,
		    "the metadata log is of metadata.version %d, but this release knows %d to "
		    "%d only",
		    record->feature_level, own->min, own->max);
		return OT_ERR_UNSUPPORTED_VERSION;
	}
	if (record->feature_level == 0) {
		tree_remove(&image->features, &image_features, image_key_of_name(&record->name));
		return OT_OK;
	}
	feature = ot_must_alloc(sizeof(*feature) + bytes + 1);
	ot_refs_init(&feature->refs);
	if (bytes > 0)
		memcpy(feature->text, record->name.data, bytes);
	feature->name = (struct ot_str){ feature->text, (int32_t)bytes };
	feature->level = record->feature_level;
	tree_put(&image->features, &image_features, feature);
	return OT_OK;
}

static ot_err
apply_other(struct ot_image_edit *edit, const struct ot_typed_record *record, struct ot_why *why)
{
	const void *msg = record->msg;

	switch (record->type->type) {
	case OT_FEATURE_LEVEL_RECORD_TYPE:
		return apply_feature(edit->image, msg, why);
	case OT_PRODUCER_IDS_RECORD_TYPE:
		edit->image->producer_id_next =
		    ((const struct ot_producer_ids_record *)msg)->next_producer_id;
		return OT_OK;
	case OT_CLEAR_ELR_RECORD_TYPE:
		return apply_clear_elr(edit, msg, why);
	case OT_BEGIN_TRANSACTION_RECORD_TYPE:
		return apply_txn_begin(edit, why);
	case OT_END_TRANSACTION_RECORD_TYPE:
		return apply_txn_end(edit, false, why);
	case OT_ABORT_TRANSACTION_RECORD_TYPE:
		return apply_txn_end(edit, true, why);
	case OT_NO_OP_RECORD_TYPE:
		return OT_OK;
	default:
		return image_keep(edit->image, record, why);
	}
}

ot_err
ot_image_edit_apply(struct ot_image_edit *edit, const struct ot_typed_record *record,
    struct ot_why *why)
{
	const void *msg = record->msg;

	switch (record->type->type) {
	case OT_TOPIC_RECORD_TYPE:
		return apply_topic(edit, msg, why);
	case OT_REMOVE_TOPIC_RECORD_TYPE:
		return apply_remove_topic(edit, msg, why);
	case OT_PARTITION_RECORD_TYPE:
		return apply_partition(edit, msg, why);
	case OT_PARTITION_CHANGE_RECORD_TYPE:
		return apply_partition_change(edit, msg, why);
	case OT_CONFIG_RECORD_TYPE:
		return apply_config(edit, msg, why);
	case OT_REGISTER_BROKER_RECORD_TYPE:
	case OT_UNREGISTER_BROKER_RECORD_TYPE:
	case OT_FENCE_BROKER_RECORD_TYPE:
	case OT_UNFENCE_BROKER_RECORD_TYPE:
	case OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE:
		return image_broker_apply(edit->image, record, why);
	default:
		return apply_other(edit, record, why);
	}
}

ot_err
ot_image_edit_end(struct ot_image_edit *edit, struct ot_image_place place,
    struct ot_image **ret_image, struct ot_why *why)
{
	struct ot_image *image;

	OT_ASSERT(edit->before == NULL);
	if (edit->gap_count > 0) {
		ot_why_set(why, "%d topics have gaps in their partitions", edit->gap_count);
		ot_image_edit_drop(edit);
		return OT_ERR_MALFORMED;
	}
	edit_settle(edit);
	image = edit->image;
	image->place = place;
	ot_free(edit);
	*ret_image = image;
	return OT_OK;
}
