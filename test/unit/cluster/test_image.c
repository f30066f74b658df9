/* Tests of images: src/cluster/image.c, image_edit.c, image_records.c, image_delta.c, snapshot.c.
 */
#include "fixture.h"

#include "cluster/snapshot.h"

/* ---- records --------------------------------------------------------------------------------- */

static struct ot_uuid
id_of(uint32_t number)
{
	struct ot_uuid id = { { 0 } };

	/* Mixed, so that ids do not come in order. */
	ot_put_u32(id.bytes, number * 2654435761u);
	ot_put_u32(id.bytes + 12, number);
	return id;
}

static ot_err
apply(struct ot_image_edit *edit, const struct ot_msg *type, void *msg)
{
	struct ot_typed_record record = { .type = type, .version = type->valid.max, .msg = msg };
	struct ot_why why = { { 0 } };
	ot_err err = ot_image_edit_apply(edit, &record, &why);

	assert_true(err == OT_OK || why.text[0] != '\0');
	return err;
}

static ot_err
apply_topic(struct ot_image_edit *edit, const char *name, uint32_t number)
{
	struct ot_topic_record record;

	ot_topic_record_init(&record);
	record.name = ot_str_from(name);
	record.topic_id = id_of(number);
	return apply(edit, &ot_topic_record_msg, &record);
}

static ot_err
apply_partition(struct ot_image_edit *edit, uint32_t topic, int32_t index, int32_t replica_count)
{
	struct ot_partition_record record;
	int32_t replicas[3] = { 1, 2, 3 };
	struct ot_uuid directories[3] = { id_of(1), id_of(2), id_of(3) };

	ot_partition_record_init(&record);
	record.topic_id = id_of(topic);
	record.partition_id = index;
	record.replicas = record.isr = replicas;
	record.replicas_count = record.isr_count = replica_count;
	record.directories = directories;
	record.directories_count = replica_count;
	record.leader = 1;
	record.leader_epoch = 0;
	record.partition_epoch = 0;
	return apply(edit, &ot_partition_record_msg, &record);
}

static ot_err
apply_leader(struct ot_image_edit *edit, uint32_t topic, int32_t index, int32_t leader)
{
	struct ot_partition_change_record record;

	ot_partition_change_record_init(&record);
	record.topic_id = id_of(topic);
	record.partition_id = index;
	record.leader = leader;
	return apply(edit, &ot_partition_change_record_msg, &record);
}

static ot_err
apply_remove(struct ot_image_edit *edit, uint32_t topic)
{
	struct ot_remove_topic_record record;

	ot_remove_topic_record_init(&record);
	record.topic_id = id_of(topic);
	return apply(edit, &ot_remove_topic_record_msg, &record);
}

static ot_err
apply_config(struct ot_image_edit *edit, int8_t resource, const char *name, const char *key,
    const char *value)
{
	struct ot_config_record record;

	ot_config_record_init(&record);
	record.resource_type = resource;
	record.resource_name = ot_str_from(name);
	record.name = ot_str_from(key);
	record.value = ot_str_from(value);
	return apply(edit, &ot_config_record_msg, &record);
}

static struct ot_image *
end(struct ot_image_edit *edit, int64_t offset)
{
	struct ot_image *image = NULL;
	struct ot_why why = { { 0 } };

	if (ot_image_edit_end(edit, (struct ot_image_place){ .offset = offset }, &image, &why) !=
	    OT_OK)
		fail_msg("%s", why.text);
	return image;
}

static struct ot_image *
create(const char *settings)
{
	char text[500];
	struct ot_settings *made;
	struct ot_image *image;

	(void)snprintf(text, sizeof(text), "node.id=1\n%s", settings);
	made = fixture_settings(text);
	image = ot_image_create(made, CLUSTER_ID);
	ot_settings_unref(made);
	return image;
}

/* ---- versions against a model ---------------------------------------------------------------- */

enum { TOPICS = 300, VERSIONS = 60 };

static uint32_t seed;

static uint32_t
draw(uint32_t bound)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % bound;
}

struct model {
	int32_t partitions[TOPICS]; /* 0: there is no such topic */
	int32_t leader[TOPICS];     /* of partition 0 */
	bool has_config[TOPICS];
};

