/* libcurl says which sockets it wants watched and when it wants to be called; both are handed to
 * the loop. What its callbacks bring is only noted there, on the list `ready`, and told after
 * libcurl has returned: its handles must not be removed from inside its own callbacks.
 */
#include "io/http.h"

#include <curl/curl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "io/loop_int.h"

enum { CONNECTIONS_MAX = 16, KEEPALIVE_S = 5 };

struct ot_http {
	struct loop_io *loop;       /* [const] */
	CURLM *multi;               /* [const] */
	struct curl_slist *headers; /* [const] */
	char *ca_file, *cert_file, *key_file;
	struct ot_timer timer;  /* libcurl's */
	struct ot_timer tell;   /* when something is ready outside of an event */
	struct ot_list ready;   /* of calls: with data, or done */
	struct ot_list sockets; /* of struct http_socket */
	bool is_telling;
	bool is_destroyed; /* from inside a callback: freed when that returns */
};

struct http_socket {
	uv_poll_t poll;
	struct ot_http *http;
	curl_socket_t fd;
	struct ot_list link;
};

static void http_free(struct ot_http *http);

/* ---- telling -------------------------------------------------------------------------------- */

static void
make_ready(struct ot_http_call *call)
{
	ot_list_remove(&call->ready);
	ot_list_push_back(&call->http->ready, &call->ready);
}

static ot_err
err_of(const struct ot_http_call *call, CURLcode result)
{
	if (call->is_too_large)
		return OT_ERR_MESSAGE_TOO_LARGE;
	if (result == CURLE_OK)
		return OT_OK;
	if (result == CURLE_OPERATION_TIMEDOUT)
		return OT_ERR_REQUEST_TIMED_OUT;
	return result == CURLE_OUT_OF_MEMORY ? OT_ERR_NO_MEMORY : OT_ERR_CLOSED;
}

/* Takes the finished ones from libcurl. */
static void
harvest(struct ot_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct ot_http_call *call = NULL;
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;
		long status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(http->multi, easy);
		curl_easy_cleanup(easy);
		call->easy = NULL;
		call->status = (int)status;
		call->is_done = true;
		call->err = err_of(call, result);
		if (call->err != OT_OK && call->why[0] == '\0')
			memcpy(call->why, "the answer is too large", 24);
		make_ready(call);
	}
}

static void
tell_one(struct ot_http_call *call)
{
	bool is_done = call->is_done;

	if (call->has_data && call->on_data != NULL && call->answer.bytes > 0) {
		call->has_data = false;
		if (is_done)
			ot_list_push_back(&call->http->ready, &call->ready);
		call->on_data(call);
		return;
	}
	call->has_data = false;
	if (is_done)
		call->on_done(call, call->err);
}

static void
tell_all(struct ot_http *http)
{
	if (http->is_telling)
		return;
	http->is_telling = true;
	while (!ot_list_is_empty(&http->ready)) {
		struct ot_http_call *call = OT_LIST_FIRST(&http->ready, struct ot_http_call, ready);

		ot_list_remove(&call->ready);
		tell_one(call);
	}
	http->is_telling = false;
	if (http->is_destroyed)
		http_free(http);
}

static void
act(struct ot_http *http, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(http->multi, fd, events, &running);
	harvest(http);
}

/* ---- what libcurl asks for ------------------------------------------------------------------ */

static void
on_timer(struct ot_timer *timer)
{
	struct ot_http *http = OT_CONTAINER_OF(timer, struct ot_http, timer);

	act(http, CURL_SOCKET_TIMEOUT, 0);
	tell_all(http);
}

static void
on_tell(struct ot_timer *timer)
{
	tell_all(OT_CONTAINER_OF(timer, struct ot_http, tell));
}

static int
set_timer(CURLM *multi, long delay_ms, void *arg)
{
	struct ot_http *http = arg;

	(void)multi;
	if (delay_ms < 0)
		ot_timer_cancel(&http->loop->io, &http->timer);
	else
		ot_timer_arm_in_ms(&http->loop->io, &http->timer, delay_ms);
	return 0;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct http_socket *watched = poll->data;
	struct ot_http *http = watched->http;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	act(http, watched->fd, flags);
	tell_all(http);
}

static void
on_poll_closed(uv_handle_t *handle)
{
	ot_free(handle->data);
}

static void
socket_close(struct http_socket *watched)
{
	ot_list_remove(&watched->link);
	uv_poll_stop(&watched->poll);
	uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct ot_http *http = arg;
	struct http_socket *watched = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			socket_close(watched);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (watched == NULL) {
		watched = OT_NEW(struct http_socket);
		watched->http = http;
		watched->fd = fd;
		watched->poll.data = watched;
		if (uv_poll_init_socket(&http->loop->uv, &watched->poll, fd) != 0) {
			ot_free(watched);
			return -1;
		}
		ot_list_push_back(&http->sockets, &watched->link);
		curl_multi_assign(http->multi, fd, watched);
	}
	if ((what & CURL_POLL_IN) != 0)
		events |= UV_READABLE;
	if ((what & CURL_POLL_OUT) != 0)
		events |= UV_WRITABLE;
	uv_poll_start(&watched->poll, events, on_poll);
	return 0;
}

