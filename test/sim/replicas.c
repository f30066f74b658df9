/* Reading partitions off disks, and comparing them. */
#include "replicas.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "record/batch.h"

enum { SEGMENTS_MAX = 4096, PATH_BYTES = 160, NAME_BYTES = 40 };

struct batch {
	int64_t base_offset;
	int64_t next_offset;
	uint32_t crc; /* of all bytes */
};

struct replica {
	char dir[PATH_BYTES];
	char (*names)[NAME_BYTES];
	size_t name_count;
	struct batch *batches;
	size_t count;
	size_t capacity;
};

static ot_err
take_name(void *arg, const char *name, bool is_dir)
{
	struct replica *replica = arg;
	size_t bytes = strlen(name);

	if (is_dir || bytes < 4 || strcmp(name + bytes - 4, ".log") != 0)
		return OT_OK;
	OT_ASSERT(replica->name_count < SEGMENTS_MAX && bytes < NAME_BYTES);
	memcpy(replica->names[replica->name_count++], name, bytes + 1);
	return OT_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
add_batch(struct replica *replica, const uint8_t *bytes, const struct ot_batch_info *info)
{
	if (replica->count == replica->capacity) {
		replica->capacity = OT_MAX(1024, replica->capacity * 2);
		replica->batches =
		    ot_realloc(replica->batches, replica->capacity * sizeof(*replica->batches));
		OT_ASSERT(replica->batches != NULL);
	}
	replica->batches[replica->count++] = (struct batch){
		.base_offset = info->base_offset,
		.next_offset = ot_batch_info_last_offset(info) + 1,
		.crc = ot_crc32c(0, bytes, info->bytes),
	};
}

static void
read_segment(struct replica *replica, struct ot_fs *fs, const char *name)
{
	char path[PATH_BYTES + NAME_BYTES + 1300];
	struct ot_batch_info info;
	struct ot_file *file;
	uint64_t size = 0;
	size_t got = 0;
	uint8_t *bytes;

	(void)snprintf(path, sizeof(path), "%s/%s", replica->dir, name);
	if (ot_fs_open(fs, path, OT_OPEN_READ, &file) != OT_OK)
		return;
	bytes = ot_file_size(file, &size) == OT_OK ? ot_must_alloc(size + 1) : NULL;
	if (bytes != NULL && ot_file_read(file, bytes, size, 0, &got) == OT_OK) {
		for (size_t at = 0; at < got; at += info.bytes) {
			if (ot_batch_parse(bytes + at, got - at, &info, NULL) != OT_OK)
				break;
			add_batch(replica, bytes + at, &info);
		}
	}
	ot_free(bytes);
	ot_file_unref(file);
}

static void
replica_init(struct replica *replica, struct sim *sim, struct history_place place, int32_t id)
{
	struct ot_fs *fs = ot_sim_host_fs(cluster_broker(&sim->cluster, id)->host);

	*replica = (struct replica){ .names = ot_must_alloc(SEGMENTS_MAX * NAME_BYTES) };
	(void)snprintf(replica->dir, sizeof(replica->dir), "/data/%s-%d",
	    sim->plan.topics[place.topic].name, place.partition);
	if (ot_fs_list(fs, replica->dir, take_name, replica) != OT_OK)
		return;
	qsort(replica->names, replica->name_count, NAME_BYTES, compare_names);
	for (size_t i = 0; i < replica->name_count; i++)
		read_segment(replica, fs, replica->names[i]);
}

static void
replica_fini(struct replica *replica)
{
	ot_free(replica->names);
	ot_free(replica->batches);
}

/* Compares batches with the same offsets; those that one of the two has deleted do not count. */
static void
compare(struct sim *sim, struct history_place place, int32_t ids[2], struct replica *pair[2])
{
	const char *name = sim->plan.topics[place.topic].name;
	size_t at[2] = { 0, 0 };

	for (;;) {
		const struct batch *one = &pair[0]->batches[at[0]];
		const struct batch *other = &pair[1]->batches[at[1]];

		if (at[0] == pair[0]->count || at[1] == pair[1]->count)
			return;
		if (one->base_offset == other->base_offset && one->crc == other->crc) {
			at[0]++;
			at[1]++;
		} else if (at[1] == 0 && one->next_offset <= other->base_offset) {
			at[0]++;
		} else if (at[0] == 0 && other->next_offset <= one->base_offset) {
			at[1]++;
		} else {
			history_fail(sim->history,
			    "%s-%d differs on brokers %d and %d: batches at offsets %" PRId64
			    " and %" PRId64 "%s",
			    name, place.partition, ids[0], ids[1], one->base_offset,
			    other->base_offset,
			    one->base_offset == other->base_offset ? " have other bytes" : "");
			return;
		}
	}
}

static int64_t
end_of(const struct replica *replica)
{
	return replica->count == 0 ? 0 : replica->batches[replica->count - 1].next_offset;
}

static void
check_gaps(struct sim *sim, struct history_place place, int32_t id, const struct replica *replica)
{
	for (size_t i = 1; i < replica->count; i++)
		if (replica->batches[i].base_offset != replica->batches[i - 1].next_offset)
			history_fail(sim->history,
			    "%s-%d on broker %d has a gap before offset %" PRId64,
			    sim->plan.topics[place.topic].name, place.partition, id,
			    replica->batches[i].base_offset);
}

static void
check_pair(struct sim *sim, struct history_place place, int32_t ids[2], struct replica *pair[2])
{
	if (end_of(pair[0]) != end_of(pair[1]))
		history_fail(sim->history,
		    "%s-%d ends at offset %" PRId64 " on broker %d and at %" PRId64 " on broker %d",
		    sim->plan.topics[place.topic].name, place.partition, end_of(pair[0]), ids[0],
		    end_of(pair[1]), ids[1]);
	compare(sim, place, ids, pair);
}

void
replicas_check(struct sim *sim, struct history_place place)
{
	const struct ot_image *image = oracle_image(sim->oracle);
	const struct ot_topic_image *topic;
	static const int32_t alone[] = { 1 };
	struct ot_ids ids = { alone, 1 };
	struct replica replicas[CLUSTER_BROKERS_MAX];

	if (image != NULL) {
		topic = ot_image_topic(image, ot_str_from(sim->plan.topics[place.topic].name));
		ids = ot_partition_replicas(ot_topic_partition(topic, place.partition));
	}
	for (int32_t i = 0; i < ids.count; i++) {
		replica_init(&replicas[i], sim, place, ids.items[i]);
		check_gaps(sim, place, ids.items[i], &replicas[i]);
	}
	for (int32_t i = 1; i < ids.count; i++) {
		int32_t pair_ids[] = { ids.items[0], ids.items[i] };
		struct replica *pair[] = { &replicas[0], &replicas[i] };

		check_pair(sim, place, pair_ids, pair);
	}
	for (int32_t i = 0; i < ids.count; i++)
		replica_fini(&replicas[i]);
}
