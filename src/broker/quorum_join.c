/* Answers to those who want to join: who they may be, and where the metadata is. */
#include "broker/quorum_state_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/report.h"

enum { OFFER_MS_MAX = 60 * 1000, NODE_ID_MAX = 1000 * 1000 };

/* A joiner that waits for a list of members. */
struct waiting_join {
	struct quorum_lister lister;
	struct quorum_join *join;
};

static void
answer(struct quorum_join *join, ot_err err, const char *message)
{
	struct ot_ottla_join_response *response = &join->response;

	response->error_code = ot_err_to_wire(err);
	if (message != NULL) {
		char *copy = ot_arena_strndup(join->arena, message, strlen(message));

		response->error_message = ot_str_from(copy != NULL ? copy : "");
	}
	join->done(join);
}

static struct ot_str
copy_text(struct quorum_join *join, const char *text)
{
	const char *copy = ot_arena_strndup(join->arena, text, strlen(text));

	return ot_str_from(copy != NULL ? copy : "");
}

/* ---- numbers -------------------------------------------------------------------------------- */

static bool
is_offered(const struct broker_quorum *quorum, int32_t node_id, const struct ot_uuid *directory)
{
	ot_mono_ns now = ot_io_now(quorum->io);

	for (size_t i = 0; i < QUORUM_OFFERS_MAX; i++) {
		const struct quorum_offer *offer = &quorum->offers[i];

		if (offer->given != 0 && offer->node_id == node_id &&
		    now - offer->given < (ot_mono_ns)OFFER_MS_MAX * OT_NS_PER_MS)
			return !ot_uuid_equal(&offer->directory, directory);
	}
	return false;
}

/* The first that nobody has; it is kept for this joiner for a while. */
static int32_t
choose_node_id(struct broker_quorum *quorum, const struct ot_uuid *directory)
{
	const struct ot_image *image = broker_control_image(quorum->broker->control);
	struct ot_uuid ignored;
	int32_t node_id = 0;

	while (node_id < NODE_ID_MAX &&
	       (node_id == quorum->broker->node_id || ot_image_broker(image, node_id) != NULL ||
		   quorum_member_of(quorum, node_id, &ignored) != NULL ||
		   is_offered(quorum, node_id, directory)))
		node_id++;
	quorum->offers[quorum->offer_next++ % QUORUM_OFFERS_MAX] =
	    (struct quorum_offer){ .directory = *directory,
		    .node_id = node_id,
		    .given = ot_io_now(quorum->io) };
	return node_id;
}

/* ---- who may join --------------------------------------------------------------------------- */

static bool
has_directory(const struct ot_broker_image *broker, const struct ot_uuid *directory)
{
	for (int32_t i = 0; i < broker->log_dir_count; i++)
		if (ot_uuid_equal(&broker->log_dirs[i], directory))
			return true;
	return false;
}

/* A number is in use by a broker that lives; one that is fenced may come back with an empty disk.
 */
static ot_err
check_node_id(const struct broker_quorum *quorum, const struct ot_ottla_join_request *request,
    struct ot_why *why)
{
	const struct ot_image *image = broker_control_image(quorum->broker->control);
	const struct ot_broker_image *broker = ot_image_broker(image, request->node_id);
	bool is_own = request->node_id == quorum->broker->node_id;

	if (request->node_id < 0 || (!is_own && (broker == NULL || broker->is_fenced ||
						    has_directory(broker, &request->directory_id))))
		return OT_OK;
	ot_why_set(why,
	    "broker.id %d is in use in cluster %s%s%s: give this process another broker.id (or "
	    "node.id), or -1 to have one chosen",
	    request->node_id, ot_dirs_cluster_id(quorum->broker->dirs), is_own ? ", by " : "",
	    is_own ? quorum->host : "");
	return OT_ERR_DUPLICATE_BROKER_REGISTRATION;
}

static ot_err
check_cluster(const struct broker_quorum *quorum, const struct ot_ottla_join_request *request,
    struct ot_why *why)
{
	const char *own = ot_dirs_cluster_id(quorum->broker->dirs);

	if (request->cluster_id.len < 0 || ot_str_is(request->cluster_id, own))
		return OT_OK;
	ot_why_set(why,
	    "its folder is of cluster %.*s and this is cluster %s: correct the address of the "
	    "controllers, or give it an empty folder",
	    OT_STR_ARG(request->cluster_id), own);
	return OT_ERR_INCONSISTENT_CLUSTER_ID;
}

/* Brokers reach each other by one listener: all must have it. */
static ot_err
check_listener(const struct broker_quorum *quorum, const struct ot_ottla_join_request *request,
    struct ot_why *why)
{
	const struct ot_image *image = broker_control_image(quorum->broker->control);
	const struct ot_broker_image *broker;
	char names[160];
	struct ot_text text = OT_TEXT(names);
	bool has_any = false;

