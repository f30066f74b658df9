/* The store etcd (3.4 and newer), through its JSON gateway.
 *
 *   POST /v3/kv/txn                 transactions; reads are transactions of gets
 *   POST /v3/lease/grant, keepalive, revoke
 *   POST /v3/watch                  the answer is a stream, one JSON object in each line
 *   POST /v3/kv/compaction, /v3/maintenance/defragment, /v3/maintenance/alarm
 *
 * Keys and values are base64, 64-bit numbers are strings, fields with a zero are left out. An error
 * is an answer with another status than 200 and a text, which is the only thing that tells errors
 * apart: the codes of gRPC are too few.
 *
 * One endpoint is used until a call to it fails, then the next; what else waits at it fails with
 * it, so that one that hangs costs one timeout, not one for each call. Each answer names the
 * cluster it comes from: one of another cluster is treated as an endpoint that cannot be reached.
 */
#include "cluster/kv.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/panic.h"
#include "base/report.h"
#include "base/text.h"
#include "cluster/etcd_place.h"
#include "io/http.h"

enum {
	ANSWER_BYTES_MAX = 64 * 1024 * 1024,
	ENDPOINTS_MAX = OT_ETCD_ENDPOINTS_MAX,
	CONNECT_MS_MAX = 1000,
	CHORE_MS_MAX = 60000, /* a defragmentation rewrites the whole file */
	PATH_BYTES = 400,
};

/* Of a call to an endpoint that is none any more, and of one that found none. */
#define ENDPOINT_NONE SIZE_MAX

struct etcd_kv {
	struct ot_kv base;
	struct ot_io *io; /* [const] */
	struct ot_http *http;
	struct ot_etcd_endpoints *list; /* what the endpoints are to be */
	uint64_t list_version;          /* of the list, as taken over */
	char *endpoints[ENDPOINTS_MAX];
	size_t endpoint_count;
	size_t endpoint;  /* the one in use */
	uint64_t cluster; /* 0: not known yet */
	bool is_told;     /* that it cannot be reached */
	struct ot_list calls;
	struct ot_timer doom; /* ends what waits at an endpoint that failed */
};

/* One request under way. */
struct call {
	struct ot_http_call http;
	struct ot_list link;
	struct etcd_kv *kv;
	size_t endpoint;
	char url[PATH_BYTES];
	struct ot_writer body;
	void (*on_answer)(struct call *call, const json_t *answer, ot_err err);
	void *owner;       /* the caller's structure */
	bool is_doomed;    /* its endpoint failed */
	bool is_chore;     /* one that may take long, and says nothing of the endpoint */
	size_t scanned;    /* of a stream: bytes without an end of a line */
	bool is_telling;   /* of a stream: freed when the callback returns */
	bool is_dropped;   /* by the caller, from inside a callback */
	int64_t *alarms;   /* of a relief: members with one */
	size_t step;       /* of a relief */
	size_t step_count; /* of a relief */
};

static struct etcd_kv *
etcd_of(struct ot_kv *kv)
{
	return OT_CONTAINER_OF(kv, struct etcd_kv, base);
}

/* ---- writing JSON --------------------------------------------------------------------------- */

static void
put(struct ot_writer *out, const char *text)
{
	ot_write_raw(out, text, strlen(text));
}

static void
put_number(struct ot_writer *out, const char *name, int64_t number)
{
	char text[64];
	struct ot_text line = OT_TEXT(text);

	ot_text_put(&line, ",\"%s\":\"%" PRId64 "\"", name, number);
	put(out, text);
}

static void
put_bytes(struct ot_writer *out, const char *name, const void *bytes, size_t count)
{
	put(out, "\"");
	put(out, name);
	put(out, "\":\"");
	ot_base64_write(out, bytes, count);
	put(out, "\"");
}

static void
put_range(struct ot_writer *out, const char *key, const char *end)
{
	put_bytes(out, "key", key, strlen(key));
	if (end == NULL)
		return;
	put(out, ",");
	put_bytes(out, "range_end", end, strlen(end));
}

