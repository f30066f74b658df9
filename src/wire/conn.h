/* A connection of a client, from bytes to requests and from answers to bytes.
 *
 * Reading. Bytes land in the shard's receive blob, which all its connections share; whole frames
 * in it become requests that hold a reference. A frame that is not whole yet gets a blob of its
 * exact size, and the rest is read straight into that. All of it, the requests themselves and the
 * answers that wait to be sent are counted in the shard's memory budget; without room a connection
 * stops reading until there is some.
 *
 * Order. Answers leave in the order of the requests (protocol guide, "Network"). As in Kafka one
 * request of a connection runs at a time, with one exception that keeps Kafka's semantics:
 * Produce requests that follow each other run together, since they reach each partition in order.
 *
 *     QUEUED --start--> RUNNING --answer--> READY --sent--> (pool)
 *                          |
 *                          +--connection gone--> ORPHAN --answer--> (pool)
 *
 * Turns. A request of many bytes other than Produce may take long to decode and to answer, since it
 * may name hundreds of thousands of things. A shard starts one such request per turn, and serves
 * whoever else there is before the next one.
 *
 * Writing. What became ready in a turn is sent at its end with as few system calls as it takes:
 * bytes gathered, file ranges by sendfile in between. A peer that does not read its answers gets no
 * more made: beyond some unsent bytes nothing new is started.
 */
#ifndef OT_WIRE_CONN_H
#define OT_WIRE_CONN_H

#include "base/arena.h"
#include "base/blob.h"
#include "base/report.h"
#include "shard/shard.h"
#include "wire/codec.h"
#include "wire/header.h"

struct ot_conn;
struct ot_request;

/* A range of a file that a response carries (ot_records.source of the codec). */
struct ot_file_range {
	struct ot_file *file; /* a reference that the request drops when the response has left */
	uint64_t place;
};

struct ot_conn_limits {
	size_t frame_bytes_max;      /* socket.request.max.bytes */
	int64_t idle_ms_max;         /* connections.max.idle.ms; -1: never */
	uint32_t pipeline_count_max; /* requests of one connection that may wait or run */
};

/* What serves requests. on_request runs on the connection's shard and must end each request once,
 * now or later, with one of the ot_request_ functions below. */
struct ot_conn_handler {
	void (*on_request)(void *arg, struct ot_request *request);
	/* Once for each connection that was opened, even when it could not be. May be NULL. */
	void (*on_close)(void *arg, struct ot_conn *conn);
};

/* What the connections of one shard share. */
struct ot_conn_host {
	struct ot_shard *shard;                /* [const] */
	const struct ot_conn_handler *handler; /* [const] */
	void *handler_arg;                     /* [const] */
	struct ot_conn_limits limits;          /* [owner] */
	struct ot_blob *rx;                    /* [owner] receive blob; NULL until the first byte */
	size_t rx_used;                        /* [owner] bytes of rx that frames hold */
	uint8_t *copy;                         /* [owner] of file ranges; NULL until the first */
	struct ot_list conns;                  /* [owner] least recently active first */
	struct ot_list pool;                   /* [owner] spare requests */
	struct ot_list orphans;                /* [owner] running, their connections gone */
	uint32_t conn_count;                   /* [owner] */
	uint32_t pool_count;                   /* [owner] */
	struct ot_timer idle_timer;            /* [owner] */
	uint64_t heavy_turn;                   /* [owner] in which a heavy request has started */
	struct ot_list late;                   /* [owner] connections whose heavy request waits */
	struct ot_timer late_timer;            /* [owner] */
	uint64_t request_count;                /* [owner] */
	uint64_t bytes_in;                     /* [owner] */
	uint64_t bytes_out;                    /* [owner] */
	struct ot_report_gate gate;            /* [owner] of reports of closed connections */
};

/* @owner the shard's thread, or before it runs */
void ot_conn_host_init(struct ot_conn_host *host, struct ot_shard *shard,
    const struct ot_conn_handler *handler, void *handler_arg, const struct ot_conn_limits *limits);

