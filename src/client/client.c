#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "io/loop.h"
#include "io/process.h"
#include "wire/header.h"
#include "wire/msg_api_versions.h"
#include "wire/msg_metadata.h"

enum {
	CLIENT_PORT_DEFAULT = 9092,
	CLIENT_LINK_COUNT_MAX = 256,
	CLIENT_API_COUNT_MAX = 1024,
	CLIENT_ADDRESS_COUNT_MAX = 8,
	CLIENT_RESPONSE_BYTES_MAX = 1024 * 1024 * 1024,
};

/* A connection to one broker. */
struct link {
	struct ot_client *client;
	struct ot_stream *stream;
	int32_t node; /* OT_NODE_ANY for the bootstrap link */
	struct ot_versions advertised[CLIENT_API_COUNT_MAX]; /* by API key */
	bool is_connected;
	bool is_broken;

	const uint8_t *send_next; /* of the request under way */
	const uint8_t *send_end;
	uint8_t head[4];
	size_t head_bytes;
	uint8_t *frame; /* heap; the answer */
	size_t frame_bytes;
	size_t frame_have;
	bool is_answered;
};

struct ot_client {
	struct ot_io *io;
	struct ot_timer timer;
	struct link *waiting; /* for whose answer the loop runs; NULL: for none */
	bool is_timed_out;
	int64_t timeout_ms;
	char *client_id;
	int32_t correlation_id;
	struct link *links[CLIENT_LINK_COUNT_MAX];
	size_t link_count;
	struct ot_client_node *nodes; /* heap */
	size_t node_count;
	int32_t controller;
	struct ot_writer out;
};

/* ---- the stream's events ------------------------------------------------------------------- */

static void
break_link(struct link *link)
{
	link->is_broken = true;
	ot_stream_want(link->stream, false, false);
	if (link->client->waiting == link)
		ot_loop_stop(link->client->io);
}

static void
on_writable(void *arg)
{
	struct link *link = arg;
	link->is_connected = true;
	while (link->send_next < link->send_end) {
		struct iovec piece = { (void *)(uintptr_t)link->send_next,
			(size_t)(link->send_end - link->send_next) };
		size_t bytes = 0;
		ot_err err = ot_stream_write(link->stream, &piece, 1, false, &bytes);
		if (err == OT_ERR_AGAIN)
			return;
		if (err != OT_OK) {
			break_link(link);
			return;
		}
		link->send_next += bytes;
	}
	ot_stream_want(link->stream, true, false);
}

static ot_err
read_into(struct link *link, uint8_t *to, size_t wanted, size_t *have)
{
	while (*have < wanted) {
		struct iovec piece = { to + *have, wanted - *have };
		size_t bytes = 0;
		ot_err err = ot_stream_read(link->stream, &piece, 1, &bytes);
		if (err != OT_OK)
			return err;
		*have += bytes;
	}
	return OT_OK;
}

static ot_err
read_frame(struct link *link)
{
	ot_err err = read_into(link, link->head, sizeof(link->head), &link->head_bytes);
	if (err != OT_OK)
		return err;
	if (link->frame == NULL) {
		uint32_t bytes = ot_get_u32(link->head);
		if (bytes < 4 || bytes > CLIENT_RESPONSE_BYTES_MAX)
			return OT_ERR_MALFORMED;
		link->frame = ot_alloc_raw(bytes);
		link->frame_bytes = bytes;
		link->frame_have = 0;
		if (link->frame == NULL)
			return OT_ERR_NO_MEMORY;
	}
	return read_into(link, link->frame, link->frame_bytes, &link->frame_have);
}

static void
on_readable(void *arg)
{
	struct link *link = arg;
	/* Nobody waits for what comes in by itself: it is the end, or no answer of ours. */
	ot_err err = link->client->waiting == link ? read_frame(link) : OT_ERR_CLOSED;
	if (err == OT_ERR_AGAIN)
		return;
	if (err != OT_OK) {
		break_link(link);
		return;
	}
	link->is_answered = true;
	ot_loop_stop(link->client->io);
}

