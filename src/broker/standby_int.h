/* What a process with the controller's role that is not the active one tells that: where it listens
 * and which levels of features it knows (ControllerRegistration, KIP-919). The levels matter: a
 * feature is not raised beyond what a controller knows that may lead next.
 *
 * It tells once for each run, when an image does not have it yet, and again until one has; while
 * metadata.version has no place for it, not at all.
 *
 * All of it: @owner control   @blocks never
 */
#ifndef OT_BROKER_STANDBY_INT_H
#define OT_BROKER_STANDBY_INT_H

#include "broker/broker_int.h"

struct broker_standby;

struct broker_standby_conf {
	struct broker *broker;
	struct ot_uuid incarnation; /* of this run */
};

struct broker_standby *broker_standby_create(const struct broker_standby_conf *conf) OT_MUST_USE;
void broker_standby_destroy(struct broker_standby *standby); /* accepts NULL */

/* There is a newer image, or another leader: `is_led` when another process is the active one. */
void broker_standby_look(struct broker_standby *standby, const struct ot_image *image, bool is_led);

/* Nothing more is told; a call under way may still end. */
void broker_standby_stop(struct broker_standby *standby);

#endif
