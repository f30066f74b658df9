#include "sim/content_int.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { CONTENT_LEAVES_MIN = 8 };

static void
unref_page(struct sim_page *page)
{
	if (page == NULL)
		return;
	OT_ASSERT(page->refs > 0);
	if (--page->refs == 0)
		ot_free(page);
}

static void
clear_leaf(struct sim_content *content, uint64_t number)
{
	struct sim_leaf *leaf = content->leaves[number];
	if (leaf == NULL)
		return;
	for (size_t i = 0; i < SIM_LEAF_PAGES; i++) {
		if (leaf->pages[i] != NULL)
			content->page_count--;
		unref_page(leaf->pages[i]);
	}
	ot_free(leaf);
	content->leaves[number] = NULL;
}

void
sim_content_clear(struct sim_content *content)
{
	for (uint64_t i = 0; i < content->leaf_count; i++)
		clear_leaf(content, i);
	OT_ASSERT(content->page_count == 0);
	ot_free(content->leaves);
	*content = (struct sim_content){ 0 };
}

struct sim_page *
sim_content_page(const struct sim_content *content, uint64_t index)
{
	uint64_t number = index / SIM_LEAF_PAGES;
	if (number >= content->leaf_count || content->leaves[number] == NULL)
		return NULL;
	return content->leaves[number]->pages[index % SIM_LEAF_PAGES];
}

/* The slot of a page, its leaf made when it is missing. */
static struct sim_page **
make_slot(struct sim_content *content, uint64_t index)
{
	uint64_t number = index / SIM_LEAF_PAGES;
	if (number >= content->leaf_count) {
		uint64_t count = OT_MAX(content->leaf_count * 2, number + 1);
		count = OT_MAX(count, (uint64_t)CONTENT_LEAVES_MIN);
		struct sim_leaf **leaves = ot_must_alloc(count * sizeof(*leaves));
		if (content->leaf_count > 0)
			memcpy(leaves, content->leaves, content->leaf_count * sizeof(*leaves));
		ot_free(content->leaves);
		content->leaves = leaves;
		content->leaf_count = count;
	}
	if (content->leaves[number] == NULL)
		content->leaves[number] = OT_NEW(struct sim_leaf);
	return &content->leaves[number]->pages[index % SIM_LEAF_PAGES];
}

void
sim_content_share(struct sim_content *content, uint64_t index, struct sim_page *page)
{
	struct sim_page *before = sim_content_page(content, index);
	if (before == page)
		return;
	struct sim_page **slot = make_slot(content, index);
	if (page != NULL) {
		page->refs++;
		content->page_count++;
	}
	if (before != NULL)
		content->page_count--;
	*slot = page;
	unref_page(before);
}

uint8_t *
sim_content_own(struct sim_content *content, uint64_t index)
{
	struct sim_page **slot = make_slot(content, index);
	struct sim_page *before = *slot;
	if (before != NULL && before->refs == 1) {
		before->is_cold = false;
		return before->data;
	}
	struct sim_page *page = OT_NEW(struct sim_page);
	page->refs = 1;
	if (before != NULL)
		memcpy(page->data, before->data, sizeof(page->data));
	else
		content->page_count++;
	*slot = page;
	unref_page(before);
	return page->data;
}

void
sim_content_read(const struct sim_content *content, void *to, size_t bytes, uint64_t place)
{
	uint8_t *next = to;
	while (bytes > 0) {
		size_t inside = (size_t)(place % SIM_PAGE_BYTES);
		size_t part = OT_MIN(bytes, SIM_PAGE_BYTES - inside);
		const struct sim_page *page = sim_content_page(content, place / SIM_PAGE_BYTES);
		if (page != NULL)
			memcpy(next, page->data + inside, part);
		else
			memset(next, 0, part);
		next += part;
		place += part;
		bytes -= part;
	}
}

void
sim_content_write(struct sim_content *content, const void *from, size_t bytes, uint64_t place)
{
	const uint8_t *next = from;
	while (bytes > 0) {
		size_t inside = (size_t)(place % SIM_PAGE_BYTES);
		size_t part = OT_MIN(bytes, SIM_PAGE_BYTES - inside);
		memcpy(sim_content_own(content, place / SIM_PAGE_BYTES) + inside, next, part);
		next += part;
		place += part;
		bytes -= part;
	}
}

void
sim_content_cut(struct sim_content *content, uint64_t bytes)
{
	uint64_t first = (bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
	size_t inside = (size_t)(bytes % SIM_PAGE_BYTES);
	if (inside > 0 && sim_content_page(content, bytes / SIM_PAGE_BYTES) != NULL) {
		uint8_t *data = sim_content_own(content, bytes / SIM_PAGE_BYTES);
		memset(data + inside, 0, SIM_PAGE_BYTES - inside);
	}
	for (; first % SIM_LEAF_PAGES != 0; first++) {
		if (sim_content_page(content, first) != NULL)
			sim_content_share(content, first, NULL);
	}
	for (uint64_t i = first / SIM_LEAF_PAGES; i < content->leaf_count; i++)
		clear_leaf(content, i);
}

void
sim_content_copy(struct sim_content *content, const struct sim_content *from)
{
	OT_ASSERT(content != from);
	sim_content_clear(content);
	for (uint64_t i = 0; i < from->leaf_count; i++) {
		if (from->leaves[i] == NULL)
			continue;
		for (uint64_t j = 0; j < SIM_LEAF_PAGES; j++)
			sim_content_share(content, i * SIM_LEAF_PAGES + j,
			    from->leaves[i]->pages[j]);
	}
}
