#include "log/logdir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "log/atomic_int.h"
#include "log/log_int.h"
#include "log/rows_int.h"

#define LOCK_NAME      ".lock"
#define META_NAME      "meta.properties"
#define STOP_NAME      ".kafka_cleanshutdown"
#define RUN_NAME       ".ottla_run"
#define PROBE_NAME     ".ottla_probe"
#define PARTITION_NAME "partition.metadata"

enum {
	META_BYTES_MAX = 64 * 1024,
	STOP_BYTES_MAX = 4096,
	RUN_BYTES_MAX = 128,
	CHECKPOINT_BYTES_MAX = 1024 * 1024 * 1024,
	META_VERSION = 1,
};

struct ot_logdir {
	struct ot_fs *fs;
	char *path;
	struct ot_file *lock;
	struct ot_logdir_meta meta;
};

/* Replaces a file and makes its name durable. */
static ot_err
replace(struct ot_fs *fs, const char *path, const char *name, const struct ot_writer *out)
{
	if (out->failed)
		return OT_ERR_NO_MEMORY;
	ot_err err = log_replace_file(fs, path, name, out->data, out->bytes);
	return err == OT_OK ? ot_fs_sync_dir(fs, path) : err;
}

static void print(struct ot_writer *out, const char *fmt, ...) OT_PRINTF(2, 3);

static void
print(struct ot_writer *out, const char *fmt, ...)
{
	char line[OT_LOGDIR_NAME_BYTES_MAX + 128];
	va_list args;
	va_start(args, fmt);
	int length = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	OT_ASSERT(length >= 0 && length < (int)sizeof(line));
	ot_write_raw(out, line, (size_t)length);
}

/* ---- meta.properties ----------------------------------------------------------------------- */

static bool
is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\f';
}

static struct ot_str
trim(const char *begin, const char *end)
{
	while (begin < end && is_blank(*begin))
		begin++;
	while (end > begin && is_blank(end[-1]))
		end--;
	return (struct ot_str){ .data = begin, .len = (int32_t)(end - begin) };
}

/* An empty text may lie at NULL, with which C defines no sum. */
static const char *
end_of(const char *text, size_t bytes)
{
	return bytes > 0 ? text + bytes : text;
}

static bool
parse_int32(struct ot_str text, int32_t *ret_value)
{
	struct log_rows rows = { .next = text.data, .end = text.data + text.len };
	int64_t value = 0;
	if (!log_rows_int(&rows, &value) || !log_rows_is_end(&rows))
		return false;
	if (value < INT32_MIN || value > INT32_MAX)
		return false;
	*ret_value = (int32_t)value;
	return true;
}

/* Control bytes would not be read back as they were written. */
static bool
take_cluster_id(struct ot_logdir_meta *meta, struct ot_str value)
{
	if (value.len > OT_CLUSTER_ID_BYTES_MAX)
		return false;
	for (int32_t i = 0; i < value.len; i++) {
		if ((unsigned char)value.data[i] < ' ')
			return false;
	}
	memcpy(meta->cluster_id, value.data, (size_t)value.len);
	meta->cluster_id[value.len] = '\0';
	return true;
}

/* Takes one property; unknown keys are other versions' business. */
static bool
take_property(struct ot_logdir_meta *meta, struct ot_str key, struct ot_str value)
{
	if (ot_str_is(key, "version"))
		return parse_int32(value, &meta->version);
	if (ot_str_is(key, "node.id") || ot_str_is(key, "broker.id"))
		return parse_int32(value, &meta->node_id);
	if (ot_str_is(key, "directory.id"))
		return ot_uuid_from_text(value.data, (size_t)value.len, &meta->directory_id) ==
		       OT_OK;
	return !ot_str_is(key, "cluster.id") || take_cluster_id(meta, value);
}

static bool
parse_property(struct ot_logdir_meta *meta, const char *begin, const char *end)
{
	struct ot_str line = trim(begin, end);
	if (line.len == 0 || line.data[0] == '#' || line.data[0] == '!')
		return true;
	const char *sign = line.data;
	const char *line_end = line.data + line.len;
	while (sign < line_end && *sign != '=' && *sign != ':')
		sign++;
	if (sign == line_end)
		return false;
	return take_property(meta, trim(line.data, sign), trim(sign + 1, line_end));
}

