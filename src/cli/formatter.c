#include "cli/formatter_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/alloc.h"
#include "cli/formatter_log_int.h"
#include "config/def.h"

enum formatter_kind {
	FORMATTER_DEFAULT,
	FORMATTER_LOGGING,
	FORMATTER_NO_OP,
	FORMATTER_CHECKSUM,
	FORMATTER_LOG, /* of an internal topic */
};

struct formatter {
	enum formatter_kind kind;
	enum formatter_log_kind log_kind;
	bool has_old_text; /* an internal topic in the words of its time */
	bool prints_timestamp;
	bool prints_partition;
	bool prints_offset;
	bool prints_delivery;
	bool prints_epoch;
	bool prints_headers;
	bool prints_key;
	bool prints_value;
	struct ot_str key_separator;
	struct ot_str line_separator;
	struct ot_str headers_separator;
	struct ot_str null_literal;
	enum deserializer_kind key_deserializer;
	enum deserializer_kind value_deserializer;
	enum deserializer_kind headers_deserializer;
	struct ot_str topic;        /* ChecksumMessageFormatter prints it */
	struct ot_arena arena;      /* of the texts above */
	struct ot_arena line_arena; /* of one record */
};

/* Last parts of the classes' names, as Kafka's packages changed over the years. */
static const struct {
	const char *class_name;
	enum formatter_kind kind;
	enum formatter_log_kind log_kind;
} rows[] = {
	{ "DefaultMessageFormatter", FORMATTER_DEFAULT, 0 },
	{ "LoggingMessageFormatter", FORMATTER_LOGGING, 0 },
	{ "NoOpMessageFormatter", FORMATTER_NO_OP, 0 },
	{ "ChecksumMessageFormatter", FORMATTER_CHECKSUM, 0 },
	{ "OffsetsMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_OFFSETS },
	{ "GroupMetadataMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_GROUP },
	{ "ConsumerGroupMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_CONSUMER_GROUP },
	{ "ShareGroupMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_SHARE_GROUP },
	{ "TransactionLogMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_TRANSACTION },
	{ "ShareGroupStateMessageFormatter", FORMATTER_LOG, FORMATTER_LOG_SHARE_STATE },
};

void
formatter_put(struct ot_writer *out, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	int bytes = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ot_write_raw(out, text, OT_MIN((size_t)OT_MAX(bytes, 0), sizeof(text) - 1));
}

/* ---- properties ---------------------------------------------------------------------------- */

static bool
flag_property(const struct ot_properties *props, const char *name, bool fallback)
{
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	if (item == NULL)
		return fallback;
	struct ot_str value = ot_config_trim(item->value);
	return value.len == 4 && strncasecmp(value.data, "true", 4) == 0;
}

static struct ot_str
text_property(struct formatter *formatter, const struct ot_properties *props, const char *name,
    const char *fallback)
{
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	struct ot_str value = item != NULL ? item->value : ot_str_from(fallback);
	if (value.len < 0)
		return value;
	const char *copy = ot_arena_strndup(&formatter->arena, value.data, (size_t)value.len);
	return copy != NULL ? (struct ot_str){ copy, value.len } : OT_STR_NULL;
}

static enum deserializer_kind
deserializer_property(const struct ot_properties *props, const char *name, struct ot_why *warning)
{
	enum deserializer_kind kind = DESERIALIZER_NONE;
	const struct ot_property *item = ot_properties_find(props, ot_str_from(name));
	if (item != NULL && !deserializer_find(item->value.data, &kind))
		ot_why_set(warning, "Unable to instantiate a deserializer from %s",
		    item->value.data);
	return kind;
}

static void
configure(struct formatter *formatter, const struct ot_properties *props, struct ot_why *warning)
{
	formatter->prints_timestamp = flag_property(props, "print.timestamp", false);
	formatter->prints_partition = flag_property(props, "print.partition", false);
	formatter->prints_offset = flag_property(props, "print.offset", false);
	formatter->prints_epoch = flag_property(props, "print.epoch", false);
	formatter->prints_delivery = flag_property(props, "print.delivery", false);
	formatter->prints_headers = flag_property(props, "print.headers", false);
	formatter->prints_key = flag_property(props, "print.key", false);
	formatter->prints_value = flag_property(props, "print.value", true);
	formatter->key_separator = text_property(formatter, props, "key.separator", "\t");
	formatter->line_separator = text_property(formatter, props, "line.separator", "\n");
	formatter->headers_separator = text_property(formatter, props, "headers.separator", ",");
	formatter->null_literal = text_property(formatter, props, "null.literal", "null");
	formatter->topic = text_property(formatter, props, "topic", NULL);
	formatter->key_deserializer = deserializer_property(props, "key.deserializer", warning);
	formatter->value_deserializer = deserializer_property(props, "value.deserializer", warning);
	formatter->headers_deserializer =
	    deserializer_property(props, "headers.deserializer", warning);
}

ot_err
formatter_create(const char *class_name, const struct ot_properties *props,
    struct formatter **ret_formatter, struct ot_why *warning, struct ot_why *why)
{
	size_t end = strlen(class_name);
	size_t begin = end;
	while (begin > 0 && class_name[begin - 1] != '.' && class_name[begin - 1] != '$')
		begin--;
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (strcmp(class_name + begin, rows[i].class_name) != 0)
			continue;
		struct formatter *formatter = OT_NEW(struct formatter);
		formatter->kind = rows[i].kind;
		formatter->log_kind = rows[i].log_kind;
		formatter->has_old_text = strncmp(class_name, "kafka.", strlen("kafka.")) == 0;
		ot_arena_init(&formatter->arena, 0);
		ot_arena_init(&formatter->line_arena, 0);
		configure(formatter, props, warning);
		*ret_formatter = formatter;
		return OT_OK;
	}
	ot_why_set(why,
	    "%s is no formatter that is here; there are Default-, Logging-, NoOp-, "
	    "Checksum-, Offsets-, GroupMetadata-, ConsumerGroup-, ShareGroup-, "
	    "TransactionLog- and ShareGroupStateMessageFormatter",
	    class_name);
	return OT_ERR_INVALID_CONFIG;
}

void
formatter_destroy(struct formatter *formatter)
{
	if (formatter == NULL)
		return;
	ot_arena_fini(&formatter->arena);
	ot_arena_fini(&formatter->line_arena);
	ot_free(formatter);
}

bool
formatter_wants_headers(const struct formatter *formatter)
{
	return formatter->prints_headers && formatter->kind <= FORMATTER_LOGGING;
}

/* ---- columns ------------------------------------------------------------------------------- */

static void
put_str(struct ot_writer *out, struct ot_str text)
{
	if (text.len > 0)
		ot_write_raw(out, text.data, (size_t)text.len);
}

/* Digits by hand: printf takes longer than all else that is done for a record. */
static void
put_number(struct ot_writer *out, const char *label, int64_t value)
{
	char text[24];
	char *at = text + sizeof(text);
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	do
		*--at = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (value < 0)
		*--at = '-';
	ot_write_raw(out, label, strlen(label));
	ot_write_raw(out, at, (size_t)(text + sizeof(text) - at));
}

static void
put_timestamp(const struct formatter_record *record, struct ot_writer *out)
{
	if (record->time == FORMATTER_TIME_NONE)
		put_str(out, OT_STR_LIT("NO_TIMESTAMP"));
	else
		put_number(out,
		    record->time == FORMATTER_TIME_APPEND ? "LogAppendTime:" : "CreateTime:",
		    record->timestamp);
}

/* Kafka hands a null's literal to the deserializer too, which fails or prints nonsense for most of
 * them; here null is always its literal. */
static ot_err
put_field(const struct formatter *formatter, enum deserializer_kind kind, struct ot_bytes field,
    struct ot_writer *out, struct ot_why *why)
{
	if (field.len < 0) {
		put_str(out, formatter->null_literal);
		return OT_OK;
	}
	if (kind == DESERIALIZER_NONE) {
		ot_write_raw(out, field.data, (size_t)field.len);
		return OT_OK;
	}
	return deserializer_write(kind, field, out, why);
}

static ot_err
put_headers(const struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out, struct ot_why *why)
{
	ot_err err = OT_OK;
	if (record->header_count == 0)
		put_str(out, OT_STR_LIT("NO_HEADERS"));
	for (size_t i = 0; i < record->header_count && err == OT_OK; i++) {
		const struct formatter_header *header = &record->headers[i];
		if (i > 0)
			put_str(out, formatter->headers_separator);
		put_str(out, ot_str_from(header->key));
		ot_write_i8(out, ':');
		err =
		    put_field(formatter, formatter->headers_deserializer, header->value, out, why);
	}
	return err;
}

/* What separates a column from the next, or ends the line when `has_more` is false. */
static void
put_separator(const struct formatter *formatter, bool has_more, struct ot_writer *out)
{
	put_str(out, has_more ? formatter->key_separator : formatter->line_separator);
}

/* The columns before headers. Librdkafka tells neither leader epochs nor delivery counts, which
 * plain consumers do not have: Kafka prints NONE for those. */
static void
put_numbers(const struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out)
{
	bool has_fields =
	    formatter->prints_headers || formatter->prints_key || formatter->prints_value;
	bool has_delivery = formatter->prints_delivery || has_fields;
	bool has_epoch = formatter->prints_epoch || has_delivery;
	bool has_offset = formatter->prints_offset || has_epoch;
	if (formatter->prints_timestamp) {
		put_timestamp(record, out);
		put_separator(formatter, formatter->prints_partition || has_offset, out);
	}
	if (formatter->prints_partition) {
		put_number(out, "Partition:", record->partition);
		put_separator(formatter, has_offset, out);
	}
	if (formatter->prints_offset) {
		put_number(out, "Offset:", record->offset);
		put_separator(formatter, has_epoch, out);
	}
	if (formatter->prints_epoch) {
		put_str(out, OT_STR_LIT("Epoch:NONE"));
		put_separator(formatter, has_delivery, out);
	}
	if (formatter->prints_delivery) {
		put_str(out, OT_STR_LIT("Delivery:NONE"));
		put_separator(formatter, has_fields, out);
	}
}

static ot_err
write_columns(const struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out, struct ot_why *why)
{
	ot_err err = OT_OK;
	put_numbers(formatter, record, out);
	if (formatter->prints_headers) {
		err = put_headers(formatter, record, out, why);
		put_separator(formatter, formatter->prints_key || formatter->prints_value, out);
	}
	if (err == OT_OK && formatter->prints_key) {
		err = put_field(formatter, formatter->key_deserializer, record->key, out, why);
		put_separator(formatter, formatter->prints_value, out);
	}
	if (err == OT_OK && formatter->prints_value) {
		err = put_field(formatter, formatter->value_deserializer, record->value, out, why);
		put_str(out, formatter->line_separator);
	}
	return err;
}

/* ---- the others ---------------------------------------------------------------------------- */

static void
put_logged(struct ot_writer *log, const char *label, struct ot_bytes field, const char *end)
{
	put_str(log, ot_str_from(label));
	if (field.len < 0)
		put_str(log, OT_STR_LIT("null"));
	else
		ot_write_raw(log, field.data, (size_t)field.len);
	put_str(log, ot_str_from(end));
}

static void
write_log(const struct formatter_record *record, struct ot_writer *log)
{
	if (record->time != FORMATTER_TIME_NONE) {
		put_timestamp(record, log);
		put_str(log, OT_STR_LIT(", "));
	}
	put_logged(log, "key:", record->key, record->key.len < 0 ? " " : ", ");
	put_logged(log, "value:", record->value, "");
}

static uint32_t
add_checksum(uint32_t crc, int64_t number, unsigned bytes)
{
	uint8_t raw[8];
	ot_put_u64(raw, (uint64_t)number);
	return (uint32_t)crc32(crc, raw + sizeof(raw) - bytes, bytes);
}

static uint32_t
add_checksum_field(uint32_t crc, struct ot_bytes field)
{
	crc = add_checksum(crc, field.len, 4);
	return field.len > 0 ? (uint32_t)crc32(crc, field.data, (uInt)field.len) : crc;
}

/* CRC-32 of the message that the record would be in the format before 0.11: magic, attributes,
 * timestamp in magic 1, key, value. */
static void
write_checksum(const struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out)
{
	bool has_time = record->time != FORMATTER_TIME_NONE;
	uint32_t crc = add_checksum(0, has_time ? 1 : 0, 1);
	crc = add_checksum(crc, record->time == FORMATTER_TIME_APPEND ? 8 : 0, 1);
	if (has_time)
		crc = add_checksum(crc, record->timestamp, 8);
	crc = add_checksum_field(crc, record->key);
	crc = add_checksum_field(crc, record->value);
	if (formatter->topic.len >= 0)
		formatter_put(out, "%s:", formatter->topic.data);
	formatter_put(out, "checksum:%" PRIu32 "\n", crc);
}

ot_err
formatter_write(struct formatter *formatter, const struct formatter_record *record,
    struct ot_writer *out, struct ot_writer *log, struct ot_why *why)
{
	ot_err err = OT_OK;
	switch (formatter->kind) {
	case FORMATTER_DEFAULT:
		err = write_columns(formatter, record, out, why);
		break;
	case FORMATTER_LOGGING:
		err = write_columns(formatter, record, out, why);
		write_log(record, log);
		break;
	case FORMATTER_NO_OP:
		break;
	case FORMATTER_CHECKSUM:
		write_checksum(formatter, record, out);
		break;
	case FORMATTER_LOG:
		ot_arena_reset(&formatter->line_arena);
		err = formatter->has_old_text ? formatter_log_write_text(formatter->log_kind,
						    record, &formatter->line_arena, out, why)
		                              : formatter_log_write_json(formatter->log_kind,
						    record, &formatter->line_arena, out, why);
		break;
	}
	return err == OT_OK && out->failed ? OT_ERR_NO_MEMORY : err;
}
