/* The store, and the engine that each process has of it.
 *
 * A process's messages and the store's arrive as calls of the world. What the store tells an engine
 * goes to its inbox, and the engine takes it up in a turn of its control thread, so that a machine
 * that is frozen or dead learns nothing.
 */
#include "metalog_sim_int.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/plant.h"
#include "sim/sim_io.h"

enum { RENEWS_PER_LEASE = 4 };

const struct metalog_store_conf metalog_store_conf_default = {
	.lease_ms = 3000,
	.delay_us_least = 100,
	.delay_us_most = 4000,
	.spike_ms_most = 300,
	.spike = 5000,
};

static struct engine *
engine_of(struct ot_metalog *log)
{
	return OT_CONTAINER_OF(log, struct engine, base);
}

static void
trace(const struct metalog_store *store, const char *verb, int32_t node_id, uint64_t a, uint64_t b)
{
	char what[24];
	const struct ot_sim_event event = { .at = ot_sim_world_now(store->world),
		.verb = verb,
		.what = what,
		.host = -1,
		.a = a,
		.b = b };

	(void)snprintf(what, sizeof(what), "metadata, node %d", node_id);
	ot_sim_trace_put(ot_sim_world_trace(store->world), &event);
}

static void
copy_records(struct ot_metadata_records *to, const struct ot_metadata_records *from)
{
	for (int32_t i = 0; i < from->count; i++)
		ot_metadata_records_add_framed(to, ot_metadata_records_at(from, i));
	OT_ASSERT(!to->failed);
}

static struct engine *
find_engine(const struct metalog_store *store, uint64_t id)
{
	OT_LIST_FOREACH(link, &store->engines) {
		struct engine *engine = OT_CONTAINER_OF(link, struct engine, link);

		if (engine->id == id)
			return engine;
	}
	return NULL;
}

/* ---- messages ------------------------------------------------------------------------------- */

static void deliver(void *arg);

static bool
is_to_store(const struct message *message)
{
	return message->kind <= TO_STORE_SNAPSHOT;
}

static struct message *
message_new(const struct engine *engine, enum message_kind kind)
{
	struct message *message = OT_NEW(struct message);

	message->store = engine->store;
	message->kind = kind;
	message->node_id = engine->node_id;
	message->engine_id = engine->id;
	message->epoch = engine->epoch;
	message->sent = ot_io_now(engine->io);
	ot_list_init(&message->link);
	ot_metadata_records_init(&message->records);
	return message;
}

static void
message_free(struct message *message)
{
	ot_list_remove(&message->link);
	ot_metadata_records_fini(&message->records);
	ot_free(message);
}

static uint64_t
draw_delay(struct metalog_store *store)
{
	const struct metalog_store_conf *conf = &store->conf;
	uint64_t delay = OT_NS_PER_US * ot_sim_random_between(&store->random, conf->delay_us_least,
					    conf->delay_us_most);

	if (ot_sim_random_chance(&store->random, conf->spike))
		delay +=
		    OT_NS_PER_MS * ot_sim_random_below(&store->random, conf->spike_ms_most + 1);
	return delay;
}

static void
send_later(struct metalog_store *store, struct message *message, struct way *way)
{
	ot_mono_ns at = ot_sim_world_now(store->world) + draw_delay(store);

	if (way != NULL) {
		at = OT_MAX(at, way->last_at + 1);
		way->last_at = at;
	}
	ot_list_push_back(&store->messages, &message->link);
	ot_sim_world_at(store->world, at, deliver, message);
}

static void
post(struct engine *engine, struct message *message)
{
	struct metalog_store *store = engine->store;

	if (message->kind != TO_ENGINE_FACTS &&
	    ot_sim_random_chance(&store->random, store->conf.lost)) {
		trace(store, "lose", engine->node_id, (uint64_t)message->kind, 0);
		message_free(message);
		return;
	}
	send_later(store, message, is_to_store(message) ? &engine->to_store : &engine->from_store);
}

static bool
is_blocked(const struct metalog_store *store, const struct message *message)
{
	uint64_t cut = is_to_store(message) ? store->cut_to : store->cut_from;

	return store->is_out || (cut >> message->node_id & 1) != 0;
}