static ot_err
parse_meta(const char *text, size_t bytes, struct ot_logdir_meta *ret_meta, struct ot_why *why)
{
	struct ot_logdir_meta meta = { .version = -1, .node_id = -1 };
	const char *end = end_of(text, bytes);
	unsigned line = 1;
	for (const char *begin = text; begin < end; line++) {
		const char *stop = memchr(begin, '\n', (size_t)(end - begin));
		stop = stop == NULL ? end : stop;
		if (!parse_property(&meta, begin, stop)) {
			ot_why_set(why, "Line %u of " META_NAME " is not a valid property.", line);
			return OT_ERR_CORRUPT_FILE;
		}
		begin = stop + 1;
	}
	if (meta.version < 0 || meta.version > META_VERSION) {
		ot_why_set(why, META_NAME " must say version=0 or version=1; it says %" PRId32 ".",
		    meta.version);
		return OT_ERR_CORRUPT_FILE;
	}
	*ret_meta = meta;
	return OT_OK;
}

ot_err
ot_logdir_read_meta(struct ot_fs *fs, const char *path, struct ot_logdir_meta *ret_meta,
    struct ot_why *why)
{
	char file_path[LOG_PATH_BYTES];
	struct ot_writer text;
	struct ot_why damage = { "" };
	ot_writer_init(&text);
	log_path_named(file_path, path, META_NAME);
	ot_err err = log_read_file(fs, file_path, META_BYTES_MAX, &text);
	if (err == OT_OK)
		err = parse_meta((const char *)text.data, text.bytes, ret_meta, &damage);
	if (damage.text[0] != '\0')
		ot_why_set(why, "In the log directory %s: %s", path, damage.text);
	ot_writer_fini(&text);
	return err;
}

static ot_err
write_meta(struct ot_fs *fs, const char *path, const struct ot_logdir_meta *meta)
{
	struct ot_writer out;
	char directory_id[OT_UUID_TEXT_BYTES];
	ot_writer_init(&out);
	ot_uuid_to_text(&meta->directory_id, directory_id);
	print(&out, "#\nversion=%d\nnode.id=%" PRId32 "\n", META_VERSION, meta->node_id);
	print(&out, "cluster.id=%s\ndirectory.id=%s\n", meta->cluster_id, directory_id);
	ot_err err = replace(fs, path, META_NAME, &out);
	ot_writer_fini(&out);
	return err;
}