static size_t
take_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct ot_http_call *call = arg;

	size *= count;
	if (call->answer.bytes + size > call->answer_bytes_max) {
		call->is_too_large = true;
		return 0;
	}
	ot_write_raw(&call->answer, bytes, size);
	if (call->answer.failed)
		return 0;
	if (call->on_data != NULL) {
		call->has_data = true;
		make_ready(call);
	}
	return size;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void
set_up_tls(const struct ot_http *http, CURL *easy)
{
	if (http->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
	if (http->cert_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, http->cert_file);
	if (http->key_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, http->key_file);
}

static void
set_up(struct ot_http *http, struct ot_http_call *call, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_URL, call->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_ms_max);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->whole_ms_max);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	set_up_tls(http, easy);
	if (call->body == NULL)
		return;
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
}

void
ot_http_send(struct ot_http *http, struct ot_http_call *call)
{
	CURL *easy = curl_easy_init();

	OT_ASSERT(call->on_done != NULL && call->answer_bytes_max > 0);
	ot_writer_init(&call->answer);
	ot_list_init(&call->ready);
	call->http = http;
	call->status = 0;
	call->why[0] = '\0';
	call->has_data = call->is_done = call->is_too_large = false;
	call->easy = easy;
	if (easy == NULL) {
		call->is_done = true;
		call->err = OT_ERR_NO_MEMORY;
		make_ready(call);
	} else {
		set_up(http, call, easy);
		curl_multi_add_handle(http->multi, easy);
		/* At once rather than by the timer, whose tick is a millisecond. */
		act(http, CURL_SOCKET_TIMEOUT, 0);
	}
	if (!ot_list_is_empty(&http->ready) && !ot_timer_is_armed(&http->tell))
		ot_timer_arm(&http->loop->io, &http->tell, ot_io_now(&http->loop->io));
}

void
ot_http_cancel(struct ot_http_call *call)
{
	ot_list_remove(&call->ready);
	if (call->easy == NULL)
		return;
	curl_multi_remove_handle(call->http->multi, call->easy);
	curl_easy_cleanup(call->easy);
	call->easy = NULL;
}

void
ot_http_consume(struct ot_http_call *call, size_t bytes)
{
	OT_ASSERT(bytes <= call->answer.bytes);
	memmove(call->answer.data, call->answer.data + bytes, call->answer.bytes - bytes);
	call->answer.bytes -= bytes;
}

/* ---- life ----------------------------------------------------------------------------------- */

static char *
copy(const char *text)
{
	return text == NULL ? NULL : ot_must_strdup(text);
}

ot_err
ot_http_create(struct ot_io *io, const struct ot_http_conf *conf, struct ot_http **ret_http)
{
	struct ot_http *http;
	CURLM *multi;

	/* Counted, and cheap after the first; safe from several threads in this version. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return OT_ERR_NO_MEMORY;
	multi = curl_multi_init();
	if (multi == NULL)
		return OT_ERR_NO_MEMORY;
	http = OT_NEW(struct ot_http);
	http->loop = loop_of(io);
	http->multi = multi;
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	/* Nothing waits for a "100 Continue". */
	http->headers = curl_slist_append(http->headers, "Expect:");
	if (conf != NULL) {
		http->ca_file = copy(conf->ca_file);
		http->cert_file = copy(conf->cert_file);
		http->key_file = copy(conf->key_file);
	}
	ot_list_init(&http->ready);
	ot_list_init(&http->sockets);
	ot_timer_init(&http->timer, on_timer);
	ot_timer_init(&http->tell, on_tell);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
	*ret_http = http;
	return OT_OK;
}

static void
http_free(struct ot_http *http)
{
	ot_timer_cancel(&http->loop->io, &http->timer);
	ot_timer_cancel(&http->loop->io, &http->tell);
	curl_multi_cleanup(http->multi);
	OT_LIST_FOREACH_SAFE(link, &http->sockets)
		socket_close(OT_CONTAINER_OF(link, struct http_socket, link));
	ot_timer_cancel(&http->loop->io, &http->timer);
	curl_slist_free_all(http->headers);
	ot_free(http->ca_file);
	ot_free(http->cert_file);
	ot_free(http->key_file);
	ot_free(http);
}

void
ot_http_destroy(struct ot_http *http)
{
	if (http == NULL)
		return;
	if (http->is_telling)
		http->is_destroyed = true;
	else
		http_free(http);
}
