/* OttlaJoin: a process asks for a cluster. It is answered by whatever controller it reaches, on the
 * control listener alone. AddRaftVoter, RemoveRaftVoter, DescribeQuorum: who keeps the metadata. */
#include "broker/broker_int.h"

#include <string.h>

#include "broker/life_int.h"
#include "broker/quorum_int.h"
#include "wire/msg_add_raft_voter.h"
#include "wire/msg_describe_quorum.h"
#include "wire/msg_remove_raft_voter.h"

struct join_request {
	struct ot_mail mail;
	struct ot_request *request;
	struct ot_shard *home;
	struct quorum_join join;
};

static void
answer_join(struct ot_mail *mail)
{
	struct join_request *self = OT_CONTAINER_OF(mail, struct join_request, mail);

	ot_request_answer(self->request, &ot_ottla_join_response_msg, &self->join.response);
}

static void
join_is_done(struct quorum_join *join)
{
	struct join_request *self = OT_CONTAINER_OF(join, struct join_request, join);

	self->mail.deliver = answer_join;
	ot_shard_post(self->home, &self->mail);
}

static void
begin_join(struct ot_mail *mail)
{
	struct join_request *self = OT_CONTAINER_OF(mail, struct join_request, mail);
	struct broker_shard *shard = self->home->user;
	struct broker_life *life = shard->broker->life;

	if (life->stop == LIFE_RUNS && life->quorum != NULL) {
		broker_quorum_join(life->quorum, &self->join);
		return;
	}
	ot_ottla_join_response_init(&self->join.response);
	self->join.response.error_code = OT_ERR_COORDINATOR_NOT_AVAILABLE;
	join_is_done(&self->join);
}

void
broker_handle_ottla_join(struct broker_shard *self, struct ot_request *request)
{
	const void *body = broker_decode(request);
	struct join_request *join = body != NULL ? broker_alloc(request, 1, sizeof(*join)) : NULL;

	if (join == NULL)
		return;
	join->request = request;
	join->home = self->shard;
	join->join.request = body;
	join->join.arena = &request->arena;
	join->join.done = join_is_done;
	join->mail.deliver = begin_join;
	ot_shard_post(ot_shard_control(self->broker->set), &join->mail);
}

/* ---- voters --------------------------------------------------------------------------------- */

struct change_request {
	struct quorum_change change;
	struct broker_forward *forward;
};

static struct broker_quorum *
quorum_of(const struct broker_call *call)
{
	const struct broker_forward *forward =
	    OT_CONTAINER_OF(call, const struct broker_forward, call);
	const struct broker_shard *shard = broker_shard_of(forward->request);

	return shard->broker->life->quorum;
}

/* Both responses begin alike, and have nothing else. */
_Static_assert(sizeof(struct ot_add_raft_voter_response) ==
		   sizeof(struct ot_remove_raft_voter_response),
    "answers of one shape");

static void
answer_change(struct broker_forward *forward, ot_err err, const char *why)
{
	struct ot_remove_raft_voter_response *response = forward->response;
	char *copy = ot_arena_strndup(forward->call.arena, why, strlen(why));

	ot_remove_raft_voter_response_init(response);
	response->error_code = ot_err_to_wire(err);
	if (err != OT_OK)
		response->error_message = ot_str_from(copy != NULL ? copy : "");
	forward->call.call.on_done(&forward->call.call, OT_OK);
}

static void
change_is_done(struct quorum_change *change)
{
	struct change_request *self = OT_CONTAINER_OF(change, struct change_request, change);

	answer_change(self->forward, change->err, change->why.text);
}

static void
begin_change(struct broker_call *call, struct ot_controller *controller, struct ot_str cluster_id,
    const struct quorum_change *wanted)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	struct broker_quorum *quorum = quorum_of(call);
	struct change_request *self = ot_arena_alloc(call->arena, sizeof(*self));
	const struct ot_dirs *dirs = broker_shard_of(forward->request)->broker->dirs;

	if (!ot_controller_is_active(controller) || self == NULL)
		answer_change(forward, OT_ERR_NOT_CONTROLLER, "this is not the active controller");
	else if (cluster_id.len >= 0 && !ot_str_is(cluster_id, ot_dirs_cluster_id(dirs)))
		answer_change(forward, OT_ERR_INCONSISTENT_CLUSTER_ID,
		    "the request is meant for another cluster");
	else if (quorum == NULL)
		answer_change(forward, OT_ERR_INVALID_REQUEST, "this controller is the only one");
	else {
		*self = (struct change_request){ .change = *wanted, .forward = forward };
		self->change.done = change_is_done;
		broker_quorum_change(quorum, &self->change);
	}
}

static void
begin_add(struct broker_call *call, struct ot_controller *controller)
{
	const struct ot_add_raft_voter_request *request =
	    OT_CONTAINER_OF(call, struct broker_forward, call)->body;
	const struct quorum_change change = { .node_id = request->voter_id,
		.directory = request->voter_directory_id,
		.timeout_ms = request->timeout_ms };

	begin_change(call, controller, request->cluster_id, &change);
}

static void
begin_remove(struct broker_call *call, struct ot_controller *controller)
{
	const struct ot_remove_raft_voter_request *request =
	    OT_CONTAINER_OF(call, struct broker_forward, call)->body;
	const struct quorum_change change = { .is_removal = true,
		.node_id = request->voter_id,
		.directory = request->voter_directory_id };

	begin_change(call, controller, request->cluster_id, &change);
}

