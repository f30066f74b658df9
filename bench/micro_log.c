/* What a log costs on real files: appends of small and of 16 KB batches, gathered per turn, as
 * nanoseconds per batch and CPU seconds per GB, beside the bare write of the same bytes into
 * reserved space (its floor); and what planning a read costs, sequential and at random places. One
 * core, page cache; nothing is synced. The folder is the argument, or one under /tmp. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/panic.h"
#include "log/log.h"
#include "record/build.h"

enum {
	ROUNDS = 5,
	PIECES_MAX = 64,
};

struct load {
	const char *name;
	size_t value_bytes;
	uint32_t per_turn;
	uint64_t bytes; /* of one round */
	bool has_producer;
};

struct bench {
	char dir[256];
	struct ot_writer batch;
	struct ot_batch_info info;
	uint8_t *copies; /* one batch per place in a turn */
	struct ot_log *log;
};

static double
cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
must(bool is_right, const char *what)
{
	if (!is_right)
		OT_PANIC("%s failed", what);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void
build(struct bench *bench, const struct load *load)
{
	struct ot_batch_builder builder;
	struct ot_batch_options options = OT_BATCH_OPTIONS_DEFAULT;
	char *value = calloc(1, load->value_bytes);
	options.producer_id = load->has_producer ? 7 : -1;
	options.producer_epoch = load->has_producer ? 0 : -1;
	options.base_sequence = load->has_producer ? 0 : -1;
	ot_writer_reset(&bench->batch);
	ot_batch_builder_init(&builder, NULL);
	ot_batch_builder_begin(&builder, &options, &bench->batch);
	ot_batch_builder_append(&builder,
	    &(struct ot_record_data){
		.timestamp = 1700000000000,
		.key = OT_BYTES_NULL,
		.value = { (const uint8_t *)value, (int32_t)load->value_bytes },
	    });
	must(ot_batch_builder_finish(&builder, &bench->info) == OT_OK, "building");
	ot_batch_builder_fini(&builder);
	free(value);
	free(bench->copies);
	bench->copies = malloc(bench->batch.bytes * load->per_turn);
	for (uint32_t i = 0; i < load->per_turn; i++)
		memcpy(bench->copies + i * bench->batch.bytes, bench->batch.data,
		    bench->batch.bytes);
}

/* ---- the floor ----------------------------------------------------------------------------- */

/* As a log does it at best: gathered, into space that was reserved in pieces. */
static double
write_bare(struct bench *bench, const struct load *load)
{
	char path[300];
	struct iovec pieces[PIECES_MAX];
	snprintf(path, sizeof(path), "%s/bare", bench->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0, "opening");
	size_t turn_bytes = bench->batch.bytes * load->per_turn;
	double start = cpu_seconds();
	uint64_t place = 0, reserved = 0;
	for (; place < load->bytes; place += turn_bytes) {
		if (place + turn_bytes > reserved) {
			must(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)reserved, 8 << 20) == 0,
			    "reserving");
			reserved += 8 << 20;
		}
		for (uint32_t i = 0; i < load->per_turn; i++)
			pieces[i] = (struct iovec){ bench->copies + i * bench->batch.bytes,
				bench->batch.bytes };
		must(pwritev(fd, pieces, (int)load->per_turn, (off_t)place) == (ssize_t)turn_bytes,
		    "writing");
	}
	double seconds = cpu_seconds() - start;
	close(fd);
	must(unlink(path) == 0, "removing");
	return seconds;
}

/* ---- the log ------------------------------------------------------------------------------- */

static void
open_log(struct bench *bench)
{
	char dir[300];
	snprintf(dir, sizeof(dir), "%s/topic-0", bench->dir);
	must(ot_fs_remove_all(ot_fs_host(), dir) == OT_OK, "removing");
	struct ot_log_open_args args = {
		.fs = ot_fs_host(),
		.dir = dir,
		.settings = ot_log_settings_default(),
		.is_clean = true,
	};
	must(ot_log_open(&args, &bench->log, NULL) == OT_OK, "opening");
}

static void
append_turn(struct bench *bench, const struct load *load, int32_t *sequence)
{
	struct ot_log_staged staged;
	for (uint32_t i = 0; i < load->per_turn; i++) {
		struct ot_log_batch batch = {
			.bytes = bench->copies + i * bench->batch.bytes,
			.info = &bench->info,
			.origin = OT_ORIGIN_CLIENT,
		};
		if (load->has_producer)
			bench->info.base_sequence = (*sequence)++;
		must(ot_log_stage(bench->log, &batch, &staged, NULL) == OT_OK, "staging");
	}
	must(ot_log_write_staged(bench->log, 1700000000000) == OT_OK, "writing");
}