static struct ot_list *
held_of(const struct message *message, struct engine *engine)
{
	if (engine == NULL)
		return &message->store->held;
	return is_to_store(message) ? &engine->to_store.held : &engine->from_store.held;
}

static void store_take(struct metalog_store *store, const struct message *message);
static void turn_soon(struct engine *engine);

/* A message arrives at the other end, or is held where nothing passes. */
static void
deliver(void *arg)
{
	struct message *message = arg;
	struct metalog_store *store = message->store;
	struct engine *engine = find_engine(store, message->engine_id);
	struct ot_list *held = held_of(message, engine);

	ot_list_remove(&message->link);
	if (engine == NULL && !is_to_store(message)) {
		message_free(message);
	} else if (is_blocked(store, message) || (engine != NULL && !ot_list_is_empty(held))) {
		ot_list_push_back(held, &message->link);
	} else if (is_to_store(message)) {
		store_take(store, message);
		message_free(message);
	} else {
		ot_list_push_back(&engine->inbox, &message->link);
		turn_soon(engine);
	}
}

static void
release(struct metalog_store *store, struct ot_list *held, struct way *way)
{
	while (!ot_list_is_empty(held)) {
		struct message *message = OT_LIST_FIRST(held, struct message, link);

		if (is_blocked(store, message))
			return;
		ot_list_remove(&message->link);
		send_later(store, message, way);
	}
}

static void
release_all(struct metalog_store *store)
{
	struct ot_list gone;

	OT_LIST_FOREACH(link, &store->engines) {
		struct engine *engine = OT_CONTAINER_OF(link, struct engine, link);

		release(store, &engine->to_store.held, &engine->to_store);
		release(store, &engine->from_store.held, &engine->from_store);
	}
	ot_list_init(&gone);
	while (!ot_list_is_empty(&store->held)) {
		struct message *message = OT_LIST_FIRST(&store->held, struct message, link);

		ot_list_remove(&message->link);
		if (is_blocked(store, message))
			ot_list_push_back(&gone, &message->link);
		else
			send_later(store, message, NULL);
	}
	while (!ot_list_is_empty(&gone)) {
		struct ot_list *link = gone.next;

		ot_list_remove(link);
		ot_list_push_back(&store->held, link);
	}
}

/* ---- the store ------------------------------------------------------------------------------ */

static void
announce_facts(struct engine *engine)
{
	if (engine->are_facts_sent || engine->on_closed != NULL || engine->events == NULL)
		return;
	engine->are_facts_sent = true;
	post(engine, message_new(engine, TO_ENGINE_FACTS));
}

static struct fact *
add_fact(struct metalog_store *store, enum fact_kind kind)
{
	struct fact *fact = OT_NEW(struct fact);

	if (store->fact_count == store->fact_capacity) {
		store->fact_capacity = OT_MAX(64, store->fact_capacity * 2);
		store->facts =
		    ot_realloc(store->facts, store->fact_capacity * sizeof(*store->facts));
		OT_ASSERT(store->facts != NULL);
	}
	fact->kind = kind;
	fact->epoch = store->epoch;
	ot_metadata_records_init(&fact->records);
	if (kind == FACT_LEADER)
		store->leader_fact = store->fact_count;
	store->facts[store->fact_count++] = fact;
	OT_LIST_FOREACH(link, &store->engines)
		announce_facts(OT_CONTAINER_OF(link, struct engine, link));
	return fact;
}

static void
add_batch(struct metalog_store *store, const struct ot_metadata_records *records,
    ot_wall_ms timestamp)
{
	struct fact *fact = add_fact(store, FACT_BATCH);

	fact->base_offset = store->end_offset;
	fact->timestamp = timestamp;
	if (records != NULL)
		copy_records(&fact->records, records);
	store->bytes += fact->records.bytes.bytes + 64;
	store->end_offset += OT_MAX(1, fact->records.count);
	fact->next_offset = store->end_offset;
}

