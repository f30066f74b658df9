/* An etcd process of this node's own: started, watched, restarted, and made a member of the
 * cluster's etcd.
 *
 *   <dir>/etcd/member.properties   what it was started with: name, URLs, initial cluster, token
 *   <dir>/etcd/data/               etcd's own
 *
 * The first node founds a cluster of one. Another asks for a place as a learner, starts with the
 * data of nobody, and is promoted once it has caught up and the voters are odd in number with it:
 * of two voters each could stop all. So the second node stays a learner until a third one comes;
 * etcd has room for one learner, the third promotes it and takes its place, for a moment. Each step
 * can be done again after a crash: the file is durable before etcd first runs, a member that was
 * added is found by its URL.
 *
 * A member's name says which node it is, and with which metadata directory: a node that comes back
 * with an empty disk is another one.
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
	struct ot_uuid directory; /* of the metadata log directory */
	const char *host;         /* at which the others reach this node: a name or a number */
	const char *bind_host; /* a number: where it listens; NULL: at `host`, which is one then */
	/* Of the members, to be joined (cluster/etcd_place.h); NULL: it founds a cluster. */
	struct ot_etcd_endpoints *others;
	int32_t members_max; /* it joins only if there are fewer, learners included */
	int64_t quota_bytes; /* 0: etcd's own */
	struct ot_etcd_tls tls;
	/* It answers and votes; again after each restart. */
	void (*on_ready)(void *arg, const char *client_url);
	/* It cannot go on without an operator. What runs still is stopped. OT_ERR_AGAIN: all places
	 * are taken, it has not joined; OT_ERR_NOT_FOUND: there is no program etcd;
	 * OT_ERR_VOTER_NOT_FOUND: it was removed from the cluster. Its folder means nothing then.
	 */
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

enum { OT_ETCD_VOTERS_MAX = 7 };

/* The name of a node's member, and what one says; false: it is none of ours.
 * @owner any thread */
void ot_etcd_member_name(int32_t node_id, const struct ot_uuid *directory,
    char ret_name[OT_ETCD_NAME_BYTES]);
bool ot_etcd_member_name_parse(const char *name, int32_t *ret_node_id,
    struct ot_uuid *ret_directory);

/* Removes what a member left in the directory, after its close. @owner worker   @blocks: worker */
OT_MUST_USE ot_err ot_etcd_member_forget(struct ot_fs *fs, const char *dir);

/* Whether a member was planned or made there: its file exists, and its URL is given if it has one.
 * @owner any thread   @blocks: worker */
bool ot_etcd_member_was_there(struct ot_fs *fs, const char *dir,
    char ret_client_url[OT_ETCD_URL_BYTES]);

/* Ends the process in order, then calls back; it is gone then. */
void ot_etcd_member_close(struct ot_etcd_member *member, void (*on_closed)(void *arg), void *arg);

#endif
