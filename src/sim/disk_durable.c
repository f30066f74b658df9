/* What reaches the disk: by a sync, by the simulated kernel's own will, and when power is lost.
 *
 * Names. Each operation on names is one record, and two records that touch one name or one file
 * keep their order: the later one is on the disk only if the earlier one is. So a set of records
 * that is closed under "depends on" always gives a tree that could have been. A sync of a folder
 * takes the records that touch it and all that they depend on; a loss of power takes a closed set
 * by seed.
 *
 * Bytes. Between two syncs each 512-byte sector of a file is on the disk as it was at the last
 * sync, as it was at some write-back since, or as it is now; and so is the size, or any multiple of
 * 512 between the least and the greatest that it had. What is behind the size that is kept is gone.
 */
#include "sim/disk_int.h"

#include <string.h>

#include "base/panic.h"

enum { DURABLE_NAME_OPS_MAX = 512 };

/* ---- names ------------------------------------------------------------------------------ */

static void
change_ref(struct sim_change *change)
{
	sim_inode_ref(change->dir);
	if (change->from != NULL)
		sim_inode_ref(change->from);
	if (change->to != NULL)
		sim_inode_ref(change->to);
	change->name = ot_must_strdup(change->name);
}

static void
op_destroy(struct ot_sim_disk *disk, struct sim_name_op *op)
{
	ot_list_remove(&op->link);
	disk->name_op_count--;
	for (uint32_t i = 0; i < op->change_count; i++) {
		struct sim_change *change = &op->changes[i];
		ot_free(change->name);
		sim_inode_unref(disk, change->dir);
		if (change->from != NULL)
			sim_inode_unref(disk, change->from);
		if (change->to != NULL)
			sim_inode_unref(disk, change->to);
	}
	ot_free(op);
}

void
sim_names_clear(struct ot_sim_disk *disk)
{
	OT_LIST_FOREACH_SAFE(link, &disk->name_ops)
		op_destroy(disk, OT_CONTAINER_OF(link, struct sim_name_op, link));
}

/* Whether the operation takes the last name of a folder away. */
static bool
op_removes(const struct sim_name_op *op, const struct sim_inode *dir)
{
	bool removes = false;
	for (uint32_t i = 0; i < op->change_count; i++) {
		if (op->changes[i].to == dir)
			return false;
		removes = removes || op->changes[i].from == dir;
	}
	return removes;
}

static bool
is_same_inode(const struct sim_inode *a, const struct sim_inode *b)
{
	return a != NULL && a == b;
}

static bool
change_depends(const struct sim_change *later, const struct sim_change *earlier)
{
	if (later->dir == earlier->dir && strcmp(later->name, earlier->name) == 0)
		return true;
	return is_same_inode(later->from, earlier->from) ||
	       is_same_inode(later->from, earlier->to) || is_same_inode(later->to, earlier->from) ||
	       is_same_inode(later->to, earlier->to);
}

static bool
op_depends(const struct sim_name_op *later, const struct sim_name_op *earlier)
{
	for (uint32_t i = 0; i < earlier->change_count; i++) {
		/* A folder is removed when it is empty, so what emptied it came first. */
		if (op_removes(later, earlier->changes[i].dir))
			return true;
		for (uint32_t j = 0; j < later->change_count; j++) {
			if (change_depends(&later->changes[j], &earlier->changes[i]))
				return true;
		}
	}
	return false;
}

static bool
op_touches(const struct sim_name_op *op, const struct sim_inode *dir)
{
	for (uint32_t i = 0; i < op->change_count; i++) {
		if (op->changes[i].dir == dir)
			return true;
	}
	return false;
}

static struct sim_name_op *
op_of(struct ot_list *link)
{
	return OT_CONTAINER_OF(link, struct sim_name_op, link);
}

/* Carries the chosen operations over, in order, and forgets them. */
static void
apply_chosen(struct ot_sim_disk *disk)
{
	OT_LIST_FOREACH_SAFE(link, &disk->name_ops) {
		struct sim_name_op *op = op_of(link);
		if (!op->is_chosen)
			continue;
		for (uint32_t i = 0; i < op->change_count; i++) {
			struct sim_change *change = &op->changes[i];
			sim_entry_set(disk, &change->dir->entries_durable, change->name,
			    change->to);
		}
		op_destroy(disk, op);
	}
}

/* What the kernel's journal does by itself after a while; here, when there is much. The oldest
 * operations depend on none that stay behind. */
static void
commit_oldest(struct ot_sim_disk *disk)
{
	uint32_t left = DURABLE_NAME_OPS_MAX / 2;
	OT_LIST_FOREACH(link, &disk->name_ops) {
		if (left-- == 0)
			break;
		op_of(link)->is_chosen = true;
	}
	apply_chosen(disk);
}

