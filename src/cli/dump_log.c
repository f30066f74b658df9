/* kafka-dump-log (DumpLogSegments): the files of a partition's folder, in words. */
#include "cli/dump_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tools_int.h"
#include "log/dump.h"
#include "record/legacy.h"

/* ---- options ------------------------------------------------------------------------------- */

enum {
	OPT_CLUSTER_METADATA = CLI_OPTION_COUNT,
	OPT_DEEP_ITERATION,
	OPT_FILES,
	OPT_INDEX_SANITY,
	OPT_KEY_DECODER,
	OPT_MAX_BYTES,
	OPT_MAX_MESSAGE_SIZE,
	OPT_OFFSETS,
	OPT_OUTPUT,
	OPT_PRINT_DATA_LOG,
	OPT_REMOTE_METADATA,
	OPT_SHARE_STATE,
	OPT_SKIP_METADATA,
	OPT_TRANSACTION_LOG,
	OPT_VALUE_DECODER,
	OPT_VERIFY_INDEX,
};

static const struct cli_option options[] = {
	CLI_COMMON_OPTIONS,
	[OPT_CLUSTER_METADATA] = { .names = "cluster-metadata-decoder",
	    .text = "Show records as those of the cluster's metadata log." },
	[OPT_DEEP_ITERATION] = { .names = "deep-iteration",
	    .text = "Show each record, not only batches." },
	[OPT_FILES] = { .names = "files",
	    .arg = "file1, file2, ...",
	    .kind = CLI_STRING,
	    .flags = CLI_REQUIRED | CLI_REPEATED | CLI_LISTED,
	    .text = "The files, separated by commas: .log, .index, .timeindex, .txnindex, "
		    ".snapshot, .checkpoint." },
	[OPT_INDEX_SANITY] = { .names = "index-sanity-check",
	    .text = "Only check indexes as a broker does at start, to see whether it would rebuild "
		    "them." },
	[OPT_KEY_DECODER] = { .names = "key-decoder-class",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .flags = CLI_OPTIONAL,
	    .fallback = "StringDecoder",
	    .text = "How keys are shown: StringDecoder, IntegerDecoder, LongDecoder, or "
		    "DefaultDecoder for bytes; with or without the name of Kafka's package." },
	[OPT_MAX_BYTES] = { .names = "max-bytes",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "2147483647",
	    .text = "Read no more than that of each log." },
	[OPT_MAX_MESSAGE_SIZE] = { .names = "max-message-size",
	    .arg = "size",
	    .kind = CLI_INTEGER,
	    .fallback = "5242880",
	    .text = "Accepted for old scripts: batches of any size are read." },
	[OPT_OFFSETS] = { .names = "offsets-decoder",
	    .text = "Show records as those of __consumer_offsets." },
	[OPT_OUTPUT] = { .names = "output",
	    .arg = "text or 0.11",
	    .kind = CLI_STRING,
	    .fallback = "text",
	    .text = "The form: today's, or that of Kafka 0.11." },
	[OPT_PRINT_DATA_LOG] = { .names = "print-data-log",
	    .text = "Show keys and values; any decoder does so too." },
	[OPT_REMOTE_METADATA] = { .names = "remote-log-metadata-decoder",
	    .text = "Show records as those of __remote_log_metadata." },
	[OPT_SHARE_STATE] = { .names = "share-group-state-decoder",
	    .text = "Show records as those of __share_group_state." },
	[OPT_SKIP_METADATA] = { .names = "skip-record-metadata",
	    .text = "Show of records only keys and values." },
	[OPT_TRANSACTION_LOG] = { .names = "transaction-log-decoder",
	    .text = "Show records as those of __transaction_state." },
	[OPT_VALUE_DECODER] = { .names = "value-decoder-class",
	    .arg = "class",
	    .kind = CLI_STRING,
	    .flags = CLI_OPTIONAL,
	    .fallback = "StringDecoder",
	    .text = "How values are shown; as --key-decoder-class." },
	[OPT_VERIFY_INDEX] = { .names = "verify-index-only",
	    .text = "Check indexes against the log beside them without printing entries." },
};

