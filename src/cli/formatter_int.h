/* How the console consumer prints records: Kafka's message formatters, under all names that they
 * ever had.
 *
 *   DefaultMessageFormatter     the columns that are asked for: CreateTime:1, Partition:0, ...
 *   LoggingMessageFormatter     the same, and key and value in the log
 *   NoOpMessageFormatter        nothing
 *   ChecksumMessageFormatter    the checksum that the record had in the format of Kafka 0.10
 *   OffsetsMessageFormatter, GroupMetadataMessageFormatter, ConsumerGroupMessageFormatter,
 *   ShareGroupMessageFormatter  the records of __consumer_offsets
 *   TransactionLogMessageFormatter       those of __transaction_state
 *   ShareGroupStateMessageFormatter      those of __share_group_state
 *
 * Of the formatters for internal topics, the classes of org.apache.kafka print a line of JSON, as
 * today's Kafka does, and those of kafka.coordinator the text that Kafka printed in their time
 * (formatter_log.c).
 *
 * @owner the formatter's   @blocks never
 */
#ifndef OT_CLI_FORMATTER_INT_H
#define OT_CLI_FORMATTER_INT_H

#include "config/properties.h"

enum formatter_time { FORMATTER_TIME_NONE, FORMATTER_TIME_CREATE, FORMATTER_TIME_APPEND };

struct formatter_header {
	const char *key;
	struct ot_bytes value;
};

/* One consumed record; all memory is the caller's. */
struct formatter_record {
	int32_t partition;
	int64_t offset;
	int64_t timestamp;
	enum formatter_time time;
	struct ot_bytes key;
	struct ot_bytes value;
	const struct formatter_header *headers; /* only read where formatter_wants_headers() */
	size_t header_count;
};

struct formatter;

/* Makes the formatter that `class_name` means, the part before the last dot being free, as its
 * properties say. OT_ERR_INVALID_CONFIG with `why` for a class that is not there;
 * what a property asks for and is not there is told in `warning`, whose text stays empty
 * otherwise, and left out, as Kafka does. */
ot_err formatter_create(const char *class_name, const struct ot_properties *props,
    struct formatter **ret_formatter, struct ot_why *warning, struct ot_why *why) OT_MUST_USE;
void formatter_destroy(struct formatter *formatter);

bool formatter_wants_headers(const struct formatter *formatter);

/* Appends the record to `out`, and to `log`, emptied by the caller, what belongs into the log.
 * OT_ERR_INVALID_RECORD with `why` when a field is not what its deserializer reads; what was
 * appended until then stays. OT_ERR_NO_MEMORY. */
ot_err formatter_write(struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out, struct ot_writer *log, struct ot_why *why) OT_MUST_USE;

#endif
