/* The ledger of consumer groups, and its checks. */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

struct claim {
	int32_t generation;
	uint32_t partitions;
	char member[LEDGER_MEMBER_BYTES];
};

struct group {
	struct claim *claims;
	size_t count;
	size_t capacity;
	int32_t generation;
	int64_t committed[HISTORY_PARTITIONS_MAX];
};

struct ledger {
	struct history *history;
	struct group groups[LEDGER_GROUPS_MAX];
	bool is_excused;
	uint64_t claim_count;
	uint64_t commit_count;
};

struct ledger *
ledger_create(struct history *history)
{
	struct ledger *ledger = OT_NEW(struct ledger);

	ledger->history = history;
	for (int32_t i = 0; i < LEDGER_GROUPS_MAX; i++)
		ledger->groups[i].generation = -1;
	return ledger;
}

void
ledger_destroy(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	for (int32_t i = 0; i < LEDGER_GROUPS_MAX; i++)
		ot_free(ledger->groups[i].claims);
	ot_free(ledger);
}

void
ledger_excuse(struct ledger *ledger)
{
	ledger->is_excused = true;
}

static void
add_claim(struct group *group, const struct claim *claim)
{
	if (group->count == group->capacity) {
		group->capacity = OT_MAX(64, group->capacity * 2);
		group->claims = ot_realloc(group->claims, group->capacity * sizeof(*group->claims));
		OT_ASSERT(group->claims != NULL);
	}
	group->claims[group->count++] = *claim;
}

void
ledger_claim(struct ledger *ledger, int32_t group_index, int32_t generation, const char *member,
    uint32_t partitions)
{
	struct group *group = &ledger->groups[group_index];
	struct claim claim = { .generation = generation, .partitions = partitions };

	ledger->claim_count++;
	if (ledger->is_excused)
		return;
	(void)snprintf(claim.member, sizeof(claim.member), "%s", member);
	for (size_t i = 0; i < group->count; i++) {
		const struct claim *other = &group->claims[i];

		if (other->generation == generation && (other->partitions & partitions) != 0 &&
		    strcmp(other->member, member) != 0)
			history_fail(ledger->history,
			    "group %d, generation %d: %s and %s have a partition both (%x, %x)",
			    group_index, generation, other->member, member, other->partitions,
			    partitions);
	}
	add_claim(group, &claim);
	group->generation = OT_MAX(group->generation, generation);
}

int32_t
ledger_generation(const struct ledger *ledger, int32_t group)
{
	return ledger->groups[group].generation;
}

int64_t
ledger_committed(const struct ledger *ledger, int32_t group, int32_t partition)
{
	return ledger->groups[group].committed[partition];
}

void
ledger_acked(struct ledger *ledger, int32_t group, int32_t partition, int32_t generation,
    int32_t newest, int64_t offset)
{
	int64_t *committed = &ledger->groups[group].committed[partition];

	ledger->commit_count++;
	if (ledger->is_excused)
		return;
	if (generation < newest)
		history_fail(ledger->history,
		    "group %d: a commit of generation %d was taken when generation %d had begun",
		    group, generation, newest);
	*committed = OT_MAX(*committed, offset);
}

void
ledger_fetched(struct ledger *ledger, int32_t group, int32_t partition, int64_t offset,
    int64_t committed)
{
	if (!ledger->is_excused && OT_MAX(offset, 0) < committed)
		history_fail(ledger->history,
		    "group %d: partition %d is at offset %" PRId64 ", and %" PRId64
		    " was acknowledged",
		    group, partition, offset, committed);
}

uint64_t
ledger_claim_count(const struct ledger *ledger)
{
	return ledger->claim_count;
}

uint64_t
ledger_commit_count(const struct ledger *ledger)
{
	return ledger->commit_count;
}