/* What the options ask for, and the file that is dumped. */
struct request {
	struct cli *cli;
	const char *path;
	const char *name; /* the path without folders */
	struct dump_decoding decoding;
	struct dump_index_options index;
	uint64_t bytes_max;
	bool is_deep;
	bool has_contents;
	bool has_metadata;
	bool is_of_old; /* the form of 0.11 */
	struct ot_codec_ctx *ctx;
	struct ot_arena arena; /* of one record */
	struct ot_writer line;
	int64_t offset_before; /* of the last record; -1: none */
	const char *gaps;      /* offsets that do not follow each other, for the end */
};

int
dump_fail(struct cli *cli, const char *path, ot_err err)
{
	const char *reason = cli->why.text[0] != '\0' ? cli->why.text : ot_err_message(err);
	cli_fail(cli, "%s: %s", path, reason);
	cli->why.text[0] = '\0';
	return CLI_EXIT_FAILURE;
}

/* ---- batches ------------------------------------------------------------------------------- */

static const char *
timestamp_type_name(enum ot_timestamp_type type)
{
	if (type == OT_LOG_APPEND_TIME)
		return "LogAppendTime";
	return type == OT_CREATE_TIME ? "CreateTime" : "NoTimestampType";
}

static const char *
bool_name(bool value)
{
	return value ? "true" : "false";
}

/* Java's names of codecs: small today, large in 0.11. */
static const char *
codec_name(enum ot_compression compression, bool is_large)
{
	static const char *const large[] = { "NONE", "GZIP", "SNAPPY", "LZ4", "ZSTD" };
	return is_large ? large[compression] : ot_compression_name(compression);
}

/* What batches of all three formats have. */
struct batch {
	const struct ot_dump_batch *dump;
	uint64_t place;
	enum ot_timestamp_type timestamp_type;
	enum ot_compression compression;
	uint32_t crc;
};

static struct batch
batch_of(const struct ot_dump_item *item)
{
	const struct ot_dump_batch *dump = &item->batch;
	struct batch batch = { .dump = dump, .place = item->place };
	if (dump->magic == OT_MAGIC_V2) {
		batch.timestamp_type = dump->info.timestamp_type;
		batch.compression = dump->info.compression;
		batch.crc = dump->info.crc;
		return batch;
	}
	uint8_t attributes = dump->data[OT_MESSAGE_ATTRIBUTES_AT];
	uint8_t codec = attributes & OT_BATCH_ATTR_COMPRESSION;
	batch.timestamp_type = OT_NO_TIMESTAMP_TYPE;
	if (dump->magic == OT_MAGIC_V1)
		batch.timestamp_type = (attributes & OT_BATCH_ATTR_LOG_APPEND_TIME) != 0
		                           ? OT_LOG_APPEND_TIME
		                           : OT_CREATE_TIME;
	batch.compression =
	    codec < OT_COMPRESSION_COUNT ? (enum ot_compression)codec : OT_COMPRESSION_NONE;
	batch.crc = ot_get_u32(dump->data + OT_MESSAGE_CRC_AT);
	return batch;
}

