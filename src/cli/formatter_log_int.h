/* What formatter.c and formatter_log.c share: the records of internal topics.
 *
 * @owner the writer's   @blocks never
 */
#ifndef OT_CLI_FORMATTER_LOG_INT_H
#define OT_CLI_FORMATTER_LOG_INT_H

#include "cli/deserializer_int.h"
#include "cli/formatter_int.h"

/* Which records of an internal topic are printed. */
enum formatter_log_kind {
	FORMATTER_LOG_OFFSETS,
	FORMATTER_LOG_GROUP,
	FORMATTER_LOG_CONSUMER_GROUP,
	FORMATTER_LOG_SHARE_GROUP,
	FORMATTER_LOG_TRANSACTION,
	FORMATTER_LOG_SHARE_STATE,
};

/* Appends one line of JSON for a record of the kind, nothing for others and for those that Kafka
 * does not know. OT_ERR_INVALID_RECORD with `why` for bytes that are no such record. */
ot_err formatter_log_write_json(enum formatter_log_kind kind, const struct formatter_record *record,
    struct ot_arena *arena, struct ot_writer *out, struct ot_why *why) OT_MUST_USE;

/* The same in the words of Kafka up to 3.x: KEY::VALUE. */
ot_err formatter_log_write_text(enum formatter_log_kind kind, const struct formatter_record *record,
    struct ot_arena *arena, struct ot_writer *out, struct ot_why *why) OT_MUST_USE;

void formatter_put(struct ot_writer *out, const char *fmt, ...) OT_PRINTF(2, 3);

#endif
