#include "cluster/checkpoint_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "base/text.h"
#include "record/control.h"

enum { PATH_BYTES = 1024, CHECKPOINT_BYTES_MAX = INT32_MAX };

/* ---- batches -------------------------------------------------------------------------------- */

ot_err
checkpoint_build_batch(const struct ot_metadata_records *records, int64_t base_offset,
    int32_t epoch, ot_wall_ms timestamp, struct ot_writer *out)
{
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	struct ot_batch_builder builder;
	ot_err err;

	options.base_offset = base_offset;
	options.leader_epoch = epoch;
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, out);
	for (int32_t i = 0; i < records->count; i++)
		ot_batch_builder_append(&builder, &(struct ot_record_data){
						      .timestamp = timestamp,
						      .key = OT_BYTES_NULL,
						      .value = ot_metadata_records_at(records, i),
						  });
	err = ot_batch_builder_finish(&builder, NULL);
	ot_batch_builder_fini(&builder);
	return err;
}

static ot_err
parse_records(const uint8_t *bytes, const struct ot_batch_info *info, struct ot_arena *arena,
    struct ot_metalog_batch *batch, struct ot_why *why)
{
	struct ot_bytes *values =
	    ot_arena_array(arena, (size_t)info->record_count, sizeof(*values));
	struct ot_record_iter_options options = { .ctx = NULL };
	struct ot_record_iter iter;
	struct ot_record record;
	int32_t count = 0;
	ot_err err;

	if (values == NULL)
		return OT_ERR_NO_MEMORY;
	err = ot_record_iter_open(&iter, bytes, info, &options, why);
	if (err != OT_OK)
		return err;
	while (ot_record_iter_next(&iter, &record))
		values[count++] = record.value;
	err = ot_record_iter_close(&iter);
	batch->records = values;
	batch->record_count = count;
	for (int32_t i = 0; err == OT_OK && i < count; i++) {
		if (values[i].len < 0) {
			ot_why_set(why, "a metadata record without a value");
			err = OT_ERR_INVALID_RECORD;
		}
	}
	return err;
}

ot_err
checkpoint_parse_batch(const uint8_t *bytes, size_t byte_count, struct ot_arena *arena,
    struct ot_metalog_batch *ret_batch, size_t *ret_bytes, struct ot_why *why)
{
	struct ot_batch_info info;
	struct ot_metalog_batch batch;
	ot_err err = ot_batch_parse(bytes, byte_count, &info, why);

	if (err != OT_OK)
		return err;
	if (!ot_batch_crc_is_valid(bytes, &info)) {
		ot_why_set(why, "the CRC of the batch at offset %" PRId64 " is wrong",
		    info.base_offset);
		return OT_ERR_CORRUPT_MESSAGE;
	}
	if (info.compression != OT_COMPRESSION_NONE) {
		ot_why_set(why, "the batch at offset %" PRId64 " is compressed", info.base_offset);
		return OT_ERR_INVALID_RECORD;
	}
	batch = (struct ot_metalog_batch){
		.base_offset = info.base_offset,
		.epoch = info.leader_epoch,
		.timestamp = info.max_timestamp,
		.next_offset = ot_batch_info_last_offset(&info) + 1,
	};
	if (!info.is_control)
		err = parse_records(bytes, &info, arena, &batch, why);
	if (err != OT_OK)
		return err;
	*ret_batch = batch;
	*ret_bytes = info.bytes;
	return OT_OK;
}

/* ---- names ---------------------------------------------------------------------------------- */

static bool
parse_number(const char *text, size_t digits, int64_t *ret_number)
{
	int64_t number = 0;

	for (size_t i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9' || number > INT64_MAX / 10 - 1)
			return false;
		number = number * 10 + (text[i] - '0');
	}
	*ret_number = number;
	return true;
}

/* "00000000000000000100-0000000002.checkpoint" */
static bool
parse_name(const char *name, struct ot_metalog_id *ret_id)
{
	int64_t offset, epoch;

	if (strlen(name) != 20 + 1 + 10 + strlen(".checkpoint") || name[20] != '-' ||
	    strcmp(name + 31, ".checkpoint") != 0 || !parse_number(name, 20, &offset) ||
	    !parse_number(name + 21, 10, &epoch) || epoch > INT32_MAX)
		return false;
	*ret_id = (struct ot_metalog_id){ offset, (int32_t)epoch };
	return true;
}

