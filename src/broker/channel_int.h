/* Calls to the active controller where that is another process: over one link to its control
 * listener, in the order in which they came.
 *
 *     waiting, while nobody leads or is known to --> sent --> done
 *        ^                                            |
 *        +-- NOT_CONTROLLER, or not sent after all <--+
 *
 * A call whose time is over, and one that may have been done though its answer was lost, goes back
 * to the controller of this process, which is not the active one: so it ends with NOT_CONTROLLER in
 * each place where its answer has an error, and clients try again. Calls that may be done twice are
 * sent again instead. When this process becomes the active controller, all that waits is its own to
 * do.
 *
 * All of it: @owner control   @blocks never
 */
#ifndef OT_BROKER_CHANNEL_INT_H
#define OT_BROKER_CHANNEL_INT_H

#include "broker/control_int.h"
#include "config/settings.h"

struct broker_channel;

struct broker_channel_conf {
	struct ot_shard *shard; /* the control thread's */
	const struct ot_settings *settings;
	/* The controller of this process does the call, or says that it cannot. */
	void (*begin)(void *arg, struct broker_call *call);
	/* Another process has done it: the response is filled. */
	void (*done)(void *arg, struct broker_call *call);
	void *arg;
};

struct broker_channel *broker_channel_create(const struct broker_channel_conf *conf) OT_MUST_USE;

/* No call may be under way. Accepts NULL. */
void broker_channel_destroy(struct broker_channel *channel);

/* Who leads; `is_self`: this process, which takes operations. */
void broker_channel_set_leader(struct broker_channel *channel,
    const struct ot_controller_leader *leader, bool is_self);

/* Takes a call over. */
void broker_channel_take(struct broker_channel *channel, struct broker_call *call);

/* Gives all calls back to this process's controller, now and from now on. */
void broker_channel_close(struct broker_channel *channel);

/* The client id of requests that come over a channel: they go no further. */
#define BROKER_CHANNEL_CLIENT "ottla-controller-channel"

#endif
