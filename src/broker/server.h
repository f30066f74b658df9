/* The server: one process from its start to its end. */
#ifndef OT_BROKER_SERVER_H
#define OT_BROKER_SERVER_H

#include "config/settings.h"

/* Runs a broker with these settings until SIGTERM or SIGINT, or until it cannot go on. OT_OK after
 * an orderly stop; otherwise `why` says what to do. Takes no reference on the settings beyond the
 * call. @owner main thread   @blocks until the end */
OT_MUST_USE ot_err ot_server_run(struct ot_settings *settings, struct ot_why *why);

#endif
