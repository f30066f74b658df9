#include "record/check.h"

#include <inttypes.h>
#include <string.h>

#include "base/panic.h"

enum {
	ERROR_LIST_COUNT_MIN = 8,
	ERROR_TEXT_BYTES_MAX = 256,
};

/* One walk in progress. */
struct walk {
	const struct ot_record_rules *rules;
	struct ot_record_check check;
	int32_t list_capacity;
	bool has_timestamp_error;
	bool has_no_memory;
};

/* Room for one more in the list, which doubles: the arena takes the old ones with it. */
static struct ot_record_error *
extend_list(struct walk *walk)
{
	struct ot_record_check *check = &walk->check;
	if (check->error_list_count == walk->list_capacity) {
		int32_t capacity = OT_MAX(walk->list_capacity * 2, ERROR_LIST_COUNT_MIN);
		struct ot_record_error *errors =
		    ot_arena_array(walk->rules->arena, (size_t)capacity, sizeof(*errors));
		if (errors == NULL)
			return NULL;
		if (check->error_list_count > 0)
			memcpy(errors, check->errors,
			    (size_t)check->error_list_count * sizeof(*errors));
		check->errors = errors;
		walk->list_capacity = capacity;
	}
	return &check->errors[check->error_list_count];
}

static void
add_error(struct walk *walk, int32_t index, ot_err err, const char *text)
{
	struct ot_record_check *check = &walk->check;
	check->error_count++;
	if (err == OT_ERR_INVALID_TIMESTAMP)
		walk->has_timestamp_error = true;
	if (walk->rules->arena == NULL || check->error_list_count == OT_RECORD_ERRORS_MAX)
		return;
	struct ot_record_error *error = extend_list(walk);
	char *message = ot_arena_strndup(walk->rules->arena, text, strlen(text));
	if (error == NULL || message == NULL) {
		walk->has_no_memory = true;
		return;
	}
	*error = (struct ot_record_error){ index, err, message };
	check->error_list_count++;
}

/* a - b, or the nearest that int64 has. */
static int64_t
subtract(int64_t a, int64_t b)
{
	int64_t difference;
	if (__builtin_sub_overflow(a, b, &difference))
		return b < 0 ? INT64_MAX : INT64_MIN;
	return difference;
}

static bool
is_in_time(const struct ot_record_rules *rules, int64_t timestamp)
{
	return subtract(rules->now, timestamp) <= rules->timestamp_before_ms_max &&
	       subtract(timestamp, rules->now) <= rules->timestamp_after_ms_max;
}

static void
report_time(struct walk *walk, int32_t index, const struct ot_record *record)
{
	char text[ERROR_TEXT_BYTES_MAX];
	struct ot_text out = OT_TEXT(text);
	ot_text_put(&out,
	    "Timestamp %" PRId64 " of the record with offset %" PRId64
	    " is out of range: it must be within [%" PRId64 ", %" PRId64 "].",
	    record->create_timestamp, record->offset,
	    subtract(walk->rules->now, walk->rules->timestamp_before_ms_max),
	    subtract(walk->rules->now, subtract(0, walk->rules->timestamp_after_ms_max)));
	add_error(walk, index, OT_ERR_INVALID_TIMESTAMP, text);
}

static inline void
check_record(struct walk *walk, const struct ot_batch_info *info, int32_t index,
    const struct ot_record *record)
{
	const struct ot_record_rules *rules = walk->rules;
	struct ot_record_check *check = &walk->check;
	if (record->offset != info->base_offset + index)
		check->is_contiguous = false;
	if (record->create_timestamp > check->max_timestamp || index == 0) {
		check->max_timestamp = record->create_timestamp;
		check->max_timestamp_offset = record->offset;
	}
	/* One error per record, the key before the timestamp. */
	if (rules->is_key_required && record->key.len < 0)
		add_error(walk, index, OT_ERR_INVALID_RECORD,
		    "A compacted topic cannot accept a record without a key.");
	else if (info->timestamp_type == OT_LOG_APPEND_TIME)
		add_error(walk, index, OT_ERR_INVALID_TIMESTAMP,
		    "A producer must not set the timestamp type LogAppendTime.");
	else if (rules->timestamp_type == OT_CREATE_TIME &&
		 record->create_timestamp != OT_NO_TIMESTAMP &&
		 !is_in_time(rules, record->create_timestamp))
		report_time(walk, index, record);
}

static ot_err
conclude(const struct walk *walk, struct ot_why *why)
{
	if (walk->check.error_count == 0)
		return OT_OK;
	if (walk->has_no_memory) {
		ot_why_set(why, "No memory to list the invalid records.");
		return OT_ERR_NO_MEMORY;
	}
	if (walk->has_timestamp_error) {
		ot_why_set(why, "One or more records have been rejected due to invalid timestamp.");
		return OT_ERR_INVALID_TIMESTAMP;
	}
	ot_why_set(why, "One or more records have been rejected due to %" PRId32 " record errors.",
	    walk->check.error_count);
	return OT_ERR_INVALID_RECORD;
}

ot_err
ot_batch_check_records(const uint8_t *batch, const struct ot_batch_info *info,
    const struct ot_record_rules *rules, struct ot_record_check *ret_check, struct ot_why *why)
{
	struct walk walk = {
		.rules = rules,
		.check = { .max_timestamp = OT_NO_TIMESTAMP,
		    .max_timestamp_offset = -1,
		    .is_contiguous = true },
	};
	struct ot_record_iter_options options = { .ctx = rules->ctx,
		.bytes_max = rules->bytes_max };
	struct ot_record_iter iter;
	struct ot_record record;
	ot_err err = ot_record_iter_open(&iter, batch, info, &options, why);
	if (err != OT_OK)
		return err;
	for (int32_t index = 0; ot_record_iter_next(&iter, &record); index++)
		check_record(&walk, info, index, &record);
	err = ot_record_iter_close(&iter);
	if (err != OT_OK)
		return err;
	walk.check.record_bytes = iter.bytes_read;
	err = conclude(&walk, why);
	if (err != OT_ERR_NO_MEMORY)
		*ret_check = walk.check;
	return err;
}
