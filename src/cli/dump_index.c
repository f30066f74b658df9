/* Offset and time indexes: their entries, and whether the log beside them says the same. */
#include "cli/dump_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/dump.h"
#include "record/legacy.h"

enum { INDEX_FILE_BYTES_MAX = 1024 * 1024 * 1024 };

/* The log of the same segment, read in place. */
struct segment {
	struct ot_file *file;
	uint64_t bytes;
};

/* A batch found there; of magic 0 and 1 an entry. */
struct found {
	uint64_t place;
	size_t bytes;
	int64_t last_offset;
	int8_t magic;
};

/* "/a/000.index" as "/a/000.log". */
static const char *
sibling(struct cli *cli, const char *path, const char *suffix)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t stem = (size_t)(name - path) + strcspn(name, ".");
	return cli_format(cli, "%.*s%s", (int)stem, path, suffix);
}

/* Kafka's messages name files by their whole path. */
static const char *
absolute(struct cli *cli, const char *path)
{
	char folder[4096];
	if (*path == '/' || getcwd(folder, sizeof(folder)) == NULL)
		return path;
	return cli_format(cli, "%s/%s", folder, path);
}

static bool
open_segment(struct cli *cli, const char *path, struct segment *ret_segment)
{
	const char *log = sibling(cli, path, ".log");
	ot_err err = ot_fs_open(ot_fs_host(), log, OT_OPEN_READ, &ret_segment->file);
	if (err == OT_OK)
		err = ot_file_size(ret_segment->file, &ret_segment->bytes);
	if (err == OT_OK)
		return true;
	cli_fail(cli, "%s cannot be read, and without it the index cannot be checked: %s", log,
	    ot_err_message(err));
	return false;
}

/* The batch at `place`; false where there is no whole one. */
static bool
batch_at(const struct segment *segment, uint64_t place, struct found *ret_found)
{
	uint8_t header[OT_BATCH_HEADER_BYTES];
	size_t bytes = 0;
	struct ot_batch_peek peek;
	if (place >= segment->bytes ||
	    ot_file_read(segment->file, header, sizeof(header), place, &bytes) != OT_OK ||
	    ot_batch_peek(header, bytes, &peek) != OT_OK || peek.bytes > segment->bytes - place)
		return false;
	*ret_found = (struct found){ place, peek.bytes, peek.offset, peek.magic };
	if (peek.magic == OT_MAGIC_V2)
		ret_found->last_offset = ot_batch_last_offset(header);
	return true;
}

/* ---- offset index -------------------------------------------------------------------------- */

struct mismatch {
	int64_t index_offset;
	int64_t log_offset;
};

static void
print_mismatches(struct cli *cli, const char *path, const struct mismatch *items, size_t count)
{
	if (count == 0)
		return;
	fflush(stdout);
	fprintf(stderr, "Mismatches in :%s\n", absolute(cli, path));
	for (size_t i = count; i > 0; i--) /* the last first, as Kafka has them */
		fprintf(stderr, "  Index offset: %" PRId64 ", log offset: %" PRId64 "\n",
		    items[i - 1].index_offset, items[i - 1].log_offset);
}

/* Reads all entries of an index that is open; those behind the first one that repeats the base
 * offset are zeros that a crash has left. */
static void
read_entries(struct cli *cli, struct ot_dump *dump, struct ot_dump_item **ret_items,
    size_t *ret_count)
{
	size_t room = (size_t)(ot_dump_file_bytes(dump) / 8) + 1;
	size_t count = 0;
	struct ot_dump_item *items = cli_alloc(cli, room, sizeof(*items));
	while (count < room && ot_dump_next(dump, &items[count])) {
		int64_t offset = items[count].kind == OT_DUMP_TIME_INDEX
		                     ? items[count].time_entry.offset
		                     : items[count].offset_entry.offset;
		if (count > 0 && offset == ot_dump_base_offset(dump))
			break;
		count++;
	}
	*ret_items = items;
	*ret_count = count;
}

/* What a broker checks at start: whole entries, and a last one that lies behind the base offset. */
static int
check_sanity(struct cli *cli, const char *path, struct ot_dump *dump, int64_t last_offset,
    size_t count, size_t entry_bytes)
{
	if (ot_dump_file_bytes(dump) % entry_bytes != 0)
		return cli_fail(cli,
		    "%s: the size of %" PRIu64
		    " bytes is no multiple of %zu; it will be rebuilt at "
		    "start",
		    path, ot_dump_file_bytes(dump), entry_bytes);
	if (count > 0 && last_offset < ot_dump_base_offset(dump))
		return cli_fail(cli,
		    "%s: the last offset %" PRId64 " lies before the base offset %" PRId64
		    "; it will be rebuilt at start",
		    path, last_offset, ot_dump_base_offset(dump));
	printf("%s passed sanity check.\n", path);
	return CLI_EXIT_OK;
}