static void
print_batch(const struct batch *batch)
{
	const struct ot_dump_batch *dump = batch->dump;
	const struct ot_batch_info *info = &dump->info;
	if (dump->magic == OT_MAGIC_V2) {
		printf("baseOffset: %" PRId64 " lastOffset: %" PRId64
		       " count: %d baseSequence: %d lastSequence: %d producerId: %" PRId64
		       " producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %s "
		       "isControl: %s deleteHorizonMs: ",
		    dump->base_offset, dump->last_offset, info->record_count, info->base_sequence,
		    ot_batch_info_last_sequence(info), info->producer_id, info->producer_epoch,
		    info->leader_epoch, bool_name(info->is_transactional),
		    bool_name(info->is_control));
		if (info->has_delete_horizon)
			printf("OptionalLong[%" PRId64 "]", ot_batch_info_delete_horizon(info));
		else
			printf("OptionalLong.empty");
	} else {
		printf("offset: %" PRId64, dump->last_offset);
	}
	printf(" position: %" PRIu64 " %s: %" PRId64
	       " size: %zu magic: %d compresscodec: %s crc: %u isvalid: %s\n",
	    batch->place, timestamp_type_name(batch->timestamp_type), dump->max_timestamp,
	    dump->bytes, dump->magic, codec_name(batch->compression, false), batch->crc,
	    bool_name(dump->is_valid));
}

static void
print_batch_of_old(const struct batch *batch)
{
	const struct ot_dump_batch *dump = batch->dump;
	const struct ot_batch_info *info = &dump->info;
	if (dump->magic == OT_MAGIC_V2)
		printf("baseOffset: %" PRId64 " lastOffset: %" PRId64
		       " baseSequence: %d lastSequence: %d producerId: %" PRId64
		       " producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %s",
		    dump->base_offset, dump->last_offset, info->base_sequence,
		    ot_batch_info_last_sequence(info), info->producer_id, info->producer_epoch,
		    info->leader_epoch, bool_name(info->is_transactional));
	else
		printf("offset: %" PRId64, dump->last_offset);
	printf(" position: %" PRIu64 " %s: %" PRId64
	       " isvalid: %s size: %zu magic: %d compresscodec: %s crc: %u\n",
	    batch->place, timestamp_type_name(batch->timestamp_type), dump->max_timestamp,
	    bool_name(dump->is_valid), dump->bytes, dump->magic,
	    codec_name(batch->compression, true), batch->crc);
}

/* ---- records ------------------------------------------------------------------------------- */

static void
print_headers(struct ot_bytes headers)
{
	struct ot_header header;
	const char *before = "";
	printf(" headerKeys: [");
	while (ot_headers_next(&headers, &header)) {
		printf("%s%.*s", before, OT_STR_ARG(header.key));
		before = ",";
	}
	putchar(']');
}

static void
print_metadata(const struct batch *batch, const struct ot_record *record)
{
	printf("| offset: %" PRId64 " %s: %" PRId64 " keySize: %d valueSize: %d", record->offset,
	    timestamp_type_name(batch->timestamp_type), record->timestamp, record->key.len,
	    record->value.len);
	if (batch->dump->magic == OT_MAGIC_V2) {
		printf(" sequence: %d", record->sequence);
		print_headers(record->headers);
	} else if (batch->compression == OT_COMPRESSION_NONE) {
		printf(" isValid: %s crc: %u", bool_name(batch->dump->is_valid), batch->crc);
	}
}

static void
print_metadata_of_old(const struct batch *batch, const struct ot_record *record)
{
	const struct ot_batch_info *info = &batch->dump->info;
	printf("offset: %" PRId64 " position: %" PRIu64 " %s: %" PRId64
	       " isvalid: %s keysize: %d valuesize: %d magic: %d compresscodec: %s",
	    record->offset, batch->place, timestamp_type_name(batch->timestamp_type),
	    record->timestamp, bool_name(batch->dump->is_valid), record->key.len, record->value.len,
	    batch->dump->magic, codec_name(batch->compression, true));
	if (batch->dump->magic != OT_MAGIC_V2) {
		printf(" crc: %u", batch->crc);
		return;
	}
	printf(" producerId: %" PRId64 " sequence: %d isTransactional: %s", info->producer_id,
	    record->sequence, bool_name(info->is_transactional));
	print_headers(record->headers);
}

static void
note_gap(struct request *request, int64_t offset)
{
	if (request->offset_before >= 0 && offset != request->offset_before + 1)
		request->gaps =
		    cli_format(request->cli, "%s  %" PRId64 " is followed by %" PRId64 "\n",
			request->gaps, request->offset_before, offset);
	request->offset_before = offset;
}