static void
put_op(struct ot_writer *out, const struct ot_kv_op *op)
{
	static const char *const names[] = { "request_range", "request_put",
		"request_delete_range" };

	put(out, "{\"");
	put(out, names[op->type]);
	put(out, "\":{");
	put_range(out, op->key, op->end);
	if (op->type == OT_KV_PUT) {
		put(out, ",");
		put_bytes(out, "value", op->value.data, (size_t)OT_MAX(op->value.len, 0));
		put_number(out, "lease", op->lease);
	} else if (op->type == OT_KV_GET) {
		put_number(out, "revision", op->revision);
		put_number(out, "limit", op->limit);
		if (op->is_descending)
			put(out, ",\"sort_order\":\"DESCEND\",\"sort_target\":\"KEY\"");
		if (op->is_keys_only)
			put(out, ",\"keys_only\":true");
	}
	put(out, "}}");
}

static void
put_ops(struct ot_writer *out, const char *name, const struct ot_kv_op *ops, size_t count)
{
	put(out, name);
	for (size_t i = 0; i < count; i++) {
		put(out, i > 0 ? "," : "");
		put_op(out, &ops[i]);
	}
	put(out, "]");
}

static void
put_txn(struct ot_writer *out, const struct ot_kv_txn *txn)
{
	put(out, "{\"compare\":[");
	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct ot_kv_compare *compare = &txn->compares[i];
		bool is_create = compare->what == OT_KV_CREATED;

		put(out, i > 0 ? "," : "");
		put(out, is_create ? "{\"target\":\"CREATE\"" : "{\"target\":\"MOD\"");
		put(out, ",\"result\":\"EQUAL\",");
		put_bytes(out, "key", compare->key, strlen(compare->key));
		put_number(out, is_create ? "create_revision" : "mod_revision", compare->revision);
		put(out, "}");
	}
	put_ops(out, "],\"success\":[", txn->then, txn->then_count);
	put_ops(out, ",\"failure\":[", txn->otherwise, txn->otherwise_count);
	put(out, "}");
}

/* ---- reading JSON --------------------------------------------------------------------------- */

/* A number, which the gateway writes as text; 0 when it is not there. */
static int64_t
number_at(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (json_is_integer(value))
		return json_integer_value(value);
	return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

static uint64_t
id_at(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10) : 0;
}

static ot_err
bytes_at(const json_t *object, const char *name, struct ot_arena *arena, struct ot_bytes *ret_bytes)
{
	const json_t *value = json_object_get(object, name);
	struct ot_str text = OT_STR_LIT("");
	uint8_t *bytes;
	size_t count;

	if (json_is_string(value))
		text =
		    (struct ot_str){ json_string_value(value), (int32_t)json_string_length(value) };
	bytes = ot_arena_alloc(arena, (size_t)text.len / 4 * 3 + 1);
	if (bytes == NULL)
		return OT_ERR_NO_MEMORY;
	if (!ot_base64_read(text, bytes, &count))
		return OT_ERR_MALFORMED;
	*ret_bytes = (struct ot_bytes){ bytes, (int32_t)count };
	return OT_OK;
}

static ot_err
pair_of(const json_t *object, struct ot_arena *arena, struct ot_kv_pair *ret_pair)
{
	struct ot_bytes key;
	ot_err err = bytes_at(object, "key", arena, &key);

	if (err == OT_OK)
		err = bytes_at(object, "value", arena, &ret_pair->value);
	if (err != OT_OK)
		return err;
	ret_pair->key = (struct ot_str){ (const char *)key.data, key.len };
	ret_pair->create_revision = number_at(object, "create_revision");
	ret_pair->mod_revision = number_at(object, "mod_revision");
	ret_pair->lease = number_at(object, "lease");
	return OT_OK;
}

static ot_err
found_of(const json_t *response, struct ot_arena *arena, struct ot_kv_found *ret_found)
{
	const json_t *range = json_object_get(response, "response_range");
	const json_t *pairs = json_object_get(range, "kvs");
	size_t count = json_array_size(pairs);
	ot_err err = OT_OK;

	ret_found->pairs = ot_arena_array(arena, count, sizeof(*ret_found->pairs));
	if (ret_found->pairs == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; err == OT_OK && i < count; i++)
		err = pair_of(json_array_get(pairs, i), arena, &ret_found->pairs[i]);
	ret_found->count = (int32_t)count;
	ret_found->has_more = json_is_true(json_object_get(range, "more"));
	return err;
}

