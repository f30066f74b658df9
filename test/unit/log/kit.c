#include "kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/atomic_int.h"
#include "log/scan_int.h"
#include "record/build.h"
#include "record/control.h"

static void
release_writer(struct ot_blob *blob, void *arg)
{
	(void)blob;
	(void)arg;
}

void
kit_init(struct kit *kit, struct ot_fs *fs)
{
	*kit = (struct kit){ .fs = fs, .settings = ot_log_settings_default(), .now = KIT_TIME };
	if (fs == NULL) {
		kit->fs = ot_fs_host();
		snprintf(kit->root, sizeof(kit->root), "/tmp/ottla-log-XXXXXX");
		assert_non_null(mkdtemp(kit->root));
	} else {
		snprintf(kit->root, sizeof(kit->root), "/data");
	}
	struct ot_text dir = OT_TEXT(kit->dir);
	ot_text_put(&dir, "%s/topic-0", kit->root);
	kit->settings.file_delete_delay_ms = 1000;
}

void
kit_fini(struct kit *kit)
{
	kit_drop(kit);
	if (kit->fs == ot_fs_host())
		assert_ok(ot_fs_remove_all(kit->fs, kit->root));
}

ot_err
kit_try_open(struct kit *kit, bool is_clean)
{
	struct ot_log_open_args args = {
		.fs = kit->fs,
		.dir = kit->dir,
		.settings = kit->settings,
		.start_offset = kit->start_offset,
		.recovery_point = kit->recovery_point,
		.is_clean = is_clean,
		.now = kit->now,
		.random = 7,
	};
	ot_err err = ot_log_open(&args, &kit->log, &kit->result);
	if (err == OT_OK)
		ot_log_check(kit->log);
	return err;
}

void
kit_open(struct kit *kit, bool is_clean)
{
	ot_err err = kit_try_open(kit, is_clean);
	if (err != OT_OK)
		fail_msg("open: %s: %s", ot_err_name(err), kit->result.why.text);
}

void
kit_close(struct kit *kit)
{
	kit->start_offset = ot_log_start_offset(kit->log);
	kit->recovery_point = ot_log_end_offset(kit->log);
	assert_ok(ot_log_close(kit->log, OT_LOG_CLOSE_CLEAN));
	kit->log = NULL;
}

void
kit_drop(struct kit *kit)
{
	assert_ok(ot_log_close(kit->log, OT_LOG_CLOSE_DROP));
	kit->log = NULL;
}

/* ---- batches ------------------------------------------------------------------------------- */

static void
fill_value(char *value, uint32_t bytes, int64_t offset)
{
	memset(value, 'a' + (int)(offset % 26), bytes);
	char text[32];
	int length = snprintf(text, sizeof(text), "%" PRId64 ":", offset);
	memcpy(value, text, OT_MIN((size_t)length, bytes));
}

static struct ot_blob *
to_blob(const struct ot_writer *out)
{
	struct ot_blob *blob = ot_blob_create(out->bytes);
	if (blob == NULL)
		return NULL;
	memcpy(blob->data, out->data, out->bytes);
	blob->on_release = release_writer;
	return blob;
}

static ot_err
stage_bytes(struct kit *kit, const struct ot_writer *out, const struct kit_batch *batch,
    const struct ot_batch_info *info, struct ot_log_staged *ret_staged)
{
	struct ot_blob *blob = to_blob(out);
	if (blob == NULL)
		return OT_ERR_NO_MEMORY;
	struct ot_log_batch staged = {
		.blob = blob,
		.bytes = blob->data,
		.info = info,
		.origin = batch->origin,
		.leader_epoch = batch->leader_epoch,
	};
	ot_err err = ot_log_stage(kit->log, &staged, ret_staged, NULL);
	ot_blob_unref(blob);
	return err;
}