static void
print_record(struct request *request, const struct batch *batch, const struct ot_record *record)
{
	bool is_control = batch->dump->magic == OT_MAGIC_V2 && batch->dump->info.is_control;
	note_gap(request, record->offset);
	ot_writer_reset(&request->line);
	ot_arena_reset(&request->arena);
	if (request->has_metadata && request->is_of_old)
		print_metadata_of_old(batch, record);
	else if (request->has_metadata)
		print_metadata(batch, record);
	if (is_control && request->has_metadata)
		dump_control_put(record, &request->arena, &request->line);
	if (!is_control && request->has_contents)
		dump_record_put(&request->decoding, record, request->has_metadata ? " " : "| ",
		    &request->arena, &request->line);
	if (request->line.bytes > 0)
		fwrite(request->line.data, 1, request->line.bytes, stdout);
	putchar('\n');
}

static ot_err
print_records_of_batch(struct request *request, const struct batch *batch)
{
	struct ot_record_iter iter;
	struct ot_record_iter_options iter_options = { .ctx = request->ctx };
	struct ot_record record;
	ot_err err = ot_record_iter_open(&iter, batch->dump->data, &batch->dump->info,
	    &iter_options, &request->cli->why);
	if (err != OT_OK)
		return err;
	while (ot_record_iter_next(&iter, &record))
		print_record(request, batch, &record);
	return ot_record_iter_close(&iter);
}

static ot_err
print_records_of_set(struct request *request, const struct batch *batch)
{
	struct ot_message_iter iter;
	struct ot_message_iter_options iter_options = { .ctx = request->ctx };
	struct ot_record record;
	ot_message_iter_open(&iter, batch->dump->data, batch->dump->bytes, &iter_options,
	    &request->cli->why);
	while (ot_message_iter_next(&iter, &record))
		print_record(request, batch, &record);
	return ot_message_iter_close(&iter);
}

/* ---- a log --------------------------------------------------------------------------------- */

static bool
has_suffix(const char *name, const char *suffix)
{
	size_t name_bytes = strlen(name);
	size_t suffix_bytes = strlen(suffix);
	return name_bytes >= suffix_bytes && strcmp(name + name_bytes - suffix_bytes, suffix) == 0;
}

/* The line above all batches: what the file's name says. */
static void
print_title(const struct request *request, const struct ot_dump *dump)
{
	if (!has_suffix(request->name, ".checkpoint")) {
		printf("%s: %" PRId64 "\n",
		    request->is_of_old ? "Starting offset" : "Log starting offset",
		    ot_dump_base_offset(dump));
		return;
	}
	const char *dash = strchr(request->name, '-');
	if (dash == NULL)
		printf("KRaft bootstrap snapshot\n");
	else
		printf("Snapshot end offset: %llu, epoch: %llu\n",
		    strtoull(request->name, NULL, 10), strtoull(dash + 1, NULL, 10));
}

static int
print_batches(struct request *request, struct ot_dump *dump)
{
	struct ot_dump_item item;
	int status = CLI_EXIT_OK;
	while (ot_dump_next(dump, &item)) {
		struct batch batch = batch_of(&item);
		if (item.place + item.batch.bytes > request->bytes_max)
			break;
		if (request->is_of_old && !request->is_deep)
			print_batch_of_old(&batch);
		else if (!request->is_of_old)
			print_batch(&batch);
		if (!request->is_deep)
			continue;
		ot_err err = item.batch.magic == OT_MAGIC_V2
		                 ? print_records_of_batch(request, &batch)
		                 : print_records_of_set(request, &batch);
		if (err != OT_OK)
			status = cli_fail(request->cli,
			    "%s: the records at position %" PRIu64 " cannot be read: %s",
			    request->path, item.place, request->cli->why.text);
	}
	return status;
}