static const char *
name_of(uint32_t number)
{
	static char name[40];

	(void)snprintf(name, sizeof(name), "topic%c%u", number % 3 == 0 ? '.' : '-', number);
	return name;
}

static void
change(struct model *model, struct ot_image_edit *edit)
{
	uint32_t number = draw(TOPICS);
	bool is_there = model->partitions[number] > 0;

	switch (draw(is_there ? 5 : 1)) {
	case 0:
		if (is_there) {
			assert_ok(apply_remove(edit, number));
			model->partitions[number] = 0;
			model->has_config[number] = false;
			return;
		}
		assert_ok(apply_topic(edit, name_of(number), number));
		model->leader[number] = 1;
		/* fall through */
	case 1:
		for (uint32_t i = draw(40) + 1; i > 0; i--)
			assert_ok(apply_partition(edit, number, model->partitions[number]++, 3));
		return;
	case 2:
		model->leader[number] = 1 + (int32_t)draw(3);
		assert_ok(apply_leader(edit, number, 0, model->leader[number]));
		return;
	default:
		model->has_config[number] = draw(2) == 0;
		assert_ok(apply_config(edit, OT_RESOURCE_TOPIC, name_of(number), "retention.ms",
		    model->has_config[number] ? "1234" : NULL));
	}
}

static void
check_version(const struct ot_image *image, const struct model *model)
{
	int64_t topics = 0, partitions = 0;

	ot_image_check(image);
	for (uint32_t i = 0; i < TOPICS; i++) {
		const struct ot_topic_image *topic = ot_image_topic(image, ot_str_from(name_of(i)));
		struct ot_uuid id = id_of(i);

		assert_int_equal(topic != NULL, model->partitions[i] > 0);
		assert_ptr_equal(ot_image_topic_by_id(image, &id), topic);
		if (topic == NULL)
			continue;
		topics++;
		partitions += model->partitions[i];
		assert_int_equal(topic->partition_count, model->partitions[i]);
		assert_int_equal(ot_topic_partition(topic, 0)->leader, model->leader[i]);
		assert_int_equal(ot_image_topic_settings(image, topic)->retention_ms,
		    model->has_config[i] ? 1234 : 604800000);
	}
	assert_int_equal(ot_image_topic_count(image), topics);
	assert_int_equal(ot_image_partition_count(image), partitions);
}

static void
count_partition(void *arg, const struct ot_partition_image *before,
    const struct ot_partition_image *after)
{
	assert_ptr_not_equal(before, after);
	++*(int *)arg;
}

/* The differences are those of the models, each topic once. */
static void
check_delta(const struct ot_image *before, const struct model *model_before,
    const struct ot_image *after)
{
	struct ot_image_delta delta;
	struct ot_arena arena;
	uint8_t seen[TOPICS] = { 0 };

	ot_arena_init(&arena, 0);
	assert_ok(ot_image_delta_make(before, after, &arena, &delta));
	for (size_t i = 0; i < delta.topic_count; i++) {
		const struct ot_topic_delta *topic = &delta.topics[i];
		const struct ot_topic_image *any =
		    topic->after != NULL ? topic->after : topic->before;
		uint32_t number = ot_get_u32(any->id.bytes + 12);
		int count = 0;

		assert_ptr_equal(topic->before, ot_image_topic_by_id(before, &any->id));
		assert_ptr_equal(topic->after, ot_image_topic_by_id(after, &any->id));
		assert_int_equal(seen[number]++, 0);
		ot_topic_visit_partition_deltas(topic->before, topic->after, count_partition,
		    &count);
		if (topic->before == NULL)
			assert_int_equal(count, topic->after->partition_count);
		if (topic->after == NULL)
			assert_int_equal(count, model_before->partitions[number]);
	}
	for (uint32_t i = 0; i < TOPICS; i++) {
		struct ot_uuid id = id_of(i);

		if (!seen[i])
			assert_ptr_equal(ot_image_topic_by_id(before, &id),
			    ot_image_topic_by_id(after, &id));
	}
	ot_arena_fini(&arena);
}

