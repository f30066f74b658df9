/* A store as kv.h describes it, in the memory of a simulated world: shared by several clients, each
 * behind a network that delays, and that loses requests and answers when it is told to. */
#ifndef OT_TEST_UNIT_CLUSTER_MODEL_KV_H
#define OT_TEST_UNIT_CLUSTER_MODEL_KV_H

#include <stdlib.h>

#include "../test.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/panic.h"
#include "cluster/kv.h"

struct model_key {
	char *key;
	uint8_t *value;
	int32_t bytes;
	int64_t created, changed, lease;
};

/* One change, for watches. */
struct model_change {
	struct model_key pair; /* a copy; of a deletion without a value */
	bool is_deletion;
};

struct model_lease {
	int64_t id;
	int64_t ttl;
	ot_mono_ns end;
};

enum { MODEL_KEYS_MAX = 20000, MODEL_LEASES_MAX = 256, MODEL_WATCHES_MAX = 256 };

struct model_store {
	struct ot_io *io;                       /* whose clock and dice it has */
	struct model_key *keys[MODEL_KEYS_MAX]; /* sorted */
	size_t key_count;
	struct model_change *changes;
	size_t change_count, change_capacity;
	int64_t revision, compacted;
	struct model_lease leases[MODEL_LEASES_MAX];
	size_t lease_count;
	int64_t lease_next;
	struct ot_timer clock;
	struct model_client *clients[MODEL_WATCHES_MAX];
	size_t client_count;
	bool is_full; /* refuses writes for want of space, until it is relieved */
	int relief_count;
};

struct model_client {
	struct ot_kv base;
	struct model_store *store;
	struct ot_io *io;
	struct ot_list calls;
	struct ot_kv_watch *watch;
	size_t watch_place; /* of the next change to be told */
	struct ot_timer watch_timer;
	/* The network: parts of 1000. */
	uint64_t lose_request, lose_answer, break_watch;
	uint64_t late_request; /* arrives when the caller has given it up, seconds later */
	bool is_cut;           /* nothing goes through */
	bool is_dead;    /* its process is: it sends nothing more, what is under way arrives */
	bool is_stalled; /* the watch hangs */
	int64_t delay_ms_max;
};

static inline uint64_t
model_below(struct ot_io *io, uint64_t bound)
{
	return bound == 0 ? 0 : ot_io_random_u64(io) % bound;
}

/* ---- the store ------------------------------------------------------------------------------ */