static int
dump_records(struct request *request)
{
	struct ot_dump *dump;
	struct cli *cli = request->cli;
	ot_err err = has_suffix(request->name, ".checkpoint")
	                 ? ot_dump_open_batches(ot_fs_host(), request->path, &dump, &cli->why)
	                 : ot_dump_open(ot_fs_host(), request->path, &dump, &cli->why);
	if (err != OT_OK)
		return dump_fail(cli, request->path, err);
	print_title(request, dump);
	request->offset_before = -1;
	request->gaps = "";
	int status = print_batches(request, dump);
	uint64_t rest = ot_dump_file_bytes(dump) - ot_dump_place(dump);
	bool is_whole = request->bytes_max >= INT32_MAX;
	err = ot_dump_close(dump, &cli->why);
	if (rest > 0 && is_whole)
		printf("Found %" PRIu64 " invalid bytes at the end of %s\n", rest, request->name);
	if (err != OT_OK && is_whole)
		status = dump_fail(cli, request->path, err);
	if (*request->gaps != '\0')
		fprintf(stderr, "Non-consecutive offsets in %s\n%s", request->path, request->gaps);
	return status;
}

/* ---- the other files ----------------------------------------------------------------------- */

static void
print_producer(const struct ot_dump_producer *producer)
{
	printf("producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %d "
	       "currentTxnFirstOffset: ",
	    producer->producer_id, producer->producer_epoch, producer->coordinator_epoch);
	if (producer->txn_first_offset >= 0)
		printf("OptionalLong[%" PRId64 "]", producer->txn_first_offset);
	else
		printf("OptionalLong.empty");
	printf(" lastTimestamp: %" PRId64, producer->timestamp);
	if (producer->last_offset >= 0)
		printf(" firstSequence: %d lastSequence: %d lastOffset: %" PRId64
		       " offsetDelta: %d timestamp: %" PRId64,
		    ot_sequence_add(producer->last_sequence, -producer->offset_delta),
		    producer->last_sequence, producer->last_offset, producer->offset_delta,
		    producer->timestamp);
	putchar('\n');
}

static int
dump_entries(struct request *request)
{
	struct ot_dump *dump;
	struct ot_dump_item item;
	struct cli *cli = request->cli;
	ot_err err = ot_dump_open(ot_fs_host(), request->path, &dump, &cli->why);
	if (err != OT_OK)
		return dump_fail(cli, request->path, err);
	while (ot_dump_next(dump, &item)) {
		if (item.kind == OT_DUMP_SNAPSHOT)
			print_producer(&item.producer);
		else
			printf("version: %d producerId: %" PRId64 " firstOffset: %" PRId64
			       " lastOffset: %" PRId64 " lastStableOffset: %" PRId64 "\n",
			    item.txn_entry.version, item.txn_entry.producer_id,
			    item.txn_entry.first_offset, item.txn_entry.last_offset,
			    item.txn_entry.last_stable_offset);
	}
	err = ot_dump_close(dump, &cli->why);
	return err == OT_OK ? CLI_EXIT_OK : dump_fail(cli, request->path, err);
}

static int
dump_file(struct request *request, const char *path)
{
	const char *slash = strrchr(path, '/');
	request->path = path;
	request->name = slash != NULL ? slash + 1 : path;
	printf("Dumping %s\n", path);
	if (has_suffix(path, ".log") || has_suffix(path, ".checkpoint"))
		return dump_records(request);
	if (has_suffix(path, ".timeindex"))
		return dump_time_index(request->cli, path, &request->index);
	if (has_suffix(path, ".index"))
		return dump_offset_index(request->cli, path, &request->index);
	if (has_suffix(path, ".txnindex") || has_suffix(path, ".snapshot"))
		return dump_entries(request);
	return cli_fail(request->cli, "Ignoring unknown file %s", path);
}

/* ---- the tool ------------------------------------------------------------------------------ */