/* Goal: an image never changes, its successors are what records say, differences are exact, between
 * neighbours and any two. Method: bursts of random records on every version, a model beside each.
 */
static void
test_versions(void **state)
{
	static struct model models[VERSIONS];
	static struct ot_image *images[VERSIONS];
	char *texts[VERSIONS];
	(void)state;

	seed = 3;
	images[0] = create("");
	texts[0] = fixture_print(images[0]);
	for (int i = 1; i < VERSIONS; i++) {
		struct ot_image_edit *edit = ot_image_edit_begin(images[i - 1]);

		models[i] = models[i - 1];
		for (uint32_t j = 1u << draw(7); j > 0; j--)
			change(&models[i], edit);
		images[i] = end(edit, i);
		texts[i] = fixture_print(images[i]);
	}
	for (int i = 0; i < VERSIONS; i++) {
		char *again = fixture_print(images[i]);

		assert_string_equal(again, texts[i]);
		ot_free(again);
		check_version(images[i], &models[i]);
		check_delta(images[i > 0 ? i - 1 : 0], &models[i > 0 ? i - 1 : 0], images[i]);
		check_delta(images[i], &models[i], images[draw(VERSIONS)]);
	}
	for (int i = 0; i < VERSIONS; i++)
		ot_image_unref(images[i]);
	for (int i = 0; i < VERSIONS; i++)
		ot_free(texts[i]);
}

/* Goal: the order of names is that of bytes, from any place on. Method: names asked one by one. */
static void
test_order(void **state)
{
	struct ot_image *empty = create("");
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	static const char *const names[] = { "b", "a", "abcdefgh", "abcdefghi", "abcdefgh.", "Z",
		"abcdefg" };
	static const char *const sorted[] = { "Z", "a", "abcdefg", "abcdefgh", "abcdefgh.",
		"abcdefghi", "b" };
	const struct ot_topic_image *topic;
	struct ot_image *image;
	size_t count = 0;
	(void)state;

	for (uint32_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		assert_ok(apply_topic(edit, names[i], i));
		assert_ok(apply_partition(edit, i, 0, 1));
	}
	image = end(edit, 1);
	for (topic = ot_image_topic_from(image, OT_STR_NULL, false); topic != NULL;
	     topic = ot_image_topic_from(image, topic->name, true))
		assert_text(topic->name, sorted[count++]);
	assert_int_equal(count, OT_ARRAY_COUNT(names));
	assert_text(ot_image_topic_from(image, OT_STR_LIT("abcdefg"), false)->name, "abcdefg");
	assert_text(ot_image_topic_from(image, OT_STR_LIT("abcdefga"), false)->name, "abcdefgh");
	assert_null(ot_image_topic_from(image, OT_STR_LIT("c"), false));
	ot_image_unref(image);
	ot_image_unref(empty);
}

/* Goal: names that metrics take for one another collide, others do not. Method: all pairs of a few.
 */
static void
test_collisions(void **state)
{
	static const char *const names[] = { "a.b", "a_b", "a-b", "ab", "a.b.c", "a_b.c", "_",
		"." };
	(void)state;

	for (size_t i = 0; i < OT_ARRAY_COUNT(names); i++) {
		struct ot_image *empty = create("");
		struct ot_image_edit *edit = ot_image_edit_begin(empty);
		struct ot_image *image;

		assert_ok(apply_topic(edit, names[i], 1));
		assert_ok(apply_partition(edit, 1, 0, 1));
		image = end(edit, 1);
		for (size_t j = 0; j < OT_ARRAY_COUNT(names); j++) {
			struct ot_str other =
			    ot_image_topic_colliding(image, ot_str_from(names[j]));
			bool is_pair = i != j && i / 2 == j / 2 && i / 2 != 1;

			assert_text(other, is_pair ? names[i] : NULL);
		}
		ot_image_unref(image);
		ot_image_unref(empty);
	}
}

/* Goal: a partition changes as KIP-631 says: what is left out stays, a leader that is named begins
 * an epoch. Method: changes one field at a time. */