static inline size_t
model_find(const struct model_store *store, const char *key)
{
	size_t low = 0, high = store->key_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(store->keys[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline struct model_key *
model_at(const struct model_store *store, const char *key)
{
	size_t place = model_find(store, key);

	if (place == store->key_count || strcmp(store->keys[place]->key, key) != 0)
		return NULL;
	return store->keys[place];
}

static inline void
model_note(struct model_store *store, const struct model_key *pair, bool is_deletion)
{
	struct model_change *change;

	if (store->change_count == store->change_capacity) {
		store->change_capacity = OT_MAX((size_t)1024, store->change_capacity * 2);
		store->changes =
		    ot_realloc(store->changes, store->change_capacity * sizeof(*store->changes));
		assert_non_null(store->changes);
	}
	change = &store->changes[store->change_count++];
	change->pair = *pair;
	change->pair.key = ot_must_strdup(pair->key);
	change->pair.value = ot_must_alloc((size_t)pair->bytes + 1);
	if (pair->bytes > 0)
		memcpy(change->pair.value, pair->value, (size_t)pair->bytes);
	change->pair.changed = store->revision;
	change->is_deletion = is_deletion;
}

static inline void
model_key_free(struct model_key *pair)
{
	ot_free(pair->key);
	ot_free(pair->value);
	ot_free(pair);
}

static inline void
model_put(struct model_store *store, const struct ot_kv_op *op)
{
	size_t place = model_find(store, op->key);
	struct model_key *pair = model_at(store, op->key);

	if (pair == NULL) {
		assert_true(store->key_count < MODEL_KEYS_MAX);
		pair = OT_NEW(struct model_key);
		pair->key = ot_must_strdup(op->key);
		pair->created = store->revision;
		memmove(store->keys + place + 1, store->keys + place,
		    (store->key_count - place) * sizeof(struct model_key *));
		store->keys[place] = pair;
		store->key_count++;
	}
	ot_free(pair->value);
	pair->value = ot_must_alloc((size_t)op->value.len + 1);
	memcpy(pair->value, op->value.data, (size_t)op->value.len);
	pair->bytes = op->value.len;
	pair->changed = store->revision;
	pair->lease = op->lease;
	model_note(store, pair, false);
}

static inline void
model_delete_at(struct model_store *store, size_t place)
{
	struct model_key *pair = store->keys[place];

	store->key_count--;
	memmove(store->keys + place, store->keys + place + 1,
	    (store->key_count - place) * sizeof(struct model_key *));
	pair->bytes = 0;
	model_note(store, pair, true);
	model_key_free(pair);
}

static inline bool
model_in_range(const char *key, const char *from, const char *end)
{
	return end == NULL ? strcmp(key, from) == 0
	                   : strcmp(key, from) >= 0 && strcmp(key, end) < 0;
}

static inline void
model_delete(struct model_store *store, const struct ot_kv_op *op)
{
	size_t place = model_find(store, op->key);

	while (
	    place < store->key_count && model_in_range(store->keys[place]->key, op->key, op->end))
		model_delete_at(store, place);
}

static inline struct model_lease *
model_lease_at(struct model_store *store, int64_t id)
{
	for (size_t i = 0; i < store->lease_count; i++)
		if (store->leases[i].id == id)
			return &store->leases[i];
	return NULL;
}

static inline void model_poke(struct model_store *store);

static inline void
model_revoke(struct model_store *store, int64_t id)
{
	struct model_lease *lease = model_lease_at(store, id);
	bool is_first = true;

	if (lease == NULL)
		return;
	*lease = store->leases[--store->lease_count];
	for (size_t i = 0; i < store->key_count;) {
		if (store->keys[i]->lease != id) {
			i++;
			continue;
		}
		store->revision += is_first;
		is_first = false;
		model_delete_at(store, i);
	}
	model_poke(store);
}

static inline void
model_on_clock(struct ot_timer *timer)
{
	struct model_store *store = OT_CONTAINER_OF(timer, struct model_store, clock);

	for (size_t i = 0; i < store->lease_count;) {
		if (store->leases[i].end <= ot_io_now(store->io))
			model_revoke(store, store->leases[i].id);
		else
			i++;
	}
	ot_timer_arm_in_ms(store->io, &store->clock, 100);
}

static inline void
model_store_init(struct model_store *store, struct ot_io *io)
{
	memset(store, 0, sizeof(*store));
	store->io = io;
	store->revision = 1;
	store->lease_next = 1;
	ot_timer_init(&store->clock, model_on_clock);
	model_on_clock(&store->clock);
}

static inline void
model_store_fini(struct model_store *store)
{
	ot_timer_cancel(store->io, &store->clock);
	for (size_t i = 0; i < store->key_count; i++)
		model_key_free(store->keys[i]);
	for (size_t i = 0; i < store->change_count; i++) {
		ot_free(store->changes[i].pair.key);
		ot_free(store->changes[i].pair.value);
	}
	ot_free(store->changes);
}

/* ---- a transaction's copy, on its way ---------------------------------------------------------
 */

struct model_call {
	struct ot_list link;
	struct model_client *client;
	struct ot_timer timer;
	struct ot_arena arena;
	struct ot_kv_txn *txn;
	struct ot_kv_txn copy;
	struct ot_kv_lease *lease;
	struct ot_kv_lease lease_copy;
	struct ot_kv_chore *chore;
	struct ot_kv_chore chore_copy;
	int64_t ms_max;
	ot_mono_ns began;
	ot_err err;
	bool is_answered;
	bool is_lost; /* what comes next is its timeout */
	bool is_told; /* of one that is late */
	bool is_late; /* and then it arrives all the same */
};

static inline void *
model_copy(struct ot_arena *arena, const void *data, size_t bytes)
{
	void *to = ot_arena_alloc(arena, bytes + 1);

	assert_non_null(to);
	if (bytes > 0)
		memcpy(to, data, bytes);
	return to;
}

static inline const char *
model_copy_text(struct ot_arena *arena, const char *text)
{
	return text == NULL ? NULL : model_copy(arena, text, strlen(text) + 1);
}

static inline struct ot_kv_op *
model_copy_ops(struct ot_arena *arena, const struct ot_kv_op *ops, size_t count)
{
	struct ot_kv_op *copy = model_copy(arena, ops, count * sizeof(*ops));

	for (size_t i = 0; i < count; i++) {
		copy[i].key = model_copy_text(arena, ops[i].key);
		copy[i].end = model_copy_text(arena, ops[i].end);
		copy[i].value.data =
		    model_copy(arena, ops[i].value.data, (size_t)OT_MAX(ops[i].value.len, 0));
	}
	return copy;
}

/* The model keeps no old values: what was changed or deleted behind the revision is taken for
 * compacted. */
static inline bool
model_is_kept(const struct model_store *store, const struct ot_kv_op *op)
{
	if (op->revision < store->compacted)
		return false;
	for (size_t i = store->change_count; i > 0; i--) {
		const struct model_change *change = &store->changes[i - 1];
		bool is_new = !change->is_deletion && change->pair.created == change->pair.changed;

		if (change->pair.changed <= op->revision)
			break;
		if (!is_new && model_in_range(change->pair.key, op->key, op->end))
			return false;
	}
	return true;
}

static inline ot_err
model_get(struct model_call *call, const struct ot_kv_op *op, struct ot_kv_found *ret_found)
{
	struct model_store *store = call->client->store;
	size_t place = model_find(store, op->key), end = place;
	int32_t limit = op->limit > 0 ? op->limit : INT32_MAX, count = 0;

	if (op->revision > 0 && !model_is_kept(store, op))
		return OT_ERR_OFFSET_OUT_OF_RANGE;
	while (end < store->key_count && model_in_range(store->keys[end]->key, op->key, op->end))
		end++;
	ret_found->pairs = ot_arena_array(&call->arena, end - place + 1, sizeof(struct ot_kv_pair));
	for (size_t i = 0; i < end - place && count < limit; i++) {
		struct model_key *pair = store->keys[op->is_descending ? end - 1 - i : place + i];

		if (op->revision > 0 && pair->created > op->revision)
			continue;
		ret_found->pairs[count++] = (struct ot_kv_pair){
			.key = ot_str_from(model_copy_text(&call->arena, pair->key)),
			.value = { model_copy(&call->arena, pair->value, (size_t)pair->bytes),
			    op->is_keys_only ? 0 : pair->bytes },
			.create_revision = pair->created,
			.mod_revision = pair->changed,
			.lease = pair->lease,
		};
	}
	ret_found->count = count;
	ret_found->has_more = count == limit && end - place > (size_t)count;
	return OT_OK;
}

static inline ot_err
model_check_writes(struct model_store *store, const struct ot_kv_op *ops, size_t count,
    bool *ret_writes)
{
	size_t bytes = 0;

	*ret_writes = false;
	for (size_t i = 0; i < count; i++) {
		*ret_writes |= ops[i].type != OT_KV_GET;
		if (ops[i].type != OT_KV_PUT)
			continue;
		bytes += (size_t)ops[i].value.len;
		if (store->is_full)
			return OT_ERR_NO_SPACE;
		if (ops[i].lease != 0 && model_lease_at(store, ops[i].lease) == NULL)
			return OT_ERR_NOT_FOUND;
	}
	return bytes > OT_KV_TXN_BYTES_MAX ? OT_ERR_MESSAGE_TOO_LARGE : OT_OK;
}

static inline ot_err
model_run_txn(struct model_call *call)
{
	struct model_store *store = call->client->store;
	struct ot_kv_txn *txn = &call->copy;
	bool holds = true, writes;
	const struct ot_kv_op *ops;
	size_t count;
	ot_err err;

	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct model_key *pair = model_at(store, txn->compares[i].key);
		int64_t revision = pair == NULL                             ? 0
		                   : txn->compares[i].what == OT_KV_CREATED ? pair->created
		                                                            : pair->changed;

		holds &= revision == txn->compares[i].revision;
	}
	ops = holds ? txn->then : txn->otherwise;
	count = holds ? txn->then_count : txn->otherwise_count;
	err = model_check_writes(store, ops, count, &writes);
	if (err != OT_OK)
		return err;
	store->revision += writes;
	txn->succeeded = holds;
	txn->found = ot_arena_array(&call->arena, count + 1, sizeof(*txn->found));
	txn->found_count = (int32_t)count;
	for (size_t i = 0; err == OT_OK && i < count; i++) {
		if (ops[i].type == OT_KV_GET)
			err = model_get(call, &ops[i], &txn->found[i]);
		else if (ops[i].type == OT_KV_PUT)
			model_put(store, &ops[i]);
		else
			model_delete(store, &ops[i]);
	}
	txn->revision = store->revision;
	if (writes)
		model_poke(store);
	return err;
}

static inline ot_err
model_run_lease(struct model_call *call)
{
	struct model_store *store = call->client->store;
	struct ot_kv_lease *asked = &call->lease_copy;
	struct model_lease *lease = model_lease_at(store, asked->id);

	if (asked->what == OT_KV_REVOKE) {
		model_revoke(store, asked->id);
		return OT_OK;
	}
	if (asked->what == OT_KV_GRANT) {
		assert_true(store->lease_count < MODEL_LEASES_MAX);
		if (store->is_full)
			return OT_ERR_NO_SPACE;
		lease = &store->leases[store->lease_count++];
		*lease = (struct model_lease){ store->lease_next++, asked->ttl, 0 };
		asked->id = lease->id;
	}
	asked->ttl = lease != NULL ? lease->ttl : 0;
	if (lease != NULL)
		lease->end = ot_io_now(store->io) + (uint64_t)lease->ttl * 1000 * OT_NS_PER_MS;
	return OT_OK;
}

static inline void
model_run(struct model_call *call)
{
	struct model_store *store = call->client->store;

	if (call->txn != NULL) {
		call->err = model_run_txn(call);
	} else if (call->lease != NULL) {
		call->err = model_run_lease(call);
	} else if (call->chore_copy.what == OT_KV_COMPACT) {
		store->compacted = OT_MAX(store->compacted, call->chore_copy.revision);
	} else {
		store->is_full = false;
		store->relief_count++;
	}
}

static inline void
model_free(struct model_call *call)
{
	ot_list_remove(&call->link);
	ot_arena_fini(&call->arena);
	ot_free(call);
}

static inline void
model_tell(struct model_call *call)
{
	ot_err err = call->is_lost ? OT_ERR_REQUEST_TIMED_OUT : call->err;

	if (!call->is_late)
		ot_list_remove(&call->link);
	if (call->txn != NULL) {
		call->txn->succeeded = call->copy.succeeded && err == OT_OK;
		call->txn->revision = call->copy.revision;
		call->txn->found = call->copy.found;
		call->txn->found_count = call->copy.found_count;
		call->txn->on_done(call->txn, err);
	} else if (call->lease != NULL) {
		if (err == OT_OK) {
			call->lease->id = call->lease_copy.id;
			call->lease->ttl = call->lease_copy.ttl;
		}
		call->lease->on_done(call->lease, err);
	} else {
		call->chore->on_done(call->chore, err);
	}
}

/* ---- the network ---------------------------------------------------------------------------- */

static inline void
model_on_arrival(struct ot_timer *timer)
{
	struct model_call *call = OT_CONTAINER_OF(timer, struct model_call, timer);
	struct model_client *client = call->client;
	struct ot_io *io = client->io;
	ot_mono_ns timeout = call->began + (uint64_t)call->ms_max * OT_NS_PER_MS;

	if (call->is_late && call->is_told) {
		model_run(call);
		model_free(call);
		return;
	}
	if (call->is_late) {
		/* Before the callback, which may end the client. */
		call->is_told = true;
		ot_timer_arm_in_ms(io, &call->timer, (int64_t)model_below(io, 6000));
		if (!client->is_dead)
			model_tell(call);
		return;
	}
	if (call->is_answered || call->is_lost) {
		if (client->is_dead)
			return;
		model_tell(call);
		model_free(call);
		return;
	}
	/* The request is at the store, or lost on its way. */
	if (client->is_cut || model_below(io, 1000) < client->lose_request) {
		call->is_lost = true;
	} else if (model_below(io, 1000) < client->late_request) {
		call->is_lost = call->is_late = true;
	} else {
		model_run(call);
		call->is_answered = true;
		call->is_lost = model_below(io, 1000) < client->lose_answer;
	}
	if (call->is_lost)
		ot_timer_arm(io, &call->timer, OT_MAX(timeout, ot_io_now(io)));
	else
		ot_timer_arm_in_ms(io, &call->timer,
		    (int64_t)model_below(io, (uint64_t)client->delay_ms_max + 1));
}

static inline struct model_call *
model_call_new(struct ot_kv *kv, int64_t ms_max)
{
	struct model_client *client = OT_CONTAINER_OF(kv, struct model_client, base);
	struct model_call *call = OT_NEW(struct model_call);

	call->client = client;
	call->is_lost = client->is_dead;
	call->ms_max = ms_max;
	call->began = ot_io_now(client->io);
	ot_arena_init(&call->arena, 0);
	ot_timer_init(&call->timer, model_on_arrival);
	ot_list_push_back(&client->calls, &call->link);
	ot_timer_arm_in_ms(client->io, &call->timer,
	    (int64_t)model_below(client->io, (uint64_t)client->delay_ms_max + 1));
	return call;
}

static inline void
model_kv_txn(struct ot_kv *kv, struct ot_kv_txn *txn)
{
	struct model_call *call = model_call_new(kv, txn->ms_max);
	struct ot_kv_compare *compares =
	    model_copy(&call->arena, txn->compares, txn->compare_count * sizeof(*compares));

	for (size_t i = 0; i < txn->compare_count; i++)
		compares[i].key = model_copy_text(&call->arena, compares[i].key);
	call->txn = txn;
	call->copy = *txn;
	call->copy.compares = compares;
	call->copy.then = model_copy_ops(&call->arena, txn->then, txn->then_count);
	call->copy.otherwise = model_copy_ops(&call->arena, txn->otherwise, txn->otherwise_count);
}

static inline void
model_kv_lease(struct ot_kv *kv, struct ot_kv_lease *lease)
{
	struct model_call *call = model_call_new(kv, lease->ms_max);

	call->lease = lease;
	call->lease_copy = *lease;
}

static inline void
model_kv_chore(struct ot_kv *kv, struct ot_kv_chore *chore)
{
	struct model_call *call = model_call_new(kv, 1000);

	call->chore = chore;
	call->chore_copy = *chore;
}

/* ---- watches -------------------------------------------------------------------------------- */

static inline void
model_watch_ends(struct model_client *client, ot_err err)
{
	struct ot_kv_watch *watch = client->watch;

	client->watch = NULL;
	watch->on_end(watch, err);
}

static inline void
model_on_watch(struct ot_timer *timer)
{
	struct model_client *client = OT_CONTAINER_OF(timer, struct model_client, watch_timer);
	struct model_store *store = client->store;
	struct ot_kv_watch *watch = client->watch;
	struct ot_kv_event *events;
	int32_t count = 0;
	int64_t revision = 0;

	if (watch == NULL || client->is_stalled || client->is_cut)
		return;
	if (watch->revision <= store->compacted && client->watch_place == 0) {
		model_watch_ends(client, OT_ERR_OFFSET_OUT_OF_RANGE);
		return;
	}
	if (model_below(client->io, 1000) < client->break_watch) {
		model_watch_ends(client, OT_ERR_CLOSED);
		return;
	}
	events = ot_must_alloc((store->change_count - client->watch_place + 1) * sizeof(*events));
	for (; client->watch_place < store->change_count; client->watch_place++) {
		const struct model_change *change = &store->changes[client->watch_place];

		if (change->pair.changed < watch->revision ||
		    !model_in_range(change->pair.key, watch->key, watch->end))
			continue;
		if (count >= 16 && change->pair.changed != revision)
			break;
		revision = change->pair.changed;
		events[count].is_deletion = change->is_deletion;
		events[count++].pair = (struct ot_kv_pair){
			.key = ot_str_from(change->pair.key),
			.value = { change->pair.value, change->pair.bytes },
			.create_revision = change->pair.created,
			.mod_revision = change->pair.changed,
			.lease = change->pair.lease,
		};
	}
	if (client->watch_place < store->change_count)
		ot_timer_arm_in_ms(client->io, &client->watch_timer, 1);
	if (count > 0)
		watch->on_events(watch, events, count);
	ot_free(events);
}

static inline void
model_client_poke(struct model_client *client)
{
	if (client->watch != NULL && !ot_timer_is_armed(&client->watch_timer))
		ot_timer_arm_in_ms(client->io, &client->watch_timer,
		    (int64_t)model_below(client->io, (uint64_t)client->delay_ms_max + 1));
}

static inline void
model_poke(struct model_store *store)
{
	for (size_t i = 0; i < store->client_count; i++)
		model_client_poke(store->clients[i]);
}

static inline void
model_kv_watch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	struct model_client *client = OT_CONTAINER_OF(kv, struct model_client, base);

	assert_null(client->watch);
	client->watch = watch;
	client->watch_place = 0;
	model_client_poke(client);
}

static inline void
model_kv_unwatch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	struct model_client *client = OT_CONTAINER_OF(kv, struct model_client, base);

	(void)watch;
	client->watch = NULL;
	ot_timer_cancel(client->io, &client->watch_timer);
}

