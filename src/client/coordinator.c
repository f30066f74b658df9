#include "client/coordinator.h"

#include "wire/msg_find_coordinator.h"

enum { COORDINATOR_RETRY_MS = 50, COORDINATOR_BATCH_VERSION = 4 };

struct answer {
	ot_err err;
	int32_t node;
	struct ot_str message;
};

/* One question and its answer, of which versions before 4 have only one. */
static ot_err
ask(struct ot_client *client, enum ot_coordinator_kind kind, struct ot_str key,
    struct ot_arena *arena, struct answer *ret_answer, struct ot_why *why)
{
	struct ot_find_coordinator_request request;
	struct ot_find_coordinator_response response;
	ot_find_coordinator_request_init(&request);
	request.key = key;
	request.key_type = (int8_t)kind;
	request.coordinator_keys = &key;
	request.coordinator_keys_count = 1;
	const struct ot_api *api = ot_api_find(10);
	ot_err err = ot_client_call(client, OT_NODE_ANY, api, &request, arena, &response, why);
	if (err != OT_OK)
		return err;
	*ret_answer = (struct answer){ ot_err_from_wire(response.error_code), response.node_id,
		response.error_message };
	if (ot_client_version(client, OT_NODE_ANY, api) < COORDINATOR_BATCH_VERSION)
		return OT_OK;
	if (response.coordinators_count != 1) {
		ot_why_set(why, "FindCoordinator was answered without a coordinator");
		return OT_ERR_MALFORMED;
	}
	*ret_answer = (struct answer){ ot_err_from_wire(response.coordinators[0].error_code),
		response.coordinators[0].node_id, response.coordinators[0].error_message };
	return OT_OK;
}

ot_err
ot_client_find_coordinator(struct ot_client *client, enum ot_coordinator_kind kind,
    struct ot_str key, int32_t *ret_node, struct ot_why *why)
{
	struct ot_arena arena;
	struct answer answer;
	int64_t left_ms = ot_client_timeout_ms(client);
	ot_err err;
	ot_arena_init(&arena, 0);
	for (;;) {
		ot_arena_reset(&arena);
		err = ask(client, kind, key, &arena, &answer, why);
		if (err != OT_OK || !ot_err_is_retriable(answer.err) || left_ms <= 0)
			break;
		ot_client_pause(client, COORDINATOR_RETRY_MS);
		left_ms -= COORDINATOR_RETRY_MS;
	}
	if (err == OT_OK && answer.err != OT_OK) {
		err = answer.err;
		if (answer.message.len > 0)
			ot_why_set(why, "%.*s", OT_STR_ARG(answer.message));
		else
			ot_why_set(why, "%s", ot_err_message(err));
	}
	if (err == OT_OK)
		*ret_node = answer.node;
	ot_arena_fini(&arena);
	return err;
}