static void
test_partition_change(void **state)
{
	struct ot_image *empty = create("");
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	struct ot_partition_change_record record;
	const struct ot_partition_image *partition;
	int32_t isr[] = { 2 }, replicas[] = { 2, 3, 4, 5 };
	struct ot_uuid directories[] = { id_of(1), id_of(2), id_of(3), id_of(4) }, directory;
	(void)state;

	assert_ok(apply_topic(edit, "t", 1));
	assert_ok(apply_partition(edit, 1, 0, 3));
	ot_partition_change_record_init(&record);
	record.topic_id = id_of(1);
	record.partition_id = 0;
	record.isr = isr;
	record.isr_count = 1;
	assert_ok(apply(edit, &ot_partition_change_record_msg, &record));
	partition =
	    ot_topic_partition(ot_image_topic(ot_image_edit_peek(edit), OT_STR_LIT("t")), 0);
	assert_int_equal(partition->leader_epoch, 0);
	assert_int_equal(partition->partition_epoch, 1);
	assert_int_equal(ot_partition_isr(partition).count, 1);
	assert_int_equal(ot_partition_replicas(partition).count, 3);
	directory = ot_partition_directory(partition, 2);
	assert_true(ot_uuid_equal(&directory, &directories[2]));
	record.isr_count = -1;
	record.leader = 2;
	record.replicas = replicas;
	record.replicas_count = 4;
	record.directories = directories;
	record.directories_count = 4;
	assert_ok(apply(edit, &ot_partition_change_record_msg, &record));
	partition =
	    ot_topic_partition(ot_image_topic(ot_image_edit_peek(edit), OT_STR_LIT("t")), 0);
	assert_int_equal(partition->leader, 2);
	assert_int_equal(partition->leader_epoch, 1);
	assert_int_equal(partition->partition_epoch, 2);
	assert_int_equal(ot_partition_isr(partition).items[0], 2);
	for (int i = 0; i < 4; i++) {
		directory = ot_partition_directory(partition, i);

		assert_int_equal(ot_partition_replicas(partition).items[i], replicas[i]);
		assert_true(ot_uuid_equal(&directory, &directories[i]));
	}
	ot_image_unref(end(edit, 1));
	ot_image_unref(empty);
}

/* Goal: records that contradict the image are refused, with a reason, and nothing asserts. Method:
 * one of each kind. */
static void
test_malformed(void **state)
{
	struct ot_image *empty = create("");
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	struct ot_partition_record partition;
	struct ot_unregister_broker_record unregister;
	struct ot_broker_registration_change_record registration;
	struct ot_feature_level_record feature;
	struct ot_image *image = NULL;
	struct ot_why why = { { 0 } };
	(void)state;

	assert_ok(apply_topic(edit, "t", 1));
	assert_int_equal(apply_topic(edit, "t", 2), OT_ERR_MALFORMED);
	assert_int_equal(apply_topic(edit, "u", 1), OT_ERR_MALFORMED);
	assert_int_equal(apply_topic(edit, "", 3), OT_ERR_MALFORMED);
	assert_int_equal(apply_partition(edit, 9, 0, 1), OT_ERR_MALFORMED);
	assert_int_equal(apply_partition(edit, 1, -1, 1), OT_ERR_MALFORMED);
	assert_int_equal(apply_leader(edit, 1, 0, 1), OT_ERR_MALFORMED);
	assert_int_equal(apply_remove(edit, 9), OT_ERR_MALFORMED);
	ot_partition_record_init(&partition);
	partition.topic_id = id_of(1);
	partition.partition_id = 0;
	partition.directories = &partition.topic_id;
	partition.directories_count = 1; /* of no replica */
	assert_int_equal(apply(edit, &ot_partition_record_msg, &partition), OT_ERR_MALFORMED);
	ot_unregister_broker_record_init(&unregister);
	assert_int_equal(apply(edit, &ot_unregister_broker_record_msg, &unregister),
	    OT_ERR_MALFORMED);
	ot_broker_registration_change_record_init(&registration);
	assert_int_equal(apply(edit, &ot_broker_registration_change_record_msg, &registration),
	    OT_ERR_MALFORMED);
	ot_feature_level_record_init(&feature);
	feature.name = OT_STR_LIT("metadata.version");
	feature.feature_level = 31;
	assert_int_equal(apply(edit, &ot_feature_level_record_msg, &feature),
	    OT_ERR_UNSUPPORTED_VERSION);
	assert_int_equal(apply_config(edit, OT_RESOURCE_TOPIC, "t", "", "x"), OT_ERR_MALFORMED);
	/* A gap in the partitions is seen at the end. */
	assert_ok(apply_partition(edit, 1, 1, 1));
	assert_int_equal(ot_image_edit_end(edit, (struct ot_image_place){ 0 }, &image, &why),
	    OT_ERR_MALFORMED);
	assert_null(image);
	ot_image_unref(empty);
}

