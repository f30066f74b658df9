#include "cluster/feature_levels.h"

#include <string.h>

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

/* The names of levels, from METADATA_3_3_IV3 on. */
static const char *const releases[] = {
	"3.3-IV3",
	"3.4-IV0",
	"3.5-IV0",
	"3.5-IV1",
	"3.5-IV2",
	"3.6-IV0",
	"3.6-IV1",
	"3.6-IV2",
	"3.7-IV0",
	"3.7-IV1",
	"3.7-IV2",
	"3.7-IV3",
	"3.7-IV4",
	"3.8-IV0",
	"3.9-IV0",
	"4.0-IV0",
	"4.0-IV1",
	"4.0-IV2",
	"4.0-IV3",
	"4.1-IV0",
	"4.1-IV1",
	"4.2-IV0",
	"4.2-IV1",
	"4.3-IV0",
};
_Static_assert(OT_ARRAY_COUNT(releases) == METADATA_4_3_IV0 - METADATA_3_3_IV3 + 1,
    "every level has a name");

const char *
ot_metadata_release(int16_t level)
{
	bool is_known = level >= METADATA_3_3_IV3 && level <= METADATA_4_3_IV0;
	return is_known ? releases[level - METADATA_3_3_IV3] : NULL;
}

/* How much of a text names major and minor release: "4.3" of "4.3.1". */
static int32_t
minor_bytes(struct ot_str text)
{
	int32_t dots = 0;
	for (int32_t i = 0; i < text.len; i++) {
		dots += text.data[i] == '.';
		if (dots == 2)
			return i;
	}
	return text.len;
}

int16_t
ot_metadata_level(struct ot_str release)
{
	struct ot_str wanted = { release.data, minor_bytes(release) };
	for (int16_t level = METADATA_4_3_IV0; level >= METADATA_3_3_IV3; level--) {
		const char *name = ot_metadata_release(level);
		struct ot_str minor = { name, (int32_t)strcspn(name, "-") };
		if (ot_str_is(wanted, name) || ot_str_equal(wanted, minor))
			return level;
	}
	return 0;
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
