/* The members of an etcd cluster: list, add as a learner, promote, remove. All of it:
 * @owner control   @blocks never */
#ifndef OT_CLUSTER_ETCD_ADMIN_H
#define OT_CLUSTER_ETCD_ADMIN_H

#include "base/list.h"
#include "io/io.h"

struct ot_etcd_admin;

enum { OT_ETCD_MEMBERS_MAX = 16, OT_ETCD_URL_BYTES = 300, OT_ETCD_NAME_BYTES = 64 };

struct ot_etcd_member_info {
	uint64_t id;
	char name[OT_ETCD_NAME_BYTES]; /* "": it has not started yet */
	char peer_url[OT_ETCD_URL_BYTES];
	char client_url[OT_ETCD_URL_BYTES];
	bool is_learner;
};

enum ot_etcd_admin_what {
	OT_ETCD_LIST,
	OT_ETCD_ADD,     /* a learner at peer_url; OT_ERR_AGAIN: another is on its way in */
	OT_ETCD_PROMOTE, /* OT_ERR_AGAIN: it has not caught up; OT_OK too when it votes */
	OT_ETCD_REMOVE,  /* OT_OK too when it is not there */
	OT_ETCD_STATUS,  /* of the endpoint itself, which may be a learner */
};

struct ot_etcd_admin_call {
	/* To be set by the caller. */
	enum ot_etcd_admin_what what;
	uint64_t id;
	const char *peer_url;
	/* OT_ERR_EXISTS: a member with that peer_url is there. OT_ERR_CLOSED and others: try
	 * again; the error's own words are in `why`. */
	void (*on_done)(struct ot_etcd_admin_call *call, ot_err err);

	/* The result: of a list and an add all members, and the new one's id. */
	struct ot_etcd_member_info members[OT_ETCD_MEMBERS_MAX];
	int32_t member_count;
	char why[256];

	void *impl; /* the admin's */
};

struct ot_etcd_tls {
	const char *ca_file; /* NULL: no TLS */
	const char *cert_file;
	const char *key_file;
};

struct ot_etcd_endpoints;

/* A client of some endpoints (cluster/etcd_place.h), tried in turn; while there is none, calls
 * fail. Takes a reference. OT_ERR_NO_MEMORY. */
OT_MUST_USE ot_err ot_etcd_admin_create(struct ot_io *io, struct ot_etcd_endpoints *endpoints,
    const struct ot_etcd_tls *tls, struct ot_etcd_admin **ret_admin);

void ot_etcd_admin_call(struct ot_etcd_admin *admin, struct ot_etcd_admin_call *call);

/* Drops calls under way without their on_done. Accepts NULL. */
void ot_etcd_admin_destroy(struct ot_etcd_admin *admin);

#endif