/* ---- errors --------------------------------------------------------------------------------- */

static ot_err
err_of_text(const char *text)
{
	static const struct {
		const char *part;
		ot_err err;
	} known[] = {
		{ "has been compacted", OT_ERR_OFFSET_OUT_OF_RANGE },
		{ "database space exceeded", OT_ERR_NO_SPACE },
		{ "lease not found", OT_ERR_NOT_FOUND },
		{ "request is too large", OT_ERR_MESSAGE_TOO_LARGE },
	};

	for (size_t i = 0; i < OT_ARRAY_COUNT(known); i++)
		if (strstr(text, known[i].part) != NULL)
			return known[i].err;
	return OT_ERR_CLOSED;
}

/* Of the answer's object; its text for a report. */
static ot_err
err_of_answer(const json_t *answer, const char **ret_text)
{
	const json_t *error = json_object_get(answer, "error");
	const char *text = json_string_value(json_object_get(answer, "message"));

	if (text == NULL)
		text = json_string_value(error);
	if (json_is_object(error))
		text = json_string_value(json_object_get(error, "message"));
	if (error == NULL)
		return OT_OK;
	*ret_text = text != NULL ? text : "an error without a text";
	return err_of_text(*ret_text);
}

/* Tells once what is wrong, and goes on with the next endpoint. */
static void
endpoint_failed(struct etcd_kv *kv, size_t endpoint, const char *why)
{
	if (endpoint == ENDPOINT_NONE)
		return;
	if (!kv->is_told)
		OT_WARN("cluster", "etcd at %s: %s", kv->endpoints[endpoint], why);
	kv->is_told = true;
	if (kv->endpoint != endpoint || kv->endpoint_count == 1)
		return;
	kv->endpoint = (endpoint + 1) % kv->endpoint_count;
	OT_LIST_FOREACH(link, &kv->calls) {
		struct call *call = OT_CONTAINER_OF(link, struct call, link);

		call->is_doomed |= call->endpoint == endpoint && !call->is_chore;
	}
	ot_timer_arm(kv->io, &kv->doom, ot_io_now(kv->io));
}

static ot_err
check_cluster(struct etcd_kv *kv, size_t endpoint, const json_t *answer)
{
	uint64_t cluster = id_at(json_object_get(answer, "header"), "cluster_id");

	if (cluster == 0 || cluster == kv->cluster)
		return OT_OK;
	if (kv->cluster == 0) {
		kv->cluster = cluster;
		return OT_OK;
	}
	endpoint_failed(kv, endpoint, "another cluster answers there than before");
	return OT_ERR_CLOSED;
}

/* The object in some bytes; NULL with the error that they stand for. */
static json_t *
parse(struct call *call, const uint8_t *bytes, size_t count, ot_err *ret_err)
{
	struct etcd_kv *kv = call->kv;
	json_error_t problem;
	json_t *answer = json_loadb((const char *)bytes, count, 0, &problem);
	const char *text = NULL;

	if (answer == NULL) {
		endpoint_failed(kv, call->endpoint, "the answer is not JSON: is this etcd?");
		*ret_err = OT_ERR_CLOSED;
		return NULL;
	}
	*ret_err = err_of_answer(answer, &text);
	if (*ret_err == OT_ERR_CLOSED)
		endpoint_failed(kv, call->endpoint, text);
	if (*ret_err == OT_OK)
		*ret_err = check_cluster(kv, call->endpoint, answer);
	if (*ret_err == OT_OK)
		return answer;
	json_decref(answer);
	return NULL;
}

/* ---- endpoints ------------------------------------------------------------------------------ */

static size_t
find_endpoint(const struct etcd_kv *kv, const char *endpoint)
{
	for (size_t i = 0; i < kv->endpoint_count; i++)
		if (strcmp(kv->endpoints[i], endpoint) == 0)
			return i;
	return ENDPOINT_NONE;
}

static bool
has_chore(const struct etcd_kv *kv)
{
	OT_LIST_FOREACH(link, &kv->calls) {
		if (OT_CONTAINER_OF(link, struct call, link)->is_chore)
			return true;
	}
	return false;
}

/* Takes the list over if it has changed. What is under way goes on, the endpoint in use stays the
 * one in use if it is there still. A relief counts endpoints: it is let end first. */
