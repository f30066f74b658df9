/* A model client's connections: one for each broker that it talks to, made when it is needed.
 *
 * Requests leave in the order of the calls; several may be under way on one connection. Where it
 * ends, or an answer takes too long, all calls that are under way on it end without an answer.
 * Nothing of the product is used here but the codecs, so that a mistake of its own client
 * connection does not hide one of its server.
 *
 * @owner the simulation's one thread   @blocks never
 */
#ifndef OT_TEST_SIM_PEERS_H
#define OT_TEST_SIM_PEERS_H

#include "io/io.h"
#include "wire/api.h"

struct peers;

/* Called once for each call. `response` is of the API and lives as long as the call of this
 * function; NULL: no answer came, and nobody knows what became of the request. */
typedef void peers_done(void *arg, void *response);

struct peers *peers_create(struct ot_io *io, const char *client_id) OT_MUST_USE;

/* Ends all connections; calls under way are forgotten. Accepts NULL. */
void peers_destroy(struct peers *peers);

struct peers_request {
	const char *host;
	uint16_t port;
	int16_t api; /* its key */
	int16_t version;
	const void *request; /* may go after the call */
	int64_t timeout_ms;
	peers_done *done; /* NULL: a request that has no answer (Produce with acks=0) */
	void *arg;
};

void peers_call(struct peers *peers, const struct peers_request *request);

/* Ends the connections, as a client that starts anew; calls under way end without an answer. */
void peers_reset(struct peers *peers);

#endif
