/* What the parts of kafka-dump-log share: decoding records, and checking indexes.
 * @owner main thread   @blocks for the disk */
#ifndef OT_CLI_DUMP_INT_H
#define OT_CLI_DUMP_INT_H

#include "cli/cli_int.h"
#include "record/iterate.h"

/* How keys and values are shown. */
enum dump_decoder {
	DUMP_DECODE_TEXT, /* by the two below */
	DUMP_DECODE_OFFSETS,
	DUMP_DECODE_TRANSACTIONS,
	DUMP_DECODE_METADATA,
	DUMP_DECODE_REMOTE_METADATA,
	DUMP_DECODE_SHARE_STATE,
};

/* Kafka's decoder classes, by what they make of bytes. */
enum dump_class { DUMP_CLASS_STRING, DUMP_CLASS_INTEGER, DUMP_CLASS_LONG, DUMP_CLASS_BYTES };

struct dump_decoding {
	enum dump_decoder decoder;
	enum dump_class key_class;
	enum dump_class value_class;
};

/* The class of that name, with or without package; false for one that is not known. */
bool dump_class_find(const char *name, enum dump_class *ret_class);

/* Appends " key: ... payload: ..." of a record; `prefix` stands before the first of them. Bytes
 * that are not what the decoder expects are told of in their place. */
void dump_record_put(const struct dump_decoding *decoding, const struct ot_record *record,
    const char *prefix, struct ot_arena *arena, struct ot_writer *out);

/* Appends what a control record says, " endTxnMarker: COMMIT coordinatorEpoch: 0". */
void dump_control_put(const struct ot_record *record, struct ot_arena *arena,
    struct ot_writer *out);

/* Says why a file could not be read: cli->why, or the error's own words. CLI_EXIT_FAILURE. */
int dump_fail(struct cli *cli, const char *path, ot_err err);

struct dump_index_options {
	bool is_sanity_only;
	bool is_verify_only; /* entries are not printed */
};

/* Prints and checks an offset index or a time index against the log beside it. What is wrong is
 * told on standard error; then CLI_EXIT_FAILURE. */
int dump_offset_index(struct cli *cli, const char *path, const struct dump_index_options *options);
int dump_time_index(struct cli *cli, const char *path, const struct dump_index_options *options);

#endif