static void
end_lease(struct metalog_store *store)
{
	if (!store->has_leader)
		return;
	store->has_leader = false;
	trace(store, "lease ends", store->facts[store->leader_fact]->leader_id,
	    (uint64_t)store->epoch, 0);
	add_fact(store, FACT_LEADER)->leader_id = -1;
}

static void
on_expiry(void *arg)
{
	struct metalog_store *store = arg;

	store->is_expiry_planned = false;
	if (!store->has_leader)
		return;
	if (ot_sim_world_now(store->world) >= store->lease_until) {
		end_lease(store);
		return;
	}
	store->is_expiry_planned = true;
	ot_sim_world_at(store->world, store->lease_until, on_expiry, store);
}

static void
extend_lease(struct metalog_store *store)
{
	store->lease_until =
	    ot_sim_world_now(store->world) + (uint64_t)store->conf.lease_ms * OT_NS_PER_MS;
	if (store->is_expiry_planned)
		return;
	store->is_expiry_planned = true;
	ot_sim_world_at(store->world, store->lease_until, on_expiry, store);
}

static bool
is_leaders(const struct metalog_store *store, const struct message *message)
{
	return store->has_leader && store->leader_engine_id == message->engine_id &&
	       store->epoch == message->epoch;
}

static void
take_campaign(struct metalog_store *store, const struct message *message)
{
	struct fact *fact;

	if (store->has_leader || store->refusal != OT_OK)
		return;
	store->epoch++;
	store->has_leader = true;
	store->leader_engine_id = message->engine_id;
	trace(store, "elect", message->node_id, (uint64_t)store->epoch,
	    (uint64_t)store->end_offset);
	add_batch(store, NULL, message->timestamp);
	fact = add_fact(store, FACT_LEADER);
	fact->leader_id = message->node_id;
	fact->engine_id = message->engine_id;
	fact->sent = message->sent;
	(void)snprintf(fact->host, sizeof(fact->host), "%s", message->host);
	fact->port = message->port;
	extend_lease(store);
}

static void
answer(struct metalog_store *store, const struct message *message, enum message_kind kind,
    ot_err err)
{
	struct engine *engine = find_engine(store, message->engine_id);
	struct message *reply;

	if (engine == NULL)
		return;
	reply = message_new(engine, kind);
	reply->epoch = message->epoch;
	reply->sent = message->sent;
	reply->base_offset = message->base_offset;
	reply->err = err;
	post(engine, reply);
}

static void
take_append(struct metalog_store *store, const struct message *message)
{
	ot_err err = store->refusal;

	if (err == OT_OK &&
	    (!is_leaders(store, message) || message->base_offset != store->end_offset))
		err = OT_ERR_NOT_CONTROLLER;
	if (OT_PLANT(DEPOSED_CONTROLLER))
		err = store->refusal;
	trace(store, err == OT_OK ? "append" : "refuse", message->node_id,
	    (uint64_t)message->base_offset, (uint64_t)message->records.count);
	if (err != OT_OK) {
		answer(store, message, TO_ENGINE_REFUSED, err);
		return;
	}
	add_batch(store, &message->records, message->timestamp);
	if (store->on_append != NULL)
		store->on_append(store->on_append_arg);
}

/* The end of the facts that a snapshot stands for. */
static size_t
facts_before(const struct metalog_store *store, int64_t offset)
{
	size_t place = store->first;

	while (place < store->fact_count) {
		const struct fact *fact = store->facts[place];

		if (fact->kind == FACT_BATCH && fact->base_offset >= offset)
			break;
		place++;
	}
	return place;
}

static void
take_snapshot(struct metalog_store *store, const struct message *message)
{
	if (message->base_offset > store->snapshot_id.end_offset) {
		trace(store, "snapshot", message->node_id, (uint64_t)message->base_offset,
		    (uint64_t)message->records.count);
		store->snapshot_id = (struct ot_metalog_id){ message->base_offset, message->epoch };
		store->snapshot_timestamp = message->timestamp;
		ot_metadata_records_reset(&store->snapshot);
		copy_records(&store->snapshot, &message->records);
		store->snapshot_count++;
		store->first = facts_before(store, message->base_offset);
		store->bytes = 0;
		for (size_t i = store->first; i < store->fact_count; i++)
			store->bytes += store->facts[i]->records.bytes.bytes;
	}
	answer(store, message, TO_ENGINE_SNAPSHOT_DONE, OT_OK);
}

