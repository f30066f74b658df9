/* Goal: whatever bytes lie in a partition's folder, opening it ends with a log that is sound, or
 * with an error; a log that was opened can be read from start to end, searched, appended to,
 * closed, and opened again with the same end.
 *
 * Method: the first byte says which file the rest becomes (records, an index, a snapshot, the
 * epochs' file), whether the stop was clean, and whether batch lengths and CRCs are made right
 * first, so that the input reaches what lies behind them. The other files are those of a small
 * log. */
#include <string.h>

#include "base/alloc.h"
#include "base/crc.h"
#include "base/panic.h"
#include "log/log.h"
#include "log/log_int.h"
#include "record/build.h"
#include "sim/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define DIR "/data/topic-0"

enum {
	MODE_FILE = 0x07,
	MODE_CLEAN = 0x08,
	MODE_RIGHT = 0x10, /* lengths, magics and CRCs are made right */
	MODE_COMPACTED = 0x20,
	MODE_POINT = 0x40, /* the recovery point lies in the middle */
	BATCHES = 12,
	READS_MAX = 10000,
};

static const char *const names[MODE_FILE + 1] = {
	DIR "/00000000000000000000.log",
	DIR "/00000000000000000000.index",
	DIR "/00000000000000000000.timeindex",
	DIR "/00000000000000000000.txnindex",
	DIR "/00000000000000000006.snapshot",
	DIR "/leader-epoch-checkpoint",
	DIR "/00000000000000000006.log",
	DIR "/00000000000000000012.snapshot",
};

static struct ot_log *
open_log(struct ot_fs *fs, uint8_t mode, bool is_clean)
{
	struct ot_log *log = NULL;
	struct ot_log_open_result result;
	struct ot_log_open_args args = {
		.fs = fs,
		.dir = DIR,
		.settings = ot_log_settings_default(),
		.recovery_point = (mode & MODE_POINT) != 0 ? 6 : 0,
		.is_clean = is_clean,
		.now = 1000,
	};
	args.settings.index_interval_bytes = 100;
	args.settings.is_compacted = (mode & MODE_COMPACTED) != 0;
	ot_err err = ot_log_open(&args, &log, &result);
	OT_ASSERT(err == OT_OK || err == OT_ERR_CORRUPT_FILE);
	return log;
}

static void
append(struct ot_log *log)
{
	struct ot_batch_builder builder;
	struct ot_writer out;
	struct ot_batch_info info;
	struct ot_log_staged staged;
	ot_writer_init(&out);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &OT_BATCH_OPTIONS_DEFAULT, &out);
	ot_batch_builder_append(&builder, &(struct ot_record_data){
					      .timestamp = 1000,
					      .key = OT_BYTES_NULL,
					      .value = { (const uint8_t *)"value", 5 },
					  });
	OT_ASSERT(ot_batch_builder_finish(&builder, &info) == OT_OK);
	struct ot_log_batch batch = { .bytes = out.data, .info = &info };
	/* The last offset there is may be taken already. */
	if (ot_log_stage(log, &batch, &staged, NULL) == OT_OK)
		OT_ASSERT(ot_log_write_staged(log, 1000) == OT_OK);
	ot_batch_builder_fini(&builder);
	ot_writer_fini(&out);
}

/* ---- the input ----------------------------------------------------------------------------- */

static void
make_right(uint8_t *data, size_t bytes)
{
	size_t place = 0;
	while (bytes - place >= OT_BATCH_HEADER_BYTES) {
		uint8_t *batch = data + place;
		size_t left = bytes - place;
		/* One byte decides where the batch ends. */
		size_t wanted = OT_BATCH_HEADER_BYTES + batch[OT_BATCH_LENGTH_AT + 3];
		size_t batch_bytes = wanted + OT_BATCH_HEADER_BYTES > left ? left : wanted;
		ot_put_u32(batch + OT_BATCH_LENGTH_AT,
		    (uint32_t)(batch_bytes - OT_BATCH_PREFIX_BYTES));
		batch[OT_BATCH_MAGIC_AT] = OT_MAGIC_V2;
		ot_put_u32(batch + OT_BATCH_CRC_AT, ot_crc32c(0, batch + OT_BATCH_ATTRIBUTES_AT,
							batch_bytes - OT_BATCH_ATTRIBUTES_AT));
		place += batch_bytes;
	}
}

