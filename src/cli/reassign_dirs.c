#include "cli/reassign_int.h"

#include <stdlib.h>
#include <string.h>

#include "cli/offsets_int.h"
#include "wire/msg_alter_replica_log_dirs.h"
#include "wire/msg_describe_log_dirs.h"

enum { DIR_RETRY_MS = 100 };

static int
compare_moves(const void *a, const void *b)
{
	const struct cli_dir_move *one = a;
	const struct cli_dir_move *other = b;
	if (one->broker != other->broker)
		return one->broker > other->broker ? 1 : -1;
	return cli_partition_name_compare(&one->name, &other->name);
}

void
cli_dir_moves_make(struct cli *cli, const struct cli_targets *targets,
    struct cli_dir_moves *ret_moves)
{
	size_t room = 0;
	for (size_t i = 0; i < targets->count; i++)
		room += (size_t)targets->items[i].replicas.count;
	struct cli_dir_moves moves = { cli_alloc(cli, room, sizeof(*moves.items)), 0 };
	for (size_t i = 0; i < targets->count; i++) {
		const struct cli_target *target = &targets->items[i];
		for (int32_t k = 0; target->dirs != NULL && k < target->replicas.count; k++) {
			if (target->dirs[k] != NULL)
				moves.items[moves.count++] = (struct cli_dir_move){
					.broker = target->replicas.brokers[k],
					.name = target->name,
					.target = target->dirs[k],
				};
		}
	}
	if (moves.count > 1)
		qsort(moves.items, moves.count, sizeof(*moves.items), compare_moves);
	*ret_moves = moves;
}

/* ---- how far they are ---------------------------------------------------------------------- */

static struct cli_dir_move *
find_move(struct cli_dir_moves *moves, int32_t broker, struct ot_str topic, int32_t index)
{
	const struct cli_dir_move key = { .broker = broker, .name = { topic, index } };
	return bsearch(&key, moves->items, moves->count, sizeof(*moves->items), compare_moves);
}

static void
take_dir(struct cli *cli, struct cli_dir_moves *moves, int32_t broker,
    const struct ot_describe_log_dirs_response_result *dir)
{
	const char *path = cli_text(cli, dir->log_dir);
	for (int32_t i = 0; i < dir->topics_count; i++) {
		for (int32_t k = 0; k < dir->topics[i].partitions_count; k++) {
			const struct ot_describe_log_dirs_response_partition *one =
			    &dir->topics[i].partitions[k];
			struct cli_dir_move *move =
			    find_move(moves, broker, dir->topics[i].name, one->partition_index);
			if (move == NULL)
				continue;
			if (one->is_future_key)
				move->future = path;
			else
				move->current = path;
		}
	}
}

static ot_err
ask_broker(struct cli *cli, struct cli_dir_moves *moves, int32_t broker)
{
	struct ot_describe_log_dirs_request request;
	struct ot_describe_log_dirs_response response;
	ot_describe_log_dirs_request_init(&request);
	request.topics_count = -1; /* all */
	ot_err err = cli_call(cli, broker, CLI_API_DESCRIBE_LOG_DIRS, &request, &response);
	for (int32_t i = 0; err == OT_OK && i < response.results_count; i++) {
		if (response.results[i].error_code == 0)
			take_dir(cli, moves, broker, &response.results[i]);
	}
	return err;
}

static enum cli_dir_state
judge(const struct cli_dir_move *move)
{
	if (move->future != NULL)
		return CLI_DIR_ACTIVE;
	if (move->current == NULL)
		return CLI_DIR_NO_REPLICA;
	return strcmp(move->current, move->target) == 0 ? CLI_DIR_DONE : CLI_DIR_NOT_MOVING;
}

ot_err
cli_dir_moves_fetch(struct cli *cli, struct cli_dir_moves *moves)
{
	for (size_t i = 0; i < moves->count; i++) {
		if (i > 0 && moves->items[i].broker == moves->items[i - 1].broker)
			continue;
		ot_err err = ask_broker(cli, moves, moves->items[i].broker);
		if (err != OT_OK)
			return err;
	}
	for (size_t i = 0; i < moves->count; i++)
		moves->items[i].state = judge(&moves->items[i]);
	return OT_OK;
}

/* ---- printing ------------------------------------------------------------------------------ */

static void
print_move(const struct cli_dir_move *move, FILE *out)
{
	struct ot_str topic = move->name.topic;
	int32_t index = move->name.index;
	switch (move->state) {
	case CLI_DIR_NO_REPLICA:
		fprintf(out,
		    "Partition %.*s-%d is not found in any live log dir on broker %d. There is "
		    "likely an offline log directory on the broker.\n",
		    OT_STR_ARG(topic), index, move->broker);
		break;
	case CLI_DIR_ACTIVE:
		if (strcmp(move->future, move->target) == 0)
			fprintf(out, "Reassignment of replica %.*s-%d-%d is still in progress.\n",
			    OT_STR_ARG(topic), index, move->broker);
		else
			fprintf(out,
			    "Partition %.*s-%d on broker %d is being moved to log dir %s instead "
			    "of %s.\n",
			    OT_STR_ARG(topic), index, move->broker, move->future, move->target);
		break;
	case CLI_DIR_NOT_MOVING:
		fprintf(out,
		    "Partition %.*s-%d on broker %d is not being moved from log dir %s to %s.\n",
		    OT_STR_ARG(topic), index, move->broker, move->current, move->target);
		break;
	case CLI_DIR_DONE:
		fprintf(out, "Reassignment of replica %.*s-%d-%d completed successfully.\n",
		    OT_STR_ARG(topic), index, move->broker);
		break;
	}
}

