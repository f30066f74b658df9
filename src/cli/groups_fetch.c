#include "cli/groups_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/coordinator.h"
#include "wire/msg_consumer_group_describe.h"
#include "wire/msg_consumer_protocol.h"
#include "wire/msg_describe_groups.h"
#include "wire/msg_list_groups.h"
#include "wire/msg_offset_commit.h"
#include "wire/msg_offset_fetch.h"
#include "wire/recordio.h"

enum {
	GROUPS_BY_NAME_VERSION_MAX =
	    9,                   /* later ones of OffsetFetch and OffsetCommit take topic ids */
	GROUPS_MANY_VERSION = 8, /* of OffsetFetch: several groups in one request */
};

static ot_err
refuse(struct cli *cli, int16_t code, struct ot_str message)
{
	ot_why_set(&cli->why, "%s", cli_error_text(cli, code, message));
	return ot_err_from_wire(code);
}

static ot_err
call_version(struct cli *cli, int32_t node, enum cli_api api, int16_t version_max,
    const void *request, void *ret_response)
{
	return ot_client_call_version(cli->client, node, ot_api_find((int16_t)api), version_max,
	    request, &cli->arena, ret_response, &cli->why);
}

/* ---- listing ------------------------------------------------------------------------------- */

static const char *const state_names[] = { "PreparingRebalance", "CompletingRebalance", "Stable",
	"Dead", "Empty", "Assigning", "Reconciling", NULL };
static const char *const type_names[] = { "Classic", "Consumer", NULL };

/* The names in a list "stable, empty" as Kafka spells them; false for a name that is not known. */
static bool
read_names(struct cli *cli, const char *list, const char *const *known, struct ot_str **ret_names,
    int32_t *ret_count)
{
	struct ot_str *names = cli_alloc(cli, strlen(list) + 1, sizeof(*names));
	int32_t count = 0;
	for (;;) {
		list += strspn(list, " ");
		size_t bytes = strcspn(list, ",");
		size_t trimmed = bytes;
		while (trimmed > 0 && list[trimmed - 1] == ' ')
			trimmed--;
		size_t k = 0;
		while (known[k] != NULL &&
		       (strncasecmp(known[k], list, trimmed) != 0 || known[k][trimmed] != '\0'))
			k++;
		if (known[k] == NULL || trimmed == 0)
			return false;
		names[count++] = ot_str_from(known[k]);
		if (list[bytes] == '\0')
			break;
		list += bytes + 1;
	}
	*ret_names = names;
	*ret_count = count;
	return true;
}

static ot_err
refuse_names(struct cli *cli, const char *kind, const char *list, const char *const *known)
{
	struct ot_text text = OT_TEXT(cli->why.text);
	ot_text_put(&text, "Invalid %s list '%s'. Valid %s are: ", kind, list,
	    strcmp(kind, "state") == 0 ? "states" : "types");
	for (size_t i = 0; known[i] != NULL; i++)
		ot_text_put(&text, "%s%s", i > 0 ? ", " : "", known[i]);
	return OT_ERR_INVALID_REQUEST;
}

static bool
has_name(const struct ot_str *names, int32_t count, struct ot_str name)
{
	for (int32_t i = 0; i < count; i++) {
		if (names[i].len == name.len &&
		    strncasecmp(names[i].data, name.data, (size_t)name.len) == 0)
			return true;
	}
	return count == 0;
}

/* Groups of other protocols (Connect workers, share groups) have tools of their own. */
static bool
is_of_consumers(const struct ot_list_groups_response_group *group)
{
	bool is_protocol =
	    group->protocol_type.len <= 0 || ot_str_is(group->protocol_type, "consumer");
	bool is_type =
	    group->group_type.len <= 0 ||
	    (group->group_type.len == 7 &&
		strncasecmp(group->group_type.data, "classic", 7) == 0) ||
	    (group->group_type.len == 8 && strncasecmp(group->group_type.data, "consumer", 8) == 0);
	return is_protocol && is_type;
}

/* "consumer" as "Consumer": brokers write it small, Kafka's tools large. */
static struct ot_str
spell_type(struct ot_str type)
{
	for (size_t i = 0; type_names[i] != NULL; i++) {
		if (type.len == (int32_t)strlen(type_names[i]) &&
		    strncasecmp(type_names[i], type.data, (size_t)type.len) == 0)
			return ot_str_from(type_names[i]);
	}
	return OT_STR_LIT("Unknown");
}