/* Goal: dynamic settings of the process and of the cluster change the settings under the image, and
 * with them those of topics, overrides before all; other brokers' do not. Method: set, look, unset.
 */
static void
test_settings(void **state)
{
	struct ot_image *empty = create("log.retention.ms=1000\n");
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	const struct ot_topic_image *plain, *own;
	struct ot_image_delta delta;
	struct ot_image *images[4];
	struct ot_arena arena;
	(void)state;

	ot_arena_init(&arena, 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_ok(apply_topic(edit, i == 0 ? "plain" : "own", i));
		assert_ok(apply_partition(edit, i, 0, 1));
	}
	assert_ok(apply_config(edit, OT_RESOURCE_TOPIC, "own", "retention.ms", "5"));
	images[0] = end(edit, 1);
	edit = ot_image_edit_begin(images[0]);
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "", "log.retention.ms", "2000"));
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "", "log.segment.bytes", "1048576"));
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "2", "log.retention.ms", "7"));
	images[1] = end(edit, 2);
	edit = ot_image_edit_begin(images[1]);
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "1", "log.retention.ms", "3000"));
	images[2] = end(edit, 3);
	edit = ot_image_edit_begin(images[2]);
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "1", "log.retention.ms", NULL));
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "", "log.retention.ms", NULL));
	images[3] = end(edit, 4);
	for (int i = 0; i < 4; i++) {
		static const int64_t retention[] = { 1000, 2000, 3000, 1000 };
		static const int32_t segment[] = { 1073741824, 1048576, 1048576, 1048576 };

		plain = ot_image_topic(images[i], OT_STR_LIT("plain"));
		own = ot_image_topic(images[i], OT_STR_LIT("own"));
		assert_int_equal(ot_image_topic_settings(images[i], plain)->retention_ms,
		    retention[i]);
		assert_int_equal(ot_image_topic_settings(images[i], own)->retention_ms, 5);
		assert_int_equal(ot_image_topic_settings(images[i], own)->segment_bytes,
		    segment[i]);
		assert_int_equal(
		    ot_settings_number(ot_image_settings(images[i]), OT_BROKER_LOG_RETENTION_MS),
		    retention[i]);
		ot_image_check(images[i]);
	}
	assert_ok(ot_image_delta_make(images[0], images[1], &arena, &delta));
	assert_true(delta.is_settings_changed);
	assert_int_equal(delta.config_count, 3); /* the topic's is computed anew */
	assert_ok(ot_image_delta_make(images[0], images[0], &arena, &delta));
	assert_false(delta.is_settings_changed);
	assert_int_equal(delta.topic_count + delta.config_count + delta.broker_count, 0);
	for (int i = 0; i < 4; i++)
		ot_image_unref(images[i]);
	ot_image_unref(empty);
	ot_arena_fini(&arena);
}

static bool
count_kept(void *arg, struct ot_bytes framed)
{
	assert_true(framed.len > 3);
	++*(int *)arg;
	return true;
}

static int
kept_count(const struct ot_image *image, int16_t type)
{
	int count = 0;

	ot_image_visit_kept_records(image, type, count_kept, &count);
	return count;
}

/* Goal: ACLs, SCRAM credentials, quotas, tokens and controllers are kept, replaced by key, and
 * removed. Method: two of each, one replaced, one removed. */
