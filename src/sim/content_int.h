/* The bytes of a simulated file: sparse pages, shared between views until one of them is written.
 *
 * A file has two views, what reads see and what the disk holds. Most pages are the same in both, so
 * a page is counted by reference and copied when a view that shares it writes to it. Holes read as
 * zeros and take no memory. Folder-internal.
 */
#ifndef OT_SIM_CONTENT_INT_H
#define OT_SIM_CONTENT_INT_H

#include "base/defs.h"

enum {
	SIM_SECTOR_BYTES = 512,
	SIM_PAGE_BYTES = 4096,
	SIM_PAGE_SECTORS = SIM_PAGE_BYTES / SIM_SECTOR_BYTES,
	SIM_LEAF_PAGES = 64,
};

struct sim_page {
	uint32_t refs;
	bool is_cold; /* a read would wait for the disk */
	uint8_t data[SIM_PAGE_BYTES];
};

struct sim_leaf {
	struct sim_page *pages[SIM_LEAF_PAGES]; /* NULL: a hole */
};

struct sim_content {
	struct sim_leaf **leaves; /* NULL: SIM_LEAF_PAGES holes */
	uint64_t leaf_count;
	uint64_t page_count; /* pages that are no holes */
};

/* Frees all pages; the content is empty afterwards. @owner the simulation's thread, as all below */
void sim_content_clear(struct sim_content *content);

/* The page at the index, or NULL for a hole. The content keeps its reference. */
struct sim_page *sim_content_page(const struct sim_content *content, uint64_t index);

/* Puts a page of another content here, shared; NULL makes a hole. */
void sim_content_share(struct sim_content *content, uint64_t index, struct sim_page *page);

/* The page's bytes for writing: made when it was a hole, copied when it was shared. */
uint8_t *sim_content_own(struct sim_content *content, uint64_t index);

void sim_content_read(const struct sim_content *content, void *to, size_t bytes, uint64_t place);
void sim_content_write(struct sim_content *content, const void *from, size_t bytes, uint64_t place);

/* Makes all bytes from `bytes` on zeros, whole pages holes. */
void sim_content_cut(struct sim_content *content, uint64_t bytes);

/* Shares all pages of another content; what was here goes. */
void sim_content_copy(struct sim_content *content, const struct sim_content *from);

#endif
