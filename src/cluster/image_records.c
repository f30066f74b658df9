/* Records about brokers, and records of the rooms above: what they do to an image that is ours. */
#include "cluster/image_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "wire/msg_metadata_log.h"
#include "wire/recordio.h"

/* ---- brokers -------------------------------------------------------------------------------- */

/* A broker in one piece of memory: the struct, its arrays, its texts. */
struct broker_builder {
	struct ot_broker_image *broker;
	uint8_t *next; /* NULL while the bytes are only counted */
	size_t bytes;
};

static void *
builder_take(struct broker_builder *builder, size_t bytes)
{
	void *place = builder->next == NULL ? NULL : builder->next + builder->bytes;

	builder->bytes += (bytes + 7) / 8 * 8;
	return place;
}

static struct ot_str
builder_text(struct broker_builder *builder, struct ot_str text)
{
	char *copy;

	if (text.len < 0)
		return OT_STR_NULL;
	copy = builder_take(builder, (size_t)text.len + 1);
	if (copy != NULL && text.len > 0)
		memcpy(copy, text.data, (size_t)text.len);
	return (struct ot_str){ copy, text.len };
}

static void
builder_uuids(struct broker_builder *builder, const struct ot_uuid *from, int32_t count,
    const struct ot_uuid **ret_uuids, int32_t *ret_count)
{
	size_t bytes = (size_t)OT_MAX(count, 0) * sizeof(*from);
	struct ot_uuid *copy = builder_take(builder, bytes);

	if (copy != NULL && bytes > 0)
		memcpy(copy, from, bytes);
	*ret_uuids = copy;
	*ret_count = OT_MAX(count, 0);
}

/* Goes twice over the same steps: first counting, then with memory for what was counted. */
static void
builder_fill(struct broker_builder *builder, const struct ot_broker_image *from)
{
	struct ot_broker_image *broker = builder_take(builder, sizeof(*broker));
	struct ot_broker_image counting = { 0 };
	struct ot_endpoint_image *endpoints;
	struct ot_feature_range *features;

	if (broker == NULL)
		broker = &counting;
	else
		*broker = *from;
	ot_refs_init(&broker->refs);
	broker->rack = builder_text(builder, from->rack);
	endpoints = builder_take(builder, (size_t)from->endpoint_count * sizeof(*endpoints));
	for (int32_t i = 0; i < from->endpoint_count; i++) {
		struct ot_endpoint_image endpoint = from->endpoints[i];

		endpoint.name = builder_text(builder, endpoint.name);
		endpoint.host = builder_text(builder, endpoint.host);
		if (endpoints != NULL)
			endpoints[i] = endpoint;
	}
	broker->endpoints = endpoints;
	features = builder_take(builder, (size_t)from->feature_count * sizeof(*features));
	for (int32_t i = 0; i < from->feature_count; i++) {
		struct ot_feature_range feature = from->features[i];

		feature.name = builder_text(builder, feature.name);
		if (features != NULL)
			features[i] = feature;
	}
	broker->features = features;
	builder_uuids(builder, from->log_dirs, from->log_dir_count, &broker->log_dirs,
	    &broker->log_dir_count);
	builder_uuids(builder, from->cordoned_log_dirs, from->cordoned_log_dir_count,
	    &broker->cordoned_log_dirs, &broker->cordoned_log_dir_count);
	builder->broker = broker;
}

static struct ot_broker_image *
broker_create(const struct ot_broker_image *from)
{
	struct broker_builder builder = { 0 };
	size_t bytes;

	builder_fill(&builder, from);
	bytes = builder.bytes;
	builder = (struct broker_builder){ .next = ot_must_alloc(bytes) };
	builder_fill(&builder, from);
	OT_ASSERT(builder.bytes == bytes);
	return builder.broker;
}

static void
broker_put(struct ot_image *image, const struct ot_broker_image *broker)
{
	if (tree_put(&image->brokers, &image_brokers, broker_create(broker)))
		image->broker_count++;
}

static void
register_broker(struct ot_image *image, const struct ot_register_broker_record *record)
{
	struct ot_endpoint_image *endpoints =
	    ot_must_alloc((size_t)OT_MAX(record->end_points_count, 0) * sizeof(*endpoints) + 1);
	struct ot_feature_range *features =
	    ot_must_alloc((size_t)OT_MAX(record->features_count, 0) * sizeof(*features) + 1);
	struct ot_broker_image broker = {
		.id = record->broker_id,
		.epoch = record->broker_epoch,
		.incarnation = record->incarnation_id,
		.rack = record->rack,
		.is_fenced = record->fenced,
		.is_in_controlled_shutdown = record->in_controlled_shutdown,
		.endpoints = endpoints,
		.endpoint_count = OT_MAX(record->end_points_count, 0),
		.log_dirs = record->log_dirs,
		.log_dir_count = OT_MAX(record->log_dirs_count, 0),
		.cordoned_log_dirs = record->cordoned_log_dirs,
		.cordoned_log_dir_count = OT_MAX(record->cordoned_log_dirs_count, 0),
		.features = features,
		.feature_count = OT_MAX(record->features_count, 0),
	};

	for (int32_t i = 0; i < broker.endpoint_count; i++)
		endpoints[i] = (struct ot_endpoint_image){
			.name = record->end_points[i].name,
			.host = record->end_points[i].host,
			.port = record->end_points[i].port,
			.security = record->end_points[i].security_protocol,
		};
	for (int32_t i = 0; i < broker.feature_count; i++)
		features[i] = (struct ot_feature_range){
			.name = record->features[i].name,
			.min = record->features[i].min_supported_version,
			.max = record->features[i].max_supported_version,
		};
	broker_put(image, &broker);
	ot_free(endpoints);
	ot_free(features);
}