ot_err
kit_stage(struct kit *kit, const struct kit_batch *batch, struct ot_log_staged *ret_staged)
{
	struct ot_batch_builder builder;
	struct ot_writer out;
	struct ot_batch_info info;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	bool is_leaders = batch->origin == OT_ORIGIN_LEADER;
	int64_t base = is_leaders ? batch->base_offset : ot_log_staged_end(kit->log);
	uint32_t count = OT_MAX(batch->record_count, 1u);
	uint32_t bytes = batch->value_bytes == 0 ? 20 : batch->value_bytes;
	char *value = malloc(bytes);
	options.base_offset = is_leaders ? base : 0;
	options.leader_epoch = is_leaders ? batch->leader_epoch : -1;
	options.compression = batch->compression;
	options.is_transactional = batch->is_transactional;
	if (batch->producer_id > 0) {
		options.producer_id = batch->producer_id;
		options.producer_epoch = batch->producer_epoch;
		options.base_sequence = batch->sequence;
	}
	ot_writer_init(&out);
	ot_batch_builder_init(&builder, ctx);
	ot_batch_builder_begin(&builder, &options, &out);
	for (uint32_t i = 0; i < count; i++) {
		fill_value(value, bytes, base + i);
		struct ot_record_data record = {
			.timestamp = batch->timestamp == 0 ? KIT_TIME : batch->timestamp,
			.key = OT_BYTES_NULL,
			.value = { (const uint8_t *)value, (int32_t)bytes },
		};
		ot_batch_builder_append(&builder, &record);
	}
	/* Memory may fail, for the tests that let it. */
	ot_err err = ot_batch_builder_finish(&builder, &info);
	if (err == OT_OK)
		err = stage_bytes(kit, &out, batch, &info, ret_staged);
	ot_batch_builder_fini(&builder);
	ot_writer_fini(&out);
	ot_codec_ctx_destroy(ctx);
	free(value);
	return err;
}

ot_err
kit_stage_marker(struct kit *kit, int64_t producer_id, int16_t epoch, bool is_commit)
{
	struct ot_writer out;
	struct ot_batch_info info;
	struct ot_log_staged staged;
	ot_writer_init(&out);
	struct ot_control_place place = { .base_offset = 0,
		.leader_epoch = -1,
		.timestamp = KIT_TIME };
	struct ot_end_txn_marker marker = { .producer_id = producer_id,
		.producer_epoch = epoch,
		.is_commit = is_commit,
		.coordinator_epoch = 1 };
	ot_err err = ot_build_end_txn(&place, &marker, &out);
	if (err != OT_OK) {
		ot_writer_fini(&out);
		return err;
	}
	assert_ok(ot_batch_parse(out.data, out.bytes, &info, NULL));
	err = stage_bytes(kit, &out, &(struct kit_batch){ .origin = OT_ORIGIN_COORDINATOR }, &info,
	    &staged);
	ot_writer_fini(&out);
	return err;
}

ot_err
kit_write(struct kit *kit)
{
	ot_err err = ot_log_write_staged(kit->log, kit->now);
	ot_log_check(kit->log);
	return err;
}

struct ot_log_staged
kit_append(struct kit *kit, const struct kit_batch *batch)
{
	struct ot_log_staged staged;
	assert_ok(kit_stage(kit, batch, &staged));
	assert_ok(kit_write(kit));
	return staged;
}

void
kit_append_many(struct kit *kit, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		kit_append(kit, &(struct kit_batch){ .record_count = 1 + i % 3 });
}

/* ---- jobs ---------------------------------------------------------------------------------- */

ot_err
kit_sync(struct kit *kit, enum ot_log_sync_scope scope)
{
	struct ot_log_job *job = ot_log_sync_begin(kit->log, scope);
	if (job == NULL)
		return OT_OK;
	ot_log_job_run(job);
	return ot_log_job_end(kit->log, job, kit->now);
}

ot_err
kit_chores(struct kit *kit)
{
	while (ot_log_chore_due(kit->log) <= kit->now) {
		struct ot_log_job *job = ot_log_chore_begin(kit->log, kit->now);
		if (job == NULL)
			return OT_ERR_NO_MEMORY;
		ot_log_job_run(job);
		ot_err err = ot_log_job_end(kit->log, job, kit->now);
		if (err != OT_OK)
			return err;
	}
	return OT_OK;
}