static void
test_kept(void **state)
{
	struct ot_image *empty = create("");
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	struct ot_access_control_entry_record acl;
	struct ot_remove_access_control_entry_record no_acl;
	struct ot_user_scram_credential_record scram;
	struct ot_remove_user_scram_credential_record no_scram;
	struct ot_client_quota_record quota;
	struct ot_client_quota_record_entity entity[2];
	struct ot_delegation_token_record token;
	struct ot_register_controller_record controller;
	struct ot_image *image;
	(void)state;

	ot_access_control_entry_record_init(&acl);
	ot_remove_access_control_entry_record_init(&no_acl);
	ot_user_scram_credential_record_init(&scram);
	ot_remove_user_scram_credential_record_init(&no_scram);
	ot_client_quota_record_init(&quota);
	ot_delegation_token_record_init(&token);
	ot_register_controller_record_init(&controller);
	for (uint32_t i = 0; i < 3; i++) {
		acl.id = id_of(i % 2);
		assert_ok(apply(edit, &ot_access_control_entry_record_msg, &acl));
		scram.name = i % 2 == 0 ? OT_STR_LIT("alice") : OT_STR_LIT("bob");
		assert_ok(apply(edit, &ot_user_scram_credential_record_msg, &scram));
		token.token_id = scram.name;
		assert_ok(apply(edit, &ot_delegation_token_record_msg, &token));
		controller.controller_id = (int32_t)i % 2;
		assert_ok(apply(edit, &ot_register_controller_record_msg, &controller));
		/* The order of an entity's parts does not matter. */
		for (uint32_t j = 0; j < 2; j++) {
			ot_client_quota_record_entity_init(&entity[j]);
			entity[j].entity_type =
			    j == i % 2 ? OT_STR_LIT("user") : OT_STR_LIT("client-id");
			entity[j].entity_name = OT_STR_NULL;
		}
		quota.entity = entity;
		quota.entity_count = 2;
		quota.key = i == 2 ? OT_STR_LIT("other") : OT_STR_LIT("request_percentage");
		assert_ok(apply(edit, &ot_client_quota_record_msg, &quota));
	}
	image = end(edit, 1);
	assert_int_equal(kept_count(image, OT_ACCESS_CONTROL_ENTRY_RECORD_TYPE), 2);
	assert_int_equal(kept_count(image, OT_USER_SCRAM_CREDENTIAL_RECORD_TYPE), 2);
	assert_int_equal(kept_count(image, OT_DELEGATION_TOKEN_RECORD_TYPE), 2);
	assert_int_equal(kept_count(image, OT_REGISTER_CONTROLLER_RECORD_TYPE), 2);
	assert_int_equal(kept_count(image, OT_CLIENT_QUOTA_RECORD_TYPE), 2);
	edit = ot_image_edit_begin(image);
	ot_image_unref(image);
	no_acl.id = id_of(1);
	assert_ok(apply(edit, &ot_remove_access_control_entry_record_msg, &no_acl));
	no_scram.name = OT_STR_LIT("bob");
	assert_ok(apply(edit, &ot_remove_user_scram_credential_record_msg, &no_scram));
	quota.remove = true;
	assert_ok(apply(edit, &ot_client_quota_record_msg, &quota));
	image = end(edit, 2);
	assert_int_equal(kept_count(image, OT_ACCESS_CONTROL_ENTRY_RECORD_TYPE), 1);
	assert_int_equal(kept_count(image, OT_USER_SCRAM_CREDENTIAL_RECORD_TYPE), 1);
	assert_int_equal(kept_count(image, OT_CLIENT_QUOTA_RECORD_TYPE), 1);
	ot_image_unref(image);
	ot_image_unref(empty);
}

/* Goal: an image written as records makes the same image, at every level of metadata.version that
 * the image's content allows. Method: the versions' records above, dumped in pieces, applied,
 * printed. */