	names[0] = '\0';
	if (request->listener.len < 0)
		return OT_OK;
	for (int32_t id = 0; (broker = ot_image_broker_from(image, id)) != NULL;
	     id = broker->id + 1) {
		has_any = true;
		if (ot_broker_endpoint(broker, request->listener) != NULL)
			return OT_OK;
		for (int32_t i = 0; i < broker->endpoint_count && text.bytes == 0; i++)
			ot_text_put(&text, "%.*s", OT_STR_ARG(broker->endpoints[i].name));
	}
	if (!has_any)
		return OT_OK;
	ot_why_set(why,
	    "its inter.broker.listener.name is %.*s, a listener that no broker of the cluster has; "
	    "they have %s",
	    OT_STR_ARG(request->listener), names);
	return OT_ERR_INVALID_REGISTRATION;
}

static ot_err
check(const struct broker_quorum *quorum, const struct ot_ottla_join_request *request,
    struct ot_why *why)
{
	ot_err err = check_cluster(quorum, request, why);

	if (err == OT_OK)
		err = check_node_id(quorum, request, why);
	return err == OT_OK ? check_listener(quorum, request, why) : err;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* A voter of that number with another directory: its disk was wiped, or the number is another's. */
static bool
is_wiped(const struct broker_quorum *quorum, const struct ot_ottla_join_request *request,
    struct ot_why *why)
{
	struct ot_uuid directory;
	const struct ot_etcd_member_info *info =
	    quorum_member_of(quorum, request->node_id, &directory);
	char text[OT_UUID_TEXT_BYTES];

	if (info == NULL || !request->is_controller ||
	    ot_uuid_equal(&directory, &request->directory_id))
		return false;
	ot_uuid_to_text(&directory, text);
	ot_why_set(why,
	    "the metadata has a voter for node.id %d with the directory %s, which this process "
	    "does "
	    "not have. If that disk is lost: kafka-metadata-quorum.sh remove-controller "
	    "--controller-id %d --controller-directory-id %s. Else give this process another id",
	    request->node_id, text, request->node_id, text);
	return true;
}

static void
answer_place(struct broker_quorum *quorum, struct quorum_join *join)
{
	const struct ot_ottla_join_request *request = join->request;
	struct ot_ottla_join_response *response = &join->response;
	const struct ot_etcd_place *place = quorum->place;
	struct ot_str *endpoints =
	    ot_arena_array(join->arena, place->endpoint_count, sizeof(*endpoints));

	if (endpoints == NULL) {
		answer(join, OT_ERR_COORDINATOR_NOT_AVAILABLE, "no memory for an answer");
		return;
	}
	response->node_id = request->node_id >= 0 ? request->node_id
	                                          : choose_node_id(quorum, &request->directory_id);
	response->cluster_id = copy_text(join, ot_dirs_cluster_id(quorum->broker->dirs));
	response->prefix = copy_text(join, place->prefix);
	for (size_t i = 0; i < place->endpoint_count; i++)
		endpoints[i] = copy_text(join, place->endpoints[i]);
	response->client_endpoints = endpoints;
	response->client_endpoints_count = (int32_t)place->endpoint_count;
	answer(join, OT_OK, NULL);
}

static void
on_listed(struct quorum_lister *lister, ot_err err)
{
	struct waiting_join *waiting = OT_CONTAINER_OF(lister, struct waiting_join, lister);
	struct quorum_join *join = waiting->join;
	struct broker_quorum *quorum = join->quorum;
	struct ot_why why;

	if (quorum->broker->life->stop != LIFE_RUNS)
		return;
	if (err != OT_OK || quorum->place->endpoint_count == 0)
		answer(join, OT_ERR_COORDINATOR_NOT_AVAILABLE, "etcd does not answer");
	else if (is_wiped(quorum, join->request, &why))
		answer(join, OT_ERR_DUPLICATE_BROKER_REGISTRATION, why.text);
	else
		answer_place(quorum, join);
}

void
broker_quorum_join(struct broker_quorum *quorum, struct quorum_join *join)
{
	struct waiting_join *waiting;
	struct ot_why why = { "" };
	ot_err err = check(quorum, join->request, &why);

	join->quorum = quorum;
	ot_ottla_join_response_init(&join->response);
	if (err != OT_OK) {
		answer(join, err, why.text);
		return;
	}
	if (quorum->state == QUORUM_ETCD) {
		waiting = ot_arena_alloc(join->arena, sizeof(*waiting));
		if (waiting == NULL) {
			answer(join, OT_ERR_COORDINATOR_NOT_AVAILABLE, "no memory for an answer");
			return;
		}
		waiting->join = join;
		waiting->lister.done = on_listed;
		quorum_list(quorum, &waiting->lister);
		return;
	}
	quorum_grow(quorum);
	if (quorum->state == QUORUM_LOCAL && quorum->why[0] != '\0')
		answer(join, OT_ERR_UNKNOWN_SERVER_ERROR, quorum->why);
	else
		answer(join, OT_ERR_COORDINATOR_NOT_AVAILABLE, "the metadata log moves into etcd");
}