static void
store_take(struct metalog_store *store, const struct message *message)
{
	switch (message->kind) {
	case TO_STORE_CAMPAIGN:
		take_campaign(store, message);
		break;
	case TO_STORE_RENEW:
		if (is_leaders(store, message)) {
			extend_lease(store);
			answer(store, message, TO_ENGINE_RENEWED, OT_OK);
		}
		break;
	case TO_STORE_REVOKE:
		if (is_leaders(store, message))
			end_lease(store);
		break;
	case TO_STORE_APPEND:
		take_append(store, message);
		break;
	case TO_STORE_SNAPSHOT:
		take_snapshot(store, message);
		break;
	default:
		OT_PANIC("the store got a message of an engine");
	}
}

struct metalog_store *
metalog_store_create(struct ot_sim_world *world, const struct metalog_store_conf *conf)
{
	struct metalog_store *store = OT_NEW(struct metalog_store);

	store->world = world;
	store->conf = *conf;
	store->leader_fact = SIZE_MAX;
	ot_sim_random_init(&store->random, conf->seed);
	ot_list_init(&store->engines);
	ot_list_init(&store->messages);
	ot_list_init(&store->held);
	ot_metadata_records_init(&store->snapshot);
	return store;
}

void
metalog_store_destroy(struct metalog_store *store)
{
	if (store == NULL)
		return;
	OT_ASSERT(ot_list_is_empty(&store->engines));
	OT_LIST_FOREACH_SAFE(link, &store->messages)
		message_free(OT_CONTAINER_OF(link, struct message, link));
	OT_LIST_FOREACH_SAFE(link, &store->held)
		message_free(OT_CONTAINER_OF(link, struct message, link));
	for (size_t i = 0; i < store->fact_count; i++) {
		ot_metadata_records_fini(&store->facts[i]->records);
		ot_free(store->facts[i]);
	}
	ot_metadata_records_fini(&store->snapshot);
	ot_free(store->facts);
	ot_free(store);
}

void
metalog_store_on_append(struct metalog_store *store, void (*on_append)(void *arg), void *arg)
{
	store->on_append = on_append;
	store->on_append_arg = arg;
}

void
metalog_store_set_conf(struct metalog_store *store, const struct metalog_store_conf *conf)
{
	int64_t lease_ms = store->conf.lease_ms;

	store->conf = *conf;
	store->conf.lease_ms = lease_ms;
}

void
metalog_store_cut(struct metalog_store *store, int32_t node_id, bool to_store, bool from_store)
{
	uint64_t bit = (uint64_t)1 << node_id;

	OT_ASSERT(node_id >= 0 && node_id < NODES_MAX);
	store->cut_to = to_store ? store->cut_to | bit : store->cut_to & ~bit;
	store->cut_from = from_store ? store->cut_from | bit : store->cut_from & ~bit;
	trace(store, "cut", node_id, to_store, from_store);
	release_all(store);
}

void
metalog_store_set_outage(struct metalog_store *store, bool is_out)
{
	store->is_out = is_out;
	trace(store, is_out ? "outage" : "outage ends", -1, 0, 0);
	release_all(store);
}

void
metalog_store_refuse(struct metalog_store *store, ot_err err)
{
	store->refusal = err;
	trace(store, "refuse all", -1, (uint64_t)err, 0);
}

void
metalog_store_depose(struct metalog_store *store)
{
	end_lease(store);
}

void
metalog_store_heal(struct metalog_store *store)
{
	store->cut_to = store->cut_from = 0;
	store->is_out = false;
	store->refusal = OT_OK;
	release_all(store);
}

/* ---- the engine: leading -------------------------------------------------------------------- */

static void
turn_soon(struct engine *engine)
{
	if (engine->on_closed == NULL && !ot_timer_is_armed(&engine->turn))
		ot_timer_arm(engine->io, &engine->turn, ot_io_now(engine->io));
}

