#include "cluster/feature_levels.h"

#include "wire/msg_metadata_log.h"

/* Levels of metadata.version from which records have new versions; the names are Kafka's. */
enum {
	METADATA_3_3_IV3 = 7,
	METADATA_3_4_IV0 = 8,
	METADATA_3_7_IV2 = 17,
	METADATA_4_0_IV1 = 23,
	METADATA_4_3_IV0 = 30,
};

const struct ot_feature ot_features[] = {
	{ OT_ELR_VERSION, 0, 1, 1 },
	{ OT_METADATA_VERSION, METADATA_3_3_IV3, METADATA_4_3_IV0, METADATA_4_3_IV0 },
};
const size_t ot_feature_count = OT_ARRAY_COUNT(ot_features);

const struct ot_feature *
ot_feature_find(struct ot_str name)
{
	for (size_t i = 0; i < ot_feature_count; i++) {
		if (ot_str_is(name, ot_features[i].name))
			return &ot_features[i];
	}
	return NULL;
}

/* A row: from this level on, records of the type have this version. */
struct row {
	int16_t type;
	int16_t level;
	int16_t version;
};

static const struct row rows[] = {
	{ OT_REGISTER_BROKER_RECORD_TYPE, 0, 1 },
	{ OT_REGISTER_BROKER_RECORD_TYPE, METADATA_3_4_IV0, 2 },
	{ OT_REGISTER_BROKER_RECORD_TYPE, METADATA_3_7_IV2, 3 },
	{ OT_REGISTER_BROKER_RECORD_TYPE, METADATA_4_3_IV0, 4 },
	{ OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE, 0, 1 },
	{ OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE, METADATA_3_7_IV2, 2 },
	{ OT_BROKER_REGISTRATION_CHANGE_RECORD_TYPE, METADATA_4_3_IV0, 3 },
	{ OT_PARTITION_RECORD_TYPE, METADATA_3_7_IV2, 1 },
	{ OT_PARTITION_RECORD_TYPE, METADATA_4_0_IV1, 2 },
	{ OT_PARTITION_CHANGE_RECORD_TYPE, METADATA_3_7_IV2, 1 },
	{ OT_PARTITION_CHANGE_RECORD_TYPE, METADATA_4_0_IV1, 2 },
};

int16_t
ot_metadata_record_version(int16_t metadata_version, int16_t type)
{
	int16_t version = 0;

	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (rows[i].type == type && metadata_version >= rows[i].level)
			version = rows[i].version;
	}
	return version;
}