static const struct ot_stream_events link_events = {
	.on_readable = on_readable,
	.on_writable = on_writable,
};

static void
on_timeout(struct ot_timer *timer)
{
	struct ot_client *client = OT_CONTAINER_OF(timer, struct ot_client, timer);
	client->is_timed_out = true;
	ot_loop_stop(client->io);
}

/* ---- links --------------------------------------------------------------------------------- */

static void
free_link(struct link *link)
{
	ot_stream_close(link->stream);
	ot_free(link->frame);
	ot_free(link);
}

static void
forget_link(struct ot_client *client, struct link *link)
{
	for (size_t i = 0; i < client->link_count; i++) {
		if (client->links[i] == link)
			client->links[i] = client->links[--client->link_count];
	}
	free_link(link);
}

/* Sends what is in client->out and waits for one frame. */
static ot_err
exchange(struct link *link)
{
	struct ot_client *client = link->client;
	link->send_next = client->out.data;
	link->send_end = client->out.data + client->out.bytes;
	link->head_bytes = 0;
	ot_free(link->frame);
	link->frame = NULL;
	link->is_answered = false;
	client->is_timed_out = false;
	client->waiting = link;
	ot_stream_want(link->stream, link->is_connected, true);
	ot_timer_arm(client->io, &client->timer,
	    ot_io_now_exact(client->io) + (ot_mono_ns)client->timeout_ms * OT_NS_PER_MS);
	ot_loop_run(client->io);
	ot_timer_cancel(client->io, &client->timer);
	client->waiting = NULL;
	if (link->is_answered)
		return OT_OK;
	return client->is_timed_out ? OT_ERR_REQUEST_TIMED_OUT : OT_ERR_CLOSED;
}

static ot_err
send_request(struct link *link, const struct ot_api *api, int16_t version, const void *request)
{
	struct ot_client *client = link->client;
	struct ot_writer *out = &client->out;
	ot_writer_reset(out);
	ot_write_i32(out, 0);
	ot_err err = ot_request_header_write(api, version, ++client->correlation_id,
	    ot_str_from(client->client_id), out);
	if (err == OT_OK)
		err = ot_msg_encode(api->request, version, request, out, NULL);
	if (err == OT_OK && out->failed)
		err = OT_ERR_NO_MEMORY;
	if (err != OT_OK)
		return err;
	ot_write_i32_at(out, 0, (int32_t)(out->bytes - 4));
	return exchange(link);
}

static ot_err
read_answer(struct link *link, const struct ot_api *api, int16_t version, struct ot_arena *arena,
    void *ret_response)
{
	/* Views point into the answer, so it moves into the caller's arena. */
	char *copy = ot_arena_strndup(arena, (const char *)link->frame, link->frame_bytes);
	if (copy == NULL)
		return OT_ERR_NO_MEMORY;
	struct ot_reader in = ot_reader_of(copy, link->frame_bytes);
	struct ot_response_header header;
	ot_err err = ot_response_header_read(api, version, &in, arena, &header);
	if (err == OT_OK && header.correlation_id != link->client->correlation_id)
		err = OT_ERR_MALFORMED;
	return err != OT_OK ? err : ot_msg_decode(api->response, version, &in, arena, ret_response);
}