struct ot_log_found
kit_find(struct kit *kit, int64_t timestamp)
{
	struct ot_log_found found;
	struct ot_log_job *job = ot_log_find_begin(kit->log, timestamp);
	assert_non_null(job);
	ot_log_job_run(job);
	assert_ok(ot_log_find_end(kit->log, job, &found));
	return found;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void
check_records(const uint8_t *data, const struct ot_batch_info *info)
{
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct ot_record_iter iter;
	struct ot_record record;
	assert_ok(ot_record_iter_open(&iter, data, info,
	    &(struct ot_record_iter_options){ .ctx = ctx }, NULL));
	while (ot_record_iter_next(&iter, &record)) {
		char expected[32];
		int length = snprintf(expected, sizeof(expected), "%" PRId64 ":", record.offset);
		assert_true(record.value.len >= length);
		assert_memory_equal(record.value.data, expected, (size_t)length);
	}
	assert_ok(ot_record_iter_close(&iter));
	ot_codec_ctx_destroy(ctx);
}

/* Checks the batches of one answer; gives the offset after the last. */
static int64_t
check_answer(const uint8_t *data, size_t bytes, int64_t next, int64_t *records)
{
	size_t place = 0;
	while (place < bytes) {
		struct ot_batch_info info;
		assert_ok(ot_batch_parse(data + place, bytes - place, &info, NULL));
		assert_true(ot_batch_crc_is_valid(data + place, &info));
		assert_true(ot_batch_info_last_offset(&info) >= next);
		if (!info.is_control)
			check_records(data + place, &info);
		*records += info.record_count;
		next = ot_batch_info_last_offset(&info) + 1;
		place += info.bytes;
	}
	assert_int_equal(place, bytes);
	return next;
}

int64_t
kit_check_read(struct kit *kit, int64_t from, size_t bytes_max)
{
	int64_t end = ot_log_end_offset(kit->log), records = 0;
	int64_t next = from;
	while (next < end) {
		struct ot_log_read read = { 0 };
		struct ot_log_read_args args = {
			.offset = next,
			.bound_offset = end,
			.bytes_max = bytes_max,
			.is_one_at_least = true,
		};
		ot_err err = ot_log_plan_read(kit->log, &args, &read);
		if (err == OT_ERR_AGAIN) {
			ot_log_read_warm(&read);
			ot_file_unref(read.file);
			args.may_block = true;
			err = ot_log_plan_read(kit->log, &args, &read);
		}
		assert_ok(err);
		assert_true(read.bytes > 0);
		uint8_t *data = malloc(read.bytes);
		size_t got = 0;
		assert_ok(ot_file_read(read.file, data, read.bytes, read.place, &got));
		assert_int_equal(got, read.bytes);
		next = check_answer(data, read.bytes, next, &records);
		/* A segment may end before the next one begins. */
		assert_true(next <= read.next_offset);
		next = read.next_offset;
		free(data);
		ot_file_unref(read.file);
	}
	assert_int_equal(next, end);
	return records;
}

/* ---- files --------------------------------------------------------------------------------- */

static void
path_of(struct kit *kit, const char *name, char path[LOG_PATH_BYTES])
{
	log_path_named(path, kit->dir, name);
}

int64_t
kit_file_bytes(struct kit *kit, const char *name)
{
	char path[LOG_PATH_BYTES];
	struct ot_fs_stat stat;
	path_of(kit, name, path);
	return ot_fs_stat(kit->fs, path, &stat) == OT_OK ? (int64_t)stat.bytes : -1;
}

void
kit_read_file(struct kit *kit, const char *name, struct ot_writer *out)
{
	char path[LOG_PATH_BYTES];
	path_of(kit, name, path);
	ot_writer_init(out);
	assert_ok(log_read_file(kit->fs, path, OT_GIB, out));
}

void
kit_write_file(struct kit *kit, const char *name, const void *data, size_t bytes)
{
	char path[LOG_PATH_BYTES];
	path_of(kit, name, path);
	assert_ok(ot_fs_mkdir_all(kit->fs, kit->dir));
	assert_ok(log_write_file(kit->fs, path, data, bytes));
}

void
kit_remove_file(struct kit *kit, const char *name)
{
	char path[LOG_PATH_BYTES];
	path_of(kit, name, path);
	assert_ok(ot_fs_remove(kit->fs, path));
}

void
kit_damage(struct kit *kit, const char *name, uint64_t place)
{
	struct ot_writer data;
	kit_read_file(kit, name, &data);
	assert_true(place < data.bytes);
	data.data[place] = (uint8_t)~data.data[place];
	kit_write_file(kit, name, data.data, data.bytes);
	ot_writer_fini(&data);
}

/* ---- indexes ------------------------------------------------------------------------------- */

static void
compare_offset_index(struct kit *kit, const char *name, const struct ot_writer *expected)
{
	struct ot_writer found;
	kit_read_file(kit, name, &found);
	for (size_t at = 0;
	     found.bytes != expected->bytes && at < OT_MAX(found.bytes, expected->bytes);
	     at += LOG_OFFSET_ENTRY_BYTES) {
		struct log_offset_entry left = { -1, 0 }, right = { -1, 0 };
		if (at < found.bytes)
			left = log_offset_entry_read(found.data + at, 0);
		if (at < expected->bytes)
			right = log_offset_entry_read(expected->data + at, 0);
		print_message("  offset %lld at %lld, expected %lld at %lld\n",
		    (long long)left.offset, (long long)left.place, (long long)right.offset,
		    (long long)right.place);
	}
	if (found.bytes != expected->bytes)
		fail_msg("%s has %zu bytes instead of %zu; the log is %" PRId64 " to %" PRId64
			 ", recovery point %" PRId64,
		    name, found.bytes, expected->bytes, ot_log_start_offset(kit->log),
		    ot_log_end_offset(kit->log), kit->recovery_point);
	if (expected->bytes > 0)
		assert_memory_equal(found.data, expected->data, expected->bytes);
	ot_writer_fini(&found);
}

/* A time index has an entry more for each close and each recovery; it never lacks one, and
 * rises. */
static void
compare_time_index(struct kit *kit, const char *name, const struct ot_writer *expected)
{
	struct ot_writer found;
	size_t next = 0;
	kit_read_file(kit, name, &found);
	assert_int_equal(found.bytes % LOG_TIME_ENTRY_BYTES, 0);
	for (size_t at = 0; at < found.bytes; at += LOG_TIME_ENTRY_BYTES) {
		struct log_time_entry entry = log_time_entry_read(found.data + at, 0);
		struct log_time_entry before = { -1, -1 };
		if (at > 0)
			before = log_time_entry_read(found.data + at - LOG_TIME_ENTRY_BYTES, 0);
		if (entry.timestamp <= before.timestamp || entry.offset <= before.offset)
			fail_msg("%s: %" PRId64 " at %" PRId64 " follows %" PRId64 " at %" PRId64
				 ", %zu of %zu",
			    name, entry.timestamp, entry.offset, before.timestamp, before.offset,
			    at, found.bytes);
		if (next < expected->bytes &&
		    memcmp(found.data + at, expected->data + next, LOG_TIME_ENTRY_BYTES) == 0)
			next += LOG_TIME_ENTRY_BYTES;
	}
	/* An entry that came early, with a close, stands for the same one that is due later. */
	for (size_t at = 0; next != expected->bytes && at < OT_MAX(found.bytes, expected->bytes);
	     at += LOG_TIME_ENTRY_BYTES) {
		struct log_time_entry left = { -1, -1 }, right = { -1, -1 };
		if (at < found.bytes)
			left = log_time_entry_read(found.data + at, 0);
		if (at < expected->bytes)
			right = log_time_entry_read(expected->data + at, 0);
		print_message("  %lld at %lld, expected %lld at %lld\n", (long long)left.timestamp,
		    (long long)left.offset, (long long)right.timestamp, (long long)right.offset);
	}
	if (next != expected->bytes)
		fail_msg("%s has %zu bytes and lacks the entry at %zu of %zu", name, found.bytes,
		    next, expected->bytes);
	ot_writer_fini(&found);
}

static void
check_segment_indexes(struct kit *kit, const struct log_segment *segment)
{
	static uint8_t window[LOG_SCAN_WINDOW_LARGE];
	char path[LOG_PATH_BYTES], name[64];
	struct ot_file *file = NULL;
	struct log_scan scan;
	struct log_scan_batch batch;
	struct ot_writer offsets, times;
	uint64_t last_place = 0;
	int64_t max = -1, max_offset = segment->base_offset, indexed = -1;
	ot_writer_init(&offsets);
	ot_writer_init(&times);
	log_path(path, kit->dir, segment->base_offset, LOG_FILE_LOG, LOG_STATE_LIVE);
	assert_ok(ot_fs_open(kit->fs, path, OT_OPEN_READ, &file));
	log_scan_init(&scan, file, 0, segment->bytes, window, sizeof(window));
	scan.is_checking = true;
	for (;;) {
		assert_ok(log_scan_next(&scan, &batch, NULL));
		if (batch.bytes == 0)
			break;
		if (batch.max_timestamp > max) {
			max = batch.max_timestamp;
			max_offset = batch.last_offset;
		}
		if (batch.place - last_place <= (uint64_t)kit->settings.index_interval_bytes)
			continue;
		last_place = batch.place;
		ot_write_i32(&offsets, (int32_t)(batch.last_offset - segment->base_offset));
		ot_write_i32(&offsets, (int32_t)batch.place);
		if (max <= indexed)
			continue;
		indexed = max;
		ot_write_i64(&times, max);
		ot_write_i32(&times, (int32_t)(max_offset - segment->base_offset));
	}
	snprintf(name, sizeof(name), "%020" PRId64 ".index", segment->base_offset);
	compare_offset_index(kit, name, &offsets);
	snprintf(name, sizeof(name), "%020" PRId64 ".timeindex", segment->base_offset);
	compare_time_index(kit, name, &times);
	ot_writer_fini(&offsets);
	ot_writer_fini(&times);
	ot_file_unref(file);
}

void
kit_check_indexes(struct kit *kit)
{
	ot_log_idle(kit->log);
	for (uint32_t i = 0; i < kit->log->segment_count; i++)
		check_segment_indexes(kit, kit->log->segments[i]);
}
