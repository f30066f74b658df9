/* The operations on open files. */
#include "sim/disk_int.h"

#include "base/crc.h"
#include "base/panic.h"

/* More than what a job does behind a call of a disk that stalls. */
#define JOB_REST_NS (2 * OT_NS_PER_S)

struct sim_file *
sim_file_create(struct ot_sim_disk *disk, struct sim_inode *inode, const char *path,
    bool is_writable)
{
	struct sim_file *file = OT_NEW(struct sim_file);
	ot_file_init(&file->base, &disk->base);
	file->inode = inode;
	file->generation = disk->generation;
	file->is_writable = is_writable;
	file->path = ot_must_strdup(path);
	sim_inode_ref(inode);
	inode->opens++;
	sim_inode_charge(disk, inode);
	disk->open_count++;
	return file;
}

void
sim_file_close(struct ot_file *base)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_file *file = sim_file_of(base);
	struct sim_inode *inode = file->inode;
	if (file->generation == disk->generation) {
		OT_ASSERT(inode->opens > 0);
		inode->opens--;
		if (file->is_lock)
			inode->is_locked = false;
		sim_inode_charge(disk, inode);
	}
	OT_ASSERT(disk->open_count > 0);
	disk->open_count--;
	sim_inode_unref(disk, inode);
	ot_free(file->path);
	ot_free(file);
}

/* A file of a machine that was restarted since is no file any more. */
static struct sim_call
begin(struct ot_file *base, enum ot_sim_disk_call kind, bool is_change)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_file *file = sim_file_of(base);
	const struct sim_call dead = { kind, SIM_APPLY_NONE, OT_ERR_CLOSED };
	if (file->generation != disk->generation)
		return dead;
	if (is_change && kind != OT_SIM_SYNC && file->inode->is_sync_failed &&
	    disk->clock->world >= file->inode->sync_failed_at)
		disk->violation_count++;
	return sim_call_begin(disk, kind, is_change, file->path);
}

static ot_err
end(struct ot_file *base, const struct sim_call *call, ot_err err, const char *verb, uint64_t place,
    uint64_t bytes)
{
	return sim_call_end(sim_disk_of(base->fs), call, err,
	    &(struct ot_sim_event){ .verb = verb,
		.what = sim_file_of(base)->path,
		.a = place,
		.b = bytes });
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Takes cold pages into memory; what that costs is time. */
static void
warm(struct ot_sim_disk *disk, struct sim_inode *inode, uint64_t place, uint64_t bytes)
{
	for (uint64_t i = place / SIM_PAGE_BYTES; i * SIM_PAGE_BYTES < place + bytes; i++) {
		struct sim_page *page = sim_content_page(&inode->cached, i);
		if (page == NULL || !page->is_cold)
			continue;
		page->is_cold = false;
		disk->cost_ns += 20 * OT_NS_PER_US;
	}
}

ot_err
sim_file_read(struct ot_file *base, void *to, size_t bytes, uint64_t place, size_t *ret)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_inode *inode = sim_file_of(base)->inode;
	struct sim_call call = begin(base, OT_SIM_READ, false);
	size_t got = 0;
	if (call.apply == SIM_APPLY_ALL && place < inode->bytes)
		got = (size_t)OT_MIN(bytes, inode->bytes - place);
	if (got > 0) {
		warm(disk, inode, place, got);
		sim_content_read(&inode->cached, to, got, place);
		disk->cost_ns += got / 4;
	}
	ot_err err = end(base, &call, OT_OK, "read", place, got);
	if (err == OT_OK)
		*ret = got;
	return err;
}

ot_err
sim_file_size(struct ot_file *base, uint64_t *ret_bytes)
{
	struct sim_call call = begin(base, OT_SIM_STAT, false);
	ot_err err = end(base, &call, OT_OK, "size", sim_file_of(base)->inode->bytes, 0);
	if (err == OT_OK)
		*ret_bytes = sim_file_of(base)->inode->bytes;
	return err;
}