/* What the broker speaks. A broker that does not know the version answers in version 0. */
static ot_err
learn_versions(struct link *link)
{
	const struct ot_api *api = ot_api_find(18);
	struct ot_arena arena;
	struct ot_api_versions_request request;
	struct ot_api_versions_response response;
	ot_arena_init(&arena, 0);
	ot_api_versions_request_init(&request);
	request.client_software_name = OT_STR_LIT("ottla");
	request.client_software_version = OT_STR_LIT("1");
	ot_err err = OT_OK;
	for (int16_t version = 3; version >= 0; version = (int16_t)(version - 3)) {
		err = send_request(link, api, version, &request);
		if (err != OT_OK)
			break;
		err = read_answer(link, api, version, &arena, &response);
		if (err == OT_OK && response.error_code == 0)
			break;
	}
	for (int16_t key = 0; key < CLIENT_API_COUNT_MAX; key++)
		link->advertised[key] = (struct ot_versions){ 0, -1 };
	for (int32_t i = 0; err == OT_OK && i < response.api_keys_count; i++) {
		const struct ot_api_versions_response_api_version *range = &response.api_keys[i];
		if (range->api_key >= 0 && range->api_key < CLIENT_API_COUNT_MAX)
			link->advertised[range->api_key] =
			    (struct ot_versions){ range->min_version, range->max_version };
	}
	ot_arena_fini(&arena);
	return err;
}

static ot_err
connect_address(struct ot_client *client, const struct ot_address *address, int32_t node,
    struct link **ret)
{
	if (client->link_count == CLIENT_LINK_COUNT_MAX)
		return OT_ERR_NO_MEMORY;
	struct link *link = OT_NEW(struct link);
	link->client = client;
	link->node = node;
	ot_err err = ot_io_connect(client->io, address, &link_events, link, &link->stream);
	if (err == OT_OK)
		err = learn_versions(link);
	if (err != OT_OK) {
		free_link(link);
		return err;
	}
	client->links[client->link_count++] = link;
	*ret = link;
	return OT_OK;
}