static void
fail_all(struct ot_list *appends, ot_err err)
{
	while (!ot_list_is_empty(appends)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(appends, struct ot_metalog_append, link);

		ot_list_remove(&append->link);
		append->on_done(append, err);
	}
}

static void
campaign_in_ms(struct engine *engine, int64_t ms_most)
{
	uint64_t ms = ot_sim_random_below(&engine->store->random, (uint64_t)ms_most + 1);

	if (engine->is_candidate && engine->on_closed == NULL)
		ot_timer_arm_in_ms(engine->io, &engine->campaign, (int64_t)ms);
}

/* It leads no more. What it appended fails first, as the callee expects. */
static void
step_down(struct engine *engine, ot_err err)
{
	if (!engine->is_leading)
		return;
	trace(engine->store, "step down", engine->node_id, (uint64_t)engine->epoch, (uint64_t)err);
	engine->is_leading = false;
	engine->is_leader_known = false;
	ot_timer_cancel(engine->io, &engine->lease);
	ot_timer_cancel(engine->io, &engine->renew);
	fail_all(&engine->appends, err);
	fail_all(&engine->refused, err);
	post(engine, message_new(engine, TO_STORE_REVOKE));
	engine->events->on_leader(engine->arg, -1, engine->epoch, NULL);
	campaign_in_ms(engine, engine->store->conf.lease_ms);
}

static void
on_lease_over(struct ot_timer *timer)
{
	struct engine *engine = OT_CONTAINER_OF(timer, struct engine, lease);

	if (ot_io_now(engine->io) >= engine->valid_until)
		step_down(engine, OT_ERR_NOT_CONTROLLER);
	else
		ot_timer_arm(engine->io, timer, engine->valid_until);
}

static uint64_t
lease_ns(const struct engine *engine)
{
	return (uint64_t)engine->store->conf.lease_ms * OT_NS_PER_MS;
}

static void
on_renew_due(struct ot_timer *timer)
{
	struct engine *engine = OT_CONTAINER_OF(timer, struct engine, renew);

	if (!engine->is_leading)
		return;
	/* A request or its answer was lost: nobody will say what became of it. */
	if (!ot_list_is_empty(&engine->appends) &&
	    ot_io_now(engine->io) > engine->oldest_sent + lease_ns(engine)) {
		step_down(engine, OT_ERR_NOT_CONTROLLER);
		return;
	}
	post(engine, message_new(engine, TO_STORE_RENEW));
	ot_timer_arm_in_ms(engine->io, timer, engine->store->conf.lease_ms / RENEWS_PER_LEASE);
}

static void
on_campaign_due(struct ot_timer *timer)
{
	struct engine *engine = OT_CONTAINER_OF(timer, struct engine, campaign);
	struct message *message;

	if (engine->is_leading || engine->is_leader_known)
		return;
	message = message_new(engine, TO_STORE_CAMPAIGN);
	message->timestamp = ot_io_wall(engine->io);
	(void)snprintf(message->host, sizeof(message->host), "%s", engine->host);
	message->port = engine->port;
	post(engine, message);
	ot_timer_arm_in_ms(engine->io, timer, engine->store->conf.lease_ms / RENEWS_PER_LEASE);
}

static void
engine_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	struct engine *engine = engine_of(log);
	struct message *message;

	append->base_offset = engine->append_end;
	if (!engine->is_leading || append->epoch != engine->epoch || engine->on_closed != NULL ||
	    !ot_list_is_empty(&engine->refused)) {
		ot_list_push_back(&engine->refused, &append->link);
		turn_soon(engine);
		return;
	}
	if (ot_list_is_empty(&engine->appends))
		engine->oldest_sent = ot_io_now(engine->io);
	ot_list_push_back(&engine->appends, &append->link);
	engine->append_end += append->records.count;
	message = message_new(engine, TO_STORE_APPEND);
	message->base_offset = append->base_offset;
	message->timestamp = ot_io_wall(engine->io);
	copy_records(&message->records, &append->records);
	post(engine, message);
}

