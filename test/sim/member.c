/* A model member of a consumer group, of the classic protocol. It reads no records: its work is to
 * move the committed offsets of its share on, which is what the group is there to keep apart.
 *
 *   FIND -> JOIN -> SYNC -> ASK -> WORK
 *
 * Any error leads back to FIND or JOIN. Sometimes it leaves, and comes again as somebody new.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ledger.h"
#include "user.h"
#include "wire/msg_gen.h"

enum {
	JOIN_API = 11,
	SYNC_API = 14,
	HEARTBEAT_API = 12,
	LEAVE_API = 13,
	FIND_API = 10,
	COMMIT_API = 8,
	FETCH_API = 9,
	RETRY_MS = 100,
	WORK_MS_MOST = 300,
	SESSION_MS = 6000,
	REBALANCE_MS = 6000,
	SHARE_BYTES = 8,
	MEMBERS_MAX = 16,
};

enum step { STEP_FIND, STEP_JOIN, STEP_SYNC, STEP_ASK, STEP_WORK };

struct share {
	char member[LEDGER_MEMBER_BYTES];
	uint8_t bytes[SHARE_BYTES]; /* generation, partitions */
};

struct member {
	struct client client;
	int32_t group;
	char group_id[16];
	int32_t topic;
	enum step step;
	int32_t coordinator;
	char id[LEDGER_MEMBER_BYTES]; /* empty: new */
	int32_t generation;
	bool is_leader;
	struct share shares[MEMBERS_MAX]; /* the leader's plan */
	int32_t share_count;
	uint32_t partitions; /* its own share */
	int64_t positions[HISTORY_PARTITIONS_MAX];
	int64_t committed[HISTORY_PARTITIONS_MAX]; /* as the ledger had it, with a request */
	int32_t newest;
	bool has_committed; /* since the cluster is quiet */
	bool is_leaving;
	int16_t last_code;
	struct ot_timer timer;
};

static struct ledger *
ledger_of(const struct member *member)
{
	return member->client.user->sim->ledger;
}

static const char *
topic_name(const struct member *member)
{
	return member->client.user->sim->plan.topics[member->topic].name;
}

static int32_t
partition_count(const struct member *member)
{
	return member->client.user->sim->plan.topics[member->topic].partition_count;
}

static void
go_on(struct member *member, enum step step, uint64_t ms)
{
	member->step = step;
	ot_timer_arm_in_ms(member->client.user->io, &member->timer, (int64_t)ms);
}

/* What an error asks for; false when there was none. */
static bool
take_error(struct member *member, const char *what, int16_t code)
{
	member->last_code = code;
	switch (code) {
	case 0:
		return false;
	case OT_ERR_REBALANCE_IN_PROGRESS:
		go_on(member, STEP_JOIN, 1);
		return true;
	case OT_ERR_UNKNOWN_MEMBER_ID:
		member->id[0] = '\0';
		/* fall through */
	case OT_ERR_ILLEGAL_GENERATION:
		go_on(member, STEP_JOIN, RETRY_MS);
		return true;
	default:
		if (!user_is_retriable(code))
			history_fail(member->client.user->sim->history, "%s gave error %d", what,
			    code);
		go_on(member, STEP_FIND, RETRY_MS);
		return true;
	}
}

static void
call(struct member *member, int16_t api, int16_t version, const void *request, peers_done *done)
{
	client_call(&member->client, member->coordinator, api, version, request, done, member);
}

/* ---- FIND ----------------------------------------------------------------------------------- */

static void
on_found(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_find_coordinator_response *response = answer;

	if (take_error(member, "FindCoordinator",
		response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->error_code))
		return;
	if (response->node_id < 1 || response->node_id > CLUSTER_BROKERS_MAX) {
		history_fail(member->client.user->sim->history,
		    "FindCoordinator gave node %d for group %d", response->node_id, member->group);
		return;
	}
	member->coordinator = response->node_id;
	go_on(member, STEP_JOIN, 1);
}

static void
find(struct member *member)
{
	struct ot_find_coordinator_request request;

	ot_find_coordinator_request_init(&request);
	request.key = ot_str_from(member->group_id);
	member->coordinator = user_any_broker(member->client.user);
	call(member, FIND_API, 3, &request, on_found);
}

/* ---- JOIN ----------------------------------------------------------------------------------- */

