/* The operations on names: paths, folders, opening, locking. */
#include "sim/disk_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"

/* Where a path leads. `inode` is NULL when the last part is missing; `dir` is NULL for the root. */
struct spot {
	struct sim_inode *dir;
	struct sim_inode *inode;
	char name[SIM_NAME_BYTES_MAX + 1];
};

/* The next part of a path without empty ones and "."; false at the end. */
static bool
next_part(const char **path, const char **ret_part, size_t *ret_bytes)
{
	for (;;) {
		while (**path == '/')
			(*path)++;
		*ret_part = *path;
		*ret_bytes = strcspn(*path, "/");
		*path += *ret_bytes;
		if (*ret_bytes == 0)
			return false;
		if (*ret_bytes != 1 || (*ret_part)[0] != '.')
			return true;
	}
}

/* OT_ERR_NOT_FOUND when a folder on the way is missing, not when the last part is. */
static ot_err
walk(struct ot_sim_disk *disk, const char *path, struct spot *ret_spot)
{
	struct spot spot = { .inode = disk->root };
	const char *part;
	size_t bytes;
	while (next_part(&path, &part, &bytes)) {
		if (spot.inode == NULL)
			return OT_ERR_NOT_FOUND;
		if (!spot.inode->is_dir || bytes > SIM_NAME_BYTES_MAX)
			return OT_ERR_IO;
		/* The simulated tree has no way up: a core that builds such paths has a bug. */
		OT_ASSERT(bytes != 2 || memcmp(part, "..", 2) != 0);
		spot.dir = spot.inode;
		memcpy(spot.name, part, bytes);
		spot.name[bytes] = '\0';
		spot.inode = sim_entry_find(spot.dir->entries, spot.name);
	}
	*ret_spot = spot;
	return OT_OK;
}

ot_err
sim_lookup(struct ot_sim_disk *disk, const char *path, struct sim_inode **ret_inode)
{
	struct spot spot;
	ot_err err = walk(disk, path, &spot);
	if (err == OT_OK && spot.inode == NULL)
		err = OT_ERR_NOT_FOUND;
	if (err == OT_OK)
		*ret_inode = spot.inode;
	return err;
}

static ot_err
lookup_dir(struct ot_sim_disk *disk, const char *path, struct sim_inode **ret_inode)
{
	struct sim_inode *inode = NULL;
	ot_err err = sim_lookup(disk, path, &inode);
	if (err == OT_OK && !inode->is_dir)
		err = OT_ERR_IO;
	if (err == OT_OK)
		*ret_inode = inode;
	return err;
}

/* Makes a file or folder at a spot that is free. A folder's block needs a free page. */
static ot_err
make_inode(struct ot_sim_disk *disk, struct spot *spot, bool is_dir)
{
	if (disk->pages_used >= disk->pages_capacity)
		return OT_ERR_NO_SPACE;
	struct sim_inode *inode = sim_inode_create(disk, is_dir);
	const struct sim_change change = { .dir = spot->dir, .to = inode, .name = spot->name };
	sim_names_record(disk, &change, 1);
	sim_link(disk, spot->dir, spot->name, inode);
	spot->inode = inode;
	return OT_OK;
}

/* ---- opening ---------------------------------------------------------------------------- */

static ot_err
find_or_make(struct ot_sim_disk *disk, const char *path, unsigned flags, struct sim_inode **ret)
{
	struct spot spot;
	ot_err err = walk(disk, path, &spot);
	if (err != OT_OK)
		return err;
	if (spot.inode == NULL) {
		if ((flags & OT_OPEN_CREATE) == 0)
			return OT_ERR_NOT_FOUND;
		err = make_inode(disk, &spot, false);
	} else if ((flags & OT_OPEN_EXCLUSIVE) != 0) {
		err = OT_ERR_EXISTS;
	} else if (spot.inode->is_dir) {
		err = OT_ERR_IO;
	} else if ((flags & OT_OPEN_TRUNCATE) != 0) {
		sim_inode_truncate(disk, spot.inode, 0);
	}
	if (err == OT_OK)
		*ret = spot.inode;
	return err;
}

static ot_err
open_file(struct ot_sim_disk *disk, const char *path, unsigned flags, bool is_lock,
    struct ot_file **ret_file)
{
	const unsigned changing = OT_OPEN_CREATE | OT_OPEN_TRUNCATE;
	OT_ASSERT((flags & changing) == 0 || (flags & OT_OPEN_WRITE) != 0);
	struct sim_call call = sim_call_begin(disk, OT_SIM_OPEN, (flags & changing) != 0, path);
	struct sim_inode *inode = NULL;
	ot_err err = OT_OK;
	if (call.apply != SIM_APPLY_NONE)
		err = find_or_make(disk, path, flags, &inode);
	if (err == OT_OK && is_lock && inode != NULL && inode->is_locked)
		err = OT_ERR_EXISTS;
	err = sim_call_end(disk, &call, err,
	    &(struct ot_sim_event){ .verb = is_lock ? "lock" : "open", .what = path, .a = flags });
	if (err != OT_OK)
		return err;
	struct sim_file *file = sim_file_create(disk, inode, path, (flags & OT_OPEN_WRITE) != 0);
	file->is_lock = is_lock;
	if (is_lock)
		inode->is_locked = true;
	*ret_file = &file->base;
	return OT_OK;
}