/* ---- the engine: being told ----------------------------------------------------------------- */

static void
tell_batch(struct engine *engine, const struct fact *fact)
{
	struct ot_metalog_append *append =
	    OT_LIST_FIRST(&engine->appends, struct ot_metalog_append, link);
	struct ot_metalog_batch batch;
	struct ot_arena arena;

	if (fact->base_offset < engine->told_offset)
		return;
	OT_ASSERT(fact->base_offset == engine->told_offset);
	ot_arena_init(&arena, 0);
	metalog_fill_batch(fact, &arena, &batch);
	engine->told_offset = fact->next_offset;
	engine->events->on_batch(engine->arg, &batch);
	ot_arena_fini(&arena);
	if (append == NULL)
		return;
	OT_ASSERT(append->base_offset == fact->base_offset && append->epoch == fact->epoch);
	ot_list_remove(&append->link);
	engine->oldest_sent = ot_io_now(engine->io);
	append->on_done(append, OT_OK);
}

static void
tell_leader(struct engine *engine, const struct fact *fact)
{
	struct ot_metalog_endpoint endpoint = { fact->host, fact->port };
	bool is_ours = fact->leader_id >= 0 && fact->engine_id == engine->id;
	ot_mono_ns valid_until = fact->sent + lease_ns(engine);
	int32_t leader_id = fact->leader_id;

	/* An earlier life of ours leads nothing, nor do we with a lease that is over. */
	if (leader_id == engine->node_id && (!is_ours || ot_io_now(engine->io) >= valid_until))
		leader_id = -1;
	engine->epoch = fact->epoch;
	engine->is_leader_known = leader_id >= 0;
	engine->is_leading = leader_id >= 0 && is_ours;
	engine->append_end = engine->told_offset;
	if (engine->is_leading) {
		engine->valid_until = valid_until;
		ot_timer_arm(engine->io, &engine->lease, valid_until);
		ot_timer_arm_in_ms(engine->io, &engine->renew, 0);
	} else if (leader_id < 0) {
		campaign_in_ms(engine, engine->store->conf.lease_ms / RENEWS_PER_LEASE);
	}
	engine->events->on_leader(engine->arg, leader_id, fact->epoch,
	    leader_id >= 0 && fact->host[0] != '\0' ? &endpoint : NULL);
}

static void
tell_snapshot(struct engine *engine)
{
	const struct metalog_store *store = engine->store;
	const struct ot_metadata_records *records = &store->snapshot;
	struct ot_metalog_batch batch = { .is_snapshot = true, .epoch = store->snapshot_id.epoch };

	engine->told_offset = store->snapshot_id.end_offset;
	engine->next_fact = store->first;
	engine->events->on_snapshot_begin(engine->arg, store->snapshot_id,
	    store->snapshot_timestamp);
	for (int32_t i = 0; i < records->count; i++) {
		struct ot_bytes record = ot_metadata_records_at(records, i);

		batch.records = &record;
		batch.record_count = 1;
		engine->events->on_batch(engine->arg, &batch);
	}
	engine->events->on_snapshot_end(engine->arg);
}

static void
tell_facts(struct engine *engine)
{
	const struct metalog_store *store = engine->store;
	bool is_behind =
	    engine->next_fact < store->first && engine->told_offset < store->snapshot_id.end_offset;

	bool is_first = is_behind || !engine->has_begun;

	if (is_behind || (!engine->has_begun && store->snapshot_count > 0)) {
		step_down(engine, OT_ERR_NOT_CONTROLLER);
		tell_snapshot(engine);
	}
	engine->has_begun = true;
	while (engine->next_fact < store->fact_count && engine->on_closed == NULL) {
		size_t place = engine->next_fact++;
		const struct fact *fact = store->facts[place];

		if (fact->epoch > engine->epoch || fact->kind == FACT_LEADER)
			step_down(engine, OT_ERR_NOT_CONTROLLER);
		if (fact->kind == FACT_BATCH)
			tell_batch(engine, fact);
		else if (place == store->leader_fact && !is_first)
			tell_leader(engine, fact); /* the others are history */
	}
	/* Whoever begins is told who leads when it has been told all there is. */
	if (is_first && store->leader_fact != SIZE_MAX && engine->on_closed == NULL)
		tell_leader(engine, store->facts[store->leader_fact]);
}

