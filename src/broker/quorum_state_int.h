/* What the files of the quorum share. */
#ifndef OT_BROKER_QUORUM_STATE_INT_H
#define OT_BROKER_QUORUM_STATE_INT_H

#include "broker/life_int.h"
#include "broker/quorum_int.h"
#include "cluster/etcd_place.h"

enum quorum_state {
	QUORUM_LOCAL,
	QUORUM_FOUNDING,
	QUORUM_SAVING,
	QUORUM_GROWING,
	QUORUM_ETCD,
};

/* What an operator wants of a node. */
enum quorum_wish { QUORUM_WISH_NONE, QUORUM_WISH_YES, QUORUM_WISH_NO };

enum { QUORUM_OFFERS_MAX = 8 };

/* A number that was given to a joiner who had none. */
struct quorum_offer {
	struct ot_uuid directory;
	int32_t node_id;
	ot_mono_ns given;
};

struct broker_quorum {
	struct broker *broker;               /* [const] */
	const struct ot_settings *settings;  /* [const] */
	struct ot_io *io;                    /* [const] the control thread's */
	struct ot_uuid directory;            /* [const] of the metadata log directory */
	bool is_external;                    /* [const] etcd.endpoints */
	struct ot_metalog_endpoint endpoint; /* [const] of the control listener; host NULL: none */
	const char *host;                    /* [const] at which others reach this node */
	enum quorum_state state;             /* [control] so all below */
	struct ot_metalog_marker marker;     /* at the start */
	struct ot_etcd_place *place;         /* what is in the file, or is to be */
	struct ot_etcd_endpoints *endpoints; /* of all clients of etcd */
	struct ot_metalog *log;              /* that grows; NULL: it does not. The controller's */
	char why[400];                       /* of the last attempt to grow, or to run etcd */
	ot_mono_ns tried;                    /* when that failed */

	struct ot_job job; /* one at a time */
	void (*job_work)(struct broker_quorum *quorum);
	void (*job_done)(struct broker_quorum *quorum);
	bool is_job_running;
	ot_err job_err;
	struct ot_etcd_place *job_place; /* what the job writes */
	char bind_host[64];              /* a number, found by a job */
	int32_t members_max;             /* of the member that is to join */
	bool is_place_dirty;
	struct ot_timer address_timer; /* tries to take the controllers' address */
	char address[64];              /* a number, found by a job; "": not yet */

	struct ot_etcd_member *member; /* NULL: this process has none */
	bool is_member_ready;
	bool is_member_forgotten; /* its folder is to be removed, once it is closed */
	bool is_unable;           /* to run etcd: it has no program */

	struct ot_etcd_admin *admin;
	struct ot_etcd_admin_call list_call;
	bool is_listing;
	struct ot_list listers;
	struct ot_list changes;                                  /* of quorum_change, under way */
	struct ot_etcd_member_info members[OT_ETCD_MEMBERS_MAX]; /* of the last list */
	int32_t member_count;

	struct ot_kv *kv; /* of the wishes */
	struct ot_kv_txn wish_txn;
	bool is_wish_sent;
	struct ot_timer tick;
	struct quorum_lister ticker;
	struct quorum_replacement *replacement; /* quorum_replace.c; NULL: nobody is watched */

	struct quorum_offer offers[QUORUM_OFFERS_MAX];
	size_t offer_next;

	bool is_started;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* ---- quorum.c */

/* Lists the members, then calls back. */
void quorum_list(struct broker_quorum *quorum, struct quorum_lister *lister);

/* Begins to grow, if it is local. */
void quorum_grow(struct broker_quorum *quorum);

/* The client of the wishes. */
struct ot_kv *quorum_kv(struct broker_quorum *quorum);

/* The key of a node's wish. */
void quorum_wish_key(const struct broker_quorum *quorum, int32_t node_id,
    char ret_key[OT_ETCD_PREFIX_BYTES + 32]);

/* The member of a node in the last list; NULL: it has none. */
const struct ot_etcd_member_info *quorum_member_of(const struct broker_quorum *quorum,
    int32_t node_id, struct ot_uuid *ret_directory);

/* quorum_change.c. Those under way end NOT_CONTROLLER. */
void quorum_change_end_all(struct broker_quorum *quorum);

/* ---- quorum_replace.c: members that are gone for good */

/* A process that stands by looks at the members, as just listed. */
void quorum_replace_consider(struct broker_quorum *quorum);
void quorum_replace_fini(struct broker_quorum *quorum);

#endif
