/* Property files of Kafka's Java clients, in the terms of librdkafka, which the tools are made on.
 *
 * Names are translated by the tables of schema/configs; values too where the two differ. Where
 * librdkafka has another default than Java's clients, Java's is set, so that tools do what people
 * know: keys go to the same partitions, read_uncommitted shows everything, writes are idempotent.
 */
#ifndef OT_CONFIG_CLIENT_H
#define OT_CONFIG_CLIENT_H

#include "config/def.h"
#include "config/notes.h"
#include "config/properties.h"

enum ot_client_kind {
	OT_CLIENT_PRODUCER,
	OT_CLIENT_CONSUMER,
	OT_CLIENT_ADMIN,
};

/* The settings of one kind of client. @owner any thread */
const struct ot_config_table *ot_client_table(enum ot_client_kind kind);

/* What librdkafka is to be told. Names that Java's clients do not have are passed on as they are,
 * since they may be librdkafka's own: it refuses those that nobody knows. Texts are NUL-terminated
 * and the arena's. All bad values go to `notes`, as errors, and the answer is
 * OT_ERR_INVALID_CONFIG then; what has no effect is a warning. OT_ERR_NO_MEMORY.
 * @owner the arena's   @blocks never */
ot_err ot_client_translate(enum ot_client_kind kind, const struct ot_properties *props,
    struct ot_arena *arena, struct ot_config_pair **ret_pairs, size_t *ret_count,
    struct ot_config_notes *notes) OT_MUST_USE;

#endif