void
cli_dir_moves_print(const struct cli_dir_moves *moves, FILE *out)
{
	for (size_t i = 0; i < moves->count; i++)
		print_move(&moves->items[i], out);
	if (moves->count == 0)
		fputc('\n', out);
}

/* ---- starting ------------------------------------------------------------------------------ */

struct start {
	struct cli *cli;
	const struct cli_dir_moves *moves;
	bool *is_started; /* by move */
	FILE *out;
};

static void
fill_request(struct start *start, int32_t broker, struct ot_alter_replica_log_dirs_request *request)
{
	struct ot_arena *arena = &start->cli->arena;
	size_t room = start->moves->count;
	ot_alter_replica_log_dirs_request_init(request);
	request->dirs = ot_alter_replica_log_dirs_request_dir_array(arena, (int32_t)room);
	for (size_t i = 0; i < room; i++) {
		const struct cli_dir_move *move = &start->moves->items[i];
		if (move->broker != broker || start->is_started[i])
			continue;
		struct ot_alter_replica_log_dirs_request_dir *dir =
		    &request->dirs[request->dirs_count++];
		dir->path = ot_str_from(move->target);
		dir->topics = ot_alter_replica_log_dirs_request_topic_array(arena, 1);
		dir->topics_count = 1;
		dir->topics[0].name = move->name.topic;
		dir->topics[0].partitions = cli_alloc(start->cli, 1, sizeof(int32_t));
		dir->topics[0].partitions[0] = move->name.index;
		dir->topics[0].partitions_count = 1;
	}
}

static int
take_answer(struct start *start, int32_t broker, struct ot_str topic,
    const struct ot_alter_replica_log_dirs_response_partition *answer)
{
	struct cli_dir_moves moves = *start->moves;
	struct cli_dir_move *move = find_move(&moves, broker, topic, answer->partition_index);
	ot_err err = ot_err_from_wire(answer->error_code);
	/* It can take a moment until the broker has the replica. */
	if (move == NULL || err == OT_ERR_REPLICA_NOT_AVAILABLE)
		return CLI_EXIT_OK;
	if (err != OT_OK)
		return cli_fail(start->cli, "Error: Failed to alter dir for %.*s-%d-%d: %s",
		    OT_STR_ARG(topic), answer->partition_index, broker, ot_err_message(err));
	start->is_started[move - moves.items] = true;
	fprintf(start->out,
	    "Successfully started moving log directory to %s for replica %.*s-%d with broker %d \n",
	    move->target, OT_STR_ARG(topic), answer->partition_index, broker);
	return CLI_EXIT_OK;
}

static int
start_on(struct start *start, int32_t broker)
{
	struct ot_alter_replica_log_dirs_request request;
	struct ot_alter_replica_log_dirs_response response;
	fill_request(start, broker, &request);
	if (request.dirs_count == 0)
		return CLI_EXIT_OK;
	if (cli_call(start->cli, broker, CLI_API_ALTER_REPLICA_LOG_DIRS, &request, &response) !=
	    OT_OK)
		return cli_fail(start->cli, "Error: %s", start->cli->why.text);
	int status = CLI_EXIT_OK;
	for (int32_t i = 0; i < response.results_count; i++) {
		for (int32_t k = 0; k < response.results[i].partitions_count; k++) {
			if (take_answer(start, broker, response.results[i].topic_name,
				&response.results[i].partitions[k]) != CLI_EXIT_OK)
				status = CLI_EXIT_FAILURE;
		}
	}
	return status;
}

/* The moves that are not started, for a message; "" for none. */
static const char *
list_pending(struct start *start, size_t *ret_count)
{
	const char *text = "";
	*ret_count = 0;
	for (size_t i = 0; i < start->moves->count; i++) {
		const struct cli_dir_move *move = &start->moves->items[i];
		if (start->is_started[i])
			continue;
		text = cli_format(start->cli, "%s%s%.*s-%d-%d", text, (*ret_count)++ > 0 ? "," : "",
		    OT_STR_ARG(move->name.topic), move->name.index, move->broker);
	}
	return text;
}

int
cli_dir_moves_start(struct cli *cli, const struct cli_dir_moves *moves, int64_t timeout_ms,
    FILE *out)
{
	struct start start = { cli, moves, cli_alloc(cli, moves->count, sizeof(bool)), out };
	ot_wall_ms end = cli_now() + timeout_ms;
	for (;;) {
		for (size_t i = 0; i < moves->count; i++) {
			bool is_seen =
			    i > 0 && moves->items[i].broker == moves->items[i - 1].broker;
			if (!is_seen && start_on(&start, moves->items[i].broker) != CLI_EXIT_OK)
				return CLI_EXIT_FAILURE;
		}
		size_t pending_count = 0;
		const char *pending = list_pending(&start, &pending_count);
		if (pending_count == 0)
			return CLI_EXIT_OK;
		if (cli_now() >= end)
			return cli_fail(cli,
			    "Timed out before log directory move%s could be started for: %s",
			    pending_count == 1 ? "" : "s", pending);
		ot_client_pause(cli->client, DIR_RETRY_MS);
	}
}
