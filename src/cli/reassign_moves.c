#include "cli/reassign_int.h"

#include <stdlib.h>

#include "wire/msg_alter_partition_reassignments.h"
#include "wire/msg_list_partition_reassignments.h"

/* ---- what is under way --------------------------------------------------------------------- */

static void
flatten(struct cli *cli, const struct ot_list_partition_reassignments_response *response,
    struct cli_movings *movings)
{
	size_t count = 0;
	for (int32_t i = 0; i < response->topics_count; i++)
		count += (size_t)OT_MAX(response->topics[i].partitions_count, 0);
	movings->items = cli_alloc(cli, count, sizeof(*movings->items));
	movings->count = 0;
	for (int32_t i = 0; i < response->topics_count; i++) {
		const struct ot_list_partition_reassignments_response_topic *topic =
		    &response->topics[i];
		for (int32_t k = 0; k < topic->partitions_count; k++) {
			const struct ot_list_partition_reassignments_response_partition *from =
			    &topic->partitions[k];
			movings->items[movings->count++] = (struct cli_moving){
				.name = { topic->name, from->partition_index },
				.replicas = { from->replicas, from->replicas_count },
				.adding = { from->adding_replicas, from->adding_replicas_count },
				.removing = { from->removing_replicas,
				    from->removing_replicas_count },
			};
		}
	}
	if (count > 1)
		qsort(movings->items, count, sizeof(*movings->items), cli_partition_name_compare);
}

ot_err
cli_movings_fetch(struct cli *cli, struct cli_movings *ret_movings)
{
	struct ot_list_partition_reassignments_request request;
	struct ot_list_partition_reassignments_response response;
	ot_list_partition_reassignments_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	request.topics_count = -1; /* all that are under way */
	ot_err err =
	    cli_call(cli, OT_NODE_ANY, CLI_API_LIST_PARTITION_REASSIGNMENTS, &request, &response);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	}
	if (err == OT_OK)
		flatten(cli, &response, ret_movings);
	return err;
}

const struct cli_moving *
cli_movings_find(const struct cli_movings *movings, struct cli_partition_name name)
{
	return movings->count == 0 ? NULL
	                           : bsearch(&name, movings->items, movings->count,
					 sizeof(*movings->items), cli_partition_name_compare);
}

void
cli_movings_print(struct cli *cli, const struct cli_movings *movings, FILE *out)
{
	if (movings->count == 0) {
		fprintf(out, "No partition reassignments found.\n");
		return;
	}
	fprintf(out, "Current partition reassignments:\n");
	for (size_t i = 0; i < movings->count; i++) {
		const struct cli_moving *one = &movings->items[i];
		fprintf(out, "%.*s-%d: replicas: %s.", OT_STR_ARG(one->name.topic), one->name.index,
		    cli_replicas_text(cli, &one->replicas));
		if (one->adding.count > 0)
			fprintf(out, " adding: %s.", cli_replicas_text(cli, &one->adding));
		if (one->removing.count > 0)
			fprintf(out, " removing: %s.", cli_replicas_text(cli, &one->removing));
		fputc('\n', out);
	}
}

/* ---- starting and cancelling --------------------------------------------------------------- */

static void
fill_request(struct cli *cli, const struct cli_targets *targets, bool is_cancel,
    struct ot_alter_partition_reassignments_request *request)
{
	struct ot_alter_partition_reassignments_request_topic *topic = NULL;
	request->topics = ot_alter_partition_reassignments_request_topic_array(&cli->arena,
	    (int32_t)targets->count);
	for (size_t i = 0; i < targets->count; i++) {
		const struct cli_target *target = &targets->items[i];
		if (topic == NULL || !ot_str_equal(topic->name, target->name.topic)) {
			topic = &request->topics[request->topics_count++];
			topic->name = target->name.topic;
			topic->partitions =
			    ot_alter_partition_reassignments_request_partition_array(&cli->arena,
				(int32_t)(targets->count - i));
		}
		struct ot_alter_partition_reassignments_request_partition *partition =
		    &topic->partitions[topic->partitions_count++];
		partition->partition_index = target->name.index;
		partition->replicas = target->replicas.brokers;
		partition->replicas_count = is_cancel ? -1 : target->replicas.count;
	}
}

static void
take_errors(struct cli *cli, const struct ot_alter_partition_reassignments_response *response,
    struct cli_move_errors *errors)
{
	size_t count = 0;
	for (int32_t i = 0; i < response->responses_count; i++)
		count += (size_t)OT_MAX(response->responses[i].partitions_count, 0);
	errors->items = cli_alloc(cli, count, sizeof(*errors->items));
	errors->count = 0;
	for (int32_t i = 0; i < response->responses_count; i++) {
		for (int32_t k = 0; k < response->responses[i].partitions_count; k++) {
			const struct ot_alter_partition_reassignments_response_partition *one =
			    &response->responses[i].partitions[k];
			if (one->error_code != 0)
				errors->items[errors->count++] = (struct cli_move_error){
					.name = { response->responses[i].name,
					    one->partition_index },
					.code = one->error_code,
					.message = one->error_message,
				};
		}
	}
	if (errors->count > 1)
		qsort(errors->items, errors->count, sizeof(*errors->items),
		    cli_partition_name_compare);
}

ot_err
cli_targets_start(struct cli *cli, const struct cli_targets *targets, bool is_cancel,
    struct cli_move_errors *ret_errors)
{
	struct ot_alter_partition_reassignments_request request;
	struct ot_alter_partition_reassignments_response response;
	ot_alter_partition_reassignments_request_init(&request);
	request.timeout_ms = CLI_REQUEST_TIMEOUT_MS;
	fill_request(cli, targets, is_cancel, &request);
	ot_err err =
	    cli_call(cli, OT_NODE_ANY, CLI_API_ALTER_PARTITION_REASSIGNMENTS, &request, &response);
	if (err == OT_OK && response.error_code != 0) {
		err = ot_err_from_wire(response.error_code);
		ot_why_set(&cli->why, "%s",
		    cli_error_text(cli, response.error_code, response.error_message));
	}
	if (err == OT_OK)
		take_errors(cli, &response, ret_errors);
	return err;
}