static ot_err
sim_open(struct ot_fs *fs, const char *path, unsigned flags, struct ot_file **ret_file)
{
	return open_file(sim_disk_of(fs), path, flags, false, ret_file);
}

static ot_err
sim_lock(struct ot_fs *fs, const char *path, struct ot_file **ret_file)
{
	return open_file(sim_disk_of(fs), path, OT_OPEN_WRITE | OT_OPEN_CREATE, true, ret_file);
}

/* ---- folders ---------------------------------------------------------------------------- */

static ot_err
make_dir(struct ot_sim_disk *disk, const char *path)
{
	struct spot spot;
	ot_err err = walk(disk, path, &spot);
	if (err != OT_OK)
		return err;
	return spot.inode != NULL ? OT_ERR_EXISTS : make_inode(disk, &spot, true);
}

static ot_err
sim_mkdir(struct ot_fs *fs, const char *path)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_MKDIR, true, path);
	ot_err err = call.apply != SIM_APPLY_NONE ? make_dir(disk, path) : OT_OK;
	return sim_call_end(disk, &call, err,
	    &(struct ot_sim_event){ .verb = "mkdir", .what = path });
}

struct listed_name {
	bool is_dir;
	char *name;
};

/* A copy of the names in an order by seed: the visits may change the folder. */
static struct listed_name *
copy_names(struct ot_sim_disk *disk, const struct sim_inode *dir, uint32_t *ret_count)
{
	uint32_t count = HASH_COUNT(dir->entries);
	uint32_t done = 0;
	struct listed_name *names = ot_must_alloc((count + 1) * sizeof(*names));
	struct sim_entry *entry, *next;
	HASH_ITER(hh, dir->entries, entry, next) {
		uint32_t place = (uint32_t)ot_sim_random_below(&disk->random, done + 1);
		names[done] = names[place];
		names[place] = (struct listed_name){ .is_dir = entry->inode->is_dir,
			.name = ot_must_strdup(entry->name) };
		done++;
	}
	*ret_count = count;
	return names;
}

static ot_err
sim_list(struct ot_fs *fs, const char *path, ot_fs_visit *visit, void *arg)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_LIST, false, path);
	struct sim_inode *dir = NULL;
	ot_err err = call.apply != SIM_APPLY_NONE ? lookup_dir(disk, path, &dir) : OT_OK;
	err =
	    sim_call_end(disk, &call, err, &(struct ot_sim_event){ .verb = "list", .what = path });
	if (err != OT_OK)
		return err;
	uint32_t count = 0;
	struct listed_name *names = copy_names(disk, dir, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (err == OT_OK)
			err = visit(arg, names[i].name, names[i].is_dir);
		ot_free(names[i].name);
	}
	ot_free(names);
	return err;
}

static ot_err
sync_dir(struct ot_sim_disk *disk, const char *path)
{
	struct sim_inode *dir = NULL;
	ot_err err = lookup_dir(disk, path, &dir);
	if (err == OT_OK)
		sim_names_sync(disk, dir);
	return err;
}

static ot_err
sim_sync_dir(struct ot_fs *fs, const char *path)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_SYNC_DIR, true, path);
	ot_err err = call.apply != SIM_APPLY_NONE ? sync_dir(disk, path) : OT_OK;
	return sim_call_end(disk, &call, err,
	    &(struct ot_sim_event){ .verb = "sync dir", .what = path });
}

/* ---- renaming and removing -------------------------------------------------------------- */

static bool
is_inside(const struct sim_inode *dir, const struct sim_inode *tree)
{
	for (; dir != NULL; dir = dir->parent) {
		if (dir == tree)
			return true;
	}
	return false;
}

/* What a host refuses: a folder into itself, a file over a folder or the reverse, a folder that is
 * not empty replaced. */
static ot_err
check_rename(const struct spot *from, const struct spot *to)
{
	if (from->dir == NULL || to->dir == NULL)
		return OT_ERR_IO;
	if (from->inode == NULL)
		return OT_ERR_NOT_FOUND;
	if (from->inode->is_dir && is_inside(to->dir, from->inode))
		return OT_ERR_IO;
	if (to->inode == NULL)
		return OT_OK;
	if (to->inode->is_dir != from->inode->is_dir)
		return OT_ERR_IO;
	return HASH_COUNT(to->inode->entries) > 0 && to->inode != from->inode ? OT_ERR_IO : OT_OK;
}