/* Compares with what the caller is; fills what is not told yet. */
static ot_err
settle_meta(struct ot_logdir_meta *meta, const struct ot_logdir_open_args *args, struct ot_why *why)
{
	if (meta->node_id >= 0 && meta->node_id != args->node_id) {
		ot_why_set(why,
		    "The log directory %s belongs to node.id %" PRId32
		    ", this broker has node.id %" PRId32
		    ". Set node.id accordingly, or use another directory.",
		    args->path, meta->node_id, args->node_id);
		return OT_ERR_INVALID_CONFIG;
	}
	if (meta->cluster_id[0] != '\0' && args->cluster_id != NULL &&
	    strcmp(meta->cluster_id, args->cluster_id) != 0) {
		ot_why_set(why,
		    "The log directory %s belongs to the cluster %s, this broker to %s. Use "
		    "another "
		    "directory, or the right cluster.",
		    args->path, meta->cluster_id, args->cluster_id);
		return OT_ERR_INCONSISTENT_CLUSTER_ID;
	}
	const char *cluster_id = args->cluster_id != NULL ? args->cluster_id : args->new_cluster_id;
	if (meta->cluster_id[0] == '\0') {
		OT_ASSERT(cluster_id != NULL && strlen(cluster_id) <= OT_CLUSTER_ID_BYTES_MAX);
		memcpy(meta->cluster_id, cluster_id, strlen(cluster_id) + 1);
	}
	if (ot_uuid_is_zero(&meta->directory_id))
		meta->directory_id = args->directory_id;
	meta->node_id = args->node_id;
	return OT_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

static ot_err
lock(struct ot_fs *fs, const char *folder, struct ot_file **ret_lock, struct ot_why *why)
{
	char path[LOG_PATH_BYTES];
	log_path_named(path, folder, LOCK_NAME);
	ot_err err = ot_fs_lock(fs, path, ret_lock);
	if (err == OT_ERR_EXISTS)
		ot_why_set(why, "The log directory %s is in use by another process.", folder);
	return err;
}

ot_err
ot_logdir_check_free(struct ot_fs *fs, const char *path, struct ot_why *why)
{
	struct ot_fs_stat stat;
	struct ot_file *held = NULL;
	char lock_path[LOG_PATH_BYTES];
	if (strlen(path) + 2 * OT_LOGDIR_NAME_BYTES_MAX >= LOG_PATH_BYTES)
		return OT_OK;
	log_path_named(lock_path, path, LOCK_NAME);
	if (ot_fs_stat(fs, lock_path, &stat) != OT_OK)
		return OT_OK;
	ot_err err = lock(fs, path, &held, why);
	ot_file_unref(err == OT_OK ? held : NULL);
	return err == OT_ERR_EXISTS ? err : OT_OK;
}

static ot_err
check_owner(struct ot_logdir *logdir, const struct ot_logdir_open_args *args, struct ot_why *why)
{
	struct ot_logdir_meta meta = { .node_id = -1 };
	ot_err err = ot_logdir_read_meta(logdir->fs, logdir->path, &meta, why);
	struct ot_logdir_meta before = meta;
	if (err == OT_OK || err == OT_ERR_NOT_FOUND)
		err = settle_meta(&meta, args, why);
	if (err != OT_OK)
		return err;
	logdir->meta = meta;
	bool is_same = before.version == META_VERSION && before.node_id == meta.node_id &&
	               strcmp(before.cluster_id, meta.cluster_id) == 0 &&
	               ot_uuid_equal(&before.directory_id, &meta.directory_id);
	logdir->meta.version = META_VERSION;
	return is_same ? OT_OK : write_meta(logdir->fs, logdir->path, &logdir->meta);
}

ot_err
ot_logdir_open(const struct ot_logdir_open_args *args, struct ot_logdir **ret_logdir,
    struct ot_why *why)
{
	if (strlen(args->path) + 2 * OT_LOGDIR_NAME_BYTES_MAX >= LOG_PATH_BYTES) {
		ot_why_set(why, "The path of the log directory %.100s... is too long.", args->path);
		return OT_ERR_INVALID_CONFIG;
	}
	struct ot_logdir *logdir = OT_NEW(struct ot_logdir);
	logdir->fs = args->fs;
	logdir->path = ot_must_strdup(args->path);
	ot_why_set(why, "%s", "");
	ot_err err = log_make_folder(args->fs, args->path);
	if (err == OT_OK)
		err = lock(args->fs, args->path, &logdir->lock, why);
	if (err == OT_OK)
		err = check_owner(logdir, args, why);
	if (err == OT_OK)
		*ret_logdir = logdir;
	else
		ot_logdir_close(logdir);
	if (err != OT_OK && why != NULL && why->text[0] == '\0')
		ot_why_set(why, "The log directory %s cannot be used: %s.", args->path,
		    ot_err_message(err));
	return err;
}

void
ot_logdir_close(struct ot_logdir *logdir)
{
	if (logdir == NULL)
		return;
	ot_file_unref(logdir->lock);
	ot_free(logdir->path);
	ot_free(logdir);
}

const char *
ot_logdir_path(const struct ot_logdir *logdir)
{
	return logdir->path;
}

const struct ot_logdir_meta *
ot_logdir_meta(const struct ot_logdir *logdir)
{
	return &logdir->meta;
}

/* ---- clean stops --------------------------------------------------------------------------- */

/* The number behind "brokerEpoch": in the mark's JSON; -1 without one. */
static int64_t
parse_stop(const struct ot_writer *text)
{
	static const char key[] = "\"brokerEpoch\"";
	const char *begin = (const char *)text->data;
	const char *end = end_of(begin, text->bytes);
	const char *at = text->bytes == 0 ? NULL : memmem(begin, text->bytes, key, sizeof(key) - 1);
	if (at == NULL)
		return -1;
	at += sizeof(key) - 1;
	while (at < end && (is_blank(*at) || *at == ':'))
		at++;
	const char *stop = at;
	while (stop < end && ((*stop >= '0' && *stop <= '9') || *stop == '-'))
		stop++;
	struct log_rows rows = { .next = at, .end = stop };
	int64_t epoch = -1;
	return log_rows_int(&rows, &epoch) ? epoch : -1;
}

ot_err
ot_logdir_take_stop(struct ot_logdir *logdir, struct ot_logdir_stop *ret_stop)
{
	char path[LOG_PATH_BYTES];
	struct ot_writer text;
	struct ot_logdir_stop stop = { .was_clean = false, .broker_epoch = -1 };
	ot_writer_init(&text);
	log_path_named(path, logdir->path, STOP_NAME);
	ot_err err = log_read_file(logdir->fs, path, STOP_BYTES_MAX, &text);
	if (err == OT_ERR_NOT_FOUND) {
		*ret_stop = stop;
		err = OT_OK;
		goto out;
	}
	/* What stands in the mark says less than that it is there. */
	stop.was_clean = err == OT_OK || err == OT_ERR_CORRUPT_FILE;
	if (err == OT_OK)
		stop.broker_epoch = parse_stop(&text);
	if (stop.was_clean)
		err = ot_fs_remove(logdir->fs, path);
	if (err == OT_OK)
		err = ot_fs_sync_dir(logdir->fs, logdir->path);
	if (err == OT_OK)
		*ret_stop = stop;
out:
	ot_writer_fini(&text);
	return err;
}

ot_err
ot_logdir_put_stop(struct ot_logdir *logdir, int64_t broker_epoch)
{
	struct ot_writer out;
	ot_writer_init(&out);
	print(&out, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
	ot_err err = replace(logdir->fs, logdir->path, STOP_NAME, &out);
	ot_writer_fini(&out);
	return err;
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* One line: the epoch, a blank, the boot. */
static ot_err
parse_run(const struct ot_writer *text, struct ot_logdir_run *ret_run)
{
	const char *begin = (const char *)text->data;
	const char *end = end_of(begin, text->bytes);
	const char *blank = text->bytes == 0 ? NULL : memchr(begin, ' ', text->bytes);
	if (blank == NULL || end[-1] != '\n')
		return OT_ERR_CORRUPT_FILE;
	size_t boot_bytes = (size_t)(end - 1 - (blank + 1));
	struct log_rows rows = { .next = begin, .end = blank };
	if (boot_bytes == 0 || boot_bytes >= sizeof(ret_run->boot_id) ||
	    !log_rows_int(&rows, &ret_run->broker_epoch))
		return OT_ERR_CORRUPT_FILE;
	memcpy(ret_run->boot_id, blank + 1, boot_bytes);
	ret_run->boot_id[boot_bytes] = '\0';
	return OT_OK;
}

ot_err
ot_logdir_read_run(const struct ot_logdir *logdir, struct ot_logdir_run *ret_run)
{
	char path[LOG_PATH_BYTES];
	struct ot_writer text;
	ot_writer_init(&text);
	log_path_named(path, logdir->path, RUN_NAME);
	ot_err err = log_read_file(logdir->fs, path, RUN_BYTES_MAX, &text);
	if (err == OT_OK)
		err = parse_run(&text, ret_run);
	ot_writer_fini(&text);
	return err;
}

ot_err
ot_logdir_put_run(const struct ot_logdir *logdir, const struct ot_logdir_run *run)
{
	char path[LOG_PATH_BYTES], line[RUN_BYTES_MAX];
	struct ot_file *file = NULL;
	int bytes =
	    snprintf(line, sizeof(line), "%" PRId64 " %s\n", run->broker_epoch, run->boot_id);
	struct iovec piece = { .iov_base = line, .iov_len = (size_t)bytes };
	log_path_named(path, logdir->path, RUN_NAME);
	ot_err err =
	    ot_fs_open(logdir->fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE | OT_OPEN_TRUNCATE, &file);
	if (err == OT_OK)
		err = ot_file_write(file, &piece, 1, 0);
	ot_file_unref(file);
	return err;
}

ot_err
ot_logdir_drop_run(const struct ot_logdir *logdir)
{
	char path[LOG_PATH_BYTES];
	log_path_named(path, logdir->path, RUN_NAME);
	ot_err err = ot_fs_remove(logdir->fs, path);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}

ot_err
ot_logdir_probe(const struct ot_logdir *logdir)
{
	char path[LOG_PATH_BYTES], byte = '\n';
	struct ot_file *file = NULL;
	struct iovec piece = { .iov_base = &byte, .iov_len = 1 };
	log_path_named(path, logdir->path, PROBE_NAME);
	/* One that is left over may be of a sync that failed. */
	ot_err err = ot_fs_remove(logdir->fs, path);
	if (err == OT_OK || err == OT_ERR_NOT_FOUND)
		err = ot_fs_open(logdir->fs, path, OT_OPEN_WRITE | OT_OPEN_CREATE, &file);
	if (err == OT_OK)
		err = ot_file_write(file, &piece, 1, 0);
	if (err == OT_OK)
		err = ot_file_sync(file);
	ot_file_unref(file);
	if (err == OT_OK)
		err = ot_fs_remove(logdir->fs, path);
	return err;
}

/* ---- partitions ---------------------------------------------------------------------------- */

static const char *const kind_suffix[] = {
	[OT_PARTITION_LIVE] = "",
	[OT_PARTITION_DELETED] = "-delete",
	[OT_PARTITION_FUTURE] = "-future",
	[OT_PARTITION_STRAY] = "-stray",
};

/* Reads "<topic>-<partition>" in the first `bytes` of the name. */
static bool
parse_partition(const char *name, size_t bytes, struct ot_partition_dir *dir)
{
	const char *dash = memrchr(name, '-', bytes);
	if (dash == NULL || dash == name || bytes > OT_LOGDIR_NAME_BYTES_MAX)
		return false;
	int64_t partition = 0;
	const char *end = name + bytes;
	if (dash + 1 == end || end - dash > 11)
		return false;
	for (const char *at = dash + 1; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		partition = partition * 10 + (*at - '0');
	}
	dir->topic = (struct ot_str){ .data = name, .len = (int32_t)(dash - name) };
	dir->partition = (int32_t)partition;
	return partition <= INT32_MAX;
}

bool
ot_partition_dir_parse(const char *name, struct ot_partition_dir *ret_dir)
{
	size_t bytes = strlen(name);
	struct ot_partition_dir dir = { .kind = OT_PARTITION_LIVE };
	for (int kind = OT_PARTITION_DELETED; kind <= OT_PARTITION_STRAY; kind++) {
		size_t suffix_bytes = strlen(kind_suffix[kind]);
		if (bytes <= suffix_bytes ||
		    strcmp(name + bytes - suffix_bytes, kind_suffix[kind]) != 0)
			continue;
		/* The id before the suffix; topics may have dots, ids have none. */
		const char *dot = memrchr(name, '.', bytes - suffix_bytes);
		if (dot == NULL)
			break;
		dir.kind = (enum ot_partition_dir_kind)kind;
		bytes = (size_t)(dot - name);
		break;
	}
	if (!parse_partition(name, bytes, &dir))
		return false;
	*ret_dir = dir;
	return true;
}

void
ot_partition_dir_name(const struct ot_partition_dir *dir, const struct ot_uuid *unique_id,
    char ret_name[OT_LOGDIR_NAME_BYTES_MAX + 1])
{
	char tail[64];
	struct ot_text text = OT_TEXT(tail);
	ot_text_put(&text, "-%" PRId32, dir->partition);
	if (dir->kind != OT_PARTITION_LIVE) {
		ot_text_put(&text, ".");
		for (size_t i = 0; i < sizeof(unique_id->bytes); i++)
			ot_text_put(&text, "%02x", unique_id->bytes[i]);
		ot_text_put(&text, "%s", kind_suffix[dir->kind]);
	}
	/* A long topic's name is cut, as its folder only waits for removal. */
	size_t topic_bytes = OT_MIN((size_t)dir->topic.len, OT_LOGDIR_NAME_BYTES_MAX - text.bytes);
	memcpy(ret_name, dir->topic.data, topic_bytes);
	memcpy(ret_name + topic_bytes, tail, text.bytes + 1);
}

struct listing {
	ot_logdir_visit *visit;
	void *arg;
};

static ot_err
visit_entry(void *arg, const char *name, bool is_dir)
{
	const struct listing *listing = arg;
	struct ot_partition_dir dir;
	if (!is_dir || !ot_partition_dir_parse(name, &dir))
		return OT_OK;
	return listing->visit(listing->arg, name, &dir);
}

ot_err
ot_logdir_list(struct ot_logdir *logdir, ot_logdir_visit *visit, void *arg)
{
	struct listing listing = { .visit = visit, .arg = arg };
	return ot_fs_list(logdir->fs, logdir->path, visit_entry, &listing);
}

ot_err
ot_logdir_rename(struct ot_logdir *logdir, const char *from, const char *to)
{
	char from_path[LOG_PATH_BYTES], to_path[LOG_PATH_BYTES];
	log_path_named(from_path, logdir->path, from);
	log_path_named(to_path, logdir->path, to);
	ot_err err = ot_fs_rename(logdir->fs, from_path, to_path);
	return err == OT_OK ? ot_fs_sync_dir(logdir->fs, logdir->path) : err;
}

ot_err
ot_partition_metadata_write(struct ot_fs *fs, const char *dir, const struct ot_uuid *topic_id)
{
	struct ot_writer out;
	char text[OT_UUID_TEXT_BYTES];
	ot_writer_init(&out);
	ot_uuid_to_text(topic_id, text);
	print(&out, "version: 0\ntopic_id: %s\n", text);
	ot_err err = replace(fs, dir, PARTITION_NAME, &out);
	ot_writer_fini(&out);
	return err;
}

ot_err
ot_partition_metadata_read(struct ot_fs *fs, const char *dir, struct ot_uuid *ret_topic_id)
{
	char path[LOG_PATH_BYTES];
	struct ot_writer text;
	struct ot_uuid topic_id = ot_uuid_zero;
	int32_t version = -1;
	ot_writer_init(&text);
	log_path_named(path, dir, PARTITION_NAME);
	ot_err err = log_read_file(fs, path, META_BYTES_MAX, &text);
	const char *begin = (const char *)text.data, *end = end_of(begin, text.bytes);
	while (err == OT_OK && begin < end) {
		const char *stop = memchr(begin, '\n', (size_t)(end - begin));
		stop = stop == NULL ? end : stop;
		const char *sign = memchr(begin, ':', (size_t)(stop - begin));
		struct ot_str key = trim(begin, sign == NULL ? stop : sign);
		struct ot_str value = trim(sign == NULL ? stop : sign + 1, stop);
		if (ot_str_is(key, "version") && !parse_int32(value, &version))
			err = OT_ERR_CORRUPT_FILE;
		if (ot_str_is(key, "topic_id") &&
		    ot_uuid_from_text(value.data, (size_t)value.len, &topic_id) != OT_OK)
			err = OT_ERR_CORRUPT_FILE;
		begin = stop + 1;
	}
	ot_writer_fini(&text);
	if (err == OT_OK && (version != 0 || ot_uuid_is_zero(&topic_id)))
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_OK)
		*ret_topic_id = topic_id;
	return err;
}

/* ---- the limit of a recovery point ----------------------------------------------------------- */

ot_err
ot_recovery_limit_write(struct ot_fs *fs, const char *dir, const struct ot_recovery_limit *limit)
{
	struct ot_writer out;
	ot_writer_init(&out);
	print(&out, "0\n%" PRId64 " %" PRId64 "\n", limit->offset, limit->until);
	ot_err err = replace(fs, dir, OT_RECOVERY_LIMIT_NAME, &out);
	ot_writer_fini(&out);
	return err;
}

static bool
parse_limit(const char *text, struct ot_recovery_limit *ret_limit)
{
	char *end = NULL;
	errno = 0;
	if (strncmp(text, "0\n", 2) != 0)
		return false;
	ret_limit->offset = strtoll(text + 2, &end, 10);
	if (*end != ' ')
		return false;
	ret_limit->until = strtoll(end + 1, &end, 10);
	return errno == 0 && strcmp(end, "\n") == 0 && ret_limit->offset >= 0 &&
	       ret_limit->until >= ret_limit->offset;
}

ot_err
ot_recovery_limit_read(struct ot_fs *fs, const char *dir, struct ot_recovery_limit *ret_limit)
{
	char path[LOG_PATH_BYTES];
	struct ot_writer text;
	ot_writer_init(&text);
	log_path_named(path, dir, OT_RECOVERY_LIMIT_NAME);
	ot_err err = log_read_file(fs, path, META_BYTES_MAX, &text);
	ot_write_raw(&text, "", 1);
	if (err == OT_OK && text.failed)
		err = OT_ERR_NO_MEMORY;
	if (err == OT_OK && !parse_limit((const char *)text.data, ret_limit))
		err = OT_ERR_CORRUPT_FILE;
	ot_writer_fini(&text);
	return err;
}

ot_err
ot_recovery_limit_remove(struct ot_fs *fs, const char *dir)
{
	char path[LOG_PATH_BYTES];
	log_path_named(path, dir, OT_RECOVERY_LIMIT_NAME);
	ot_err err = ot_fs_remove(fs, path);
	if (err == OT_ERR_NOT_FOUND)
		return OT_OK;
	return err == OT_OK ? ot_fs_sync_dir(fs, dir) : err;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

const char *
ot_checkpoint_name(enum ot_checkpoint checkpoint)
{
	static const char *const names[] = {
		[OT_CHECKPOINT_RECOVERY_POINT] = "recovery-point-offset-checkpoint",
		[OT_CHECKPOINT_LOG_START] = "log-start-offset-checkpoint",
		[OT_CHECKPOINT_REPLICATION] = "replication-offset-checkpoint",
		[OT_CHECKPOINT_TOPIC] = "topic-checkpoint",
	};
	return names[checkpoint];
}

ot_err
ot_checkpoint_write(struct ot_fs *fs, const char *path, enum ot_checkpoint checkpoint,
    const struct ot_checkpoint_row *rows, uint32_t count)
{
	struct ot_writer out;
	ot_writer_init(&out);
	print(&out, "0\n%" PRIu32 "\n", count);
	for (uint32_t i = 0; i < count; i++)
		print(&out, "%.*s %" PRId32 " %" PRId64 "\n", OT_STR_ARG(rows[i].topic),
		    rows[i].partition, rows[i].offset);
	ot_err err = replace(fs, path, ot_checkpoint_name(checkpoint), &out);
	ot_writer_fini(&out);
	return err;
}

static bool
parse_checkpoint_row(struct log_rows *rows, struct ot_checkpoint_row *ret_row)
{
	int64_t partition = 0;
	if (!log_rows_text(rows, &ret_row->topic) || !log_rows_int(rows, &partition) ||
	    !log_rows_int(rows, &ret_row->offset) || !log_rows_end_row(rows))
		return false;
	ret_row->partition = (int32_t)partition;
	return partition >= 0 && partition <= INT32_MAX && ret_row->offset >= 0;
}

ot_err
ot_checkpoint_read(struct ot_fs *fs, const char *path, enum ot_checkpoint checkpoint,
    ot_checkpoint_visit *visit, void *arg, struct ot_why *why)
{
	char file_path[LOG_PATH_BYTES];
	struct ot_writer text;
	struct log_rows rows = { .line = 1 };
	int64_t count = 0;
	ot_writer_init(&text);
	log_path_named(file_path, path, ot_checkpoint_name(checkpoint));
	ot_err err = log_read_file(fs, file_path, CHECKPOINT_BYTES_MAX, &text);
	if (err == OT_OK)
		err = log_rows_open(&rows, (const char *)text.data, text.bytes, 0, &count);
	for (int64_t i = 0; err == OT_OK && i < count; i++) {
		struct ot_checkpoint_row row;
		err = parse_checkpoint_row(&rows, &row) ? visit(arg, &row) : OT_ERR_CORRUPT_FILE;
	}
	if (err == OT_OK && !log_rows_is_end(&rows))
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_ERR_CORRUPT_FILE)
		ot_why_set(why, "Line %u of %s is not what the format demands.", rows.line,
		    ot_checkpoint_name(checkpoint));
	ot_writer_fini(&text);
	return err == OT_ERR_NOT_FOUND ? OT_OK : err;
}
