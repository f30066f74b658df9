/* What the files around replicas.c share. */
#ifndef OT_REPLICA_REPLICAS_INT_H
#define OT_REPLICA_REPLICAS_INT_H

#include "replica/replicas.h"

/* replicas_settings.c. @owner any thread   @blocks never */
struct ot_part_settings replicas_settings(const struct ot_image *image,
    const struct ot_topic_image *topic);

/* Where a replica is, beside where the metadata has it. */
enum replicas_dir {
	REPLICAS_DIR_UNTOLD, /* nothing to say of it */
	REPLICAS_DIR_KNOWN,
	REPLICAS_DIR_NEWS,
};

/* replicas_dirs.c. `dir` is where it is; `is_anew`: its log began here, with nothing.
 * @owner any thread   @blocks never */
enum replicas_dir replicas_find_dir(const struct ot_image *image, const struct ot_part *part,
    int32_t node_id, const struct ot_uuid *dir, bool is_anew);

/* replicas_dirs.c. Whether the metadata has this broker's replica in a directory that had failed at
 * the start: then `place` is there. @owner any thread   @blocks never */
bool replicas_is_missing(const struct ot_dirs *dirs, const struct ot_topic_image *topic,
    int32_t index, int32_t node_id, struct ot_dirs_place *place);

/* replicas_dirs.c. Finds out whether it is a directory that has failed when a log in it has: a
 * worker tries, one try at a time for each directory. All of it: @owner shard   @blocks never */
struct replicas_probes;

struct replicas_probes_conf {
	struct ot_shard *shard;
	struct ot_dirs *dirs;
	/* `has_failed`: that was not known before, on this shard or another. */
	void (*on_done)(void *arg, size_t dir, bool has_failed);
	void *arg;
};

struct replicas_probes *replicas_probes_create(const struct replicas_probes_conf *conf) OT_MUST_USE;
void replicas_probes_destroy(struct replicas_probes *probes); /* idle; accepts NULL */

/* A log in the directory has failed. */
void replicas_probes_look(struct replicas_probes *probes, size_t dir);
bool replicas_probes_are_idle(const struct replicas_probes *probes);

#endif