static void
name_path(char path[PATH_BYTES], const char *folder, struct ot_metalog_id id, const char *suffix)
{
	int bytes = snprintf(path, PATH_BYTES, "%s/%020" PRId64 "-%010d.checkpoint%s", folder,
	    id.end_offset, id.epoch, suffix);

	OT_ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

struct names {
	struct ot_fs *fs;
	const char *folder;
	struct ot_metalog_id newest; /* end_offset -1: none */
};

static bool
is_newer(struct ot_metalog_id a, struct ot_metalog_id b)
{
	return a.end_offset != b.end_offset ? a.end_offset > b.end_offset : a.epoch > b.epoch;
}

static ot_err
visit_newest(void *arg, const char *name, bool is_dir)
{
	struct names *names = arg;
	struct ot_metalog_id id;

	if (!is_dir && parse_name(name, &id) && is_newer(id, names->newest))
		names->newest = id;
	return OT_OK;
}

/* Removes snapshots before the newest, and parts. What stays behind is removed by the next. */
static ot_err
visit_old(void *arg, const char *name, bool is_dir)
{
	struct names *names = arg;
	char path[PATH_BYTES];
	struct ot_metalog_id id;
	size_t bytes = strlen(name);
	bool is_part = bytes > 16 && strcmp(name + bytes - 16, ".checkpoint.part") == 0;

	if (is_dir || (!is_part && (!parse_name(name, &id) || !is_newer(names->newest, id))))
		return OT_OK;
	if (snprintf(path, sizeof(path), "%s/%s", names->folder, name) < PATH_BYTES)
		(void)!ot_fs_remove(names->fs, path);
	return OT_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ot_err
read_whole(struct ot_fs *fs, const char *path, struct checkpoint *checkpoint)
{
	struct ot_file *file;
	uint64_t bytes = 0;
	size_t done = 0;
	ot_err err = ot_fs_open(fs, path, OT_OPEN_READ, &file);

	if (err != OT_OK)
		return err;
	err = ot_file_size(file, &bytes);
	if (err == OT_OK && bytes > CHECKPOINT_BYTES_MAX)
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_OK) {
		checkpoint->bytes = ot_alloc_raw((size_t)bytes + 1);
		err = checkpoint->bytes == NULL ? OT_ERR_NO_MEMORY : OT_OK;
	}
	if (err == OT_OK)
		err = ot_file_read(file, checkpoint->bytes, (size_t)bytes, 0, &done);
	ot_file_unref(file);
	checkpoint->byte_count = done;
	return err;
}

/* Which control record a control batch has; OT_CONTROL_UNKNOWN for all else. */
static enum ot_control_type
control_type(const uint8_t *bytes, size_t byte_count, struct ot_record *ret_record)
{
	enum ot_control_type type = OT_CONTROL_UNKNOWN;
	struct ot_record_iter_options options = { .ctx = NULL };
	struct ot_record_iter iter;
	struct ot_batch_info info;

	if (ot_batch_parse(bytes, byte_count, &info, NULL) != OT_OK || !info.is_control ||
	    ot_record_iter_open(&iter, bytes, &info, &options, NULL) != OT_OK)
		return OT_CONTROL_UNKNOWN;
	if (ot_record_iter_next(&iter, ret_record) &&
	    ot_control_parse_key(ret_record->key, &type) != OT_OK)
		type = OT_CONTROL_UNKNOWN;
	if (ot_record_iter_close(&iter) != OT_OK)
		type = OT_CONTROL_UNKNOWN;
	return type;
}

/* Value: int16 version, int64 timestamp of the last record. */
static bool
read_header(const uint8_t *bytes, size_t byte_count, ot_wall_ms *ret_timestamp)
{
	struct ot_record record;

	if (control_type(bytes, byte_count, &record) != OT_CONTROL_SNAPSHOT_HEADER ||
	    record.value.len < 10)
		return false;
	*ret_timestamp = (int64_t)ot_get_u64(record.value.data + 2);
	return true;
}

/* What the CRC of a batch does not cover. */
static ot_err
check_place(const struct ot_metalog_batch *batch, int64_t offset, int32_t epoch, struct ot_why *why)
{
	if (batch->base_offset == offset && batch->epoch == epoch)
		return OT_OK;
	ot_why_set(why,
	    "a batch of offset %" PRId64 " and epoch %d stands where offset %" PRId64
	    " and epoch %d belong",
	    batch->base_offset, batch->epoch, offset, epoch);
	return OT_ERR_CORRUPT_FILE;
}

static ot_err
check_whole(struct checkpoint *checkpoint, struct ot_why *why)
{
	enum ot_control_type last = OT_CONTROL_UNKNOWN;
	struct ot_metalog_batch batch;
	struct ot_record record;
	struct ot_arena arena;
	size_t place = 0, bytes;
	int64_t offset = 0;
	ot_err err = OT_OK;

	if (!read_header(checkpoint->bytes, checkpoint->byte_count, &checkpoint->timestamp)) {
		ot_why_set(why, "it has no header");
		return OT_ERR_CORRUPT_FILE;
	}
	ot_arena_init(&arena, 0);
	while (err == OT_OK && place < checkpoint->byte_count) {
		ot_arena_reset(&arena);
		err = checkpoint_parse_batch(checkpoint->bytes + place,
		    checkpoint->byte_count - place, &arena, &batch, &bytes, why);
		if (err == OT_OK)
			err = check_place(&batch, offset, checkpoint->id.epoch, why);
		if (err != OT_OK)
			break;
		offset = batch.next_offset;
		last = control_type(checkpoint->bytes + place, checkpoint->byte_count - place,
		    &record);
		place += bytes;
	}
	ot_arena_fini(&arena);
	if (err == OT_ERR_NO_MEMORY)
		return err;
	if (err == OT_OK && last == OT_CONTROL_SNAPSHOT_FOOTER)
		return OT_OK;
	if (err == OT_OK)
		ot_why_set(why, "it has no footer");
	return OT_ERR_CORRUPT_FILE;
}

ot_err
checkpoint_read_newest(struct ot_fs *fs, const char *folder, struct checkpoint *ret_checkpoint,
    struct ot_why *why)
{
	struct names names = { .fs = fs, .folder = folder, .newest = { -1, -1 } };
	struct checkpoint checkpoint = { .timestamp = -1 };
	struct ot_why reason = { { 0 } };
	char path[PATH_BYTES];
	ot_err err = ot_fs_list(fs, folder, visit_newest, &names);

	if (err == OT_ERR_NOT_FOUND)
		err = OT_OK;
	if (err == OT_OK && names.newest.end_offset >= 0) {
		checkpoint.id = names.newest;
		name_path(path, folder, names.newest, "");
		err = read_whole(fs, path, &checkpoint);
		if (err == OT_OK)
			err = check_whole(&checkpoint, &reason);
		if (err == OT_ERR_CORRUPT_FILE)
			ot_why_set(why, "the snapshot %s is damaged: %s", path, reason.text);
	}
	if (err != OT_OK) {
		checkpoint_fini(&checkpoint);
		return err;
	}
	*ret_checkpoint = checkpoint;
	return OT_OK;
}

void
checkpoint_fini(struct checkpoint *checkpoint)
{
	ot_free(checkpoint->bytes);
	*checkpoint = (struct checkpoint){ .timestamp = -1 };
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Appends to a file, batch by batch. */
struct sink {
	struct ot_file *file;
	struct ot_writer batch;
	uint64_t place;
	int64_t next_offset;
	struct ot_control_place control;
};

static ot_err
sink_write(struct sink *sink)
{
	struct iovec piece = { sink->batch.data, sink->batch.bytes };
	ot_err err = ot_file_write(sink->file, &piece, 1, sink->place);

	sink->place += sink->batch.bytes;
	ot_writer_reset(&sink->batch);
	return err;
}

static ot_err
sink_control(struct sink *sink, enum ot_control_type type)
{
	ot_err err;

	sink->control.base_offset = sink->next_offset++;
	if (type == OT_CONTROL_SNAPSHOT_HEADER)
		err =
		    ot_build_snapshot_header(&sink->control, sink->control.timestamp, &sink->batch);
	else
		err = ot_build_snapshot_footer(&sink->control, &sink->batch);
	return err == OT_OK ? sink_write(sink) : err;
}

static ot_err
sink_records(struct sink *sink, const struct ot_metalog_snapshot *snapshot)
{
	struct ot_metadata_records records;
	ot_err err;

	ot_metadata_records_init(&records);
	do {
		ot_metadata_records_reset(&records);
		err = snapshot->next(snapshot->arg, &records);
		if (err != OT_OK || records.count == 0)
			break;
		err = checkpoint_build_batch(&records, sink->next_offset, snapshot->id.epoch,
		    snapshot->timestamp, &sink->batch);
		sink->next_offset += records.count;
		if (err == OT_OK)
			err = sink_write(sink);
	} while (err == OT_OK);
	ot_metadata_records_fini(&records);
	return err;
}

static ot_err
write_part(struct ot_fs *fs, const char *path, const struct ot_metalog_snapshot *snapshot)
{
	struct sink sink = { .control = { .leader_epoch = snapshot->id.epoch,
				 .timestamp = snapshot->timestamp } };
	ot_err err =
	    ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &sink.file);

	if (err != OT_OK)
		return err;
	ot_writer_init(&sink.batch);
	err = sink_control(&sink, OT_CONTROL_SNAPSHOT_HEADER);
	if (err == OT_OK)
		err = sink_records(&sink, snapshot);
	if (err == OT_OK)
		err = sink_control(&sink, OT_CONTROL_SNAPSHOT_FOOTER);
	if (err == OT_OK)
		err = ot_file_sync(sink.file);
	ot_writer_fini(&sink.batch);
	ot_file_unref(sink.file);
	return err;
}

ot_err
checkpoint_write(struct ot_fs *fs, const char *folder, const struct ot_metalog_snapshot *snapshot)
{
	struct names names = { .fs = fs, .folder = folder, .newest = snapshot->id };
	char part[PATH_BYTES], path[PATH_BYTES];
	ot_err err;

	name_path(part, folder, snapshot->id, ".part");
	name_path(path, folder, snapshot->id, "");
	err = write_part(fs, part, snapshot);
	if (err == OT_OK)
		err = ot_fs_rename(fs, part, path);
	if (err == OT_OK)
		err = ot_fs_sync_dir(fs, folder);
	if (err == OT_OK)
		(void)!ot_fs_list(fs, folder, visit_old, &names);
	return err;
}
