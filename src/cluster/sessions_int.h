/* Inside the room: when brokers were last heard of.
 *
 * A broker's heartbeats keep its session. Only the active controller knows the times; they are not
 * in the log. So a controller that has just become active has heard of nobody, and gives every
 * broker a full broker.session.timeout.ms. When a session is over, its broker is fenced: at once,
 * the timer stands at the end of the session that ends first.
 *
 * Time in which this process itself did not run (frozen, swapped out) proves nothing against a
 * broker whose heartbeats wait in a socket. A timer that comes much too late shows it, and the time
 * is given back to every session.
 */
#ifndef OT_CLUSTER_SESSIONS_INT_H
#define OT_CLUSTER_SESSIONS_INT_H

#include "cluster/operation_int.h"

/* Begins and ends with the controller's activity. @owner control   @blocks never; so all below */
void sessions_begin(struct ot_controller *controller);
void sessions_end(struct ot_controller *controller);

/* A heartbeat came, in that registration of the broker. */
void sessions_touch(struct ot_controller *controller, int32_t broker_id, int64_t broker_epoch,
    int64_t metadata_offset);

/* Ends a session: the broker said that it goes. */
void sessions_drop(struct ot_controller *controller, int32_t broker_id);

/* Whether a heartbeat in that registration came not longer ago than a session lasts. */
bool sessions_has_live(const struct ot_controller *controller,
    const struct ot_broker_image *broker);

/* The broker stops: others must have read up to `offset` before it goes. Noted once. */
void sessions_note_shutdown(struct ot_controller *controller, int32_t broker_id, int64_t offset);

/* Whether all active brokers have read that far, as their heartbeats said. */
bool sessions_may_shut_down(const struct ot_controller *controller, int32_t broker_id);

/* What heartbeats said of the broker; false when none came. */
bool sessions_state(const struct ot_controller *controller, const struct ot_broker_image *broker,
    int64_t *ret_metadata_offset, int64_t *ret_age_ms);

#endif