static void
take_endpoints(struct etcd_kv *kv)
{
	char *old[ENDPOINTS_MAX];
	size_t old_count = kv->endpoint_count, in_use = ENDPOINT_NONE;

	if (ot_etcd_endpoints_version(kv->list) == kv->list_version || has_chore(kv))
		return;
	kv->list_version = ot_etcd_endpoints_version(kv->list);
	memcpy(old, kv->endpoints, sizeof(old));
	kv->endpoint_count = ot_etcd_endpoints_count(kv->list);
	for (size_t i = 0; i < kv->endpoint_count; i++)
		kv->endpoints[i] = ot_must_strdup(ot_etcd_endpoints_at(kv->list, i));
	if (old_count > 0)
		in_use = find_endpoint(kv, old[kv->endpoint]);
	kv->endpoint = in_use != ENDPOINT_NONE ? in_use : 0;
	OT_LIST_FOREACH(link, &kv->calls) {
		struct call *call = OT_CONTAINER_OF(link, struct call, link);

		if (call->endpoint != ENDPOINT_NONE)
			call->endpoint = find_endpoint(kv, old[call->endpoint]);
	}
	for (size_t i = 0; i < old_count; i++)
		ot_free(old[i]);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void
call_free(struct call *call)
{
	ot_writer_fini(&call->http.answer);
	ot_writer_fini(&call->body);
	ot_free(call->alarms);
	ot_free(call);
}

static void
on_http_done(struct ot_http_call *http, ot_err err)
{
	struct call *call = OT_CONTAINER_OF(http, struct call, http);
	struct etcd_kv *kv = call->kv;
	json_t *answer = NULL;

	ot_list_remove(&call->link);
	if (err != OT_OK)
		endpoint_failed(kv, call->endpoint, http->why);
	else
		answer = parse(call, http->answer.data, http->answer.bytes, &err);
	if (err == OT_OK)
		kv->is_told = false;
	call->on_answer(call, answer, err);
	json_decref(answer);
	call_free(call);
}

static struct call *
call_new(struct etcd_kv *kv, void *owner,
    void (*on_answer)(struct call *call, const json_t *answer, ot_err err))
{
	struct call *call = OT_NEW(struct call);

	take_endpoints(kv);
	call->kv = kv;
	call->owner = owner;
	call->on_answer = on_answer;
	call->endpoint = kv->endpoint_count > 0 ? kv->endpoint : ENDPOINT_NONE;
	ot_list_init(&call->link);
	ot_list_init(&call->http.ready);
	ot_writer_init(&call->body);
	ot_writer_init(&call->http.answer);
	return call;
}

static void
call_send(struct call *call, const char *path, int64_t ms_max)
{
	struct etcd_kv *kv = call->kv;
	struct ot_text url = OT_TEXT(call->url);

	if (call->body.failed)
		OT_PANIC("no memory for a request to etcd");
	if (call->endpoint == ENDPOINT_NONE) {
		call->is_doomed = true;
		ot_list_push_back(&kv->calls, &call->link);
		ot_timer_arm(kv->io, &kv->doom, ot_io_now(kv->io));
		return;
	}
	ot_text_put(&url, "%s%s", kv->endpoints[call->endpoint], path);
	call->http.url = call->url;
	call->http.body = call->body.data;
	call->http.body_bytes = call->body.bytes;
	call->http.connect_ms_max = ms_max > 0 ? OT_MIN(ms_max, CONNECT_MS_MAX) : CONNECT_MS_MAX;
	call->http.whole_ms_max = ms_max;
	call->http.answer_bytes_max = ANSWER_BYTES_MAX;
	call->http.on_done = on_http_done;
	ot_list_push_back(&kv->calls, &call->link);
	ot_http_send(kv->http, &call->http);
}

/* ---- transactions --------------------------------------------------------------------------- */

static void
on_txn_answer(struct call *call, const json_t *answer, ot_err err)
{
	struct ot_kv_txn *txn = call->owner;
	const json_t *responses = json_object_get(answer, "responses");
	size_t count = json_array_size(responses);
	struct ot_arena arena;

	ot_arena_init(&arena, 0);
	txn->found = ot_arena_array(&arena, count, sizeof(*txn->found));
	txn->found_count = (int32_t)count;
	txn->succeeded = json_is_true(json_object_get(answer, "succeeded"));
	txn->revision = number_at(json_object_get(answer, "header"), "revision");
	if (txn->found == NULL)
		err = OT_ERR_NO_MEMORY;
	for (size_t i = 0; err == OT_OK && i < count; i++)
		err = found_of(json_array_get(responses, i), &arena, &txn->found[i]);
	if (err == OT_OK && count != (txn->succeeded ? txn->then_count : txn->otherwise_count))
		err = OT_ERR_MALFORMED;
	txn->on_done(txn, err);
	ot_arena_fini(&arena);
}

static void
etcd_txn(struct ot_kv *kv, struct ot_kv_txn *txn)
{
	struct call *call = call_new(etcd_of(kv), txn, on_txn_answer);

	put_txn(&call->body, txn);
	txn->impl = call;
	call_send(call, "/v3/kv/txn", txn->ms_max);
}

/* ---- leases --------------------------------------------------------------------------------- */

static void
on_lease_answer(struct call *call, const json_t *answer, ot_err err)
{
	struct ot_kv_lease *lease = call->owner;
	const json_t *result = json_object_get(answer, "result"); /* of a keepalive */

	if (err == OT_ERR_NOT_FOUND && lease->what != OT_KV_GRANT) {
		err = OT_OK;
		lease->ttl = 0;
	} else if (err == OT_OK && lease->what == OT_KV_GRANT) {
		lease->id = number_at(answer, "ID");
		lease->ttl = number_at(answer, "TTL");
	} else if (err == OT_OK && lease->what == OT_KV_KEEP) {
		lease->ttl = number_at(result, "TTL");
	}
	lease->on_done(lease, err);
}

static void
etcd_lease(struct ot_kv *kv, struct ot_kv_lease *lease)
{
	static const char *const paths[] = { "/v3/lease/grant", "/v3/lease/keepalive",
		"/v3/lease/revoke" };
	struct call *call = call_new(etcd_of(kv), lease, on_lease_answer);
	bool is_grant = lease->what == OT_KV_GRANT;
	char text[64];
	struct ot_text body = OT_TEXT(text);

	ot_text_put(&body, "{\"%s\":\"%" PRId64 "\"}", is_grant ? "TTL" : "ID",
	    is_grant ? lease->ttl : lease->id);
	put(&call->body, text);
	lease->impl = call;
	call_send(call, paths[lease->what], lease->ms_max);
}

/* ---- chores --------------------------------------------------------------------------------- */

static void on_relief_step(struct call *call, const json_t *answer, ot_err err);

static void
on_chore_answer(struct call *call, const json_t *answer, ot_err err)
{
	struct ot_kv_chore *chore = call->owner;

	(void)answer;
	/* Somebody was faster. */
	chore->on_done(chore, err == OT_ERR_OFFSET_OUT_OF_RANGE ? OT_OK : err);
}

/* A relief: each member is defragmented, then asked for alarms, then each alarm is ended. */
static void
relief_next(struct etcd_kv *kv, struct ot_kv_chore *chore, size_t step, int64_t *alarms,
    size_t alarm_count)
{
	struct call *call = call_new(kv, chore, on_relief_step);
	char text[96];
	struct ot_text body = OT_TEXT(text);

	call->is_chore = true;
	call->step = step;
	call->step_count = kv->endpoint_count + 1 + alarm_count;
	call->alarms = alarms;
	if (step < kv->endpoint_count) {
		call->endpoint = step;
		put(&call->body, "{}");
		call_send(call, "/v3/maintenance/defragment", CHORE_MS_MAX);
		return;
	}
	ot_text_put(&body, "{\"action\":\"GET\"}");
	if (step > kv->endpoint_count) {
		body.bytes = 0;
		ot_text_put(&body,
		    "{\"action\":\"DEACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":\"%" PRIu64
		    "\"}",
		    (uint64_t)alarms[step - kv->endpoint_count - 1]);
	}
	put(&call->body, text);
	call_send(call, "/v3/maintenance/alarm", CHORE_MS_MAX);
}

static void
on_relief_step(struct call *call, const json_t *answer, ot_err err)
{
	struct etcd_kv *kv = call->kv;
	struct ot_kv_chore *chore = call->owner;
	const json_t *alarms = json_object_get(answer, "alarms");
	size_t alarm_count = call->step_count - kv->endpoint_count - 1;
	int64_t *members = call->alarms;

	/* A member that is away cannot be defragmented, and need not be. */
	if (call->step >= kv->endpoint_count && err != OT_OK) {
		chore->on_done(chore, err);
		return;
	}
	if (call->step == kv->endpoint_count) {
		alarm_count = json_array_size(alarms);
		members = ot_must_alloc((alarm_count + 1) * sizeof(*members));
		for (size_t i = 0; i < alarm_count; i++)
			members[i] = (int64_t)id_at(json_array_get(alarms, i), "memberID");
		call->step_count += alarm_count;
	}
	call->alarms = NULL;
	if (call->step + 1 < call->step_count) {
		relief_next(kv, chore, call->step + 1, members, alarm_count);
		return;
	}
	ot_free(members);
	chore->on_done(chore, OT_OK);
}

static void
etcd_chore(struct ot_kv *base, struct ot_kv_chore *chore)
{
	struct etcd_kv *kv = etcd_of(base);
	struct call *call;
	char text[96];
	struct ot_text body = OT_TEXT(text);

	if (chore->what == OT_KV_RELIEVE) {
		relief_next(kv, chore, 0, NULL, 0);
		return;
	}
	call = call_new(kv, chore, on_chore_answer);
	call->is_chore = true;
	ot_text_put(&body, "{\"revision\":\"%" PRId64 "\",\"physical\":true}", chore->revision);
	put(&call->body, text);
	call_send(call, "/v3/kv/compaction", CHORE_MS_MAX);
}

/* ---- watches -------------------------------------------------------------------------------- */

static void
watch_ends(struct call *call, ot_err err)
{
	struct ot_kv_watch *watch = call->owner;

	ot_list_remove(&call->link);
	ot_http_cancel(&call->http);
	watch->impl = NULL;
	call->is_dropped = true;
	watch->on_end(watch, err);
}

static ot_err
tell_events(struct call *call, const json_t *events)
{
	struct ot_kv_watch *watch = call->owner;
	size_t count = json_array_size(events);
	struct ot_kv_event *told;
	struct ot_arena arena;
	ot_err err = OT_OK;

	if (count == 0)
		return OT_OK;
	ot_arena_init(&arena, 0);
	told = ot_arena_array(&arena, count, sizeof(*told));
	if (told == NULL)
		err = OT_ERR_NO_MEMORY;
	for (size_t i = 0; err == OT_OK && i < count; i++) {
		const json_t *event = json_array_get(events, i);
		const char *type = json_string_value(json_object_get(event, "type"));

		told[i].is_deletion = type != NULL && strcmp(type, "DELETE") == 0;
		err = pair_of(json_object_get(event, "kv"), &arena, &told[i].pair);
	}
	if (err == OT_OK)
		watch->on_events(watch, told, (int32_t)count);
	ot_arena_fini(&arena);
	return err;
}

static void
take_line(struct call *call, const uint8_t *line, size_t bytes)
{
	ot_err err = OT_OK;
	json_t *answer = parse(call, line, bytes, &err);
	const json_t *result = json_object_get(answer, "result");

	if (err == OT_OK)
		err = check_cluster(call->kv, call->endpoint, result);
	if (err == OT_OK)
		err = tell_events(call, json_object_get(result, "events"));
	if (err == OT_OK && !call->is_dropped && json_is_true(json_object_get(result, "canceled")))
		err = number_at(result, "compact_revision") > 0 ? OT_ERR_OFFSET_OUT_OF_RANGE
		                                                : OT_ERR_CLOSED;
	json_decref(answer);
	if (err != OT_OK && !call->is_dropped)
		watch_ends(call, err);
}

static void
on_watch_data(struct ot_http_call *http)
{
	struct call *call = OT_CONTAINER_OF(http, struct call, http);
	size_t used = 0;

	call->is_telling = true;
	while (!call->is_dropped) {
		const uint8_t *from = http->answer.data + used;
		size_t bytes = http->answer.bytes - used;
		const uint8_t *end =
		    memchr(from + call->scanned, '\n', bytes - OT_MIN(bytes, call->scanned));

		if (end == NULL) {
			call->scanned = bytes;
			break;
		}
		used += (size_t)(end - from) + 1;
		call->scanned = 0;
		if (end > from)
			take_line(call, from, (size_t)(end - from));
	}
	call->is_telling = false;
	if (call->is_dropped)
		call_free(call);
	else
		ot_http_consume(http, used);
}

static void
on_watch_done(struct ot_http_call *http, ot_err err)
{
	struct call *call = OT_CONTAINER_OF(http, struct call, http);

	endpoint_failed(call->kv, call->endpoint, err == OT_OK ? "a watch has ended" : http->why);
	watch_ends(call, OT_ERR_CLOSED);
	call_free(call);
}

static void
etcd_watch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	struct call *call = call_new(etcd_of(kv), watch, NULL);

	put(&call->body, "{\"create_request\":{");
	put_range(&call->body, watch->key, watch->end);
	put_number(&call->body, "start_revision", watch->revision);
	put(&call->body, "}}");
	watch->impl = call;
	call->http.on_data = on_watch_data;
	call_send(call, "/v3/watch", 0);
	call->http.on_done = on_watch_done;
}

