/* Bodies of the simulated disk, for disk*.c alone.
 *
 * The tree exists twice: `cached` is what calls see, `durable` what the disk holds. Names: each
 * change of the cached tree is one name_op, kept in order until a sync carries it over or a loss of
 * power decides on it. Bytes: each inode has two contents that share their clean pages; all
 * differences lie within the pages [dirty.from, dirty.to).
 */
#ifndef OT_SIM_DISK_INT_H
#define OT_SIM_DISK_INT_H

#include "base/list.h"
#include "base/map.h"
#include "sim/content_int.h"
#include "sim/disk.h"
#include "sim/random.h"

enum { SIM_NAME_BYTES_MAX = 255 };
#define SIM_FILE_BYTES_MAX (64 * OT_GIB)

struct sim_span {
	uint64_t from; /* pages; from == to: none */
	uint64_t to;
};

struct sim_inode;

struct sim_entry {
	UT_hash_handle hh;
	struct sim_inode *inode; /* a reference */
	char name[];
};

struct sim_inode {
	struct ot_list link; /* in disk->inodes */
	uint32_t number;
	uint32_t refs;  /* entries, name_ops, open files */
	uint32_t links; /* cached names: 0 or 1 */
	uint32_t opens;
	bool is_dir;
	bool is_locked;
	bool is_sync_failed;       /* nothing reaches the disk by a sync any more */
	ot_mono_ns sync_failed_at; /* from when on whoever called the sync knows it */
	ot_wall_ms modified;

	struct sim_content cached;
	struct sim_content durable;
	uint64_t bytes;
	uint64_t bytes_durable;
	uint64_t bytes_least; /* of `bytes` since the last sync */
	uint64_t bytes_most;
	struct sim_span dirty;
	struct sim_span reserved;
	struct sim_span reserved_durable;
	uint64_t pages_loose;   /* cached pages outside the reserved span */
	uint64_t pages_charged; /* part of disk->pages_used */

	struct sim_entry *entries; /* cached names of a folder */
	struct sim_entry *entries_durable;
	struct sim_inode *parent; /* cached, no reference */
};

struct sim_change {
	struct sim_inode *dir;
	struct sim_inode *from; /* NULL: there was none */
	struct sim_inode *to;   /* NULL: removed */
	char *name;
};

struct sim_name_op {
	struct ot_list link; /* in disk->name_ops, oldest first */
	bool is_chosen;
	uint32_t change_count;
	struct sim_change changes[2];
};

struct sim_file {
	struct ot_file base;
	struct sim_inode *inode;
	uint64_t generation; /* the disk's when it was opened */
	bool is_writable;
	bool is_lock;
	char *path;
};

struct sim_plan {
	unsigned calls;
	uint64_t countdown; /* 0: nothing is planned */
	ot_err err;
	bool for_good;
};

struct ot_sim_disk {
	struct ot_fs base;
	struct ot_sim_random random;
	struct ot_sim_trace *trace;
	struct ot_sim_trace *trace_own; /* NULL once attached to another */
	struct ot_sim_clock clock_own;
	const struct ot_sim_clock *clock;
	int32_t host;

	struct ot_list inodes;
	struct sim_inode *root;
	struct ot_list name_ops;
	uint32_t name_op_count;
	uint32_t inode_count; /* ever made: the next number */
	uint64_t pages_capacity;
	uint64_t pages_used;

	uint64_t generation;
	uint64_t boot; /* of the machine: grows when power is lost */
	bool is_stopped;
	void (*on_stop)(void *arg);
	void *on_stop_arg;
	void (*on_change)(void *arg, uint64_t n);
	void *on_change_arg;

	uint64_t call_count;
	uint64_t change_count;
	uint64_t open_count;
	uint64_t violation_count;
	uint64_t crash_countdown; /* 0: no crash is planned */
	struct sim_plan plan;
	char lost_path[256]; /* empty: none */
	struct ot_sim_disk_rates rates;
	uint64_t cost_ns;
};

enum sim_apply { SIM_APPLY_NONE, SIM_APPLY_PART, SIM_APPLY_ALL };