/* Closes all connections. Running requests become orphans and must still be ended.
 * @owner the shard */
void ot_conn_host_close(struct ot_conn_host *host);

/* Frees what close left, orphans too: nobody may end one any more. @owner the shard's thread */
void ot_conn_host_fini(struct ot_conn_host *host);

/* Takes over an accepted connection; `listener` is the handler's mark for where it came in.
 * @owner the shard   @blocks never */
void ot_conn_open(struct ot_conn_host *host, const struct ot_accepted *accepted,
    const void *listener);

/* All three live as long as the connection. @owner the shard */
const struct ot_address *ot_conn_peer(const struct ot_conn *conn);
const struct ot_address *ot_conn_local(const struct ot_conn *conn);
const void *ot_conn_listener(const struct ot_conn *conn);

/* Closes at the end of this turn, after the report of `why`. @owner the shard */
void ot_conn_close(struct ot_conn *conn, const char *why);

enum ot_request_state {
	OT_REQUEST_QUEUED,
	OT_REQUEST_RUNNING,
	OT_REQUEST_READY,
	OT_REQUEST_ORPHAN
};

struct ot_request {
	struct ot_list link;       /* [owner] in the connection's pipeline, orphans, or the pool */
	struct ot_conn_host *host; /* [const] */
	struct ot_conn *conn;      /* [owner] NULL once the connection has gone */
	const void *listener;      /* [const] where the connection came in */
	enum ot_request_state state; /* [owner] */
	struct ot_request_header header;
	const struct ot_api *api;  /* of header.api_key */
	struct ot_blob *frame;     /* what body points into; NULL when that is the arena */
	struct ot_bytes body;      /* behind the header */
	struct ot_arena arena;     /* lives until the response has left */
	struct ot_writer out;      /* the response, with its length in front */
	struct ot_splices splices; /* file ranges between the bytes of out */
	ot_err encode_err;         /* of the response */
	size_t budget_bytes;       /* what it holds of the shard's budget, the frame's blob apart */
	size_t sent_bytes;         /* of the whole response */
	size_t total_bytes;        /* of the whole response, ranges included */
	ot_mono_ns received;       /* when the frame was whole */
	void *op;                  /* the handler's */
	/* The handler's, or NULL: the connection has gone while the request runs, so waiting is in
	 * vain. It must not end the request in the call. */
	void (*on_orphan)(struct ot_request *request);
};

/* The blob that holds `data`, which points into the request's body: for who keeps a part of the
 * frame beyond the request. The caller takes its own reference. NULL for bytes in the arena: only
 * Produce bodies are promised to be in a blob. @owner the shard */
struct ot_blob *ot_request_blob(const struct ot_request *request);

/* Counts what the request's arena holds by now in the shard's memory budget, so that requests that
 * are small as bytes and large when decoded keep others from being read. @owner the shard */
void ot_request_account(struct ot_request *request);

/* Encodes and sends `msg` as the response. An encoding failure closes the connection, since the
 * peer could not be told. Ends the request. @owner the shard */
void ot_request_answer(struct ot_request *request, const struct ot_msg *desc, const void *msg);

/* The same in two steps, for who must free something in between: encoding copies all that is in
 * memory, and sending ends the request, perhaps with all memory of its arena. @owner the shard */
void ot_request_encode(struct ot_request *request, const struct ot_msg *desc, const void *msg);
void ot_request_send(struct ot_request *request);

/* The same in another version than the request's (ApiVersions of an unknown version).
 * @owner the shard */
void ot_request_answer_version(struct ot_request *request, const struct ot_msg *desc,
    int16_t version, const void *msg);

/* Ends the request without a response (acks=0). @owner the shard */
void ot_request_end(struct ot_request *request);

/* Ends the request and its connection, with a report. @owner the shard */
void ot_request_abort(struct ot_request *request, const char *why);

#endif
