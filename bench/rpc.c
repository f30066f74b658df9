#include "rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "meter.h"
#include "wire/header.h"
#include "wire/msg_create_topics.h"
#include "wire/msg_delete_topics.h"
#include "wire/msg_metadata.h"

enum {
	CREATE_VERSION = 7,
	DELETE_VERSION = 5,
	METADATA_VERSION = 12,
	CONFIGS_MAX = 20,
	TIMEOUT_S = 60,
	LEADERS_WAIT_MS = 60 * 1000,
	LEADERS_POLL_US = 5 * 1000,
};

int
rpc_connect(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

bool
rpc_send_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *next = data;
	while (bytes > 0) {
		ssize_t sent = send(fd, next, bytes, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		next += sent;
		bytes -= (size_t)sent;
	}
	return true;
}

bool
rpc_receive_all(int fd, void *ret_data, size_t bytes)
{
	return recv(fd, ret_data, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

void
rpc_open(struct rpc *rpc, int port)
{
	*rpc = (struct rpc){ .fd = rpc_connect(port) };
	if (rpc->fd < 0)
		meter_die("cannot connect to port %d: %s", port, strerror(errno));
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	setsockopt(rpc->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	ot_arena_init(&rpc->arena, 0);
	ot_writer_init(&rpc->out);
}

void
rpc_close(struct rpc *rpc)
{
	close(rpc->fd);
	ot_arena_fini(&rpc->arena);
	ot_writer_fini(&rpc->out);
	ot_free(rpc->frame);
}

void
rpc_write_request(const struct ot_api *api, int16_t version, int32_t correlation,
    const void *request, struct ot_writer *out)
{
	ot_write_i32(out, 0);
	ot_err err = ot_request_header_write(api, version, correlation, OT_STR_LIT("bench"), out);
	if (err == OT_OK)
		err = ot_msg_encode(api->request, version, request, out, NULL);
	if (err != OT_OK || out->failed)
		meter_die("cannot encode %s %d: %s", api->name, version, ot_err_name(err));
	ot_write_i32_at(out, 0, (int32_t)out->bytes - 4);
}

void
rpc_call(struct rpc *rpc, int16_t key, int16_t version, const void *request, void *ret_response)
{
	const struct ot_api *api = ot_api_find(key);
	ot_writer_reset(&rpc->out);
	rpc_write_request(api, version, ++rpc->correlation, request, &rpc->out);
	uint8_t length[4];
	if (!rpc_send_all(rpc->fd, rpc->out.data, rpc->out.bytes) ||
	    !rpc_receive_all(rpc->fd, length, sizeof(length)))
		meter_die("no answer to %s", api->name);
	size_t bytes = ot_get_u32(length);
	ot_free(rpc->frame);
	rpc->frame = ot_must_alloc(bytes);
	if (!rpc_receive_all(rpc->fd, rpc->frame, bytes))
		meter_die("half an answer to %s", api->name);
	ot_arena_reset(&rpc->arena);
	struct ot_reader in = ot_reader_of(rpc->frame, bytes);
	struct ot_response_header header;
	ot_err err = ot_response_header_read(api, version, &in, &rpc->arena, &header);
	if (err == OT_OK)
		err = ot_msg_decode(api->response, version, &in, &rpc->arena, ret_response);
	if (err != OT_OK || header.correlation_id != rpc->correlation)
		meter_die("cannot read the answer to %s: %s", api->name, ot_err_name(err));
}

/* Cuts "name=value,name=value" into the array and returns how many there are. */
static int32_t
parse_configs(char *text, struct ot_create_topics_request_config *ret_configs)
{
	int32_t count = 0;
	char *rest = text;
	for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
		char *value = strchr(item, '=');
		if (value == NULL || count == CONFIGS_MAX)
			meter_die("--configs wants name=value, at most %d of them", CONFIGS_MAX);
		*value++ = '\0';
		ret_configs[count++] =
		    (struct ot_create_topics_request_config){ .name = ot_str_from(item),
			    .value = ot_str_from(value) };
	}
	return count;
}

/* Whether all partitions have leaders; gives the topic's id. */
static bool
has_leaders(struct rpc *rpc, const struct rpc_topic *topic, struct ot_uuid *ret_id)
{
	struct ot_metadata_request_topic asked;
	ot_metadata_request_topic_init(&asked);
	asked.name = ot_str_from(topic->name);
	struct ot_metadata_request request;
	ot_metadata_request_init(&request);
	request.topics = &asked;
	request.topics_count = 1;
	request.allow_auto_topic_creation = false;
	struct ot_metadata_response response;
	rpc_call(rpc, OT_API_METADATA, METADATA_VERSION, &request, &response);
	if (response.topics_count != 1 || response.topics[0].error_code != 0 ||
	    response.topics[0].partitions_count != topic->partition_count)
		return false;
	for (int32_t i = 0; i < topic->partition_count; i++) {
		const struct ot_metadata_response_partition *part =
		    &response.topics[0].partitions[i];
		if (part->error_code != 0 || part->leader_id < 0)
			return false;
	}
	*ret_id = response.topics[0].topic_id;
	return true;
}

struct ot_uuid
rpc_create_topic(struct rpc *rpc, const struct rpc_topic *topic)
{
	char *text = ot_must_strdup(topic->configs != NULL ? topic->configs : "");
	struct ot_create_topics_request_config configs[CONFIGS_MAX];
	struct ot_create_topics_request_topic wanted;
	ot_create_topics_request_topic_init(&wanted);
	wanted.name = ot_str_from(topic->name);
	wanted.num_partitions = topic->partition_count;
	wanted.replication_factor = 1;
	wanted.configs = configs;
	wanted.configs_count = text[0] != '\0' ? parse_configs(text, configs) : 0;
	struct ot_create_topics_request request;
	ot_create_topics_request_init(&request);
	request.topics = &wanted;
	request.topics_count = 1;
	struct ot_create_topics_response response;
	rpc_call(rpc, OT_API_CREATE_TOPICS, CREATE_VERSION, &request, &response);
	ot_free(text);
	if (response.topics_count != 1 || response.topics[0].error_code != 0)
		meter_die("cannot create %s: %.*s", topic->name,
		    OT_STR_ARG(response.topics[0].error_message));
	struct ot_uuid id;
	uint64_t end = meter_now_ns() + (uint64_t)LEADERS_WAIT_MS * 1000000u;
	while (!has_leaders(rpc, topic, &id)) {
		if (meter_now_ns() > end)
			meter_die("%s has no leaders", topic->name);
		usleep(LEADERS_POLL_US);
	}
	return id;
}

void
rpc_delete_topic(struct rpc *rpc, const char *name)
{
	struct ot_str names[1] = { ot_str_from(name) };
	struct ot_delete_topics_request request;
	ot_delete_topics_request_init(&request);
	request.topic_names = names;
	request.topic_names_count = 1;
	request.timeout_ms = TIMEOUT_S * 1000;
	struct ot_delete_topics_response response;
	rpc_call(rpc, OT_API_DELETE_TOPICS, DELETE_VERSION, &request, &response);
	if (response.responses_count != 1 || response.responses[0].error_code != 0)
		meter_die("cannot delete %s: error %d", name, response.responses[0].error_code);
}