void
sim_names_record(struct ot_sim_disk *disk, const struct sim_change *changes, uint32_t count)
{
	struct sim_name_op *op = OT_NEW(struct sim_name_op);
	OT_ASSERT(count > 0 && count <= OT_ARRAY_COUNT(op->changes));
	op->change_count = count;
	for (uint32_t i = 0; i < count; i++) {
		op->changes[i] = changes[i];
		change_ref(&op->changes[i]);
	}
	ot_list_push_back(&disk->name_ops, &op->link);
	if (++disk->name_op_count > DURABLE_NAME_OPS_MAX)
		commit_oldest(disk);
}

void
sim_names_sync(struct ot_sim_disk *disk, const struct sim_inode *dir)
{
	for (struct ot_list *link = disk->name_ops.prev; link != &disk->name_ops;
	     link = link->prev) {
		struct sim_name_op *op = op_of(link);
		op->is_chosen = op->is_chosen || op_touches(op, dir);
		if (!op->is_chosen)
			continue;
		for (struct ot_list *before = link->prev; before != &disk->name_ops;
		     before = before->prev) {
			if (op_depends(op, op_of(before)))
				op_of(before)->is_chosen = true;
		}
	}
	apply_chosen(disk);
}

static bool
depends_on_lost(struct ot_sim_disk *disk, struct sim_name_op *op)
{
	for (struct ot_list *link = op->link.prev; link != &disk->name_ops; link = link->prev) {
		if (!op_of(link)->is_chosen && op_depends(op, op_of(link)))
			return true;
	}
	return false;
}

/* Chooses which operations a loss of power leaves: none, all, those before a moment (what a journal
 * leaves), or each by itself. */
static void
choose_names(struct ot_sim_disk *disk)
{
	enum { NONE, ALL, PREFIX, EACH, MODES };
	uint64_t mode = ot_sim_random_below(&disk->random, MODES);
	uint32_t count = 0, number = 0;
	OT_LIST_FOREACH(link, &disk->name_ops)
		count++;
	uint64_t prefix = ot_sim_random_between(&disk->random, 0, count);
	OT_LIST_FOREACH(link, &disk->name_ops) {
		struct sim_name_op *op = op_of(link);
		bool is_wanted = mode == ALL || (mode == PREFIX && number < prefix);
		if (mode == EACH)
			is_wanted = ot_sim_random_below(&disk->random, 2) == 0;
		op->is_chosen = is_wanted && !depends_on_lost(disk, op);
		number++;
	}
}

static void
build_cached_folder(struct ot_sim_disk *disk, struct sim_inode *dir)
{
	struct sim_entry *entry, *next;
	HASH_ITER(hh, dir->entries_durable, entry, next) {
		OT_ASSERT(entry->inode->links == 0);
		entry->inode->links = 1;
		entry->inode->parent = dir;
		sim_entry_set(disk, &dir->entries, entry->name, entry->inode);
		if (entry->inode->is_dir)
			build_cached_folder(disk, entry->inode);
	}
}

/* Makes the durable tree the one that calls see. Every inode is held meanwhile, so that none goes
 * before all tables are right; what no name leads to goes at the end. */
static void
rebuild_cached_tree(struct ot_sim_disk *disk)
{
	OT_LIST_FOREACH(link, &disk->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		inode->links = 0;
		inode->parent = NULL;
		sim_inode_ref(inode);
	}
	OT_LIST_FOREACH(link, &disk->inodes)
		sim_entries_clear(disk, &OT_CONTAINER_OF(link, struct sim_inode, link)->entries);
	build_cached_folder(disk, disk->root);
	OT_LIST_FOREACH(link, &disk->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		if (inode->links == 0 && inode != disk->root)
			sim_entries_clear(disk, &inode->entries_durable);
	}
	OT_LIST_FOREACH_SAFE(link, &disk->inodes)
		sim_inode_unref(disk, OT_CONTAINER_OF(link, struct sim_inode, link));
}

/* ---- bytes ------------------------------------------------------------------------------ */

static bool
is_page_dirty(const struct sim_inode *inode, uint64_t index)
{
	return sim_content_page(&inode->cached, index) != sim_content_page(&inode->durable, index);
}

static void
mark_clean(struct sim_inode *inode)
{
	inode->dirty = (struct sim_span){ 0 };
	inode->bytes_least = inode->bytes_most = inode->bytes;
}

void
sim_inode_sync(struct sim_inode *inode)
{
	if (inode->is_sync_failed)
		return;
	for (uint64_t i = inode->dirty.from; i < inode->dirty.to; i++)
		sim_content_share(&inode->durable, i, sim_content_page(&inode->cached, i));
	inode->bytes_durable = inode->bytes;
	inode->reserved_durable = inode->reserved;
	mark_clean(inode);
}

static void
copy_sector(struct sim_inode *inode, uint64_t index, uint32_t sector)
{
	const struct sim_page *page = sim_content_page(&inode->cached, index);
	uint8_t *to = sim_content_own(&inode->durable, index) + sector * SIM_SECTOR_BYTES;
	if (page != NULL)
		memcpy(to, page->data + sector * SIM_SECTOR_BYTES, SIM_SECTOR_BYTES);
	else
		memset(to, 0, SIM_SECTOR_BYTES);
}