static int
check_offsets(struct cli *cli, const char *path, const struct dump_index_options *options,
    const struct ot_dump_item *items, size_t count)
{
	struct segment segment = { NULL, 0 };
	size_t mismatch_count = 0;
	struct mismatch *mismatches = cli_alloc(cli, count, sizeof(*mismatches));
	bool is_open = open_segment(cli, path, &segment);
	for (size_t i = 0; i < count; i++) {
		struct found found = { .last_offset = -1 };
		int64_t offset = items[i].offset_entry.offset;
		if (is_open)
			batch_at(&segment, items[i].offset_entry.place, &found);
		if (is_open && found.last_offset != offset)
			mismatches[mismatch_count++] =
			    (struct mismatch){ offset, found.last_offset };
		if (!options->is_verify_only)
			printf("offset: %" PRId64 " position: %" PRIu64 "\n", offset,
			    items[i].offset_entry.place);
	}
	ot_file_unref(segment.file);
	print_mismatches(cli, path, mismatches, mismatch_count);
	return is_open && mismatch_count == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int
dump_offset_index(struct cli *cli, const char *path, const struct dump_index_options *options)
{
	struct ot_dump *dump;
	struct ot_dump_item *items;
	size_t count;
	ot_err err = ot_dump_open(ot_fs_host(), path, &dump, &cli->why);
	if (err != OT_OK)
		return dump_fail(cli, path, err);
	read_entries(cli, dump, &items, &count);
	int status;
	if (count == 0) {
		printf("%s is empty.\n", path);
		status = CLI_EXIT_OK;
	} else if (options->is_sanity_only) {
		status =
		    check_sanity(cli, path, dump, items[count - 1].offset_entry.offset, count, 8);
	} else {
		status = check_offsets(cli, path, options, items, count);
	}
	err = ot_dump_close(dump, &cli->why);
	return err == OT_OK ? status : dump_fail(cli, path, err);
}

/* ---- time index ---------------------------------------------------------------------------- */

/* Places by offset, of the .index beside it. */
struct places {
	struct ot_dump_item *items;
	size_t count;
};

static uint64_t
place_before(const struct places *places, int64_t offset)
{
	size_t low = 0;
	size_t high = places->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (places->items[middle].offset_entry.offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? places->items[low - 1].offset_entry.place : 0;
}

static int64_t
max_timestamp_of_set(const uint8_t *data, size_t bytes, struct ot_codec_ctx *ctx)
{
	struct ot_message_iter iter;
	struct ot_message_iter_options options = { .ctx = ctx };
	struct ot_record record;
	int64_t max = -1;
	ot_message_iter_open(&iter, data, bytes, &options, NULL);
	while (ot_message_iter_next(&iter, &record))
		max = OT_MAX(max, record.timestamp);
	return ot_message_iter_close(&iter) == OT_OK ? max : -1;
}

static int64_t
max_timestamp_of_batch(const uint8_t *data, size_t bytes, struct ot_codec_ctx *ctx)
{
	struct ot_batch_info info;
	struct ot_record_iter iter;
	struct ot_record_iter_options options = { .ctx = ctx };
	struct ot_record record;
	int64_t max = -1;
	if (ot_batch_parse(data, bytes, &info, NULL) != OT_OK ||
	    ot_record_iter_open(&iter, data, &info, &options, NULL) != OT_OK)
		return -1;
	while (ot_record_iter_next(&iter, &record))
		max = OT_MAX(max, record.timestamp);
	return ot_record_iter_close(&iter) == OT_OK ? max : -1;
}

/* The greatest timestamp of the records in a batch; -1 when they cannot be read. */
static int64_t
max_timestamp(const struct segment *segment, const struct found *found, struct ot_codec_ctx *ctx)
{
	struct ot_writer bytes;
	size_t have = 0;
	int64_t max = -1;
	ot_writer_init(&bytes);
	if (ot_writer_reserve(&bytes, found->bytes) &&
	    ot_file_read(segment->file, bytes.data, found->bytes, found->place, &have) == OT_OK &&
	    have == found->bytes)
		max = found->magic == OT_MAGIC_V2 ? max_timestamp_of_batch(bytes.data, have, ctx)
		                                  : max_timestamp_of_set(bytes.data, have, ctx);
	ot_writer_fini(&bytes);
	return max;
}

/* What is wrong with a time index, in Kafka's three kinds. */
struct complaints {
	const char *mismatches;
	const char *disorder;
	const char *missing;
};

static void
check_time(struct cli *cli, const struct segment *segment, const struct places *places,
    const struct ot_dump_item *entry, int64_t timestamp_before, struct ot_codec_ctx *ctx,
    struct complaints *complaints)
{
	int64_t offset = entry->time_entry.offset;
	int64_t timestamp = entry->time_entry.timestamp;
	struct found found = { .place = place_before(places, offset), .last_offset = -1 };
	bool is_found = batch_at(segment, found.place, &found);
	while (is_found && found.last_offset < offset)
		is_found = batch_at(segment, found.place + found.bytes, &found);
	if (!is_found || found.last_offset != offset) {
		complaints->missing = cli_format(cli,
		    "%sIndexed offset: %" PRId64 ", found log offset: %" PRId64 "\n",
		    complaints->missing, offset, is_found ? found.last_offset : -1);
		return;
	}
	int64_t max = max_timestamp(segment, &found, ctx);
	if (max != timestamp)
		complaints->mismatches = cli_format(cli,
		    "%s  Index timestamp: %" PRId64 ", log timestamp: %" PRId64 "\n",
		    complaints->mismatches, timestamp, max);
	if (timestamp_before >= timestamp)
		complaints->disorder = cli_format(cli,
		    "%s  Index timestamp: %" PRId64 ", Previously indexed timestamp: %" PRId64 "\n",
		    complaints->disorder, timestamp, timestamp_before);
}

static int
complain(struct cli *cli, const char *path, const struct complaints *complaints)
{
	fflush(stdout);
	if (*complaints->mismatches != '\0')
		fprintf(stderr, "Found timestamp mismatch in :%s\n%s", absolute(cli, path),
		    complaints->mismatches);
	if (*complaints->disorder != '\0')
		fprintf(stderr, "Found out of order timestamp in :%s\n%s", absolute(cli, path),
		    complaints->disorder);
	if (*complaints->missing != '\0')
		fprintf(stderr, "The following indexed offsets are not found in the log.\n%s",
		    complaints->missing);
	bool is_good = *complaints->mismatches == '\0' && *complaints->disorder == '\0' &&
	               *complaints->missing == '\0';
	return is_good ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

static int
check_times(struct cli *cli, const char *path, const struct dump_index_options *options,
    const struct ot_dump_item *items, size_t count)
{
	struct segment segment = { NULL, 0 };
	struct places places = { 0 };
	struct ot_dump *index = NULL;
	struct ot_codec_ctx *ctx = ot_codec_ctx_create();
	struct complaints complaints = { "", "", "" };
	int64_t before = OT_NO_TIMESTAMP;
	const char *index_path = sibling(cli, path, ".index");
	bool is_open = open_segment(cli, path, &segment);
	if (is_open && ot_dump_open(ot_fs_host(), index_path, &index, &cli->why) == OT_OK) {
		read_entries(cli, index, &places.items, &places.count);
		is_open = ot_dump_close(index, &cli->why) == OT_OK;
	}
	for (size_t i = 0; i < count; i++) {
		if (is_open)
			check_time(cli, &segment, &places, &items[i], before, ctx, &complaints);
		if (!options->is_verify_only)
			printf("timestamp: %" PRId64 " offset: %" PRId64 "\n",
			    items[i].time_entry.timestamp, items[i].time_entry.offset);
		before = items[i].time_entry.timestamp;
	}
	ot_codec_ctx_destroy(ctx);
	ot_file_unref(segment.file);
	int status = complain(cli, path, &complaints);
	return is_open ? status : CLI_EXIT_FAILURE;
}

int
dump_time_index(struct cli *cli, const char *path, const struct dump_index_options *options)
{
	struct ot_dump *dump;
	struct ot_dump_item *items;
	size_t count;
	ot_err err = ot_dump_open(ot_fs_host(), path, &dump, &cli->why);
	if (err != OT_OK)
		return dump_fail(cli, path, err);
	read_entries(cli, dump, &items, &count);
	int64_t last = count > 0 ? items[count - 1].time_entry.offset : 0;
	int status = options->is_sanity_only ? check_sanity(cli, path, dump, last, count, 12)
	                                     : check_times(cli, path, options, items, count);
	err = ot_dump_close(dump, &cli->why);
	return err == OT_OK ? status : dump_fail(cli, path, err);
}
