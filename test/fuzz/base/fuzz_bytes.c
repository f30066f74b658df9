/* Goal: the reader never leaves its input, and what it read is written back to what reads the same.
 * Method: the input is a list of operations with their operands inline: each first byte picks what
 * to read next; the value is written with the writer and read again. */
#include "base/bytes.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { OP_UVARINT, OP_VARINT, OP_VARLONG, OP_I16, OP_I32, OP_I64, OP_UUID, OP_RAW, OP_COUNT };

/* Reads one value by `op` and writes it; raw bytes are read only. */
static void
copy_value(int op, struct ot_reader *in, struct ot_writer *out)
{
	switch (op) {
	case OP_UVARINT:
		ot_write_uvarint(out, ot_read_uvarint(in));
		break;
	case OP_VARINT:
		ot_write_varint(out, ot_read_varint(in));
		break;
	case OP_VARLONG:
		ot_write_varlong(out, ot_read_varlong(in));
		break;
	case OP_I16:
		ot_write_i16(out, ot_read_i16(in));
		break;
	case OP_I32:
		ot_write_i32(out, ot_read_i32(in));
		break;
	case OP_I64:
		ot_write_i64(out, ot_read_i64(in));
		break;
	case OP_UUID: {
		struct ot_uuid uuid = ot_read_uuid(in);
		ot_write_uuid(out, &uuid);
		break;
	}
	default: {
		size_t bytes = (size_t)(uint8_t)ot_read_i8(in);
		const uint8_t *raw = ot_read_raw(in, bytes);
		OT_ASSERT(raw == NULL || raw + bytes <= in->end);
		break;
	}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ot_reader in = ot_reader_of(data, bytes);
	struct ot_writer first;
	struct ot_writer second;
	ot_writer_init(&first);
	ot_writer_init(&second);
	while (!in.failed && ot_reader_left(&in) > 0) {
		int op = (int)((uint8_t)ot_read_i8(&in) % OP_COUNT);
		ot_writer_reset(&first);
		ot_writer_reset(&second);
		copy_value(op, &in, &first);
		OT_ASSERT(in.next <= in.end);
		if (in.failed || op == OP_RAW)
			continue;
		struct ot_reader again = ot_reader_of(first.data, first.bytes);
		copy_value(op, &again, &second);
		OT_ASSERT(!again.failed && ot_reader_left(&again) == 0);
		OT_ASSERT(first.bytes == second.bytes);
		for (size_t i = 0; i < first.bytes; i++)
			OT_ASSERT(first.data[i] == second.data[i]);
	}
	ot_writer_fini(&first);
	ot_writer_fini(&second);
	return 0;
}