/* What faults make of a call: its error, and how much of it is done all the same. */
struct sim_call {
	enum ot_sim_disk_call kind;
	enum sim_apply apply;
	ot_err err;
};

static inline struct ot_sim_disk *
sim_disk_of(const struct ot_fs *fs)
{
	return OT_CONTAINER_OF((uintptr_t)fs, struct ot_sim_disk, base);
}

static inline struct sim_file *
sim_file_of(const struct ot_file *file)
{
	return OT_CONTAINER_OF((uintptr_t)file, struct sim_file, base);
}

/* disk.c: each operation begins and ends with these; the end gives the call's error, or else `err`,
 * and puts the event. */
struct sim_call sim_call_begin(struct ot_sim_disk *disk, enum ot_sim_disk_call kind, bool is_change,
    const char *path);
OT_MUST_USE ot_err sim_call_end(struct ot_sim_disk *disk, const struct sim_call *call, ot_err err,
    const struct ot_sim_event *event);

/* disk_inode.c. A new inode has no reference. set_name() changes the cached tree and records it. */
struct sim_inode *sim_inode_create(struct ot_sim_disk *disk, bool is_dir);
void sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct ot_sim_disk *disk, struct sim_inode *inode);
void sim_inode_charge(struct ot_sim_disk *disk, struct sim_inode *inode);
void sim_inode_recount(struct ot_sim_disk *disk, struct sim_inode *inode);
uint64_t sim_inode_pages(const struct sim_inode *inode);
void sim_inode_dirty(struct sim_inode *inode, uint64_t place, uint64_t bytes);
bool sim_span_has(const struct sim_span *span, uint64_t page);

struct sim_inode *sim_entry_find(struct sim_entry *table, const char *name);
void sim_entry_set(struct ot_sim_disk *disk, struct sim_entry **table, const char *name,
    struct sim_inode *inode);
void sim_entries_clear(struct ot_sim_disk *disk, struct sim_entry **table);
void sim_link(struct ot_sim_disk *disk, struct sim_inode *dir, const char *name,
    struct sim_inode *inode);

/* disk_names.c: the operations on names. disk_file.c: those on files. */
extern const struct ot_fs_ops sim_disk_ops;
OT_MUST_USE ot_err sim_lookup(struct ot_sim_disk *disk, const char *path,
    struct sim_inode **ret_inode);
struct sim_file *sim_file_create(struct ot_sim_disk *disk, struct sim_inode *inode,
    const char *path, bool is_writable);
void sim_file_close(struct ot_file *file);
OT_MUST_USE ot_err sim_file_read(struct ot_file *file, void *to, size_t bytes, uint64_t place,
    size_t *ret);
OT_MUST_USE ot_err sim_file_write(struct ot_file *file, const struct iovec *pieces, int count,
    uint64_t place);
OT_MUST_USE ot_err sim_file_reserve(struct ot_file *file, uint64_t place, uint64_t bytes);
OT_MUST_USE ot_err sim_file_truncate(struct ot_file *file, uint64_t bytes);
OT_MUST_USE ot_err sim_file_size(struct ot_file *file, uint64_t *ret_bytes);
OT_MUST_USE ot_err sim_file_sync(struct ot_file *file);
void sim_file_write_back(struct ot_file *file, uint64_t place, uint64_t bytes);
bool sim_file_is_cached(struct ot_file *file, uint64_t place, uint64_t bytes);
void sim_inode_truncate(struct ot_sim_disk *disk, struct sim_inode *inode, uint64_t bytes);

/* disk_durable.c: what reaches the disk. */
void sim_names_record(struct ot_sim_disk *disk, const struct sim_change *changes, uint32_t count);
void sim_names_sync(struct ot_sim_disk *disk, const struct sim_inode *dir);
void sim_inode_sync(struct sim_inode *inode);
void sim_inode_write_back_some(struct ot_sim_disk *disk, struct sim_inode *inode);
void sim_power_lost(struct ot_sim_disk *disk);
void sim_names_clear(struct ot_sim_disk *disk);

#endif