static double
write_log(struct bench *bench, const struct load *load)
{
	int32_t sequence = 0;
	open_log(bench);
	size_t turn_bytes = bench->batch.bytes * load->per_turn;
	double start = cpu_seconds();
	for (uint64_t done = 0; done < load->bytes; done += turn_bytes)
		append_turn(bench, load, &sequence);
	return cpu_seconds() - start;
}

static void
close_log(struct bench *bench)
{
	must(ot_log_close(bench->log, OT_LOG_CLOSE_DROP) == OT_OK, "closing");
	bench->log = NULL;
}

static void
run(struct bench *bench, const struct load *load)
{
	double best_bare = 1e9, best_log = 1e9;
	build(bench, load);
	for (int round = 0; round < ROUNDS; round++) {
		double seconds = write_bare(bench, load);
		best_bare = OT_MIN(best_bare, seconds);
		seconds = write_log(bench, load);
		best_log = OT_MIN(best_log, seconds);
		close_log(bench);
	}
	double batches = (double)load->bytes / (double)bench->batch.bytes;
	double gigabytes = (double)load->bytes / 1e9;
	printf("%-34s %9.0f ns/batch %7.3f s/GB   bare %7.0f ns %7.3f s/GB   %5.2f x\n", load->name,
	    best_log / batches * 1e9, best_log / gigabytes, best_bare / batches * 1e9,
	    best_bare / gigabytes, best_log / best_bare);
}

/* ---- reads --------------------------------------------------------------------------------- */

static void
plan(struct bench *bench, int64_t offset, int64_t *ret_next)
{
	struct ot_log_read read;
	struct ot_log_read_args args = {
		.offset = offset,
		.bound_offset = ot_log_end_offset(bench->log),
		.bytes_max = 64 * 1024,
		.is_one_at_least = true,
	};
	must(ot_log_plan_read(bench->log, &args, &read) == OT_OK, "planning");
	*ret_next = read.next_offset;
	ot_file_unref(read.file);
}

static void
run_reads(struct bench *bench)
{
	struct load load = { "", 900, 64, 500 * 1000 * 1000, false };
	build(bench, &load);
	write_log(bench, &load);
	int64_t end = ot_log_end_offset(bench->log), next = 0;
	uint64_t count = 0, random = 88172645463325252ull;
	double start = cpu_seconds();
	for (int64_t offset = 0; offset < end; offset = next, count++)
		plan(bench, offset, &next);
	printf("%-34s %9.0f ns\n", "plan a read, sequential, 64 KiB",
	    (cpu_seconds() - start) / (double)count * 1e9);
	start = cpu_seconds();
	for (count = 0; count < 20000; count++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		plan(bench, (int64_t)(random % (uint64_t)end), &next);
	}
	printf("%-34s %9.0f ns\n", "plan a read, anywhere, 64 KiB",
	    (cpu_seconds() - start) / (double)count * 1e9);
	start = cpu_seconds();
	for (count = 0; count < 200000; count++)
		plan(bench, end, &next);
	printf("%-34s %9.0f ns\n", "plan a read at the end",
	    (cpu_seconds() - start) / (double)count * 1e9);
	close_log(bench);
}

int
main(int argc, char **argv)
{
	static const struct load loads[] = {
		{ "100 B, 1 per turn", 32, 1, 20 * 1000 * 1000, false },
		{ "100 B, 64 per turn", 32, 64, 100 * 1000 * 1000, false },
		{ "100 B, 64 per turn, idempotent", 32, 64, 100 * 1000 * 1000, true },
		{ "16 KB, 1 per turn", 16 * 1000, 1, 500 * 1000 * 1000, false },
		{ "16 KB, 16 per turn", 16 * 1000, 16, 500 * 1000 * 1000, false },
		{ "16 KB, 64 per turn", 16 * 1000, 64, 500 * 1000 * 1000, false },
		{ "1 MB, 1 per turn", 1000 * 1000, 1, 500 * 1000 * 1000, false },
	};
	struct bench bench = { .log = NULL };
	snprintf(bench.dir, sizeof(bench.dir), "%s/ottla-bench-XXXXXX",
	    argc > 1 ? argv[1] : "/tmp");
	must(mkdtemp(bench.dir) != NULL, "making a folder");
	ot_writer_init(&bench.batch);
	for (size_t i = 0; i < OT_ARRAY_COUNT(loads); i++)
		run(&bench, &loads[i]);
	run_reads(&bench);
	must(ot_fs_remove_all(ot_fs_host(), bench.dir) == OT_OK, "removing");
	ot_writer_fini(&bench.batch);
	free(bench.copies);
	return 0;
}