static void
copy_id(char to[LEDGER_MEMBER_BYTES], struct ot_str id)
{
	(void)snprintf(to, LEDGER_MEMBER_BYTES, "%.*s", (int)id.len, id.data);
}

/* The leader's work: partitions in turn. */
static void
make_shares(struct member *member, const struct ot_join_group_response *response)
{
	uint32_t masks[MEMBERS_MAX] = { 0 };

	member->share_count = OT_MIN(response->members_count, MEMBERS_MAX);
	for (int32_t i = 0; member->share_count > 0 && i < partition_count(member); i++)
		masks[(i + member->generation) % member->share_count] |= 1u << i;
	for (int32_t i = 0; i < member->share_count; i++) {
		struct share *share = &member->shares[i];

		copy_id(share->member, response->members[i].member_id);
		ot_put_u32(share->bytes, (uint32_t)member->generation);
		ot_put_u32(share->bytes + 4, masks[i]);
	}
}

static void
on_joined(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_join_group_response *response = answer;

	if (response != NULL && response->error_code == OT_ERR_MEMBER_ID_REQUIRED) {
		copy_id(member->id, response->member_id);
		go_on(member, STEP_JOIN, 1);
		return;
	}
	if (take_error(member, "JoinGroup",
		response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->error_code))
		return;
	copy_id(member->id, response->member_id);
	member->generation = response->generation_id;
	member->is_leader = ot_str_equal(response->leader, response->member_id);
	member->share_count = 0;
	if (member->is_leader)
		make_shares(member, response);
	go_on(member, STEP_SYNC, user_between(member->client.user, 0, 20));
}

static void
join(struct member *member)
{
	struct ot_join_group_request_protocol protocol;
	struct ot_join_group_request request;

	ot_join_group_request_init(&request);
	ot_join_group_request_protocol_init(&protocol);
	protocol.name = OT_STR_LIT("range");
	protocol.metadata = (struct ot_bytes){ (const uint8_t *)"m", 1 };
	request.group_id = ot_str_from(member->group_id);
	request.session_timeout_ms = SESSION_MS;
	request.rebalance_timeout_ms = REBALANCE_MS;
	request.member_id = ot_str_from(member->id);
	request.group_instance_id = OT_STR_NULL;
	request.protocol_type = OT_STR_LIT("consumer");
	request.protocols = &protocol;
	request.protocols_count = 1;
	request.reason = OT_STR_NULL;
	call(member, JOIN_API, 5, &request, on_joined);
}

/* ---- SYNC ----------------------------------------------------------------------------------- */

/* A commit of the generation before, on its way when this one began: nobody may take it. */
static void
on_late(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_offset_commit_response *response = answer;

	if (response != NULL && response->topics[0].partitions[0].error_code == 0)
		ledger_acked(ledger_of(member), member->group,
		    response->topics[0].partitions[0].partition_index, member->generation - 1,
		    ledger_generation(ledger_of(member), member->group), 0);
}

static void
commit_late(struct member *member)
{
	struct ot_offset_commit_request_partition partition;
	struct ot_offset_commit_request_topic topic;
	struct ot_offset_commit_request request;

	ot_offset_commit_request_init(&request);
	ot_offset_commit_request_topic_init(&topic);
	ot_offset_commit_request_partition_init(&partition);
	topic.name = ot_str_from(topic_name(member));
	topic.partitions = &partition;
	topic.partitions_count = 1;
	request.group_id = ot_str_from(member->group_id);
	request.generation_id_or_member_epoch = member->generation - 1;
	request.member_id = ot_str_from(member->id);
	request.group_instance_id = OT_STR_NULL;
	request.topics = &topic;
	request.topics_count = 1;
	call(member, COMMIT_API, 7, &request, on_late);
}

static void
on_synced(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_sync_group_response *response = answer;
	struct history *history = member->client.user->sim->history;

	if (take_error(member, "SyncGroup",
		response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->error_code))
		return;
	if (response->assignment.len != SHARE_BYTES) {
		history_fail(history, "group %d: %s got a share of %d bytes", member->group,
		    member->id, response->assignment.len);
		return;
	}
	if ((int32_t)ot_get_u32(response->assignment.data) != member->generation)
		history_fail(history, "group %d: %s got a share of generation %d in generation %d",
		    member->group, member->id, (int32_t)ot_get_u32(response->assignment.data),
		    member->generation);
	member->partitions = ot_get_u32(response->assignment.data + 4);
	ledger_claim(ledger_of(member), member->group, member->generation, member->id,
	    member->partitions);
	if (member->generation > 1 && user_chance(member->client.user, 10))
		commit_late(member);
	go_on(member, STEP_ASK, 1);
}

