/* Goal: no metadata record, whatever is in it, harms an image: it is applied or refused, invariants
 * hold, and the image written as records makes the same image again. Method: the input is records
 * in their frames, each behind a uint16 length; a refused one throws away what was applied since
 * the last image, as a reader of the metadata log would stop there. */
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct ot_image *
create_empty(void)
{
	struct ot_config_notes notes;
	struct ot_settings *settings;
	struct ot_image *image;

	ot_config_notes_init(&notes);
	OT_ASSERT(ot_settings_create(&(struct ot_settings_input){ 0 }, &notes, &settings) == OT_OK);
	ot_config_notes_fini(&notes);
	image = ot_image_create(settings, "cluster");
	ot_settings_unref(settings);
	return image;
}

static ot_err
apply(struct ot_image_edit *edit, struct ot_bytes framed)
{
	struct ot_typed_record record;
	struct ot_why why = { { 0 } };
	struct ot_arena arena;
	ot_err err;

	ot_arena_init(&arena, 0);
	err = ot_typed_record_decode(OT_RECORD_LOG_METADATA, framed, &arena, &record);
	if (err == OT_OK) {
		err = ot_image_edit_apply(edit, &record, &why);
		OT_ASSERT(err == OT_OK || why.text[0] != '\0');
	}
	ot_arena_fini(&arena);
	return err;
}

/* The image with as many of the records as can be had; the reference to `image` is taken over. */
static struct ot_image *
apply_all(struct ot_image *image, const uint8_t *data, size_t bytes)
{
	struct ot_image_place place = { .offset = 1 };
	struct ot_reader in = ot_reader_of(data, bytes);
	struct ot_image_edit *edit = ot_image_edit_begin(image);
	struct ot_image *next;

	while (ot_reader_left(&in) > 2) {
		uint16_t length = (uint16_t)ot_read_i16(&in);
		struct ot_bytes framed = { in.next,
			(int32_t)OT_MIN((size_t)length, ot_reader_left(&in)) };

		(void)ot_read_raw(&in, (size_t)framed.len);
		if (apply(edit, framed) == OT_OK)
			continue;
		ot_image_edit_drop(edit);
		edit = ot_image_edit_begin(image);
	}
	if (ot_image_edit_is_in_txn(edit)) {
		ot_image_edit_drop(edit);
		return image;
	}
	if (ot_image_edit_end(edit, place, &next, NULL) != OT_OK)
		return image;
	ot_image_unref(image);
	return next;
}

static struct ot_image *
copy_by_records(struct ot_image *image)
{
	struct ot_image *empty = create_empty(), *copy = NULL;
	struct ot_image_edit *edit = ot_image_edit_begin(empty);
	struct ot_image_dump *dump = ot_image_dump_begin(image);
	struct ot_metadata_records records;

	ot_metadata_records_init(&records);
	do {
		ot_metadata_records_reset(&records);
		OT_ASSERT(ot_image_dump_next(dump, 1000, &records) == OT_OK);
		for (int32_t i = 0; i < records.count; i++)
			OT_ASSERT(apply(edit, ot_metadata_records_at(&records, i)) == OT_OK);
	} while (records.count > 0);
	OT_ASSERT(ot_image_edit_end(edit, ot_image_place(image), &copy, NULL) == OT_OK);
	ot_metadata_records_fini(&records);
	ot_image_dump_end(dump);
	ot_image_unref(empty);
	return copy;
}

static void
check_equal(const struct ot_image *a, const struct ot_image *b)
{
	struct ot_writer text_a, text_b;

	ot_writer_init(&text_a);
	ot_writer_init(&text_b);
	OT_ASSERT(ot_image_print(a, &text_a) == OT_OK && ot_image_print(b, &text_b) == OT_OK);
	OT_ASSERT(
	    text_a.bytes == text_b.bytes && memcmp(text_a.data, text_b.data, text_a.bytes) == 0);
	ot_writer_fini(&text_a);
	ot_writer_fini(&text_b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ot_image *image = apply_all(create_empty(), data, bytes), *copy;

	ot_image_check(image);
	copy = copy_by_records(image);
	ot_image_check(copy);
	/* Older levels leave out what their records cannot say. */
	if (ot_image_feature(image, OT_STR_LIT("metadata.version")) == 30)
		check_equal(image, copy);
	ot_image_unref(copy);
	ot_image_unref(image);
	return 0;
}