static void
put_file(struct ot_fs *fs, const char *path, const uint8_t *data, size_t bytes)
{
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	OT_ASSERT(ot_fs_open(fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file) ==
		  OT_OK);
	OT_ASSERT(bytes == 0 || ot_file_write(file, &piece, 1, 0) == OT_OK);
	ot_file_unref(file);
}

static void
put_input(struct ot_fs *fs, uint8_t mode, const uint8_t *data, size_t bytes)
{
	uint8_t *copy = ot_alloc_raw(bytes + 1);
	OT_ASSERT(copy != NULL);
	memcpy(copy, data, bytes);
	if ((mode & MODE_RIGHT) != 0)
		make_right(copy, bytes);
	put_file(fs, names[mode & MODE_FILE], copy, bytes);
	ot_free(copy);
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void
read_all(struct ot_log *log)
{
	int64_t next = ot_log_start_offset(log), end = ot_log_end_offset(log);
	for (int i = 0; next < end && i < READS_MAX; i++) {
		struct ot_log_read read = { 0 };
		struct ot_log_read_args args = {
			.offset = next,
			.bound_offset = end,
			.bytes_max = 200,
			.is_one_at_least = true,
			.may_block = true,
		};
		ot_err err = ot_log_plan_read(log, &args, &read);
		OT_ASSERT(err == OT_OK || err == OT_ERR_CORRUPT_FILE);
		if (err != OT_OK)
			break;
		OT_ASSERT(read.file == NULL || read.next_offset > next);
		ot_file_unref(read.file);
		if (read.file == NULL)
			break;
		next = read.next_offset;
	}
}

static void
find(struct ot_log *log, int64_t timestamp)
{
	struct ot_log_found found;
	struct ot_log_job *job = ot_log_find_begin(log, timestamp);
	OT_ASSERT(job != NULL);
	ot_log_job_run(job);
	/* Records that are not what their batch says are found out here. */
	ot_err ignored = ot_log_find_end(log, job, &found);
	(void)ignored;
}

static void
see_aborted(void *arg, const struct ot_log_aborted *aborted)
{
	(void)arg;
	OT_ASSERT(aborted->first_offset < aborted->last_offset);
}

static void
use(struct ot_log *log)
{
	ot_log_check(log);
	read_all(log);
	find(log, 500);
	find(log, OT_LOG_MAX_TIMESTAMP);
	OT_ASSERT(ot_log_visit_aborted_in(log, 0, INT64_MAX, see_aborted, NULL) == OT_OK);
	append(log);
	ot_log_check(log);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	uint8_t mode = data[0];
	struct ot_sim_disk *disk = ot_sim_disk_create(1);
	struct ot_fs *fs = ot_sim_disk_fs(disk);
	struct ot_log *log = open_log(fs, mode, true);
	for (int i = 0; i < BATCHES; i++) {
		if (i == BATCHES / 2)
			OT_ASSERT(ot_log_roll(log, 1000, false) == OT_OK);
		append(log);
	}
	OT_ASSERT(ot_log_close(log, OT_LOG_CLOSE_CLEAN) == OT_OK);
	put_input(fs, mode, data + 1, bytes - 1);
	log = open_log(fs, mode, (mode & MODE_CLEAN) != 0);
	if (log != NULL) {
		use(log);
		int64_t end = ot_log_end_offset(log);
		OT_ASSERT(ot_log_close(log, OT_LOG_CLOSE_CLEAN) == OT_OK);
		log = open_log(fs, mode & (uint8_t)~MODE_POINT, true);
		OT_ASSERT(log != NULL && ot_log_end_offset(log) == end);
		OT_ASSERT(ot_log_close(log, OT_LOG_CLOSE_DROP) == OT_OK);
	}
	ot_sim_disk_destroy(disk);
	return 0;
}
