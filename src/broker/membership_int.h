/* This broker's place among the others: registered, alive, and gone in order.
 *
 *     JOINING --registered--> MEMBER --broker_membership_leave--> LEAVING --others lead--> LEFT
 *        |                      ^  |
 *        |                      +--+ registered again, when the controller does not know the epoch
 *        +-- refused for good, or for initial.broker.registration.timeout.ms: on_failure
 *
 * A broker id that another process holds is refused for as long as the controller hears from that
 * one; one that was killed is soon silent, so it is tried again until the time is over.
 *
 * All of it: @owner control   @blocks never
 */
#ifndef OT_BROKER_MEMBERSHIP_INT_H
#define OT_BROKER_MEMBERSHIP_INT_H

#include "broker/broker_int.h"

struct broker_membership;

struct broker_membership_conf {
	struct broker *broker;
	const char *cluster_id;
	struct ot_uuid incarnation;
	/* The controller let it in, or says that it is fenced: by its last heartbeat. */
	void (*on_change)(void *arg);
	void (*on_failure)(void *arg, ot_err err, const char *why);
	void *arg;
};

struct broker_membership *broker_membership_create(
    const struct broker_membership_conf *conf) OT_MUST_USE;
void broker_membership_destroy(struct broker_membership *membership); /* accepts NULL */

/* Begins to register. */
void broker_membership_start(struct broker_membership *membership);

/* Sends the next heartbeat as soon as no other is under way. */
void broker_membership_hurry(struct broker_membership *membership);

/* The epoch of the registration; -1 before. */
int64_t broker_membership_epoch(const struct broker_membership *membership);

/* Whether the last heartbeat said that it may serve. */
bool broker_membership_is_unfenced(const struct broker_membership *membership);

/* Asks that others lead in its place, and calls back when they do; at once where there is nobody,
 * and when nobody could be asked, or none of them could lead, for so long that there is no use in
 * waiting. May call back before it returns. */
void broker_membership_leave(struct broker_membership *membership, void (*on_left)(void *arg),
    void *arg);

/* No heartbeat follows; a call under way may still end. A leave under way is over. */
void broker_membership_stop(struct broker_membership *membership);

#endif