bool
sim_file_is_cached(struct ot_file *base, uint64_t place, uint64_t bytes)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_inode *inode = sim_file_of(base)->inode;
	bool is_evicted = ot_sim_random_chance(&disk->random, disk->rates.evict);
	bool is_cached = true;
	uint64_t end_place = OT_MIN(place + bytes, inode->bytes);
	for (uint64_t i = place / SIM_PAGE_BYTES; i * SIM_PAGE_BYTES < end_place; i++) {
		struct sim_page *page = sim_content_page(&inode->cached, i);
		if (page == NULL)
			continue;
		if (is_evicted && page == sim_content_page(&inode->durable, i))
			page->is_cold = true;
		is_cached = is_cached && !page->is_cold;
	}
	return is_cached;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* How many bytes at the place there is space for: all, or up to the first page that finds none. */
static uint64_t
bytes_that_fit(const struct ot_sim_disk *disk, const struct sim_inode *inode, uint64_t place,
    uint64_t bytes)
{
	uint64_t free_pages =
	    disk->pages_capacity > disk->pages_used ? disk->pages_capacity - disk->pages_used : 0;
	for (uint64_t i = place / SIM_PAGE_BYTES; i * SIM_PAGE_BYTES < place + bytes; i++) {
		if (sim_content_page(&inode->cached, i) != NULL ||
		    sim_span_has(&inode->reserved, i))
			continue;
		if (free_pages == 0)
			return i * SIM_PAGE_BYTES > place ? i * SIM_PAGE_BYTES - place : 0;
		free_pages--;
	}
	return bytes;
}

static void
set_size(struct sim_inode *inode, uint64_t bytes)
{
	inode->bytes = bytes;
	inode->bytes_least = OT_MIN(inode->bytes_least, bytes);
	inode->bytes_most = OT_MAX(inode->bytes_most, bytes);
}

static void
write_bytes(struct ot_sim_disk *disk, struct sim_inode *inode, const void *from, size_t bytes,
    uint64_t place)
{
	if (bytes == 0)
		return;
	for (uint64_t i = place / SIM_PAGE_BYTES; i * SIM_PAGE_BYTES < place + bytes; i++) {
		if (sim_content_page(&inode->cached, i) == NULL &&
		    !sim_span_has(&inode->reserved, i))
			inode->pages_loose++;
	}
	sim_content_write(&inode->cached, from, bytes, place);
	sim_inode_dirty(inode, place, bytes);
	if (place + bytes > inode->bytes)
		set_size(inode, place + bytes);
	inode->modified = disk->clock->wall;
	sim_inode_charge(disk, inode);
	ot_sim_trace_mix(disk->trace, ot_crc32c(0, from, bytes));
	disk->cost_ns += bytes / 2;
}

/* Writes the first `bytes` of the pieces. */
static void
write_pieces(struct ot_sim_disk *disk, struct sim_inode *inode, const struct iovec *pieces,
    uint64_t bytes, uint64_t place)
{
	for (; bytes > 0; pieces++) {
		size_t part = (size_t)OT_MIN(bytes, pieces->iov_len);
		write_bytes(disk, inode, pieces->iov_base, part, place);
		place += part;
		bytes -= part;
	}
}

/* The kernel writes dirty pages when it likes. */
static void
write_back_at_random(struct ot_sim_disk *disk, struct sim_inode *inode)
{
	if (!disk->is_stopped && ot_sim_random_chance(&disk->random, disk->rates.write_back))
		sim_inode_write_back_some(disk, inode);
}

ot_err
sim_file_write(struct ot_file *base, const struct iovec *pieces, int count, uint64_t place)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_inode *inode = sim_file_of(base)->inode;
	struct sim_call call = begin(base, OT_SIM_WRITE, true);
	uint64_t bytes = 0;
	for (int i = 0; i < count; i++)
		bytes += pieces[i].iov_len;
	ot_err err = OT_OK;
	uint64_t done = 0;
	if (!sim_file_of(base)->is_writable || place + bytes > SIM_FILE_BYTES_MAX) {
		err = OT_ERR_IO;
	} else if (call.apply != SIM_APPLY_NONE) {
		done = bytes_that_fit(disk, inode, place, bytes);
		err = done < bytes ? OT_ERR_NO_SPACE : OT_OK;
		if (call.apply == SIM_APPLY_PART)
			done = ot_sim_random_between(&disk->random, 0, done);
		write_pieces(disk, inode, pieces, done, place);
		write_back_at_random(disk, inode);
	}
	return end(base, &call, err, "write", place, done);
}

