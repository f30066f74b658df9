/* ElectLeaders (KIP-183, KIP-460), and elections by timers. */

#include "cluster/controller.h"

#include "base/panic.h"
#include "cluster/brokers_int.h"
#include "cluster/elections_int.h"
#include "cluster/sweep_int.h"
#include "wire/msg_elect_leaders.h"
#include "wire/msg_metadata_log.h"

/* Of the protocol. */
enum { TYPE_PREFERRED = 0, TYPE_UNCLEAN = 1 };

/* Leaders that one batch of a timer moves: clients find out about that many at once. */
enum { BALANCE_MAX = 1000, BALANCE_PAUSE_MS = 1 };

/* Longer intervals are as good as for ever. */
#define INTERVAL_MAX_SECONDS INT64_C(1000000000)

/* ---- one partition --------------------------------------------------------------------------- */

struct elections {
	struct operation operation;
	struct partition_changer changer;
	const struct ot_elect_leaders_request *request;
	struct ot_elect_leaders_response *response;
};

static bool
needs_no_election(const struct elections *elections, const struct ot_partition_image *partition)
{
	if (elections->request->election_type == TYPE_PREFERRED)
		return partition->leader == ot_partition_replicas(partition).items[0];
	return partition->leader != OT_NO_LEADER &&
	       partition_may_be_led(&elections->changer, partition, partition->leader);
}