static int
compare_listings(const void *a, const void *b)
{
	const struct cli_group_listing *one = a;
	const struct cli_group_listing *other = b;
	return ot_str_compare(one->name, other->name);
}

ot_err
cli_groups_list(struct cli *cli, const char *states, const char *types,
    struct cli_group_listing **ret_groups, size_t *ret_count)
{
	struct ot_list_groups_request request;
	struct ot_str *wanted_types = NULL;
	int32_t wanted_type_count = 0;
	ot_list_groups_request_init(&request);
	if (states != NULL && !read_names(cli, states, state_names, &request.states_filter,
				  &request.states_filter_count))
		return refuse_names(cli, "state", states, state_names);
	if (types != NULL && !read_names(cli, types, type_names, &wanted_types, &wanted_type_count))
		return refuse_names(cli, "types", types, type_names);
	ot_err err = ot_client_learn_nodes(cli->client, &cli->why);
	if (err != OT_OK)
		return err;
	size_t node_count;
	size_t count = 0;
	struct cli_group_listing *groups = NULL;
	const struct ot_client_node *nodes = ot_client_nodes(cli->client, &node_count);
	int32_t *ids = cli_alloc(cli, node_count, sizeof(*ids));
	for (size_t i = 0; i < node_count; i++)
		ids[i] = nodes[i].id;
	for (size_t i = 0; i < node_count; i++) {
		struct ot_list_groups_response response;
		err = cli_call(cli, ids[i], CLI_API_LIST_GROUPS, &request, &response);
		if (err != OT_OK)
			return err;
		if (response.error_code != 0)
			return refuse(cli, response.error_code, OT_STR_NULL);
		size_t room = count + (size_t)response.groups_count;
		struct cli_group_listing *more = cli_alloc(cli, room, sizeof(*more));
		if (count > 0)
			memcpy(more, groups, count * sizeof(*more));
		groups = more;
		for (int32_t k = 0; k < response.groups_count; k++) {
			const struct ot_list_groups_response_group *group = &response.groups[k];
			if (is_of_consumers(group) &&
			    has_name(wanted_types, wanted_type_count, group->group_type))
				groups[count++] = (struct cli_group_listing){ group->group_id,
					group->group_state, spell_type(group->group_type) };
		}
	}
	if (count > 1)
		qsort(groups, count, sizeof(*groups), compare_listings);
	*ret_groups = groups;
	*ret_count = count;
	return OT_OK;
}

/* ---- describing ---------------------------------------------------------------------------- */

static void
sort_assignment(struct cli_assignment *assignment)
{
	if (assignment->count > 1)
		qsort(assignment->items, assignment->count, sizeof(*assignment->items),
		    cli_offset_compare);
}

/* What the leader of a classic group gave a member. Bytes of another protocol are no assignment. */
static struct cli_assignment
read_classic_assignment(struct cli *cli, struct ot_bytes bytes)
{
	struct ot_consumer_protocol_assignment decoded;
	struct cli_assignment assignment = { 0 };
	int16_t version;
	if (bytes.len <= 0 || ot_versioned_decode_newer(&ot_consumer_protocol_assignment_msg, bytes,
				  &cli->arena, &version, &decoded) != OT_OK)
		return assignment;
	size_t room = 0;
	for (int32_t i = 0; i < decoded.assigned_partitions_count; i++)
		room += (size_t)decoded.assigned_partitions[i].partitions_count;
	assignment.items = cli_alloc(cli, room, sizeof(*assignment.items));
	for (int32_t i = 0; i < decoded.assigned_partitions_count; i++) {
		for (int32_t k = 0; k < decoded.assigned_partitions[i].partitions_count; k++)
			assignment.items[assignment.count++] = (struct cli_offset){
				.topic = decoded.assigned_partitions[i].topic,
				.partition = decoded.assigned_partitions[i].partitions[k],
			};
	}
	sort_assignment(&assignment);
	return assignment;
}