static void
drop(struct call *call)
{
	ot_list_remove(&call->link);
	ot_http_cancel(&call->http);
	call->is_dropped = true;
	if (!call->is_telling)
		call_free(call);
}

static void
etcd_unwatch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	(void)kv;
	if (watch->impl != NULL)
		drop(watch->impl);
	watch->impl = NULL;
}

/* ---- endpoints that failed ------------------------------------------------------------------- */

static struct call *
first_doomed(const struct etcd_kv *kv)
{
	OT_LIST_FOREACH(link, &kv->calls) {
		struct call *call = OT_CONTAINER_OF(link, struct call, link);

		if (call->is_doomed)
			return call;
	}
	return NULL;
}

/* One in each turn: a callback may destroy all. */
static void
on_doom(struct ot_timer *timer)
{
	struct etcd_kv *kv = OT_CONTAINER_OF(timer, struct etcd_kv, doom);
	struct call *call = first_doomed(kv);

	if (call == NULL)
		return;
	ot_timer_arm(kv->io, &kv->doom, ot_io_now(kv->io));
	if (call->on_answer == NULL) {
		watch_ends(call, OT_ERR_CLOSED);
	} else {
		ot_list_remove(&call->link);
		ot_http_cancel(&call->http);
		call->on_answer(call, NULL, OT_ERR_CLOSED);
	}
	call_free(call);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
etcd_destroy(struct ot_kv *base)
{
	struct etcd_kv *kv = etcd_of(base);

	OT_LIST_FOREACH_SAFE(link, &kv->calls)
		drop(OT_CONTAINER_OF(link, struct call, link));
	ot_timer_cancel(kv->io, &kv->doom);
	ot_http_destroy(kv->http);
	for (size_t i = 0; i < kv->endpoint_count; i++)
		ot_free(kv->endpoints[i]);
	ot_etcd_endpoints_unref(kv->list);
	ot_free(kv);
}

static const struct ot_kv_ops etcd_ops = {
	.txn = etcd_txn,
	.lease = etcd_lease,
	.chore = etcd_chore,
	.watch = etcd_watch,
	.unwatch = etcd_unwatch,
	.destroy = etcd_destroy,
};

ot_err
ot_kv_etcd_create(const struct ot_kv_etcd_conf *conf, struct ot_kv **ret_kv)
{
	const struct ot_http_conf http_conf = { conf->ca_file, conf->cert_file, conf->key_file };
	struct etcd_kv *kv = OT_NEW(struct etcd_kv);
	ot_err err = ot_http_create(conf->io, &http_conf, &kv->http);

	if (err != OT_OK) {
		ot_free(kv);
		return err;
	}
	kv->base.ops = &etcd_ops;
	kv->io = conf->io;
	ot_timer_init(&kv->doom, on_doom);
	ot_list_init(&kv->calls);
	if (conf->list != NULL) {
		kv->list = ot_etcd_endpoints_ref(conf->list);
	} else {
		kv->list = ot_etcd_endpoints_create();
		ot_etcd_endpoints_set(kv->list, conf->endpoints, conf->endpoint_count);
	}
	take_endpoints(kv);
	*ret_kv = &kv->base;
	return OT_OK;
}