static inline void
model_kv_destroy(struct ot_kv *kv)
{
	struct model_client *client = OT_CONTAINER_OF(kv, struct model_client, base);
	struct model_store *store = client->store;

	model_kv_unwatch(kv, NULL);
	OT_LIST_FOREACH_SAFE(link, &client->calls) {
		struct model_call *call = OT_CONTAINER_OF(link, struct model_call, link);

		ot_list_remove(link);
		ot_timer_cancel(client->io, &call->timer);
		ot_arena_fini(&call->arena);
		ot_free(call);
	}
	for (size_t i = 0; i < store->client_count; i++)
		if (store->clients[i] == client)
			store->clients[i] = store->clients[--store->client_count];
	ot_free(client);
}

static const struct ot_kv_ops model_kv_ops = {
	.txn = model_kv_txn,
	.lease = model_kv_lease,
	.chore = model_kv_chore,
	.watch = model_kv_watch,
	.unwatch = model_kv_unwatch,
	.destroy = model_kv_destroy,
};

static inline struct model_client *
model_client_create(struct model_store *store, struct ot_io *io)
{
	struct model_client *client = OT_NEW(struct model_client);

	assert_true(store->client_count < MODEL_WATCHES_MAX);
	client->base.ops = &model_kv_ops;
	client->store = store;
	client->io = io;
	client->delay_ms_max = 3;
	ot_list_init(&client->calls);
	ot_timer_init(&client->watch_timer, model_on_watch);
	store->clients[store->client_count++] = client;
	return client;
}

#endif