static ot_err
describe_classic(struct cli *cli, struct cli_group *group)
{
	struct ot_describe_groups_request request;
	struct ot_describe_groups_response response;
	ot_describe_groups_request_init(&request);
	request.groups = &group->name;
	request.groups_count = 1;
	ot_err err =
	    cli_call(cli, group->coordinator, CLI_API_DESCRIBE_GROUPS, &request, &response);
	if (err != OT_OK)
		return err;
	if (response.groups_count != 1)
		return refuse(cli, OT_ERR_UNKNOWN_SERVER_ERROR, OT_STR_NULL);
	const struct ot_describe_groups_response_group *from = &response.groups[0];
	if (from->error_code == OT_ERR_GROUP_ID_NOT_FOUND) {
		group->state = OT_STR_LIT("Dead");
		return OT_OK;
	}
	if (from->error_code != 0)
		return refuse(cli, from->error_code, from->error_message);
	bool is_of_consumers =
	    from->protocol_type.len <= 0 || ot_str_is(from->protocol_type, "consumer");
	if (!is_of_consumers) {
		ot_why_set(&cli->why, "GroupId %.*s is not a consumer group (%.*s).",
		    OT_STR_ARG(group->name), OT_STR_ARG(from->protocol_type));
		return OT_ERR_INVALID_REQUEST;
	}
	group->state = from->group_state;
	group->assignor = from->protocol_data;
	group->members = cli_alloc(cli, (size_t)from->members_count, sizeof(*group->members));
	group->member_count = from->members_count;
	for (int32_t i = 0; i < from->members_count; i++) {
		const struct ot_describe_groups_response_member *member = &from->members[i];
		group->members[i] = (struct cli_member){
			.id = member->member_id,
			.instance_id = member->group_instance_id,
			.client_id = member->client_id,
			.host = member->client_host,
			.assignment = read_classic_assignment(cli, member->member_assignment),
			.epoch = -1,
			.type = CLI_MEMBER_UNKNOWN,
		};
	}
	return OT_OK;
}

static struct cli_assignment
take_assignment(struct cli *cli, const struct ot_consumer_group_describe_response_assignment *from)
{
	struct cli_assignment assignment = { 0 };
	size_t room = 0;
	for (int32_t i = 0; i < from->topic_partitions_count; i++)
		room += (size_t)from->topic_partitions[i].partitions_count;
	assignment.items = cli_alloc(cli, room, sizeof(*assignment.items));
	for (int32_t i = 0; i < from->topic_partitions_count; i++) {
		for (int32_t k = 0; k < from->topic_partitions[i].partitions_count; k++)
			assignment.items[assignment.count++] = (struct cli_offset){
				.topic = from->topic_partitions[i].topic_name,
				.partition = from->topic_partitions[i].partitions[k],
			};
	}
	sort_assignment(&assignment);
	return assignment;
}

static void
take_group(struct cli *cli, const struct ot_consumer_group_describe_response_group *from,
    struct cli_group *group)
{
	group->state = from->group_state;
	group->assignor = from->assignor_name;
	group->epoch = from->group_epoch;
	group->target_epoch = from->assignment_epoch;
	group->members = cli_alloc(cli, (size_t)from->members_count, sizeof(*group->members));
	group->member_count = from->members_count;
	for (int32_t i = 0; i < from->members_count; i++) {
		const struct ot_consumer_group_describe_response_member *member = &from->members[i];
		group->members[i] = (struct cli_member){
			.id = member->member_id,
			.instance_id = member->instance_id,
			.client_id = member->client_id,
			.host = member->client_host,
			.assignment = take_assignment(cli, &member->assignment),
			.target = take_assignment(cli, &member->target_assignment),
			.epoch = member->member_epoch,
			.type = (enum cli_member_type)member->member_type,
		};
	}
}

/* Tries the new group protocol (KIP-848). `ret_is_found` stays false for a group that does not
 * speak it, which the classic request then tells of. */
