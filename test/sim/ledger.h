/* What members of consumer groups were told, and what must hold of it:
 *
 *   - in one generation of a group a partition belongs to one member;
 *   - a member is given what the leader of its own generation made for it;
 *   - a commit of a generation is refused from when on a newer one was told to anybody;
 *   - what was committed is there for whoever asks afterwards, and never goes back.
 *
 * Groups are numbers from 0. They are excused together with the partitions of __consumer_offsets.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_LEDGER_H
#define OT_TEST_SIM_LEDGER_H

#include "history.h"

enum { LEDGER_GROUPS_MAX = 4, LEDGER_MEMBER_BYTES = 80 };

struct ledger;

struct ledger *ledger_create(struct history *history) OT_MUST_USE;
void ledger_destroy(struct ledger *ledger); /* accepts NULL */

/* From now on no group's losses are held against anybody. */
void ledger_excuse(struct ledger *ledger);

/* A member was told its share, a bit for each partition, of a generation. */
void ledger_claim(struct ledger *ledger, int32_t group, int32_t generation, const char *member,
    uint32_t partitions);

/* The newest generation that anybody was told its share of; -1: none. */
int32_t ledger_generation(const struct ledger *ledger, int32_t group);

/* The greatest offset that was acknowledged as committed; 0: none. */
int64_t ledger_committed(const struct ledger *ledger, int32_t group, int32_t partition);

/* A commit was acknowledged; `newest` is what ledger_generation() gave when it was sent. */
void ledger_acked(struct ledger *ledger, int32_t group, int32_t partition, int32_t generation,
    int32_t newest, int64_t offset);

/* A member was told the committed offset (-1: none); `committed` is what ledger_committed() gave
 * when it asked. */
void ledger_fetched(struct ledger *ledger, int32_t group, int32_t partition, int64_t offset,
    int64_t committed);

uint64_t ledger_claim_count(const struct ledger *ledger);
uint64_t ledger_commit_count(const struct ledger *ledger);

#endif
