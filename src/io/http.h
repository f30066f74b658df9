/* An HTTP client for one thread's loop, on libcurl's multi interface: requests with a timeout, and
 * answers that stream for as long as they like. Only the production loop has one; cores see it
 * through a door of their own (cluster/kv.h).
 *
 * Callbacks come from the loop, never from inside the call that caused them. A callback may send,
 * cancel and destroy. All of it: @owner the loop's thread   @blocks never
 */
#ifndef OT_IO_HTTP_H
#define OT_IO_HTTP_H

#include "base/bytes.h"
#include "base/list.h"
#include "io/io.h"

struct ot_http;

/* How to reach https servers; each NULL: libcurl's default, or none. Copied. */
struct ot_http_conf {
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
};

/* A request under way: the caller's memory until on_done or ot_http_cancel(). */
struct ot_http_call {
	/* To be set by the caller. */
	const char *url;  /* http:// or https://; copied */
	const void *body; /* it is a POST of JSON; NULL: a GET. Borrowed until the end */
	size_t body_bytes;
	int64_t connect_ms_max;
	int64_t whole_ms_max;    /* from the call to the end of the answer; 0: any time */
	size_t answer_bytes_max; /* that `answer` may hold at once */

	/* Set for streams: more is in `answer`; what is used should be cut off its front. */
	void (*on_data)(struct ot_http_call *call);

	/* OT_OK: the server answered, with `status` and (what on_data left of) `answer`.
	 * OT_ERR_CLOSED: no connection, or it broke; REQUEST_TIMED_OUT; MESSAGE_TOO_LARGE: the
	 * answer has more than answer_bytes_max. Whether the server has done what was asked is not
	 * known then. The caller ends `answer` with ot_writer_fini(). */
	void (*on_done)(struct ot_http_call *call, ot_err err);

	/* The result. */
	int status;
	struct ot_writer answer;
	char why[256]; /* what libcurl says of a failure */

	/* The client's. */
	void *easy;
	struct ot_http *http;
	struct ot_list ready;
	bool has_data;
	bool is_done;
	bool is_too_large;
	ot_err err;
};

/* OT_ERR_NO_MEMORY. `io` is a loop's (io/loop.h). */
OT_MUST_USE ot_err ot_http_create(struct ot_io *io, const struct ot_http_conf *conf,
    struct ot_http **ret_http);

/* Calls must have ended or be cancelled. Accepts NULL. */
void ot_http_destroy(struct ot_http *http);

/* Begins; `answer` is initialized. */
void ot_http_send(struct ot_http *http, struct ot_http_call *call);

/* Ends a call that was sent and is not done: on_done is not called. The caller ends `answer`. */
void ot_http_cancel(struct ot_http_call *call);

/* Cuts `bytes` off the front of the answer: a stream's reader has used them. */
void ot_http_consume(struct ot_http_call *call, size_t bytes);

#endif