static ot_err
elect_partition(struct elections *elections, const struct ot_topic_image *topic,
    const struct ot_partition_image *partition)
{
	bool is_preferred = elections->request->election_type == TYPE_PREFERRED;
	struct partition_change change;

	if (needs_no_election(elections, partition))
		return OT_ERR_ELECTION_NOT_NEEDED;
	partition_change_begin(&elections->changer, topic, partition, &change);
	change.election = is_preferred ? ELECT_PREFERRED : ELECT_UNCLEAN;
	if (partition_change_add(&elections->changer, &change, &elections->operation))
		return OT_OK;
	return is_preferred ? OT_ERR_PREFERRED_LEADER_NOT_AVAILABLE
	                    : OT_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void
elect_fail(struct ot_controller_call *call, ot_err err)
{
	struct ot_elect_leaders_response *response = call->response;

	response->error_code = ot_err_to_wire(err);
	for (int32_t i = 0; i < response->replica_election_results_count; i++) {
		struct ot_elect_leaders_response_topic *topic =
		    &response->replica_election_results[i];

		for (int32_t j = 0; j < topic->partition_result_count; j++) {
			topic->partition_result[j].error_code = ot_err_to_wire(err);
			topic->partition_result[j].error_message =
			    operation_error_text(NULL, err, NULL);
		}
	}
}

static void
put_result(struct elections *elections, struct ot_elect_leaders_response_partition *result,
    ot_err err, const struct ot_why *why)
{
	result->error_code = ot_err_to_wire(err);
	result->error_message = operation_error_text(elections->operation.arena, err, why);
}

static void
elect_named(struct elections *elections, struct ot_str name,
    struct ot_elect_leaders_response_partition *result)
{
	/* With this request's records: a partition may be named twice. */
	const struct ot_topic_image *topic =
	    ot_image_topic(elections->operation.controller->head, name);
	const struct ot_partition_image *partition = NULL;
	struct ot_why why = { { 0 } };
	ot_err err = OT_ERR_UNKNOWN_TOPIC_OR_PARTITION;

	if (topic == NULL) {
		ot_why_set(&why, "No such topic as %.*s", OT_STR_ARG(name));
	} else {
		topic = operation_topic(&elections->operation, &topic->id);
		partition = ot_topic_partition(topic, result->partition_id);
		if (partition == NULL)
			ot_why_set(&why, "No such partition as %.*s-%d", OT_STR_ARG(name),
			    result->partition_id);
	}
	if (partition != NULL)
		err = elect_partition(elections, topic, partition);
	put_result(elections, result, err, &why);
}

/* Fills the response with what the request names. */
static bool
name_results(struct ot_arena *arena, const struct ot_elect_leaders_request *request,
    struct ot_elect_leaders_response *response)
{
	int32_t count = OT_MAX(request->topic_partitions_count, 0);

	response->replica_election_results = ot_elect_leaders_response_topic_array(arena, count);
	if (response->replica_election_results == NULL)
		return false;
	response->replica_election_results_count = count;
	for (int32_t i = 0; i < count; i++) {
		const struct ot_elect_leaders_request_topic_partitions *named =
		    &request->topic_partitions[i];
		struct ot_elect_leaders_response_topic *topic =
		    &response->replica_election_results[i];

		topic->topic = named->topic;
		topic->partition_result = ot_elect_leaders_response_partition_array(arena,
		    OT_MAX(named->partitions_count, 0));
		if (topic->partition_result == NULL)
			return false;
		topic->partition_result_count = OT_MAX(named->partitions_count, 0);
		for (int32_t j = 0; j < topic->partition_result_count; j++)
			topic->partition_result[j].partition_id = named->partitions[j];
	}
	return true;
}

static void
elect_all_named(struct elections *elections)
{
	struct ot_elect_leaders_response *response = elections->response;

	for (int32_t i = 0; i < response->replica_election_results_count; i++) {
		struct ot_elect_leaders_response_topic *topic =
		    &response->replica_election_results[i];

		for (int32_t j = 0; j < topic->partition_result_count; j++) {
			elect_named(elections, topic->topic, &topic->partition_result[j]);
			operation_split_if_full(&elections->operation);
		}
	}
}

/* ---- all partitions -------------------------------------------------------------------------- */

/* Elections of the whole cluster; the response leaves out those that needed none. */
struct everywhere {
	struct elections *elections;
	const struct ot_topic_image *topic;
	struct ot_elect_leaders_response_topic *result; /* of the topic */
};

static bool
elect_each(void *arg, const struct ot_partition_image *partition)
{
	struct everywhere *everywhere = arg;
	struct elections *elections = everywhere->elections;
	struct ot_elect_leaders_response_topic *result = everywhere->result;
	struct ot_elect_leaders_response_partition *one;
	struct ot_why why = { { 0 } };
	ot_err err = elect_partition(elections, everywhere->topic, partition);

	if (err == OT_ERR_ELECTION_NOT_NEEDED)
		return true;
	if (result->partition_result == NULL)
		result->partition_result = ot_elect_leaders_response_partition_array(
		    elections->operation.arena, everywhere->topic->partition_count);
	if (result->partition_result == NULL) {
		elections->operation.is_failed = true;
		return false;
	}
	one = &result->partition_result[result->partition_result_count++];
	one->partition_id = partition->index;
	put_result(elections, one, err, &why);
	operation_split_if_full(&elections->operation);
	return !elections->operation.is_failed;
}

static bool
elect_topic(void *arg, const struct ot_topic_image *topic)
{
	struct everywhere *everywhere = arg;
	struct ot_elect_leaders_response *response = everywhere->elections->response;

	everywhere->topic = topic;
	everywhere->result =
	    &response->replica_election_results[response->replica_election_results_count++];
	/* The image may go before the answer does. */
	everywhere->result->topic = ot_str_from(ot_arena_strndup(
	    everywhere->elections->operation.arena, topic->name.data, (size_t)topic->name.len));
	if (everywhere->result->topic.len < 0) {
		everywhere->elections->operation.is_failed = true;
		return false;
	}
	ot_topic_visit_partitions(topic, elect_each, everywhere);
	return !everywhere->elections->operation.is_failed;
}

static void
elect_everywhere(struct elections *elections)
{
	struct everywhere everywhere = { .elections = elections };
	struct ot_image *image = ot_image_ref(elections->operation.controller->head);

	elections->response->replica_election_results = ot_elect_leaders_response_topic_array(
	    elections->operation.arena, (int32_t)ot_image_topic_count(image));
	if (elections->response->replica_election_results == NULL)
		elections->operation.is_failed = true;
	else
		ot_image_visit_topics(image, elect_topic, &everywhere);
	ot_image_unref(image);
}

static void
refuse_type(struct elections *elections)
{
	struct ot_elect_leaders_response *response = elections->response;
	struct ot_why why = { { 0 } };

	ot_why_set(&why, "Unknown election type %d", elections->request->election_type);
	response->error_code = ot_err_to_wire(OT_ERR_INVALID_REQUEST);
	for (int32_t i = 0; i < response->replica_election_results_count; i++) {
		struct ot_elect_leaders_response_topic *topic =
		    &response->replica_election_results[i];

		for (int32_t j = 0; j < topic->partition_result_count; j++)
			put_result(elections, &topic->partition_result[j], OT_ERR_INVALID_REQUEST,
			    &why);
	}
}

void
ot_controller_elect_leaders(struct ot_controller *controller, struct ot_controller_call *call,
    const struct ot_elect_leaders_request *request, struct ot_elect_leaders_response *ret_response)
{
	struct elections elections = { .request = request, .response = ret_response };
	struct ot_image *image;

	ot_elect_leaders_response_init(ret_response);
	call->response = ret_response;
	call->fail = elect_fail;
	if (!name_results(call->arena, request, ret_response)) {
		operation_fail_call(controller, call, OT_ERR_NO_MEMORY);
		return;
	}
	if (!operation_begin(&elections.operation, controller, call))
		return;
	image = ot_image_ref(controller->head);
	partition_changer_init(&elections.changer, &elections.operation, image);
	if (request->election_type != TYPE_PREFERRED && request->election_type != TYPE_UNCLEAN)
		refuse_type(&elections);
	else if (request->topic_partitions_count < 0)
		elect_everywhere(&elections);
	else
		elect_all_named(&elections);
	partition_changer_fini(&elections.changer);
	ot_image_unref(image);
	operation_end(&elections.operation, false);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static bool
is_not_preferred(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	(void)sweep;
	return partition->leader != ot_partition_replicas(partition).items[0];
}

static bool
has_no_leader(const struct sweep *sweep, const struct ot_partition_image *partition)
{
	(void)sweep;
	return partition->leader == OT_NO_LEADER;
}

/* Only a partition that changes hands to its first replica: others have their leader already. */
static bool
want_preferred(struct sweep *sweep, struct partition_change *change)
{
	int32_t first = change->replicas.items[0];

	change->election = ELECT_PREFERRED;
	return partition_may_be_led(&sweep->changer, change->partition, first) &&
	       ot_ids_have(change->isr, first);
}

static void
arm_balance(struct ot_controller *controller)
{
	const struct ot_settings *settings = ot_image_settings(controller->head);
	int64_t seconds =
	    ot_settings_number(settings, OT_BROKER_LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS);

	/* A number of seconds that no timer can hold is for ever as well. */
	if (ot_settings_flag(settings, OT_BROKER_AUTO_LEADER_REBALANCE_ENABLE))
		ot_timer_arm_in_ms(controller->io, &controller->balance_due,
		    OT_MIN(seconds, INTERVAL_MAX_SECONDS) * 1000);
}

static void
on_balance_due(struct ot_timer *timer)
{
	struct ot_controller *controller =
	    OT_CONTAINER_OF(timer, struct ot_controller, balance_due);
	struct operation operation;
	struct sweep sweep;

	operation_begin_own(&operation, controller);
	sweep_init(&sweep, &operation);
	sweep.concerns = is_not_preferred;
	sweep.want = want_preferred;
	sweep.records_max = BALANCE_MAX;
	sweep_run(&sweep);
	operation_end(&operation, false);
	if (sweep.record_count >= BALANCE_MAX)
		ot_timer_arm_in_ms(controller->io, &controller->balance_due, BALANCE_PAUSE_MS);
	else
		arm_balance(controller);
}

static void
arm_unclean(struct ot_controller *controller)
{
	const struct ot_settings *settings = ot_image_settings(controller->head);
	int64_t interval_ms =
	    ot_settings_number(settings, OT_BROKER_UNCLEAN_LEADER_ELECTION_INTERVAL_MS);

	ot_timer_arm_in_ms(controller->io, &controller->unclean_due,
	    OT_MIN(interval_ms, INTERVAL_MAX_SECONDS * 1000));
}

/* The settings of the topics decide whether an election may be unclean. */
static void
on_unclean_due(struct ot_timer *timer)
{
	struct ot_controller *controller =
	    OT_CONTAINER_OF(timer, struct ot_controller, unclean_due);
	struct operation operation;
	struct sweep sweep;

	operation_begin_own(&operation, controller);
	sweep_init(&sweep, &operation);
	sweep.concerns = has_no_leader;
	sweep_run(&sweep);
	operation_end(&operation, false);
	arm_unclean(controller);
}

/* A lone broker that has registered and is not unfenced yet leads on; nobody else could. */
static void
finish_what_was_torn(struct ot_controller *controller)
{
	struct operation operation;

	if (!brokers_have_other_active(controller->head, NOBODY))
		return;
	operation_begin_own(&operation, controller);
	sweep_broker_comes(&operation, NOBODY);
	sweep_eligible_replicas(&operation);
	operation_end(&operation, false);
}

void
elections_begin(struct ot_controller *controller)
{
	finish_what_was_torn(controller);
	ot_timer_init(&controller->balance_due, on_balance_due);
	ot_timer_init(&controller->unclean_due, on_unclean_due);
	arm_balance(controller);
	arm_unclean(controller);
}

void
elections_end(struct ot_controller *controller)
{
	ot_timer_cancel(controller->io, &controller->balance_due);
	ot_timer_cancel(controller->io, &controller->unclean_due);
}