static void
end_snapshot(struct engine *engine, ot_err err)
{
	struct ot_metalog_snapshot *snapshot = engine->snapshot;

	engine->snapshot = NULL;
	engine->is_snapshot_sent = false;
	ot_metadata_records_fini(&engine->pieces);
	snapshot->on_done(snapshot, err);
}

static void
engine_take(struct engine *engine, const struct message *message)
{
	switch (message->kind) {
	case TO_ENGINE_FACTS:
		engine->are_facts_sent = false;
		tell_facts(engine);
		break;
	case TO_ENGINE_RENEWED:
		if (engine->is_leading && message->epoch == engine->epoch)
			engine->valid_until =
			    OT_MAX(engine->valid_until, message->sent + lease_ns(engine));
		break;
	case TO_ENGINE_REFUSED:
		if (message->epoch == engine->epoch)
			step_down(engine, message->err);
		break;
	case TO_ENGINE_SNAPSHOT_DONE:
		if (engine->is_snapshot_sent &&
		    engine->snapshot->id.end_offset == message->base_offset)
			end_snapshot(engine, OT_OK);
		break;
	default:
		OT_PANIC("an engine got a message of the store");
	}
}

static void
on_turn(struct ot_timer *timer)
{
	struct engine *engine = OT_CONTAINER_OF(timer, struct engine, turn);

	while (!ot_list_is_empty(&engine->inbox) && engine->on_closed == NULL) {
		struct message *message = OT_LIST_FIRST(&engine->inbox, struct message, link);

		ot_list_remove(&message->link);
		engine_take(engine, message);
		message_free(message);
	}
	if (engine->on_closed != NULL || ot_list_is_empty(&engine->refused))
		return;
	step_down(engine, OT_ERR_NOT_CONTROLLER);
	fail_all(&engine->refused, OT_ERR_NOT_CONTROLLER);
}

/* ---- the engine: snapshots ------------------------------------------------------------------ */

static void
on_snapshot_work(struct ot_job *job)
{
	struct engine *engine = OT_CONTAINER_OF(job, struct engine, snapshot_job);
	struct ot_metalog_snapshot *snapshot = engine->snapshot;
	struct ot_metadata_records piece;

	ot_metadata_records_init(&piece);
	do {
		ot_metadata_records_reset(&piece);
		engine->snapshot_err = snapshot->next(snapshot->arg, &piece);
		copy_records(&engine->pieces, &piece);
	} while (engine->snapshot_err == OT_OK && piece.count > 0);
	ot_metadata_records_fini(&piece);
}

static void
on_snapshot_made(struct ot_job *job)
{
	struct engine *engine = OT_CONTAINER_OF(job, struct engine, snapshot_job);
	struct message *message;

	engine->is_snapshot_running = false;
	if (engine->snapshot_err != OT_OK || engine->on_closed != NULL) {
		end_snapshot(engine,
		    engine->snapshot_err != OT_OK ? engine->snapshot_err : OT_ERR_CLOSED);
		return;
	}
	engine->is_snapshot_sent = true;
	message = message_new(engine, TO_STORE_SNAPSHOT);
	message->base_offset = engine->snapshot->id.end_offset;
	message->epoch = engine->snapshot->id.epoch;
	message->timestamp = engine->snapshot->timestamp;
	copy_records(&message->records, &engine->pieces);
	post(engine, message);
}

static void
engine_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	struct engine *engine = engine_of(log);

	OT_ASSERT(engine->snapshot == NULL);
	engine->snapshot = snapshot;
	engine->is_snapshot_running = true;
	ot_metadata_records_init(&engine->pieces);
	ot_io_submit(engine->io, &engine->snapshot_job);
}

static uint64_t
engine_bytes(const struct ot_metalog *log)
{
	return ((const struct engine *)log)->store->bytes;
}

/* ---- the engine: life ----------------------------------------------------------------------- */