static ot_err
describe_consumer(struct cli *cli, struct cli_group *group, bool *ret_is_found)
{
	struct ot_consumer_group_describe_request request;
	struct ot_consumer_group_describe_response response;
	const struct ot_api *api = ot_api_find(CLI_API_CONSUMER_GROUP_DESCRIBE);
	if (ot_client_version(cli->client, group->coordinator, api) < 0)
		return OT_OK;
	ot_consumer_group_describe_request_init(&request);
	request.group_ids = &group->name;
	request.group_ids_count = 1;
	ot_err err =
	    cli_call(cli, group->coordinator, CLI_API_CONSUMER_GROUP_DESCRIBE, &request, &response);
	if (err != OT_OK)
		return err;
	if (response.groups_count != 1)
		return OT_OK;
	int16_t code = response.groups[0].error_code;
	if (code == OT_ERR_GROUP_ID_NOT_FOUND || code == OT_ERR_UNSUPPORTED_VERSION)
		return OT_OK;
	if (code != 0)
		return refuse(cli, code, response.groups[0].error_message);
	take_group(cli, &response.groups[0], group);
	*ret_is_found = true;
	return OT_OK;
}

ot_err
cli_group_describe(struct cli *cli, struct ot_str name, struct cli_group *ret_group)
{
	struct cli_group group = { .name = name, .epoch = -1, .target_epoch = -1 };
	bool is_found = false;
	ot_err err = ot_client_find_coordinator(cli->client, OT_COORDINATOR_GROUP, name,
	    &group.coordinator, &cli->why);
	if (err == OT_OK)
		err = describe_consumer(cli, &group, &is_found);
	if (err == OT_OK && !is_found)
		err = describe_classic(cli, &group);
	if (err == OT_OK)
		*ret_group = group;
	return err;
}

/* ---- committed offsets --------------------------------------------------------------------- */

/* The same fields of two messages: groups came in version 8 of OffsetFetch. */
struct fetched {
	int32_t partition;
	int64_t offset;
	int32_t epoch;
	int16_t code;
};

static ot_err
push_committed(struct cli *cli, struct cli_committed *committed, struct ot_str topic,
    struct fetched from)
{
	if (from.code != 0)
		return refuse(cli, from.code, OT_STR_NULL);
	if (from.offset < 0)
		return OT_OK;
	committed->items[committed->count] = (struct cli_offset){ .topic = topic,
		.partition = from.partition,
		.offset = from.offset };
	committed->epochs[committed->count++] = from.epoch;
	return OT_OK;
}

static void
make_room(struct cli *cli, struct cli_committed *committed, size_t room)
{
	committed->items = cli_alloc(cli, room, sizeof(*committed->items));
	committed->epochs = cli_alloc(cli, room, sizeof(*committed->epochs));
}

static ot_err
take_topics(struct cli *cli, const struct ot_offset_fetch_response *response,
    struct cli_committed *committed)
{
	size_t room = 0;
	for (int32_t i = 0; i < response->topics_count; i++)
		room += (size_t)response->topics[i].partitions_count;
	make_room(cli, committed, room);
	ot_err err = OT_OK;
	for (int32_t i = 0; i < response->topics_count; i++) {
		const struct ot_offset_fetch_response_topic *topic = &response->topics[i];
		for (int32_t k = 0; err == OT_OK && k < topic->partitions_count; k++) {
			const struct ot_offset_fetch_response_partition *one =
			    &topic->partitions[k];
			err = push_committed(cli, committed, topic->name,
			    (struct fetched){ one->partition_index, one->committed_offset,
				one->committed_leader_epoch, one->error_code });
		}
	}
	return err;
}

static ot_err
take_group_topics(struct cli *cli, const struct ot_offset_fetch_response_group *group,
    struct cli_committed *committed)
{
	size_t room = 0;
	for (int32_t i = 0; i < group->topics_count; i++)
		room += (size_t)group->topics[i].partitions_count;
	make_room(cli, committed, room);
	ot_err err = OT_OK;
	for (int32_t i = 0; i < group->topics_count; i++) {
		const struct ot_offset_fetch_response_group_topic *topic = &group->topics[i];
		for (int32_t k = 0; err == OT_OK && k < topic->partitions_count; k++) {
			const struct ot_offset_fetch_response_group_partition *one =
			    &topic->partitions[k];
			err = push_committed(cli, committed, topic->name,
			    (struct fetched){ one->partition_index, one->committed_offset,
				one->committed_leader_epoch, one->error_code });
		}
	}
	return err;
}

/* The items are sorted with their epochs: through an index. */
struct order {
	struct cli_offset item;
	int32_t epoch;
};

