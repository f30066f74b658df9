/* A linearizable store of keys and values with revisions, leases and watches: the narrow door on
 * which the metadata log's engine `etcd` stands. kv_etcd.c reaches etcd through its JSON gateway;
 * a simulator can give a model of the same.
 *
 * What a store keeps, and the engine relies on nothing beyond:
 *   - A transaction is atomic and linearizable, one that only reads too. All that it changes has
 *     one revision, greater than all before.
 *   - A key knows the revision that created it (0: it is not there) and the one that changed it
 *     last. A deleted key that is put again is created anew.
 *   - A lease that is not kept alive ends after its time at the earliest; the keys that were put
 *     with it are deleted then, as by a transaction.
 *   - A watch tells all changes of its range from a revision on, in order, each once, with those
 *     of one revision together.
 *   - Revisions before a compaction cannot be read or watched.
 *
 * A call that fails with another error than those named at it may have been done, may be done
 * later, or never. Callbacks come on the control thread, never from inside the call that caused
 * them. All of it: @owner control   @blocks never
 */
#ifndef OT_CLUSTER_KV_H
#define OT_CLUSTER_KV_H

#include "base/bytes.h"
#include "base/list.h"
#include "io/io.h"

struct ot_kv;

struct ot_kv_pair {
	struct ot_str key;
	struct ot_bytes value;
	int64_t create_revision;
	int64_t mod_revision;
	int64_t lease; /* 0: none */
};

/* ---- transactions --------------------------------------------------------------------------- */

struct ot_kv_compare {
	const char *key;
	enum { OT_KV_CREATED, OT_KV_CHANGED } what; /* which of its revisions */
	int64_t revision;                           /* must be this; 0: it is not there */
};

struct ot_kv_op {
	enum { OT_KV_GET, OT_KV_PUT, OT_KV_DELETE } type;
	const char *key;
	const char *end; /* the range [key, end); NULL: the key alone */
	/* Of a put. */
	struct ot_bytes value;
	int64_t lease;
	/* Of a get. */
	int64_t revision; /* 0: the newest */
	int32_t limit;    /* 0: none */
	bool is_descending;
	bool is_keys_only;
};

/* What one operation of the branch that was taken found; nothing for puts and deletes. */
struct ot_kv_found {
	struct ot_kv_pair *pairs;
	int32_t count;
	bool has_more; /* the limit left some out */
};

enum { OT_KV_OPS_MAX = 128, OT_KV_TXN_BYTES_MAX = 1024 * 1024 };

struct ot_kv_txn {
	/* To be set by the caller; read during the call alone. At most OT_KV_OPS_MAX operations in
	 * a branch, with values of OT_KV_TXN_BYTES_MAX in all. */
	const struct ot_kv_compare *compares;
	size_t compare_count;
	const struct ot_kv_op *then; /* when all compares hold */
	size_t then_count;
	const struct ot_kv_op *otherwise;
	size_t otherwise_count;
	int64_t ms_max;
	/* OFFSET_OUT_OF_RANGE: a revision is compacted; OT_ERR_NO_SPACE, MESSAGE_TOO_LARGE,
	 * OT_ERR_NOT_FOUND (the lease): nothing was done. The result ends with the callback. */
	void (*on_done)(struct ot_kv_txn *txn, ot_err err);

	/* The result. */
	bool succeeded; /* all compares held */
	int64_t revision;
	struct ot_kv_found *found; /* of each operation */
	int32_t found_count;

	void *impl; /* the store's */
};

/* ---- leases, chores, watches ---------------------------------------------------------------- */

struct ot_kv_lease {
	enum { OT_KV_GRANT, OT_KV_KEEP, OT_KV_REVOKE } what;
	int64_t id;  /* set by a grant */
	int64_t ttl; /* seconds: wanted by a grant; what is left after it and a keep, 0: it is gone
	              */
	int64_t ms_max;
	void (*on_done)(struct ot_kv_lease *lease, ot_err err); /* OT_ERR_NO_SPACE */
	void *impl;
};

struct ot_kv_chore {
	/* COMPACT forgets what was before `revision`. RELIEVE gives the space of what is forgotten
	 * back and lets writing go on where the store had stopped it for want of space. */
	enum { OT_KV_COMPACT, OT_KV_RELIEVE } what;
	int64_t revision;
	void (*on_done)(struct ot_kv_chore *chore, ot_err err);
	void *impl;
};

struct ot_kv_event {
	struct ot_kv_pair pair; /* of a deletion: the key alone, and the revision that changed it */
	bool is_deletion;
};

struct ot_kv_watch {
	const char *key; /* [key, end) */
	const char *end;
	int64_t revision; /* the first to be told */
	void (
	    *on_events)(struct ot_kv_watch *watch, const struct ot_kv_event *events, int32_t count);
	/* It has ended by itself. OFFSET_OUT_OF_RANGE: the revision is compacted. */
	void (*on_end)(struct ot_kv_watch *watch, ot_err err);
	void *impl;
};

struct ot_kv_ops {
	void (*txn)(struct ot_kv *, struct ot_kv_txn *);
	void (*lease)(struct ot_kv *, struct ot_kv_lease *);
	void (*chore)(struct ot_kv *, struct ot_kv_chore *);
	void (*watch)(struct ot_kv *, struct ot_kv_watch *);
	void (*unwatch)(struct ot_kv *, struct ot_kv_watch *);
	void (*destroy)(struct ot_kv *);
};

/* A store's own type begins with this. */
struct ot_kv {
	const struct ot_kv_ops *ops; /* [const] */
};

void ot_kv_txn(struct ot_kv *kv, struct ot_kv_txn *txn);
void ot_kv_lease(struct ot_kv *kv, struct ot_kv_lease *lease);
void ot_kv_chore(struct ot_kv *kv, struct ot_kv_chore *chore);
void ot_kv_watch(struct ot_kv *kv, struct ot_kv_watch *watch);
void ot_kv_unwatch(struct ot_kv *kv, struct ot_kv_watch *watch); /* no callback comes after it */

/* Drops the connection and all calls under way, without their callbacks. May be called from inside
 * a callback. Accepts NULL. */
void ot_kv_destroy(struct ot_kv *kv);

/* ---- the store etcd ---------------------------------------------------------------------------
 */

struct ot_etcd_endpoints;

struct ot_kv_etcd_conf {
	struct ot_io *io;             /* a loop's */
	const char *const *endpoints; /* "http://host:port"; copied; tried in turn */
	size_t endpoint_count;
	struct ot_etcd_endpoints *list; /* or these, which may change (cluster/etcd_place.h) */
	const char *ca_file;            /* of https; each may be NULL */
	const char *cert_file;
	const char *key_file;
};

/* OT_ERR_NO_MEMORY; nothing is connected yet. */
OT_MUST_USE ot_err ot_kv_etcd_create(const struct ot_kv_etcd_conf *conf, struct ot_kv **ret_kv);

#endif