static void
engine_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	struct engine *engine = engine_of(log);

	OT_ASSERT(engine->events == NULL);
	engine->events = events;
	engine->arg = arg;
	announce_facts(engine);
	campaign_in_ms(engine, engine->store->conf.lease_ms / RENEWS_PER_LEASE);
}

static void
on_close_work(struct ot_job *job)
{
	(void)job;
}

/* Messages that were sent are on their way still, whatever becomes of their sender. */
static void
hand_over(struct engine *engine)
{
	struct ot_list *held = &engine->to_store.held;

	while (!ot_list_is_empty(held)) {
		struct ot_list *link = held->next;

		ot_list_remove(link);
		ot_list_push_back(&engine->store->held, link);
	}
	OT_LIST_FOREACH_SAFE(link, &engine->from_store.held)
		message_free(OT_CONTAINER_OF(link, struct message, link));
	OT_LIST_FOREACH_SAFE(link, &engine->inbox)
		message_free(OT_CONTAINER_OF(link, struct message, link));
}

static void
on_close_done(struct ot_job *job)
{
	struct engine *engine = OT_CONTAINER_OF(job, struct engine, close_job);
	void (*on_closed)(void *) = engine->on_closed;
	void *arg = engine->closed_arg;

	if (engine->is_snapshot_running) {
		ot_io_submit(engine->io, &engine->close_job);
		return;
	}
	if (engine->snapshot != NULL)
		end_snapshot(engine, OT_ERR_CLOSED);
	fail_all(&engine->appends, OT_ERR_CLOSED);
	fail_all(&engine->refused, OT_ERR_CLOSED);
	ot_timer_cancel(engine->io, &engine->turn);
	ot_timer_cancel(engine->io, &engine->lease);
	ot_timer_cancel(engine->io, &engine->renew);
	ot_timer_cancel(engine->io, &engine->campaign);
	ot_list_remove(&engine->link);
	hand_over(engine);
	ot_free(engine);
	on_closed(arg);
}

static void
engine_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg)
{
	struct engine *engine = engine_of(log);
	struct ot_sim_host *host = ot_sim_io_host(engine->io);

	/* A machine that is dead says nothing any more. */
	if (engine->is_leading && ot_sim_host_is_up(host))
		post(engine, message_new(engine, TO_STORE_REVOKE));
	engine->on_closed = on_closed;
	engine->closed_arg = arg;
	engine->is_leading = false;
	ot_io_submit(engine->io, &engine->close_job);
}

static const struct ot_metalog_ops engine_ops = {
	.start = engine_start,
	.append = engine_append,
	.put_snapshot = engine_put_snapshot,
	.bytes_since_snapshot = engine_bytes,
	.close = engine_close,
};

struct ot_metalog *
metalog_sim_create(const struct metalog_sim_args *args)
{
	struct engine *engine = OT_NEW(struct engine);

	OT_ASSERT(args->node_id >= 0 && args->node_id < NODES_MAX);
	engine->base.ops = &engine_ops;
	engine->store = args->store;
	engine->io = args->io;
	engine->id = ++args->store->next_engine_id;
	engine->node_id = args->node_id;
	engine->is_candidate = args->is_candidate;
	if (args->endpoint.host != NULL)
		(void)snprintf(engine->host, sizeof(engine->host), "%s", args->endpoint.host);
	engine->port = args->endpoint.port;
	engine->snapshot_job = (struct ot_job){ on_snapshot_work, on_snapshot_made };
	engine->close_job = (struct ot_job){ on_close_work, on_close_done };
	ot_list_init(&engine->to_store.held);
	ot_list_init(&engine->from_store.held);
	ot_list_init(&engine->inbox);
	ot_list_init(&engine->appends);
	ot_list_init(&engine->refused);
	ot_timer_init(&engine->turn, on_turn);
	ot_timer_init(&engine->lease, on_lease_over);
	ot_timer_init(&engine->renew, on_renew_due);
	ot_timer_init(&engine->campaign, on_campaign_due);
	ot_list_push_back(&args->store->engines, &engine->link);
	return &engine->base;
}