static void
test_dump(void **state)
{
	struct ot_image *empty = create(""), *image, *again;
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	struct ot_metadata_records records;
	struct ot_feature_level_record feature;
	struct ot_producer_ids_record ids;
	struct ot_register_broker_record broker;
	struct ot_image_dump *dump;
	struct model model = { 0 };
	struct ot_arena arena;
	char *text, *text_again;
	int32_t pieces = 0;
	(void)state;

	ot_arena_init(&arena, 0);
	ot_feature_level_record_init(&feature);
	feature.name = OT_STR_LIT("metadata.version");
	feature.feature_level = 30;
	assert_ok(apply(edit, &ot_feature_level_record_msg, &feature));
	feature.name = OT_STR_LIT("a.feature");
	assert_ok(apply(edit, &ot_feature_level_record_msg, &feature));
	ot_producer_ids_record_init(&ids);
	ids.next_producer_id = 5000;
	assert_ok(apply(edit, &ot_producer_ids_record_msg, &ids));
	ot_register_broker_record_init(&broker);
	broker.rack = OT_STR_LIT("r");
	assert_ok(apply(edit, &ot_register_broker_record_msg, &broker));
	assert_ok(apply_config(edit, OT_RESOURCE_BROKER, "", "log.retention.ms", "77"));
	for (int i = 0; i < 400; i++)
		change(&model, edit);
	image = end(edit, 1);
	text = fixture_print(image);
	edit = ot_image_edit_begin(empty);
	dump = ot_image_dump_begin(image);
	ot_metadata_records_init(&records);
	for (;; pieces++) {
		ot_metadata_records_reset(&records);
		assert_ok(ot_image_dump_next(dump, 1000, &records));
		if (records.count == 0)
			break;
		for (int32_t i = 0; i < records.count; i++) {
			struct ot_typed_record record;

			assert_ok(ot_typed_record_decode(OT_RECORD_LOG_METADATA,
			    ot_metadata_records_at(&records, i), &arena, &record));
			assert_ok(ot_image_edit_apply(edit, &record, NULL));
		}
	}
	assert_true(pieces > 10);
	again = end(edit, 1);
	text_again = fixture_print(again);
	assert_string_equal(text_again, text);
	ot_image_check(again);
	ot_metadata_records_fini(&records);
	ot_image_dump_end(dump);
	ot_image_unref(image);
	ot_image_unref(again);
	ot_image_unref(empty);
	ot_free(text);
	ot_free(text_again);
	ot_arena_fini(&arena);
}

/* Goal: the stated bound of memory: with 3 replicas, a partition takes under 128 bytes of an image,
 * one in a topic of its own under 512; a change adds some kilobytes. Method: 100,000 topics of one
 * partition, 100 topics of 1,000, the bytes that an image reaches. */
static void
test_scale(void **state)
{
	static const struct {
		uint32_t topics;
		int32_t partitions;
		uint64_t bytes_max;
	} rows[] = { { 100000, 1, 512 }, { 100, 1000, 160 } };
	(void)state;

	for (size_t row = 0; row < OT_ARRAY_COUNT(rows); row++) {
		struct ot_image *empty = create(""), *image, *next;
		struct ot_image_edit *edit = ot_image_edit_begin(empty);
		uint64_t count = rows[row].topics * (uint64_t)rows[row].partitions, bytes;
		struct ot_uuid id;
		char name[40];

		for (uint32_t i = 0; i < rows[row].topics; i++) {
			(void)snprintf(name, sizeof(name), "a-topic-name-of-some-length-%u", i);
			assert_ok(apply_topic(edit, name, i));
			for (int32_t j = 0; j < rows[row].partitions; j++)
				assert_ok(apply_partition(edit, i, j, 3));
		}
		image = end(edit, 1);
		bytes = ot_image_bytes(image);
		print_message("%u topics of %d partitions, 3 replicas: %llu bytes per partition\n",
		    rows[row].topics, rows[row].partitions, (unsigned long long)(bytes / count));
		assert_in_range(bytes / count, 1, rows[row].bytes_max - 1);
		edit = ot_image_edit_begin(image);
		assert_ok(apply_leader(edit, 7, 0, 2));
		next = end(edit, 2);
		assert_int_equal(ot_image_partition_count(next), count);
		id = id_of(7);
		assert_int_equal(ot_topic_partition(ot_image_topic_by_id(image, &id), 0)->leader,
		    1);
		assert_int_equal(ot_topic_partition(ot_image_topic_by_id(next, &id), 0)->leader, 2);
		ot_image_unref(image);
		ot_image_unref(next);
		ot_image_unref(empty);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_partition_change),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_scale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
