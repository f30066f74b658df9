/* An etcd process of this node's own: started, watched, restarted, and made a member of the
 * cluster's etcd.
 *
 *   <dir>/etcd/member.properties   what it was started with: name, URLs, initial cluster, token
 *   <dir>/etcd/data/               etcd's own
 *
 * The first node founds a cluster of one. Another asks for a place as a learner, starts with the
 * data of nobody, and is promoted once it has caught up. Each step can be done again after a crash:
 * the file is durable before etcd first runs, a member that was added is found by its URL.
 *
 * A file without the data behind it means that a member lost its disk. Started so, etcd would vote
 * without what it promised; it is refused, and has to be removed and to join anew.
 *
 * All of it: @owner control   @blocks never
 */
#ifndef OT_CLUSTER_ETCD_MEMBER_H
#define OT_CLUSTER_ETCD_MEMBER_H

#include "cluster/etcd_admin.h"

struct ot_etcd_member;

struct ot_etcd_member_args {
	struct ot_io *io;       /* a loop's */
	const char *dir;        /* the metadata log directory */
	const char *program;    /* NULL: etcd is looked for (io/child.h) */
	const char *cluster_id; /* keeps clusters apart that meet by mistake */
	int32_t node_id;
	const char *host;      /* at which the others reach this node: a name or a number */
	const char *bind_host; /* a number: where it listens; NULL: at `host`, which is one then */
	const char *const *join; /* client URLs of members; none: it founds a cluster */
	size_t join_count;
	int64_t quota_bytes; /* 0: etcd's own */
	struct ot_etcd_tls tls;
	/* It answers and votes; again after each restart. */
	void (*on_ready)(void *arg, const char *client_url);
	/* It cannot go on without an operator. What runs still is stopped. */
	void (*on_failure)(void *arg, ot_err err, const char *why);
	void *arg;
};

/* Texts are copied. */
struct ot_etcd_member *ot_etcd_member_create(const struct ot_etcd_member_args *args) OT_MUST_USE;

/* Founds, joins, or starts what was founded or joined before. */
void ot_etcd_member_start(struct ot_etcd_member *member);

/* Its client URL once it is known (after the first on_ready at the latest); else NULL. */
const char *ot_etcd_member_url(const struct ot_etcd_member *member);

/* Of the process, for diagnostics and tests; 0: it does not run. */
int64_t ot_etcd_member_pid(const struct ot_etcd_member *member);

/* Ends the process in order, then calls back; it is gone then. */
void ot_etcd_member_close(struct ot_etcd_member *member, void (*on_closed)(void *arg), void *arg);

#endif
