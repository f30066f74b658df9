#include "replica/replicas_int.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/report.h"

/* The metadata has the replica in a directory that is gone, on a disk that was replaced perhaps,
 * and nobody leads. What is here now is empty: were it told, it could be elected and be believed.
 */
static bool
is_no_heir(const struct ot_partition_image *partition, const struct ot_uuid *known, bool is_anew)
{
	return is_anew && partition->leader < 0 &&
	       !ot_uuid_equal(known, &ot_directory_unassigned) &&
	       !ot_uuid_equal(known, &ot_directory_migrating);
}

enum replicas_dir
replicas_find_dir(const struct ot_image *image, const struct ot_part *part, int32_t node_id,
    const struct ot_uuid *dir, bool is_anew)
{
	const struct ot_topic_image *topic = ot_image_topic_by_id(image, ot_part_topic_id(part));
	const struct ot_partition_image *partition =
	    topic != NULL ? ot_topic_partition(topic, ot_part_index(part)) : NULL;
	struct ot_ids ids =
	    partition != NULL ? ot_partition_replicas(partition) : (struct ot_ids){ 0 };
	for (int32_t i = 0; i < ids.count; i++) {
		struct ot_uuid known = ot_partition_directory(partition, i);
		if (ids.items[i] != node_id)
			continue;
		if (ot_uuid_equal(&known, dir))
			return REPLICAS_DIR_KNOWN;
		return is_no_heir(partition, &known, is_anew) ? REPLICAS_DIR_UNTOLD
		                                              : REPLICAS_DIR_NEWS;
	}
	return REPLICAS_DIR_UNTOLD;
}

bool
replicas_is_missing(const struct ot_dirs *dirs, const struct ot_topic_image *topic, int32_t index,
    int32_t node_id, struct ot_dirs_place *place)
{
	const struct ot_partition_image *partition = ot_topic_partition(topic, index);
	struct ot_uuid known = ot_directory_unassigned;
	struct ot_ids ids = ot_partition_replicas(partition);
	for (int32_t i = 0; i < ids.count; i++) {
		if (ids.items[i] == node_id)
			known = ot_partition_directory(partition, i);
	}
	if (place->is_found || ot_uuid_equal(&known, &ot_directory_unassigned) ||
	    ot_uuid_equal(&known, &ot_directory_migrating) ||
	    !ot_dirs_is_missing(dirs, &known, &place->dir))
		return false;
	snprintf(place->path, sizeof(place->path), "%s/%.*s-%d", ot_dirs_path(dirs, place->dir),
	    OT_STR_ARG(topic->name), index);
	return true;
}

/* ---- probes -------------------------------------------------------------------------------- */

struct probe {
	struct replicas_probes *probes;
	struct ot_job job;
	size_t dir;
	bool is_running;
	ot_err err;
};

struct replicas_probes {
	struct replicas_probes_conf conf; /* [const] */
	struct probe *items;              /* heap; by directory */
	size_t running_count;
};

static void
run_probe(struct ot_job *job)
{
	struct probe *probe = OT_CONTAINER_OF(job, struct probe, job);
	probe->err = ot_dirs_probe(probe->probes->conf.dirs, probe->dir);
}

static void
probe_is_done(struct ot_job *job)
{
	struct probe *probe = OT_CONTAINER_OF(job, struct probe, job);
	struct replicas_probes *probes = probe->probes;
	const struct replicas_probes_conf *conf = &probes->conf;
	bool has_failed = probe->err != OT_OK && ot_dirs_fail(conf->dirs, probe->dir);
	probe->is_running = false;
	probes->running_count--;
	if (has_failed) {
		OT_ERROR("replica",
		    "the log directory %s has failed: its partitions are offline until the disk is "
		    "well and the broker is restarted",
		    ot_dirs_path(conf->dirs, probe->dir));
		ot_dirs_distrust(conf->dirs, probe->dir);
	}
	conf->on_done(conf->arg, probe->dir, has_failed);
}

void
replicas_probes_look(struct replicas_probes *probes, size_t dir)
{
	OT_ON_SHARD(probes->conf.shard);
	struct probe *probe = &probes->items[dir];
	if (probe->is_running || ot_dirs_has_failed(probes->conf.dirs, dir))
		return;
	probe->is_running = true;
	probes->running_count++;
	probe->job = (struct ot_job){ .work = run_probe, .done = probe_is_done };
	ot_io_submit(probes->conf.shard->io, &probe->job);
}

bool
replicas_probes_are_idle(const struct replicas_probes *probes)
{
	return probes->running_count == 0;
}

struct replicas_probes *
replicas_probes_create(const struct replicas_probes_conf *conf)
{
	struct replicas_probes *probes = OT_NEW(struct replicas_probes);
	size_t count = ot_dirs_count(conf->dirs);
	probes->conf = *conf;
	probes->items = ot_must_alloc(count * sizeof(*probes->items));
	for (size_t i = 0; i < count; i++)
		probes->items[i] = (struct probe){ .probes = probes, .dir = i };
	return probes;
}

void
replicas_probes_destroy(struct replicas_probes *probes)
{
	if (probes == NULL)
		return;
	OT_ASSERT(probes->running_count == 0);
	ot_free(probes->items);
	ot_free(probes);
}
