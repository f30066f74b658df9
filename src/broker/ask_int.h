/* A question to a controller, asked by a process that has not started yet and can only wait: a loop
 * and a connection for each, ApiVersions first, to know what answers there. */
#ifndef OT_BROKER_ASK_INT_H
#define OT_BROKER_ASK_INT_H

#include "base/arena.h"
#include "config/listeners.h"
#include "wire/msg_ottla_join.h"

/* How far it came. */
enum ask_outcome {
	ASK_UNREACHABLE,    /* no such name, nobody listens, or no way there */
	ASK_SILENT,         /* somebody has accepted, and not answered */
	ASK_STRANGER,       /* somebody who does not speak Kafka's protocol */
	ASK_NOT_CONTROLLER, /* a broker's listener */
	ASK_ANSWERED,
};

/* Asks whoever listens at `where`. The answer's texts are the arena's.
 * @owner the calling thread   @blocks for `timeout_ms` at most, and for a name's look-up */
enum ask_outcome ask_join(const struct ot_host_port *where, int64_t timeout_ms,
    const struct ot_ottla_join_request *request, struct ot_arena *arena,
    struct ot_ottla_join_response *ret_response);

/* Lets time pass. @owner the calling thread   @blocks for that long */
void ask_pause(int64_t pause_ms);

#endif