static void
sync_group(struct member *member)
{
	struct ot_sync_group_request_assignment assignments[MEMBERS_MAX];
	struct ot_sync_group_request request;

	ot_sync_group_request_init(&request);
	for (int32_t i = 0; i < member->share_count; i++) {
		ot_sync_group_request_assignment_init(&assignments[i]);
		assignments[i].member_id = ot_str_from(member->shares[i].member);
		assignments[i].assignment =
		    (struct ot_bytes){ member->shares[i].bytes, SHARE_BYTES };
	}
	request.group_id = ot_str_from(member->group_id);
	request.generation_id = member->generation;
	request.member_id = ot_str_from(member->id);
	request.group_instance_id = OT_STR_NULL;
	request.protocol_type = OT_STR_LIT("consumer");
	request.protocol_name = OT_STR_LIT("range");
	request.assignments = assignments;
	request.assignments_count = member->share_count;
	call(member, SYNC_API, 5, &request, on_synced);
}

/* ---- ASK ------------------------------------------------------------------------------------ */

static void
on_offsets(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_offset_fetch_response *response = answer;

	if (take_error(member, "OffsetFetch",
		response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->error_code))
		return;
	for (int32_t i = 0; i < response->topics[0].partitions_count; i++) {
		const struct ot_offset_fetch_response_partition *partition =
		    &response->topics[0].partitions[i];

		if (take_error(member, "OffsetFetch", partition->error_code))
			return;
		ledger_fetched(ledger_of(member), member->group, partition->partition_index,
		    partition->committed_offset, member->committed[partition->partition_index]);
		member->positions[partition->partition_index] =
		    OT_MAX(partition->committed_offset, 0);
	}
	go_on(member, STEP_WORK, 1);
}

static void
ask(struct member *member)
{
	int32_t indexes[HISTORY_PARTITIONS_MAX];
	struct ot_offset_fetch_request_topic topic;
	struct ot_offset_fetch_request request;

	ot_offset_fetch_request_init(&request);
	ot_offset_fetch_request_topic_init(&topic);
	for (int32_t i = 0; i < partition_count(member); i++) {
		indexes[i] = i;
		member->committed[i] = ledger_committed(ledger_of(member), member->group, i);
	}
	topic.name = ot_str_from(topic_name(member));
	topic.partition_indexes = indexes;
	topic.partition_indexes_count = partition_count(member);
	request.group_id = ot_str_from(member->group_id);
	request.topics = &topic;
	request.topics_count = 1;
	request.require_stable = true;
	call(member, FETCH_API, 7, &request, on_offsets);
}

/* ---- WORK ----------------------------------------------------------------------------------- */

static void
work_again(struct member *member)
{
	go_on(member, STEP_WORK, user_between(member->client.user, 1, WORK_MS_MOST));
}

static void
on_heartbeat(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_heartbeat_response *response = answer;

	if (!take_error(member, "Heartbeat",
		response == NULL ? OT_ERR_NETWORK_EXCEPTION : response->error_code))
		work_again(member);
}

static void
send_heartbeat(struct member *member)
{
	struct ot_heartbeat_request request;

	ot_heartbeat_request_init(&request);
	request.group_id = ot_str_from(member->group_id);
	request.generation_id = member->generation;
	request.member_id = ot_str_from(member->id);
	request.group_instance_id = OT_STR_NULL;
	call(member, HEARTBEAT_API, 4, &request, on_heartbeat);
}

static void
on_committed(void *arg, void *answer)
{
	struct member *member = arg;
	const struct ot_offset_commit_response *response = answer;
	int16_t failure = 0;

	if (response == NULL) {
		(void)take_error(member, "OffsetCommit", OT_ERR_NETWORK_EXCEPTION);
		return;
	}
	for (int32_t i = 0; i < response->topics[0].partitions_count; i++) {
		const struct ot_offset_commit_response_partition *partition =
		    &response->topics[0].partitions[i];

		if (partition->error_code == 0)
			ledger_acked(ledger_of(member), member->group, partition->partition_index,
			    member->generation, member->newest,
			    member->positions[partition->partition_index]);
		else
			failure = partition->error_code;
	}
	if (take_error(member, "OffsetCommit", failure))
		return;
	member->has_committed = member->client.user->sim->is_quiet;
	work_again(member);
}

