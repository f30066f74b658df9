#include "cluster/etcd_admin.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/text.h"
#include "cluster/etcd_place.h"
#include "io/http.h"

enum { REQUEST_MS_MAX = 5000, CONNECT_MS_MAX = 1000, ANSWER_BYTES_MAX = 1024 * 1024 };

struct ot_etcd_admin {
	struct ot_io *io;
	struct ot_http *http;
	struct ot_etcd_endpoints *endpoints;
	size_t turn; /* which of them is asked, counted on and on */
	struct ot_list calls;
};

struct request {
	struct ot_http_call http;
	struct ot_list link;
	struct ot_etcd_admin *admin;
	struct ot_etcd_admin_call *call;
	char url[OT_ETCD_URL_BYTES + 64];
	char body[OT_ETCD_URL_BYTES + 64];
};

/* ---- answers -------------------------------------------------------------------------------- */

static void
copy_text(const json_t *value, char *to, size_t bytes)
{
	struct ot_text text = { .data = to, .bytes_max = bytes };

	ot_text_put(&text, "%s", json_is_string(value) ? json_string_value(value) : "");
}

static void
take_members(struct ot_etcd_admin_call *call, const json_t *members)
{
	size_t count = OT_MIN(json_array_size(members), (size_t)OT_ETCD_MEMBERS_MAX);

	for (size_t i = 0; i < count; i++) {
		const json_t *member = json_array_get(members, i);
		struct ot_etcd_member_info *info = &call->members[i];
		const char *id = json_string_value(json_object_get(member, "ID"));

		info->id = id != NULL ? strtoull(id, NULL, 10) : 0;
		copy_text(json_object_get(member, "name"), info->name, sizeof(info->name));
		copy_text(json_array_get(json_object_get(member, "peerURLs"), 0), info->peer_url,
		    sizeof(info->peer_url));
		copy_text(json_array_get(json_object_get(member, "clientURLs"), 0),
		    info->client_url, sizeof(info->client_url));
		info->is_learner = json_is_true(json_object_get(member, "isLearner"));
	}
	call->member_count = (int32_t)count;
}

static ot_err
err_of_text(const char *text)
{
	static const struct {
		const char *part;
		ot_err err;
	} known[] = {
		{ "Peer URLs already exists", OT_ERR_EXISTS },
		{ "learner member which is in sync", OT_ERR_AGAIN },
		{ "too many learner members", OT_ERR_AGAIN },
		/* The newest has not been connected for some seconds. */
		{ "unhealthy cluster", OT_ERR_AGAIN },
		{ "can only promote a learner member", OT_OK },
		{ "member not found", OT_ERR_NOT_FOUND },
	};

	for (size_t i = 0; i < OT_ARRAY_COUNT(known); i++)
		if (strstr(text, known[i].part) != NULL)
			return known[i].err;
	return OT_ERR_CLOSED;
}

static ot_err
take_answer(struct ot_etcd_admin_call *call, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const json_t *added = json_object_get(answer, "member");
	const char *id = json_string_value(json_object_get(added, "ID"));
	ot_err err;

	if (error != NULL) {
		copy_text(error, call->why, sizeof(call->why));
		err = err_of_text(call->why);
		if (err == OT_ERR_NOT_FOUND && call->what == OT_ETCD_REMOVE)
			err = OT_OK;
		return err;
	}
	if (id != NULL)
		call->id = strtoull(id, NULL, 10);
	take_members(call, json_object_get(answer, "members"));
	return OT_OK;
}