/* The registration that a record is about; NULL when it is not there in that epoch. */
static const struct ot_broker_image *
registration(const struct ot_image *image, int32_t id, int64_t epoch, const char *what,
    struct ot_why *why)
{
	const struct ot_broker_image *broker = ot_image_broker(image, id);

	if (broker != NULL && broker->epoch == epoch)
		return broker;
	ot_why_set(why, "%s of broker %d with epoch %lld, but its registration %s", what, id,
	    (long long)epoch, broker == NULL ? "is not there" : "has another epoch");
	return NULL;
}

static ot_err
change_broker(struct ot_image *image, const struct ot_broker_registration_change_record *record,
    struct ot_why *why)
{
	const struct ot_broker_image *old =
	    registration(image, record->broker_id, record->broker_epoch, "a change", why);
	struct ot_broker_image broker;

	if (old == NULL)
		return OT_ERR_MALFORMED;
	broker = *old;
	if (record->fenced != 0)
		broker.is_fenced = record->fenced > 0;
	if (record->in_controlled_shutdown > 0)
		broker.is_in_controlled_shutdown = true;
	if (record->log_dirs_count > 0) {
		broker.log_dirs = record->log_dirs;
		broker.log_dir_count = record->log_dirs_count;
	}
	if (record->cordoned_log_dirs_count >= 0) {
		broker.cordoned_log_dirs = record->cordoned_log_dirs;
		broker.cordoned_log_dir_count = record->cordoned_log_dirs_count;
	}
	broker_put(image, &broker);
	return OT_OK;
}

static ot_err
fence_broker(struct ot_image *image, int32_t id, int64_t epoch, bool is_fenced, struct ot_why *why)
{
	const struct ot_broker_image *old =
	    registration(image, id, epoch, is_fenced ? "the fencing" : "the unfencing", why);
	struct ot_broker_image broker;

	if (old == NULL)
		return OT_ERR_MALFORMED;
	broker = *old;
	broker.is_fenced = is_fenced;
	broker_put(image, &broker);
	return OT_OK;
}

static ot_err
unregister_broker(struct ot_image *image, const struct ot_unregister_broker_record *record,
    struct ot_why *why)
{
	if (registration(image, record->broker_id, record->broker_epoch, "the end", why) == NULL)
		return OT_ERR_MALFORMED;
	tree_remove(&image->brokers, &image_brokers, image_key_of_int(record->broker_id));
	image->broker_count--;
	return OT_OK;
}

ot_err
image_broker_apply(struct ot_image *image, const struct ot_typed_record *record, struct ot_why *why)
{
	const void *msg = record->msg;
	const struct ot_register_broker_record *registered = msg;
	const struct ot_fence_broker_record *fence = msg;
	const struct ot_unfence_broker_record *unfence = msg;

	switch (record->type->type) {
	case OT_REGISTER_BROKER_RECORD_TYPE:
		if (registered->broker_id < 0) {
			ot_why_set(why, "a broker with the id %d", registered->broker_id);
			return OT_ERR_MALFORMED;
		}
		register_broker(image, registered);
		return OT_OK;
	case OT_UNREGISTER_BROKER_RECORD_TYPE:
		return unregister_broker(image, msg, why);
	case OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE:
		return change_broker(image, msg, why);
	case OT_FENCE_BROKER_RECORD_TYPE:
		return fence_broker(image, fence->id, fence->epoch, true, why);
	case OT_UNFENCE_BROKER_RECORD_TYPE:
		return fence_broker(image, unfence->id, unfence->epoch, false, why);
	default:
		OT_PANIC("record type %d is not about brokers", record->type->type);
	}
}

/* ---- kept records --------------------------------------------------------------------------- */

static void
key_text(struct ot_writer *key, struct ot_str text)
{
	ot_write_i32(key, text.len);
	if (text.len > 0)
		ot_write_raw(key, text.data, (size_t)text.len);
}

