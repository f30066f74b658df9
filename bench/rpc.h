/* One request after the other with a broker on this machine: what stands around a measurement,
 * where speed is of no matter. Whatever fails ends the process with the reason.
 *
 * @owner the caller's thread   @blocks until the answer is there
 */
#ifndef BENCH_RPC_H
#define BENCH_RPC_H

#include "wire/api.h"

struct rpc {
	int fd;
	int32_t correlation;
	struct ot_arena arena;
	struct ot_writer out;
	uint8_t *frame; /* the last answer's, without its length */
};

struct rpc_topic {
	const char *name;
	int32_t partition_count;
	const char *configs; /* "name=value,name=value", or NULL */
};

/* A connected socket to that port of 127.0.0.1, or -1. */
int rpc_connect(int port);

/* Writes or reads all `bytes` of a blocking socket; false when the peer has gone. */
bool rpc_send_all(int fd, const void *data, size_t bytes);
bool rpc_receive_all(int fd, void *ret_data, size_t bytes);

void rpc_open(struct rpc *rpc, int port);
void rpc_close(struct rpc *rpc);

/* Appends a whole request, its length first: `out` must be empty. */
void rpc_write_request(const struct ot_api *api, int16_t version, int32_t correlation,
    const void *request, struct ot_writer *out);

/* The answer lives until the next call. */
void rpc_call(struct rpc *rpc, int16_t key, int16_t version, const void *request,
    void *ret_response);

/* Creates the topic and waits until each of its partitions has a leader; gives its id. */
struct ot_uuid rpc_create_topic(struct rpc *rpc, const struct rpc_topic *topic);

void rpc_delete_topic(struct rpc *rpc, const char *name);

#endif