static ot_err
connect_host(struct ot_client *client, const char *host, uint16_t port, int32_t node,
    struct link **ret, struct ot_why *why)
{
	struct ot_address addresses[CLIENT_ADDRESS_COUNT_MAX];
	size_t count = ot_io_resolve(host, port, addresses, CLIENT_ADDRESS_COUNT_MAX);
	ot_err err = OT_ERR_CLOSED;
	if (count == 0)
		ot_why_set(why, "the name %s cannot be resolved", host);
	for (size_t i = 0; i < count; i++) {
		err = connect_address(client, &addresses[i], node, ret);
		if (err == OT_OK)
			return OT_OK;
		ot_why_set(why,
		    err == OT_ERR_REQUEST_TIMED_OUT ? "%s:%u does not answer within %lld ms"
						    : "no broker can be reached at %s:%u",
		    host, port, (long long)client->timeout_ms);
	}
	return err;
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* One whose peer is still there, if there is one. */
static struct link *
any_link(struct ot_client *client)
{
	for (size_t i = 0; i < client->link_count; i++) {
		if (!client->links[i]->is_broken)
			return client->links[i];
	}
	return client->link_count > 0 ? client->links[0] : NULL;
}

static struct link *
find_link(struct ot_client *client, int32_t node)
{
	for (size_t i = 0; i < client->link_count; i++) {
		if (client->links[i]->node == node)
			return client->links[i];
	}
	return NULL;
}

static void
take_nodes(struct ot_client *client, const struct ot_metadata_response *response)
{
	size_t count = (size_t)OT_MAX(response->brokers_count, 0);
	ot_free(client->nodes);
	client->nodes = ot_must_alloc(OT_MAX(count, 1u) * sizeof(*client->nodes));
	client->node_count = count;
	client->controller = response->controller_id;
	for (size_t i = 0; i < count; i++) {
		const struct ot_metadata_response_broker *broker = &response->brokers[i];
		struct ot_client_node *node = &client->nodes[i];
		node->id = broker->node_id;
		node->port = (uint16_t)broker->port;
		snprintf(node->host, sizeof(node->host), "%.*s", OT_STR_ARG(broker->host));
		snprintf(node->rack, sizeof(node->rack), "%.*s", OT_STR_ARG(broker->rack));
	}
}

ot_err
ot_client_learn_nodes(struct ot_client *client, struct ot_why *why)
{
	struct ot_arena arena;
	struct ot_metadata_request request;
	struct ot_metadata_response response;
	ot_arena_init(&arena, 0);
	ot_metadata_request_init(&request);
	request.topics_count = 0; /* no topics: an empty list */
	request.allow_auto_topic_creation = false;
	ot_err err =
	    ot_client_call(client, OT_NODE_ANY, ot_api_find(3), &request, &arena, &response, why);
	if (err == OT_OK)
		take_nodes(client, &response);
	ot_arena_fini(&arena);
	return err;
}

static ot_err
link_to(struct ot_client *client, int32_t node, struct link **ret, struct ot_why *why)
{
	*ret = node == OT_NODE_ANY ? any_link(client) : find_link(client, node);
	if (*ret != NULL && !(*ret)->is_broken)
		return OT_OK;
	if (*ret != NULL)
		forget_link(client, *ret); /* its peer has gone while nobody asked */
	for (int attempt = 0; attempt < 2; attempt++) {
		for (size_t i = 0; i < client->node_count; i++) {
			const struct ot_client_node *known = &client->nodes[i];
			if (known->id != node && node != OT_NODE_ANY)
				continue;
			ot_err err =
			    connect_host(client, known->host, known->port, known->id, ret, why);
			if (err == OT_OK || known->id == node)
				return err;
		}
		if (node == OT_NODE_ANY || attempt > 0)
			break;
		ot_err err = ot_client_learn_nodes(client, why);
		if (err != OT_OK)
			return err;
	}
	ot_why_set(why, "the cluster has no node %d", node);
	return node == OT_NODE_ANY ? OT_ERR_CLOSED : OT_ERR_BROKER_NOT_AVAILABLE;
}

/* ---- the client ---------------------------------------------------------------------------- */

/* Cuts the next "host:port" off `list`; false at its end. */
static bool
next_server(const char **list, char *host, size_t host_bytes, uint16_t *port)
{
	*list += strspn(*list, ", \t");
	size_t length = strcspn(*list, ", \t");
	if (length == 0)
		return false;
	size_t name_bytes = length;
	unsigned long number = CLIENT_PORT_DEFAULT;
	for (size_t i = length; i-- > 0;) {
		if ((*list)[i] == ']')
			break;
		if ((*list)[i] == ':') {
			name_bytes = i;
			number = strtoul(*list + i + 1, NULL, 10);
			break;
		}
	}
	const char *name = *list;
	if (name_bytes >= 2 && name[0] == '[' && name[name_bytes - 1] == ']') {
		name++;
		name_bytes -= 2;
	}
	snprintf(host, host_bytes, "%.*s", (int)name_bytes, name);
	*port = number <= UINT16_MAX ? (uint16_t)number : 0;
	*list += length;
	return true;
}

static ot_err
connect_bootstrap(struct ot_client *client, const char *list, struct ot_why *why)
{
	char host[256];
	uint16_t port;
	ot_err err = OT_ERR_INVALID_CONFIG;
	ot_why_set(why, "the list of bootstrap servers is empty; give host:port");
	while (next_server(&list, host, sizeof(host), &port)) {
		if (host[0] == '\0' || port == 0) {
			ot_why_set(why,
			    "a bootstrap server must be host:port with a port from 1 to 65535");
			return OT_ERR_INVALID_CONFIG;
		}
		struct link *link;
		err = connect_host(client, host, port, OT_NODE_ANY, &link, why);
		if (err == OT_OK)
			break;
	}
	return err;
}

ot_err
ot_client_open(const struct ot_client_conf *conf, struct ot_client **ret_client, struct ot_why *why)
{
	struct ot_client *client = OT_NEW(struct ot_client);
	client->timeout_ms = conf->timeout_ms;
	client->client_id = ot_must_strdup(conf->client_id);
	client->controller = -1;
	ot_writer_init(&client->out);
	ot_timer_init(&client->timer, on_timeout);
	ot_process_ignore_sigpipe();
	ot_err err = ot_loop_create(&client->io);
	if (err == OT_OK)
		err = connect_bootstrap(client, conf->bootstrap, why);
	if (err != OT_OK) {
		ot_client_close(client);
		return err;
	}
	*ret_client = client;
	return OT_OK;
}

void
ot_client_close(struct ot_client *client)
{
	if (client == NULL)
		return;
	for (size_t i = 0; i < client->link_count; i++)
		free_link(client->links[i]);
	ot_loop_destroy(client->io);
	ot_writer_fini(&client->out);
	ot_free(client->nodes);
	ot_free(client->client_id);
	ot_free(client);
}

static int16_t
shared_version(const struct link *link, const struct ot_api *api, int16_t version_max)
{
	struct ot_versions theirs = link->advertised[api->key];
	struct ot_versions ours = api->request->valid;
	int16_t version = OT_MIN(OT_MIN(theirs.max, ours.max), version_max);
	if (api->unstable.min <= api->unstable.max && version >= api->unstable.min)
		version = (int16_t)(api->unstable.min - 1);
	return version >= theirs.min && version >= ours.min ? version : -1;
}

ot_err
ot_client_connect(struct ot_client *client, int32_t node, struct ot_why *why)
{
	struct link *link = NULL;
	return link_to(client, node, &link, why);
}

ot_err
ot_client_call_version(struct ot_client *client, int32_t node, const struct ot_api *api,
    int16_t version_max, const void *request, struct ot_arena *arena, void *ret_response,
    struct ot_why *why)
{
	struct link *link = NULL;
	ot_err err = link_to(client, node, &link, why);
	if (err != OT_OK)
		return err;
	int16_t version = shared_version(link, api, version_max);
	if (version < 0) {
		ot_why_set(why, "the broker does not support the API %s", api->name);
		return OT_ERR_UNSUPPORTED_VERSION;
	}
	err = send_request(link, api, version, request);
	if (err == OT_OK)
		err = read_answer(link, api, version, arena, ret_response);
	if (err == OT_OK)
		return OT_OK;
	ot_why_set(why, "%s: %s", api->name, ot_err_message(err));
	forget_link(client, link);
	return err;
}

ot_err
ot_client_call(struct ot_client *client, int32_t node, const struct ot_api *api,
    const void *request, struct ot_arena *arena, void *ret_response, struct ot_why *why)
{
	return ot_client_call_version(client, node, api, INT16_MAX, request, arena, ret_response,
	    why);
}

int16_t
ot_client_version(struct ot_client *client, int32_t node, const struct ot_api *api)
{
	struct link *link = NULL;
	if (link_to(client, node, &link, NULL) != OT_OK)
		return -1;
	return shared_version(link, api, INT16_MAX);
}

struct ot_versions
ot_client_advertised(struct ot_client *client, int32_t node, int16_t api_key)
{
	struct link *link = NULL;
	if (api_key < 0 || api_key >= CLIENT_API_COUNT_MAX ||
	    link_to(client, node, &link, NULL) != OT_OK)
		return (struct ot_versions){ 0, -1 };
	return link->advertised[api_key];
}

const struct ot_client_node *
ot_client_nodes(const struct ot_client *client, size_t *ret_count)
{
	*ret_count = client->node_count;
	return client->nodes;
}

const struct ot_client_node *
ot_client_find_node(const struct ot_client *client, int32_t id)
{
	for (size_t i = 0; i < client->node_count; i++) {
		if (client->nodes[i].id == id)
			return &client->nodes[i];
	}
	return NULL;
}

int32_t
ot_client_controller(const struct ot_client *client)
{
	return client->controller;
}

int64_t
ot_client_timeout_ms(const struct ot_client *client)
{
	return client->timeout_ms;
}

void
ot_client_pause(struct ot_client *client, int64_t pause_ms)
{
	ot_timer_arm(client->io, &client->timer,
	    ot_io_now_exact(client->io) + (ot_mono_ns)pause_ms * OT_NS_PER_MS);
	ot_loop_run(client->io);
	ot_timer_cancel(client->io, &client->timer);
}