static bool
read_class(struct cli *cli, unsigned option, enum dump_class *ret_class)
{
	const char *name = cli_get(&cli->args, option);
	if (name == NULL)
		name = options[option].fallback;
	if (dump_class_find(name, ret_class))
		return true;
	cli_fail(cli, "there is no decoder %s; --help lists them", name);
	return false;
}

static bool
read_request(struct cli *cli, struct request *ret_request)
{
	static const struct {
		unsigned option;
		enum dump_decoder decoder;
	} decoders[] = {
		{ OPT_SHARE_STATE, DUMP_DECODE_SHARE_STATE },
		{ OPT_REMOTE_METADATA, DUMP_DECODE_REMOTE_METADATA },
		{ OPT_CLUSTER_METADATA, DUMP_DECODE_METADATA },
		{ OPT_TRANSACTION_LOG, DUMP_DECODE_TRANSACTIONS },
		{ OPT_OFFSETS, DUMP_DECODE_OFFSETS },
	};
	const struct cli_args *args = &cli->args;
	struct request request = { .cli = cli };
	for (size_t i = 0; i < OT_ARRAY_COUNT(decoders); i++) {
		if (cli_has(args, decoders[i].option))
			request.decoding.decoder = decoders[i].decoder;
	}
	request.has_contents = request.decoding.decoder != DUMP_DECODE_TEXT ||
	                       cli_has(args, OPT_PRINT_DATA_LOG) ||
	                       cli_has(args, OPT_KEY_DECODER) || cli_has(args, OPT_VALUE_DECODER);
	request.is_deep = request.has_contents || cli_has(args, OPT_DEEP_ITERATION);
	request.has_metadata = !cli_has(args, OPT_SKIP_METADATA);
	request.is_of_old = strcmp(cli_get(args, OPT_OUTPUT), "0.11") == 0;
	request.bytes_max = (uint64_t)OT_MAX(cli_get_number(args, OPT_MAX_BYTES), 0);
	if (request.bytes_max == INT32_MAX)
		request.bytes_max = UINT64_MAX; /* Kafka's default, which means all */
	request.index.is_sanity_only = cli_has(args, OPT_INDEX_SANITY);
	request.index.is_verify_only = cli_has(args, OPT_VERIFY_INDEX);
	*ret_request = request;
	return read_class(cli, OPT_KEY_DECODER, &ret_request->decoding.key_class) &&
	       read_class(cli, OPT_VALUE_DECODER, &ret_request->decoding.value_class);
}

static int
run(struct cli *cli)
{
	struct request request;
	struct cli_values files = cli_get_all(&cli->args, OPT_FILES);
	int status = CLI_EXIT_OK;
	if (!read_request(cli, &request))
		return CLI_EXIT_FAILURE;
	request.ctx = ot_codec_ctx_create();
	ot_writer_init(&request.line);
	ot_arena_init(&request.arena, 0);
	for (size_t i = 0; i < files.count; i++) {
		const char *path = files.items[i] + strspn(files.items[i], " ");
		int one = dump_file(&request, path);
		status = OT_MAX(status, one);
	}
	ot_arena_fini(&request.arena);
	ot_writer_fini(&request.line);
	ot_codec_ctx_destroy(request.ctx);
	return status;
}

static const struct cli_rule rules[] = {
	{ CLI_RULE_WORD, OPT_OUTPUT, 0, "text 0.11" },
	{ CLI_RULE_END, 0, 0, NULL },
};

const struct cli_tool cli_dump_log_tool = {
	.self = {
		.name = "dump-log",
		.summary = "Show the files of a partition's folder.",
		.purpose = "This tool helps to parse a log file and dump its contents to the "
			   "console, useful for\ndebugging a seemingly corrupt log segment.",
		.options = options,
		.option_count = OT_ARRAY_COUNT(options),
		.rules = rules,
		.run = run,
	},
	.classes = "DumpLogSegments",
};
