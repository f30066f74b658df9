/* Looking at the store: what it has taken, and who leads. */
#include "metalog_sim_int.h"

#include "base/panic.h"

int64_t
metalog_store_end_offset(const struct metalog_store *store)
{
	return store->end_offset;
}

int64_t
metalog_store_start_offset(const struct metalog_store *store)
{
	return store->snapshot_id.end_offset;
}

int32_t
metalog_store_leader_id(const struct metalog_store *store)
{
	return store->has_leader ? store->facts[store->leader_fact]->leader_id : -1;
}

int32_t
metalog_store_epoch(const struct metalog_store *store)
{
	return store->epoch;
}

uint64_t
metalog_store_snapshot_count(const struct metalog_store *store)
{
	return store->snapshot_count;
}

uint64_t
metalog_store_fact_count(const struct metalog_store *store)
{
	return store->fact_count;
}

void
metalog_fill_batch(const struct fact *fact, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch)
{
	struct ot_bytes *views =
	    ot_arena_array(arena, (size_t)fact->records.count + 1, sizeof(*views));

	OT_ASSERT(views != NULL);
	for (int32_t i = 0; i < fact->records.count; i++)
		views[i] = ot_metadata_records_at(&fact->records, i);
	*ret_batch = (struct ot_metalog_batch){
		.base_offset = fact->base_offset,
		.epoch = fact->epoch,
		.timestamp = fact->timestamp,
		.records = views,
		.record_count = fact->records.count,
		.next_offset = fact->next_offset,
	};
}

bool
metalog_store_batch(const struct metalog_store *store, uint64_t place, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch)
{
	OT_ASSERT(place < store->fact_count);
	if (store->facts[place]->kind != FACT_BATCH)
		return false;
	metalog_fill_batch(store->facts[place], arena, ret_batch);
	return true;
}

bool
metalog_store_snapshot(const struct metalog_store *store, struct ot_metalog_id *ret_id,
    const struct ot_metadata_records **ret_records)
{
	if (store->snapshot_count == 0)
		return false;
	*ret_id = store->snapshot_id;
	*ret_records = &store->snapshot;
	return true;
}
