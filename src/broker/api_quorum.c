/* OttlaJoin: a process asks for a cluster. It is answered by whatever controller it reaches, on the
 * control listener alone. */
#include "broker/broker_int.h"
#include "broker/life_int.h"
#include "broker/quorum_int.h"

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