static void
sort_committed(struct cli *cli, struct cli_committed *committed)
{
	struct order *order = cli_alloc(cli, committed->count, sizeof(*order));
	for (size_t i = 0; i < committed->count; i++)
		order[i] = (struct order){ committed->items[i], committed->epochs[i] };
	if (committed->count > 1)
		qsort(order, committed->count, sizeof(*order), cli_offset_compare);
	for (size_t i = 0; i < committed->count; i++) {
		committed->items[i] = order[i].item;
		committed->epochs[i] = order[i].epoch;
	}
}

ot_err
cli_group_committed(struct cli *cli, const struct cli_group *group,
    struct cli_committed *ret_committed)
{
	struct ot_offset_fetch_request request;
	struct ot_offset_fetch_response response;
	struct cli_committed committed = { 0 };
	ot_offset_fetch_request_init(&request);
	request.group_id = group->name;
	request.topics_count = -1; /* all */
	request.groups = ot_offset_fetch_request_group_array(&cli->arena, 1);
	request.groups_count = 1;
	request.groups[0].group_id = group->name;
	request.groups[0].topics_count = -1;
	ot_err err = call_version(cli, group->coordinator, CLI_API_OFFSET_FETCH,
	    GROUPS_BY_NAME_VERSION_MAX, &request, &response);
	if (err != OT_OK)
		return err;
	int16_t version =
	    ot_client_version(cli->client, group->coordinator, ot_api_find(CLI_API_OFFSET_FETCH));
	bool has_groups = version >= GROUPS_MANY_VERSION && response.groups_count == 1;
	int16_t code = has_groups ? response.groups[0].error_code : response.error_code;
	if (code == OT_ERR_GROUP_ID_NOT_FOUND)
		code = 0; /* a group that does not exist has committed nothing */
	if (code != 0)
		return refuse(cli, code, OT_STR_NULL);
	err = has_groups ? take_group_topics(cli, &response.groups[0], &committed)
	                 : take_topics(cli, &response, &committed);
	if (err != OT_OK)
		return err;
	sort_committed(cli, &committed);
	*ret_committed = committed;
	return OT_OK;
}

const struct cli_offset *
cli_committed_find(const struct cli_committed *committed, const struct cli_offset *partition)
{
	if (committed->count == 0)
		return NULL;
	return bsearch(partition, committed->items, committed->count, sizeof(*partition),
	    cli_offset_compare);
}

/* ---- committing ---------------------------------------------------------------------------- */

ot_err
cli_group_commit(struct cli *cli, const struct cli_group *group, const struct cli_offset *items,
    size_t count)
{
	struct ot_offset_commit_request request;
	struct ot_offset_commit_response response;
	if (count == 0)
		return OT_OK;
	ot_offset_commit_request_init(&request);
	request.group_id = group->name;
	request.topics = ot_offset_commit_request_topic_array(&cli->arena, (int32_t)count);
	for (size_t i = 0; i < count; i++) {
		struct ot_offset_commit_request_topic *topic = NULL;
		if (i > 0 && ot_str_equal(items[i].topic, items[i - 1].topic)) {
			topic = &request.topics[request.topics_count - 1];
		} else {
			size_t run = i;
			while (run < count && ot_str_equal(items[run].topic, items[i].topic))
				run++;
			topic = &request.topics[request.topics_count++];
			topic->name = items[i].topic;
			topic->partitions = ot_offset_commit_request_partition_array(&cli->arena,
			    (int32_t)(run - i));
		}
		struct ot_offset_commit_request_partition *partition =
		    &topic->partitions[topic->partitions_count++];
		partition->partition_index = items[i].partition;
		partition->committed_offset = items[i].offset;
		partition->committed_metadata = OT_STR_LIT("");
	}
	ot_err err = call_version(cli, group->coordinator, CLI_API_OFFSET_COMMIT,
	    GROUPS_BY_NAME_VERSION_MAX, &request, &response);
	if (err != OT_OK)
		return err;
	for (int32_t i = 0; i < response.topics_count; i++) {
		for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
			int16_t code = response.topics[i].partitions[k].error_code;
			if (code != 0)
				return refuse(cli, code, OT_STR_NULL);
		}
	}
	return OT_OK;
}