/* A quota's entity is a set: the order of its parts must not tell two keys apart. */
static void
key_quota(struct ot_writer *key, const struct ot_client_quota_record *record)
{
	struct ot_str last = OT_STR_NULL;

	for (int32_t written = 0; written < record->entity_count; written++) {
		const struct ot_client_quota_record_entity *least = NULL;

		for (int32_t i = 0; i < record->entity_count; i++) {
			const struct ot_client_quota_record_entity *entity = &record->entity[i];

			if (ot_str_compare(entity->entity_type, last) > 0 &&
			    (least == NULL ||
				ot_str_compare(entity->entity_type, least->entity_type) < 0))
				least = entity;
		}
		if (least == NULL)
			break; /* a type stood there twice */
		key_text(key, least->entity_type);
		key_text(key, least->entity_name);
		last = least->entity_type;
	}
	key_text(key, record->key);
}

struct keeping {
	int16_t type; /* under which the record is kept */
	bool is_end;  /* the record takes that one away */
};

static ot_err
keeping_of(const struct ot_typed_record *record, struct ot_writer *key, struct keeping *ret_keeping,
    struct ot_why *why)
{
	const void *msg = record->msg;
	const struct ot_user_scram_credential_record *scram = msg;
	const struct ot_remove_user_scram_credential_record *no_scram = msg;
	const struct ot_client_quota_record *quota = msg;
	struct keeping keeping = { .type = record->type->type };

	switch (record->type->type) {
	case OT_REMOVE_ACCESS_CONTROL_ENTRY_RECORD_TYPE:
		keeping = (struct keeping){ OT_ACCESS_CONTROL_ENTRY_RECORD_TYPE, true };
		ot_write_uuid(key,
		    &((const struct ot_remove_access_control_entry_record *)msg)->id);
		break;
	case OT_ACCESS_CONTROL_ENTRY_RECORD_TYPE:
		ot_write_uuid(key, &((const struct ot_access_control_entry_record *)msg)->id);
		break;
	case OT_REMOVE_USER_SCRAM_CREDENTIAL_RECORD_TYPE:
		keeping = (struct keeping){ OT_USER_SCRAM_CREDENTIAL_RECORD_TYPE, true };
		key_text(key, no_scram->name);
		ot_write_i8(key, no_scram->mechanism);
		break;
	case OT_USER_SCRAM_CREDENTIAL_RECORD_TYPE:
		key_text(key, scram->name);
		ot_write_i8(key, scram->mechanism);
		break;
	case OT_REMOVE_DELEGATION_TOKEN_RECORD_TYPE:
		keeping = (struct keeping){ OT_DELEGATION_TOKEN_RECORD_TYPE, true };
		key_text(key, ((const struct ot_remove_delegation_token_record *)msg)->token_id);
		break;
	case OT_DELEGATION_TOKEN_RECORD_TYPE:
		key_text(key, ((const struct ot_delegation_token_record *)msg)->token_id);
		break;
	case OT_CLIENT_QUOTA_RECORD_TYPE:
		keeping.is_end = quota->remove;
		key_quota(key, quota);
		break;
	case OT_REGISTER_CONTROLLER_RECORD_TYPE:
		ot_write_i32(key,
		    ((const struct ot_register_controller_record *)msg)->controller_id);
		break;
	case OT_ZK_MIGRATION_STATE_RECORD_TYPE:
		break; /* there is one */
	default:
		ot_why_set(why,
		    "records of type %d (%s) are not known to this release: a newer one "
		    "wrote the metadata log",
		    record->type->type, record->type->name);
		return OT_ERR_UNSUPPORTED_VERSION;
	}
	*ret_keeping = keeping;
	return OT_OK;
}

static struct image_kept *
kept_create(int16_t type, const struct ot_writer *key, const struct ot_writer *framed)
{
	struct image_kept *kept = ot_must_alloc(sizeof(*kept) + key->bytes + framed->bytes);

	OT_ASSERT(!key->failed && !framed->failed);
	ot_refs_init(&kept->refs);
	kept->type = type;
	kept->key = (struct ot_bytes){ kept->bytes, (int32_t)key->bytes };
	kept->framed = (struct ot_bytes){ kept->bytes + key->bytes, (int32_t)framed->bytes };
	if (key->bytes > 0)
		memcpy(kept->bytes, key->data, key->bytes);
	memcpy(kept->bytes + key->bytes, framed->data, framed->bytes);
	return kept;
}

ot_err
image_keep(struct ot_image *image, const struct ot_typed_record *record, struct ot_why *why)
{
	struct ot_writer key, framed;
	struct keeping keeping;
	ot_err err;

	ot_writer_init(&key);
	ot_writer_init(&framed);
	err = keeping_of(record, &key, &keeping, why);
	if (err != OT_OK)
		goto out;
	if (keeping.is_end) {
		struct image_kept wanted = { .type = keeping.type,
			.key = { key.data == NULL ? (const uint8_t *)"" : key.data,
			    (int32_t)key.bytes } };

		tree_remove(&image->kept, &image_kept, image_key_of_kept(&wanted));
		goto out;
	}
	err = ot_typed_record_encode(OT_RECORD_LOG_METADATA, record->type, record->version,
	    record->msg, &framed);
	if (err == OT_OK)
		tree_put(&image->kept, &image_kept, kept_create(keeping.type, &key, &framed));
out:
	ot_writer_fini(&key);
	ot_writer_fini(&framed);
	return err;
}