static void
on_http_done(struct ot_http_call *http, ot_err err)
{
	struct request *request = OT_CONTAINER_OF(http, struct request, http);
	struct ot_etcd_admin *admin = request->admin;
	struct ot_etcd_admin_call *call = request->call;
	struct ot_text why = OT_TEXT(call->why);
	json_t *answer = NULL;

	ot_list_remove(&request->link);
	call->why[0] = '\0';
	call->member_count = 0;
	if (err == OT_OK)
		answer = json_loadb((const char *)http->answer.data, http->answer.bytes, 0, NULL);
	if (err != OT_OK)
		ot_text_put(&why, "%s", http->why);
	else if (answer == NULL)
		err = OT_ERR_MALFORMED;
	else
		err = take_answer(call, answer);
	if (err == OT_ERR_CLOSED || err == OT_ERR_REQUEST_TIMED_OUT || err == OT_ERR_MALFORMED)
		admin->turn++;
	json_decref(answer);
	ot_writer_fini(&http->answer);
	ot_free(request);
	call->impl = NULL;
	call->on_done(call, err);
}

/* ---- requests ------------------------------------------------------------------------------- */

static const char *const paths[] = {
	[OT_ETCD_LIST] = "/v3/cluster/member/list",
	[OT_ETCD_ADD] = "/v3/cluster/member/add",
	[OT_ETCD_PROMOTE] = "/v3/cluster/member/promote",
	[OT_ETCD_REMOVE] = "/v3/cluster/member/remove",
	[OT_ETCD_STATUS] = "/v3/maintenance/status",
};

void
ot_etcd_admin_call(struct ot_etcd_admin *admin, struct ot_etcd_admin_call *call)
{
	struct request *request = OT_NEW(struct request);
	struct ot_text url = OT_TEXT(request->url), body = OT_TEXT(request->body);
	size_t count = ot_etcd_endpoints_count(admin->endpoints);

	request->admin = admin;
	request->call = call;
	/* Without an endpoint, none that a client could reach. */
	ot_text_put(&url, "%s%s",
	    count > 0 ? ot_etcd_endpoints_at(admin->endpoints, admin->turn % count)
		      : "http://127.0.0.1:0",
	    paths[call->what]);
	if (call->what == OT_ETCD_ADD)
		ot_text_put(&body, "{\"peerURLs\":[\"%s\"],\"isLearner\":true}", call->peer_url);
	else if (call->what == OT_ETCD_PROMOTE || call->what == OT_ETCD_REMOVE)
		ot_text_put(&body, "{\"ID\":\"%" PRIu64 "\"}", call->id);
	else
		ot_text_put(&body, "{}");
	request->http.url = request->url;
	request->http.body = request->body;
	request->http.body_bytes = body.bytes;
	request->http.connect_ms_max = CONNECT_MS_MAX;
	request->http.whole_ms_max = REQUEST_MS_MAX;
	request->http.answer_bytes_max = ANSWER_BYTES_MAX;
	request->http.on_done = on_http_done;
	ot_list_push_back(&admin->calls, &request->link);
	call->impl = request;
	ot_http_send(admin->http, &request->http);
}

/* ---- life ----------------------------------------------------------------------------------- */

ot_err
ot_etcd_admin_create(struct ot_io *io, struct ot_etcd_endpoints *endpoints,
    const struct ot_etcd_tls *tls, struct ot_etcd_admin **ret_admin)
{
	struct ot_http_conf conf = { 0 };
	struct ot_etcd_admin *admin = OT_NEW(struct ot_etcd_admin);
	ot_err err;

	if (tls != NULL)
		conf = (struct ot_http_conf){ tls->ca_file, tls->cert_file, tls->key_file };
	err = ot_http_create(io, &conf, &admin->http);
	if (err != OT_OK) {
		ot_free(admin);
		return err;
	}
	admin->io = io;
	admin->endpoints = ot_etcd_endpoints_ref(endpoints);
	ot_list_init(&admin->calls);
	*ret_admin = admin;
	return OT_OK;
}

void
ot_etcd_admin_destroy(struct ot_etcd_admin *admin)
{
	if (admin == NULL)
		return;
	OT_LIST_FOREACH_SAFE(link, &admin->calls) {
		struct request *request = OT_CONTAINER_OF(link, struct request, link);

		ot_list_remove(link);
		ot_http_cancel(&request->http);
		ot_writer_fini(&request->http.answer);
		ot_free(request);
	}
	ot_http_destroy(admin->http);
	ot_etcd_endpoints_unref(admin->endpoints);
	ot_free(admin);
}