/* Carries dirty sectors over, each with a chance of `per_million`. */
static void
keep_sectors(struct ot_sim_disk *disk, struct sim_inode *inode, uint32_t per_million)
{
	for (uint64_t i = inode->dirty.from; i < inode->dirty.to; i++) {
		if (!is_page_dirty(inode, i))
			continue;
		for (uint32_t j = 0; j < SIM_PAGE_SECTORS; j++) {
			if (ot_sim_random_chance(&disk->random, per_million))
				copy_sector(inode, i, j);
		}
	}
}

/* Carries over the dirty sectors before a moment in the file's order, or those behind it. */
static void
keep_sectors_of_side(struct ot_sim_disk *disk, struct sim_inode *inode, bool is_before)
{
	uint64_t first = inode->dirty.from * SIM_PAGE_SECTORS;
	uint64_t last = inode->dirty.to * SIM_PAGE_SECTORS;
	uint64_t cut = ot_sim_random_between(&disk->random, first, last);
	for (uint64_t i = is_before ? first : cut; i < (is_before ? cut : last); i++) {
		if (is_page_dirty(inode, i / SIM_PAGE_SECTORS))
			copy_sector(inode, i / SIM_PAGE_SECTORS, (uint32_t)(i % SIM_PAGE_SECTORS));
	}
}

/* A size that the disk may hold; see the top of the file. */
static uint64_t
choose_size(struct ot_sim_disk *disk, const struct sim_inode *inode)
{
	uint64_t least = OT_MIN(inode->bytes_least, inode->bytes_durable);
	uint64_t most = OT_MAX(inode->bytes_most, inode->bytes_durable);
	switch (ot_sim_random_below(&disk->random, 4)) {
	case 0:
		return inode->bytes_durable;
	case 1:
		return inode->bytes;
	case 2:
		return least;
	default:
		break;
	}
	uint64_t size = ot_sim_random_between(&disk->random, least, most);
	size -= size % SIM_SECTOR_BYTES;
	return OT_MAX(size, least);
}

void
sim_inode_write_back_some(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	if (inode->is_sync_failed)
		return;
	if (ot_sim_random_below(&disk->random, 2) == 0)
		keep_sectors(disk, inode, OT_SIM_MILLION / 2);
	else
		keep_sectors_of_side(disk, inode, true);
	if (ot_sim_random_below(&disk->random, 2) == 0)
		inode->bytes_durable = choose_size(disk, inode);
}

/* Decides what is left of a file, and makes it what reads see. */
static void
lose_bytes(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	enum { NOTHING_KEPT, ALL_KEPT, EACH_SECTOR, BEFORE, BEHIND, MODES };
	bool is_clean = inode->dirty.from == inode->dirty.to &&
	                inode->bytes == inode->bytes_durable &&
	                inode->bytes_least == inode->bytes_most;
	if (is_clean)
		return;
	uint64_t mode = ot_sim_random_below(&disk->random, MODES);
	uint64_t bytes = inode->bytes_durable;
	if (mode != NOTHING_KEPT)
		bytes = mode == ALL_KEPT ? inode->bytes : choose_size(disk, inode);
	if (mode == ALL_KEPT)
		keep_sectors(disk, inode, OT_SIM_MILLION);
	else if (mode == EACH_SECTOR)
		keep_sectors(disk, inode,
		    (uint32_t)ot_sim_random_below(&disk->random, OT_SIM_MILLION));
	else if (mode != NOTHING_KEPT)
		keep_sectors_of_side(disk, inode, mode == BEFORE);
	sim_content_cut(&inode->durable, bytes);
	sim_content_copy(&inode->cached, &inode->durable);
	inode->bytes = inode->bytes_durable = bytes;
}

static void
cool_pages(struct sim_inode *inode)
{
	for (uint64_t i = 0; i * SIM_PAGE_BYTES < inode->bytes; i++) {
		struct sim_page *page = sim_content_page(&inode->cached, i);
		if (page != NULL)
			page->is_cold = true;
	}
}

static void
lose_inode(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	lose_bytes(disk, inode);
	if (ot_sim_random_below(&disk->random, 2) == 0)
		inode->reserved_durable = inode->reserved;
	inode->reserved = inode->reserved_durable;
	inode->is_sync_failed = false;
	mark_clean(inode);
	cool_pages(inode);
	sim_inode_recount(disk, inode);
}

void
sim_power_lost(struct ot_sim_disk *disk)
{
	choose_names(disk);
	apply_chosen(disk);
	sim_names_clear(disk);
	rebuild_cached_tree(disk);
	OT_LIST_FOREACH(link, &disk->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		if (!inode->is_dir)
			lose_inode(disk, inode);
	}
}
