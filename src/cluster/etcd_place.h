/* Where a cluster's metadata log is in etcd: what a node that is in a cluster knows of it, in
 * memory and in its folder.
 *
 *   <metadata log dir>/metadata.etcd     cluster.id=ID
 *                                        prefix=/ottla/ID
 *                                        endpoints=http://host:port,...
 *
 * The file is written before `metadata.engine` (metalog_grow.h) says `growing` or `etcd`, and again
 * whenever the members of etcd change; so a node that was away for long finds one of them at its
 * next start, as long as one of those that it knew is left.
 */
#ifndef OT_CLUSTER_ETCD_PLACE_H
#define OT_CLUSTER_ETCD_PLACE_H

#include "base/text.h"
#include "cluster/etcd_admin.h"
#include "io/fs.h"

enum { OT_ETCD_ENDPOINTS_MAX = 32, OT_ETCD_PREFIX_BYTES = 160, OT_ETCD_CLUSTER_BYTES = 128 };

/* A value: assigned and compared as a whole. */
struct ot_etcd_place {
	char cluster_id[OT_ETCD_CLUSTER_BYTES];
	char prefix[OT_ETCD_PREFIX_BYTES];
	char endpoints[OT_ETCD_ENDPOINTS_MAX][OT_ETCD_URL_BYTES]; /* "http://host:port" */
	size_t endpoint_count;
};

/* Adds an endpoint, unless it is there or there is no room. @owner the place's   @blocks never */
void ot_etcd_place_add(struct ot_etcd_place *place, const char *endpoint);

/* Reads the file. OT_ERR_NOT_FOUND; OT_ERR_CORRUPT_FILE, OT_ERR_IO with `why`.
 * @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_etcd_place_read(struct ot_fs *fs, const char *dir,
    struct ot_etcd_place *ret_place, struct ot_why *why);

/* Writes it, durably. OT_ERR_NO_SPACE, OT_ERR_IO. @owner any thread   @blocks: worker */
OT_MUST_USE ot_err ot_etcd_place_write(struct ot_fs *fs, const char *dir,
    const struct ot_etcd_place *place);

/* ---- endpoints that change while they are in use ----------------------------------------------
 */

/* A list that all clients of one etcd share: whoever sets it lets them know. May be empty; then
 * they wait. */
struct ot_etcd_endpoints;

/* With one reference. @owner control   @blocks never; so all below */
struct ot_etcd_endpoints *ot_etcd_endpoints_create(void) OT_MUST_USE;
struct ot_etcd_endpoints *ot_etcd_endpoints_ref(struct ot_etcd_endpoints *list);
void ot_etcd_endpoints_unref(struct ot_etcd_endpoints *list); /* accepts NULL */

/* Texts are copied. At most OT_ETCD_ENDPOINTS_MAX. @owner control */
void ot_etcd_endpoints_set(struct ot_etcd_endpoints *list, const char *const *endpoints,
    size_t count);

/* `index` is below the count; the text lives until the next set. @owner control */
size_t ot_etcd_endpoints_count(const struct ot_etcd_endpoints *list);
const char *ot_etcd_endpoints_at(const struct ot_etcd_endpoints *list, size_t index);

/* Grows with each change, from 1. @owner control */
uint64_t ot_etcd_endpoints_version(const struct ot_etcd_endpoints *list);

#endif