static ot_err
reserve_pages(struct ot_sim_disk *disk, struct sim_inode *inode, uint64_t place, uint64_t bytes)
{
	struct sim_span before = inode->reserved;
	struct sim_span span = { place / SIM_PAGE_BYTES,
		(place + bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES };
	if (before.from < before.to) {
		span.from = OT_MIN(span.from, before.from);
		span.to = OT_MAX(span.to, before.to);
	}
	inode->reserved = span;
	sim_inode_recount(disk, inode);
	if (disk->pages_used <= disk->pages_capacity)
		return OT_OK;
	inode->reserved = before;
	sim_inode_recount(disk, inode);
	return OT_ERR_NO_SPACE;
}

ot_err
sim_file_reserve(struct ot_file *base, uint64_t place, uint64_t bytes)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_call call = begin(base, OT_SIM_RESERVE, true);
	ot_err err = OT_OK;
	if (!sim_file_of(base)->is_writable || bytes == 0 || place + bytes > SIM_FILE_BYTES_MAX)
		err = OT_ERR_IO;
	else if (call.apply != SIM_APPLY_NONE)
		err = reserve_pages(disk, sim_file_of(base)->inode, place, bytes);
	return end(base, &call, err, "reserve", place, bytes);
}

void
sim_inode_truncate(struct ot_sim_disk *disk, struct sim_inode *inode, uint64_t bytes)
{
	uint64_t pages = (bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
	if (bytes < inode->bytes) {
		sim_inode_dirty(inode, bytes, inode->bytes - bytes);
		sim_content_cut(&inode->cached, bytes);
	}
	set_size(inode, bytes);
	if (inode->reserved.to > pages)
		inode->reserved.to = OT_MAX(pages, inode->reserved.from);
	if (inode->reserved.from == inode->reserved.to)
		inode->reserved = (struct sim_span){ 0 };
	inode->modified = disk->clock->wall;
	sim_inode_recount(disk, inode);
}

ot_err
sim_file_truncate(struct ot_file *base, uint64_t bytes)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_inode *inode = sim_file_of(base)->inode;
	struct sim_call call = begin(base, OT_SIM_TRUNCATE, true);
	ot_err err = OT_OK;
	if (!sim_file_of(base)->is_writable || bytes > SIM_FILE_BYTES_MAX) {
		err = OT_ERR_IO;
	} else if (call.apply != SIM_APPLY_NONE) {
		sim_inode_truncate(disk, inode, bytes);
		write_back_at_random(disk, inode);
	}
	return end(base, &call, err, "truncate", bytes, 0);
}

/* ---- syncing ---------------------------------------------------------------------------- */

/* When the caller must know of a failed call. In a world a job's work is done at one moment and
 * takes its time afterwards, with whatever else it does. */
static ot_mono_ns
failure_known_at(const struct ot_sim_disk *disk)
{
	if (disk->clock == &disk->clock_own)
		return disk->clock->world;
	return disk->clock->world + disk->cost_ns + JOB_REST_NS;
}

ot_err
sim_file_sync(struct ot_file *base)
{
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_inode *inode = sim_file_of(base)->inode;
	struct sim_call call = begin(base, OT_SIM_SYNC, true);
	if (call.apply == SIM_APPLY_ALL)
		sim_inode_sync(inode);
	else if (call.apply == SIM_APPLY_PART)
		sim_inode_write_back_some(disk, inode);
	/* As on Linux: the kernel forgets that the pages were dirty, and says so once. */
	if (call.err != OT_OK && call.err != OT_ERR_CLOSED) {
		inode->is_sync_failed = true;
		inode->sync_failed_at = failure_known_at(disk);
	}
	return end(base, &call, OT_OK, "sync", inode->bytes, inode->is_sync_failed);
}

void
sim_file_write_back(struct ot_file *base, uint64_t place, uint64_t bytes)
{
	(void)place;
	(void)bytes;
	struct ot_sim_disk *disk = sim_disk_of(base->fs);
	struct sim_file *file = sim_file_of(base);
	if (file->generation == disk->generation && !disk->is_stopped)
		sim_inode_write_back_some(disk, file->inode);
}