static ot_err
rename_path(struct ot_sim_disk *disk, const char *from_path, const char *to_path)
{
	struct spot from, to;
	ot_err err = walk(disk, from_path, &from);
	if (err == OT_OK)
		err = walk(disk, to_path, &to);
	if (err == OT_OK)
		err = check_rename(&from, &to);
	if (err != OT_OK || from.inode == to.inode)
		return err;
	struct sim_change changes[] = {
		{ .dir = from.dir, .from = from.inode, .name = from.name },
		{ .dir = to.dir, .from = to.inode, .to = from.inode, .name = to.name },
	};
	sim_names_record(disk, changes, 2);
	sim_link(disk, from.dir, from.name, NULL);
	sim_link(disk, to.dir, to.name, from.inode);
	return OT_OK;
}

static ot_err
sim_rename(struct ot_fs *fs, const char *from, const char *to)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_RENAME, true, from);
	ot_err err = call.apply != SIM_APPLY_NONE ? rename_path(disk, from, to) : OT_OK;
	err = sim_call_end(disk, &call, err,
	    &(struct ot_sim_event){ .verb = "rename", .what = from });
	return sim_call_end(disk, &call, err, &(struct ot_sim_event){ .verb = "  to", .what = to });
}

static ot_err
remove_path(struct ot_sim_disk *disk, const char *path)
{
	struct spot spot;
	ot_err err = walk(disk, path, &spot);
	if (err != OT_OK)
		return err;
	if (spot.inode == NULL)
		return OT_ERR_NOT_FOUND;
	if (spot.dir == NULL || HASH_COUNT(spot.inode->entries) > 0)
		return OT_ERR_IO;
	const struct sim_change change = { .dir = spot.dir, .from = spot.inode, .name = spot.name };
	sim_names_record(disk, &change, 1);
	sim_link(disk, spot.dir, spot.name, NULL);
	return OT_OK;
}

static ot_err
sim_remove(struct ot_fs *fs, const char *path)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_REMOVE, true, path);
	ot_err err = call.apply != SIM_APPLY_NONE ? remove_path(disk, path) : OT_OK;
	return sim_call_end(disk, &call, err,
	    &(struct ot_sim_event){ .verb = "remove", .what = path });
}

/* ---- figures ---------------------------------------------------------------------------- */

static ot_err
sim_stat(struct ot_fs *fs, const char *path, struct ot_fs_stat *ret_stat)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_STAT, false, path);
	struct sim_inode *inode = NULL;
	ot_err err = call.apply != SIM_APPLY_NONE ? sim_lookup(disk, path, &inode) : OT_OK;
	err =
	    sim_call_end(disk, &call, err, &(struct ot_sim_event){ .verb = "stat", .what = path });
	if (err != OT_OK)
		return err;
	*ret_stat = (struct ot_fs_stat){
		.bytes = inode->bytes,
		.bytes_disk = sim_inode_pages(inode) * SIM_PAGE_BYTES,
		.modified = inode->modified,
		.is_dir = inode->is_dir,
	};
	return OT_OK;
}

static ot_err
sim_space(struct ot_fs *fs, const char *path, struct ot_fs_space *ret_space)
{
	struct ot_sim_disk *disk = sim_disk_of(fs);
	struct sim_call call = sim_call_begin(disk, OT_SIM_STAT, false, path);
	struct sim_inode *inode = NULL;
	ot_err err = call.apply != SIM_APPLY_NONE ? sim_lookup(disk, path, &inode) : OT_OK;
	err =
	    sim_call_end(disk, &call, err, &(struct ot_sim_event){ .verb = "space", .what = path });
	if (err != OT_OK)
		return err;
	uint64_t used = OT_MIN(disk->pages_used, disk->pages_capacity);
	ret_space->bytes_total = disk->pages_capacity * SIM_PAGE_BYTES;
	ret_space->bytes_free = (disk->pages_capacity - used) * SIM_PAGE_BYTES;
	return OT_OK;
}

/* A machine's disk is alone, so its boots count the losses of power. */
static ot_err
sim_boot_id(struct ot_fs *fs, char *ret_id)
{
	const struct ot_sim_disk *disk = sim_disk_of(fs);
	snprintf(ret_id, OT_FS_BOOT_ID_BYTES, "boot-%" PRIu64, disk->boot);
	return OT_OK;
}

const struct ot_fs_ops sim_disk_ops = {
	.open = sim_open,
	.mkdir = sim_mkdir,
	.list = sim_list,
	.rename = sim_rename,
	.remove = sim_remove,
	.sync_dir = sim_sync_dir,
	.stat = sim_stat,
	.space = sim_space,
	.boot_id = sim_boot_id,
	.lock = sim_lock,
	.close = sim_file_close,
	.read = sim_file_read,
	.write = sim_file_write,
	.reserve = sim_file_reserve,
	.truncate = sim_file_truncate,
	.size = sim_file_size,
	.sync = sim_file_sync,
	.write_back = sim_file_write_back,
	.is_cached = sim_file_is_cached,
};