void
broker_handle_add_raft_voter(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_add);
}

void
broker_handle_remove_raft_voter(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_remove);
}

/* ---- DescribeQuorum ---------------------------------------------------------------------------
 */

struct describe_request {
	struct quorum_lister lister;
	struct broker_forward *forward;
	struct ot_controller *controller;
	void (*on_done)(struct ot_controller_call *call, ot_err err); /* the call's own */
};

/* What the controller said of a node, be it among voters or observers. */
static struct ot_describe_quorum_response_replica_state
find_replica(const struct ot_describe_quorum_response_partition *from, int32_t node_id)
{
	struct ot_describe_quorum_response_replica_state found;

	for (int32_t i = 0; i < from->current_voters_count; i++)
		if (from->current_voters[i].replica_id == node_id)
			return from->current_voters[i];
	for (int32_t i = 0; i < from->observers_count; i++)
		if (from->observers[i].replica_id == node_id)
			return from->observers[i];
	ot_describe_quorum_response_replica_state_init(&found);
	found.replica_id = node_id;
	found.log_end_offset = -1;
	return found;
}

static bool
is_among(const struct ot_describe_quorum_response_replica_state *replicas, int32_t count,
    int32_t node_id)
{
	for (int32_t i = 0; i < count; i++)
		if (replicas[i].replica_id == node_id)
			return true;
	return false;
}

static void
add_observers(struct ot_describe_quorum_response_partition *to,
    const struct ot_describe_quorum_response_replica_state *replicas, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		int32_t id = replicas[i].replica_id;

		if (!is_among(to->current_voters, to->current_voters_count, id) &&
		    !is_among(to->observers, to->observers_count, id))
			to->observers[to->observers_count++] = replicas[i];
	}
}

/* Voters are etcd's; all other readers observe. */
static void
sort_readers(const struct broker_quorum *quorum, struct ot_describe_quorum_response_partition *to,
    struct ot_arena *arena)
{
	const struct ot_describe_quorum_response_partition from = *to;
	int32_t count = from.current_voters_count + from.observers_count;
	struct ot_uuid directory;
	int32_t node_id;

	to->current_voters =
	    ot_describe_quorum_response_replica_state_array(arena, OT_ETCD_MEMBERS_MAX);
	to->observers = ot_describe_quorum_response_replica_state_array(arena, count);
	if (to->current_voters == NULL || to->observers == NULL) {
		*to = from;
		return;
	}
	to->current_voters_count = to->observers_count = 0;
	for (int32_t i = 0; broker_quorum_voter_at(quorum, i, &node_id, &directory); i++) {
		struct ot_describe_quorum_response_replica_state *voter =
		    &to->current_voters[to->current_voters_count++];

		*voter = find_replica(&from, node_id);
		voter->replica_directory_id = directory;
	}
	add_observers(to, from.current_voters, from.current_voters_count);
	add_observers(to, from.observers, from.observers_count);
}

static void
is_described(struct ot_controller_call *controller_call, ot_err err)
{
	struct broker_call *call = OT_CONTAINER_OF(controller_call, struct broker_call, call);
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	struct ot_describe_quorum_response *response = forward->response;
	const struct broker_quorum *quorum = quorum_of(call);
	struct describe_request *self = forward->op;

	controller_call->on_done = self->on_done;
	if (err == OT_OK && response->error_code == OT_OK && response->topics_count == 1 &&
	    response->topics[0].partitions_count == 1 &&
	    response->topics[0].partitions[0].error_code == OT_OK) {
		struct ot_describe_quorum_response_partition *only =
		    &response->topics[0].partitions[0];

		if (broker_quorum_has_voters(quorum))
			sort_readers(quorum, only, call->arena);
		else if (only->current_voters_count == 1)
			only->current_voters[0].replica_directory_id =
			    broker_quorum_directory(quorum);
	}
	controller_call->on_done(controller_call, err);
}

static void
describe(struct describe_request *self)
{
	struct broker_call *call = &self->forward->call;

	self->on_done = call->call.on_done;
	call->call.on_done = is_described;
	ot_controller_describe_quorum(self->controller, &call->call, self->forward->body,
	    self->forward->response);
}

static void
on_listed(struct quorum_lister *lister, ot_err err)
{
	struct describe_request *self = OT_CONTAINER_OF(lister, struct describe_request, lister);
	const struct broker_shard *shard = broker_shard_of(self->forward->request);

	(void)err; /* the last list that there was is better than none */
	if (shard->broker->life->stop == LIFE_RUNS)
		describe(self);
}

static void
begin_describe(struct broker_call *call, struct ot_controller *controller)
{
	struct broker_forward *forward = OT_CONTAINER_OF(call, struct broker_forward, call);
	struct broker_quorum *quorum = quorum_of(call);
	struct describe_request *self = ot_arena_alloc(call->arena, sizeof(*self));

	if (quorum == NULL || self == NULL) {
		ot_controller_describe_quorum(controller, &call->call, forward->body,
		    forward->response);
		return;
	}
	*self = (struct describe_request){ .lister.done = on_listed,
		.forward = forward,
		.controller = controller };
	forward->op = self;
	if (broker_quorum_has_voters(quorum))
		broker_quorum_list(quorum, &self->lister);
	else
		describe(self);
}

void
broker_handle_describe_quorum(struct broker_shard *self, struct ot_request *request)
{
	broker_forward(self, request, begin_describe);
}
