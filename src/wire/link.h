/* A client connection of the broker's own: to the active controller, to the leaders of partitions.
 *
 * A link stands for one address and connects when there is something to send. Requests leave in the
 * order of the calls and are answered in that order, several may be under way. When the connection
 * ends, the calls that were sent end OT_ERR_CLOSED, since nobody knows what became of them; those
 * that were not sent yet go over the next connection, which is tried after a pause that doubles
 * from `backoff_ms` to `backoff_ms_max` while no connection answers. An answer that does not come
 * in `timeout_ms` breaks the connection, as Kafka's clients do it: what would come later belongs to
 * nobody.
 *
 * Versions are the caller's: between our own processes of one cluster they are known.
 *
 *     IDLE --call--> LOOKING UP (a worker) --> CONNECTING --> UP --closed, timeout, bad bytes-->
 * PAUSE ^                                                          |  no calls: IDLE
 *                         +-----------------------time is over-----------------------+
 *
 * `done` is never called from inside ot_link_call(), and once for each call, unless the call is
 * cancelled. In it anything is allowed, also to destroy the link.
 *
 * All of it: @owner the shard of the link   @blocks never
 */
#ifndef OT_WIRE_LINK_H
#define OT_WIRE_LINK_H

#include "base/arena.h"
#include "base/blob.h"
#include "shard/shard.h"
#include "wire/api.h"

struct ot_link;

struct ot_link_conf {
	struct ot_shard *shard;
	const char *client_id;   /* of the requests' headers; copied */
	int64_t backoff_ms;      /* reconnect.backoff.ms, at least 1 */
	int64_t backoff_ms_max;  /* reconnect.backoff.max.ms */
	size_t answer_bytes_max; /* a longer frame breaks the connection */
};

/* One request and its answer: the caller's memory until `done`. */
struct ot_link_call {
	/* To be set by the caller. */
	const struct ot_api *api;
	int16_t version;
	const void *request;    /* of the API; encoded within ot_link_call(), may go afterwards */
	struct ot_arena *arena; /* gets the answer's arrays */
	void *response;         /* of the API; filled on OT_OK */
	int64_t timeout_ms;     /* from the call on; at least 1 */
	/* OT_OK: answered. OT_ERR_CLOSED: the connection ended, the request may have been done or
	 * not. REQUEST_TIMED_OUT: no answer, sent or not. OT_ERR_MALFORMED: the answer is none of
	 * this API's. OT_ERR_NO_MEMORY. */
	void (*done)(struct ot_link_call *call, ot_err err);

	/* The result. `frame` holds what the response's texts and records point into, and is
	 * borrowed for the time of `done`: take a reference to keep it. NULL without an answer. */
	struct ot_blob *frame;
	bool was_sent; /* at least one byte may have left: else the request was not done */

	void *impl; /* the link's; NULL when it is not under way */
};

/* A link without an address: calls wait until there is one (or their time is up). */
struct ot_link *ot_link_create(const struct ot_link_conf *conf) OT_MUST_USE;

/* Sets where it goes; a name or a number, copied. Another address than before ends the connection
 * as if the peer had closed it (calls that were sent end before it returns), and connects anew
 * without a pause. */
void ot_link_set_address(struct ot_link *link, const char *host, uint16_t port);

/* Sends a request. */
void ot_link_call(struct ot_link *link, struct ot_link_call *call);

/* Gives a call up: no `done` comes. Harmless when it is not under way. The answer to one that was
 * sent is read and thrown away; the connection breaks if it does not come in time. */
void ot_link_cancel(struct ot_link_call *call);

/* Calls that wait or are under way. */
uint32_t ot_link_call_count(const struct ot_link *link);

/* Whether there is a connection that answered or can be written to. */
bool ot_link_is_up(const struct ot_link *link);

/* Ends the connection; calls under way end with OT_ERR_CLOSED before it returns. Accepts NULL. A
 * look-up under way outlives it and is thrown away. */
void ot_link_destroy(struct ot_link *link);

#endif
