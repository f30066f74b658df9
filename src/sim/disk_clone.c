/* A second disk in the state of the first, sharing its pages. */
#include "sim/disk_int.h"

#include "base/panic.h"

static struct sim_inode *
clone_inode(struct ot_sim_disk *clone, const struct sim_inode *from)
{
	struct sim_inode *inode = sim_inode_create(clone, from->is_dir);
	inode->number = from->number;
	inode->is_sync_failed = from->is_sync_failed;
	inode->sync_failed_at = from->sync_failed_at;
	inode->modified = from->modified;
	sim_content_copy(&inode->cached, &from->cached);
	sim_content_copy(&inode->durable, &from->durable);
	inode->bytes = from->bytes;
	inode->bytes_durable = from->bytes_durable;
	inode->bytes_least = from->bytes_least;
	inode->bytes_most = from->bytes_most;
	inode->dirty = from->dirty;
	inode->reserved = from->reserved;
	inode->reserved_durable = from->reserved_durable;
	inode->pages_loose = from->pages_loose;
	inode->links = from->links;
	return inode;
}

static void
clone_table(struct ot_sim_disk *clone, struct sim_inode **by_number, struct sim_entry *from,
    struct sim_entry **to)
{
	struct sim_entry *entry, *next;
	HASH_ITER(hh, from, entry, next)
		sim_entry_set(clone, to, entry->name, by_number[entry->inode->number]);
}

static struct sim_inode *
counterpart(struct sim_inode **by_number, const struct sim_inode *inode)
{
	return inode != NULL ? by_number[inode->number] : NULL;
}

static void
clone_names(struct ot_sim_disk *clone, const struct ot_sim_disk *disk, struct sim_inode **by_number)
{
	OT_LIST_FOREACH(link, &disk->inodes) {
		const struct sim_inode *from = OT_CONTAINER_OF(link, struct sim_inode, link);
		struct sim_inode *to = by_number[from->number];
		to->parent = from->links > 0 ? counterpart(by_number, from->parent) : NULL;
		clone_table(clone, by_number, from->entries, &to->entries);
		clone_table(clone, by_number, from->entries_durable, &to->entries_durable);
	}
	OT_LIST_FOREACH(link, &disk->name_ops) {
		const struct sim_name_op *op = OT_CONTAINER_OF(link, struct sim_name_op, link);
		struct sim_change changes[2];
		for (uint32_t i = 0; i < op->change_count; i++) {
			changes[i] = op->changes[i];
			changes[i].dir = counterpart(by_number, changes[i].dir);
			changes[i].from = counterpart(by_number, changes[i].from);
			changes[i].to = counterpart(by_number, changes[i].to);
		}
		sim_names_record(clone, changes, op->change_count);
	}
}

struct ot_sim_disk *
ot_sim_disk_clone(const struct ot_sim_disk *disk, uint64_t seed)
{
	struct ot_sim_disk *clone = ot_sim_disk_create(seed);
	clone->clock_own = *disk->clock;
	clone->pages_capacity = disk->pages_capacity;
	clone->rates = disk->rates;
	sim_inode_unref(clone, clone->root);
	struct sim_inode **by_number =
	    ot_must_alloc(disk->inode_count * sizeof(struct sim_inode *));
	OT_LIST_FOREACH(link, &disk->inodes) {
		const struct sim_inode *from = OT_CONTAINER_OF(link, struct sim_inode, link);
		by_number[from->number] = clone_inode(clone, from);
		/* Held until all tables are there. */
		sim_inode_ref(by_number[from->number]);
	}
	clone->inode_count = disk->inode_count;
	clone->root = by_number[disk->root->number];
	sim_inode_ref(clone->root);
	clone_names(clone, disk, by_number);
	OT_LIST_FOREACH_SAFE(link, &clone->inodes) {
		struct sim_inode *inode = OT_CONTAINER_OF(link, struct sim_inode, link);
		sim_inode_charge(clone, inode);
		sim_inode_unref(clone, inode);
	}
	ot_free(by_number);
	ot_sim_disk_stop(clone);
	return clone;
}