static void
commit(struct member *member)
{
	struct ot_offset_commit_request_partition partitions[HISTORY_PARTITIONS_MAX];
	struct ot_offset_commit_request_topic topic;
	struct ot_offset_commit_request request;

	ot_offset_commit_request_init(&request);
	ot_offset_commit_request_topic_init(&topic);
	topic.name = ot_str_from(topic_name(member));
	topic.partitions = partitions;
	for (int32_t i = 0; i < partition_count(member); i++) {
		struct ot_offset_commit_request_partition *partition;

		if ((member->partitions >> i & 1) == 0)
			continue;
		partition = &partitions[topic.partitions_count++];
		ot_offset_commit_request_partition_init(partition);
		member->positions[i] += (int64_t)user_between(member->client.user, 1, 10);
		partition->partition_index = i;
		partition->committed_offset = member->positions[i];
	}
	request.group_id = ot_str_from(member->group_id);
	request.generation_id_or_member_epoch = member->generation;
	request.member_id = ot_str_from(member->id);
	request.group_instance_id = OT_STR_NULL;
	request.topics = &topic;
	request.topics_count = 1;
	member->newest = ledger_generation(ledger_of(member), member->group);
	call(member, COMMIT_API, 7, &request, on_committed);
}

static void
on_left(void *arg, void *answer)
{
	struct member *member = arg;

	(void)answer; /* whatever became of it: this member is gone */
	member->id[0] = '\0';
	go_on(member, STEP_FIND, user_between(member->client.user, 1, 3000));
}

static void
leave(struct member *member)
{
	struct ot_leave_group_request_member one;
	struct ot_leave_group_request request;

	ot_leave_group_request_init(&request);
	ot_leave_group_request_member_init(&one);
	one.member_id = ot_str_from(member->id);
	one.group_instance_id = OT_STR_NULL;
	one.reason = OT_STR_NULL;
	request.group_id = ot_str_from(member->group_id);
	request.members = &one;
	request.members_count = 1;
	call(member, LEAVE_API, 4, &request, on_left);
}

static void
work(struct member *member)
{
	struct user *user = member->client.user;

	if (!user->sim->is_calm && user_chance(user, 2))
		leave(member);
	else if (member->partitions != 0 && user_chance(user, 70))
		commit(member);
	else
		send_heartbeat(member);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
on_due(struct ot_timer *timer)
{
	static void (*const steps[])(struct member * member) = {
		[STEP_FIND] = find,
		[STEP_JOIN] = join,
		[STEP_SYNC] = sync_group,
		[STEP_ASK] = ask,
		[STEP_WORK] = work,
	};
	struct member *member = OT_CONTAINER_OF(timer, struct member, timer);

	steps[member->step](member);
}

static void
stop(struct client *client)
{
	struct member *member = OT_CONTAINER_OF(client, struct member, client);

	ot_timer_cancel(client->user->io, &member->timer);
	ot_free(member);
}

static bool
is_idle(const struct client *client, char *why, size_t bytes)
{
	static const char *const names[] = { "FIND", "JOIN", "SYNC", "ASK", "WORK" };
	const struct member *member = OT_CONTAINER_OF((uintptr_t)client, struct member, client);

	(void)snprintf(why, bytes,
	    "group %d, step %s, coordinator %d, generation %d, share %x; the last answer was %d",
	    member->group, names[member->step], member->coordinator, member->generation,
	    member->partitions, member->last_code);
	return member->step == STEP_WORK && (member->partitions == 0 || member->has_committed);
}

void
member_start(struct user *user, int32_t group, int32_t topic)
{
	struct member *member = OT_NEW(struct member);

	member->client = (struct client){ .stop = stop, .is_idle = is_idle, .what = "member" };
	member->group = group;
	member->topic = topic;
	member->generation = -1;
	(void)snprintf(member->group_id, sizeof(member->group_id), "group-%d", group);
	ot_timer_init(&member->timer, on_due);
	user_add(user, &member->client);
	go_on(member, STEP_FIND, user_between(user, 0, 1000));
}
