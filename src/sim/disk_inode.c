/* Inodes and folders of the simulated disk: counts of references, of pages, and tables of names. */
#include "sim/disk_int.h"

#include <string.h>

#include "base/panic.h"

struct sim_inode *
sim_inode_create(struct ot_sim_disk *disk, bool is_dir)
{
	struct sim_inode *inode = OT_NEW(struct sim_inode);
	inode->number = disk->inode_count++;
	inode->is_dir = is_dir;
	inode->modified = disk->clock->wall;
	ot_list_push_back(&disk->inodes, &inode->link);
	return inode;
}

void
sim_inode_ref(struct sim_inode *inode)
{
	inode->refs++;
}

void
sim_inode_unref(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	OT_ASSERT(inode->refs > 0);
	if (--inode->refs > 0)
		return;
	OT_ASSERT(inode->links == 0 && inode->opens == 0);
	sim_inode_charge(disk, inode);
	sim_entries_clear(disk, &inode->entries);
	sim_entries_clear(disk, &inode->entries_durable);
	sim_content_clear(&inode->cached);
	sim_content_clear(&inode->durable);
	ot_list_remove(&inode->link);
	ot_free(inode);
}

/* ---- space ------------------------------------------------------------------------------ */

bool
sim_span_has(const struct sim_span *span, uint64_t page)
{
	return page >= span->from && page < span->to;
}

/* Space counts while calls can reach the file, by name or by an open reference. */
void
sim_inode_charge(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	uint64_t pages = inode->links > 0 || inode->opens > 0 ? sim_inode_pages(inode) : 0;
	OT_ASSERT(disk->pages_used >= inode->pages_charged);
	disk->pages_used += pages - inode->pages_charged;
	inode->pages_charged = pages;
}

uint64_t
sim_inode_pages(const struct sim_inode *inode)
{
	return inode->pages_loose + (inode->reserved.to - inode->reserved.from);
}

void
sim_inode_recount(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	uint64_t inside = 0;
	for (uint64_t i = inode->reserved.from; i < inode->reserved.to; i++)
		inside += sim_content_page(&inode->cached, i) != NULL;
	inode->pages_loose = inode->cached.page_count - inside;
	sim_inode_charge(disk, inode);
}

void
sim_inode_dirty(struct sim_inode *inode, uint64_t place, uint64_t bytes)
{
	if (bytes == 0)
		return;
	uint64_t from = place / SIM_PAGE_BYTES;
	uint64_t to = (place + bytes - 1) / SIM_PAGE_BYTES + 1;
	bool is_clean = inode->dirty.from == inode->dirty.to;
	inode->dirty.from = is_clean ? from : OT_MIN(inode->dirty.from, from);
	inode->dirty.to = is_clean ? to : OT_MAX(inode->dirty.to, to);
}

/* ---- names ------------------------------------------------------------------------------ */

struct sim_inode *
sim_entry_find(struct sim_entry *table, const char *name)
{
	struct sim_entry *entry = NULL;
	HASH_FIND(hh, table, name, strlen(name), entry);
	return entry != NULL ? entry->inode : NULL;
}

/* Puts, replaces or (inode NULL) removes a name. */
void
sim_entry_set(struct ot_sim_disk *disk, struct sim_entry **table, const char *name,
    struct sim_inode *inode)
{
	struct sim_entry *entry = NULL;
	size_t length = strlen(name);
	if (inode != NULL)
		sim_inode_ref(inode);
	HASH_FIND(hh, *table, name, length, entry);
	if (entry != NULL) {
		struct sim_inode *before = entry->inode;
		HASH_DELETE(hh, *table, entry);
		ot_free(entry);
		sim_inode_unref(disk, before);
	}
	if (inode == NULL)
		return;
	entry = ot_must_alloc(sizeof(*entry) + length + 1);
	memcpy(entry->name, name, length + 1);
	entry->inode = inode;
	HASH_ADD_KEYPTR(hh, *table, entry->name, length, entry);
}

void
sim_entries_clear(struct ot_sim_disk *disk, struct sim_entry **table)
{
	struct sim_entry *all = *table, *entry, *next;
	*table = NULL;
	HASH_ITER(hh, all, entry, next) {
		HASH_DELETE(hh, all, entry);
		sim_inode_unref(disk, entry->inode);
		ot_free(entry);
	}
}

/* Changes the cached tree. The caller keeps a reference on what it replaces. */
void
sim_link(struct ot_sim_disk *disk, struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
	struct sim_inode *before = sim_entry_find(dir->entries, name);
	if (before != NULL) {
		OT_ASSERT(before->links > 0);
		before->links--;
		sim_inode_charge(disk, before);
	}
	if (inode != NULL) {
		inode->links++;
		inode->parent = dir;
	}
	sim_entry_set(disk, &dir->entries, name, inode);
	if (inode != NULL)
		sim_inode_charge(disk, inode);
	dir->modified = disk->clock->wall;
}
