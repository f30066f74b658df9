"""Writes the C of all messages from schema/messages and schema/records.

    messages.py list SCHEMA_DIR             prints the inputs, a line "--", and the outputs
    messages.py write SCHEMA_DIR OUT_DIR    writes msg_<file>.h for each schema file, msg_gen.h (all
                                            of them), api_gen.h (API keys) and msg_gen.c (tables)

A file whose text stays the same is not touched, so that a change to one schema compiles little.
"""

import os
import re
import sys

import msgschema

SCALARS = {
    "bool": ("bool", "BOOL"), "int8": ("int8_t", "INT8"), "int16": ("int16_t", "INT16"),
    "uint16": ("uint16_t", "UINT16"), "int32": ("int32_t", "INT32"),
    "uint32": ("uint32_t", "UINT32"), "int64": ("int64_t", "INT64"),
    "float64": ("double", "FLOAT64"), "uuid": ("struct ot_uuid", "UUID"),
    "string": ("struct ot_str", "STRING"), "bytes": ("struct ot_bytes", "BYTES"),
    "records": ("struct ot_records", "RECORDS"),
}
VIEWS = ("string", "bytes", "records")
KEYWORDS = {"default", "register", "switch", "case", "int", "long", "short", "char", "double",
            "float", "static", "struct", "union", "enum", "return", "bool", "inline"}
RANGE = "{%d, %d}"
PRIVATE_KEY = 1000  # the first API key that is not Kafka's
LOGS = ("metadata_log", "remote_log_metadata", "group_log", "transaction_log", "share_log")


def snake(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def field_name(field):
    name = snake(field.name)
    return name + "_" if name in KEYWORDS else name


def range_text(versions):
    if versions.empty():
        return RANGE % (0, -1)
    return RANGE % (versions.low, versions.high)


def by_pointer(field):
    return bool(field.struct) and not field.array and not field.nullable.empty()


def is_flexible(message):
    return not message.flexible.empty()


class Namer:
    """C names of a message and of its structs."""

    def __init__(self, message):
        self.base = "ot_" + snake(message.name)

    def struct(self, struct):
        return self.base if struct.name is None else f"{self.base}_{snake(struct.name)}"


def all_structs(message):
    """Inner before outer, the message's own last."""
    done = []

    def visit(struct):
        for field in struct.fields:
            if field.struct:
                visit(field.struct)
        if struct not in done:
            done.append(struct)

    for struct in message.structs:
        visit(struct)
    visit(message.body)
    return done


def short_range(message, versions):
    return f"{versions.low}+" if versions.high == message.valid.high else str(versions)


def versions_comment(message, field):
    parts = [short_range(message, field.versions)]
    if not field.nullable.empty():
        same = str(field.nullable) == str(field.versions)
        parts.append("or null" if same else f"or null {short_range(message, field.nullable)}")
    if field.tag is not None:
        parts.append(f"tag {field.tag}")
    if field.default and field.default != "null":
        parts.append(f"default {field.default}")
    return ", ".join(parts)


def write_struct(out, message, namer, struct):
    if struct.name is None:
        out.append(f"/* {message.name}, versions {message.valid}, flexible {message.flexible}. */")
    out.append(f"struct {namer.struct(struct)} {{")
    for field in struct.fields:
        ctype = f"struct {namer.struct(field.struct)}" if field.struct else SCALARS[field.type][0]
        star = "*" if field.array or by_pointer(field) else ""
        out.append(f"\t{ctype} {star}{field_name(field)}; /* {versions_comment(message, field)} */")
        if field.array:
            out.append(f"\tint32_t {field_name(field)}_count;")
    if is_flexible(message):
        out.append("\tstruct ot_unknown_tags *unknown_tags;")
    elif not struct.fields:
        out.append("\tuint8_t nothing; /* C wants a member */")
    out.append("};")
    out.append("")


def write_struct_functions(out, namer, struct):
    name = namer.struct(struct)
    out.append(f"extern const struct ot_msg_struct {name}_struct;")
    out.append(f"""
static inline void
{name}_init(struct {name} *ret_object)
{{
	memcpy(ret_object, {name}_struct.defaults, sizeof(*ret_object));
}}
""")
    if struct.name is not None:
        out.append(f"""static inline struct {name} *
{name}_array(struct ot_arena *arena, int32_t count)
{{
	return ot_msg_array(&{name}_struct, arena, count);
}}
""")


def write_message_functions(out, message, namer):
    name = namer.base
    constant = name.upper()
    out.append(f"enum {{ {constant}_VERSION_MAX = {message.valid.high} }};")
    if message.type >= 0 and message.kind == "record":
        out.append(f"enum {{ {constant}_TYPE = {message.type} }};")
    elif message.kind == "key":
        out.append(f"enum {{ {constant}_TYPE = {message.valid.high} }};")
    out.append(f"""
extern const struct ot_msg {name}_msg;

OT_MUST_USE static inline ot_err
{name}_decode(int16_t version, struct ot_reader *in, struct ot_arena *arena,
	struct {name} *ret_msg)
{{
	return ot_msg_decode(&{name}_msg, version, in, arena, ret_msg);
}}

OT_MUST_USE static inline ot_err
{name}_encode(int16_t version, const struct {name} *msg,
	struct ot_writer *out, struct ot_splices *splices)
{{
	return ot_msg_encode(&{name}_msg, version, msg, out, splices);
}}
""")


def header_of(file):
    guard = f"OT_WIRE_MSG_{file.stem.upper()}_H"
    out = [f"/* Generated from {'/'.join(file.path.split(os.sep)[-3:])}. */",
           f"#ifndef {guard}", f"#define {guard}", "", "#include <string.h>", "",
           '#include "wire/codec.h"', ""]
    for message in file.messages:
        namer = Namer(message)
        for struct in all_structs(message):
            write_struct(out, message, namer, struct)
        for struct in all_structs(message):
            write_struct_functions(out, namer, struct)
        write_message_functions(out, message, namer)
    out.append("#endif")
    return "\n".join(out) + "\n"


def scalar_default(field):
    text = field.default
    if field.type == "float64" or field.type == "bool":
        return text
    value = int(text, 0)
    if field.type == "int64" and value == -(2 ** 63):
        return "INT64_MIN"
    if field.type == "int32" and value == -(2 ** 31):
        return "INT32_MIN"
    return str(value)


def initializer(message, namer, struct, depth):
    """The fields whose default is not all zeros, as members of a C initializer."""
    lines = []
    tabs = "\t" * depth
    for field in struct.fields:
        name = field_name(field)
        if field.array:
            if field.default == "null":
                lines.append(f"{tabs}.{name}_count = -1,")
        elif field.struct and not by_pointer(field):
            inner = initializer(message, namer, field.struct, depth + 1)
            if inner:
                lines += [f"{tabs}.{name} = {{"] + inner + [f"{tabs}}},"]
        elif field.type in VIEWS:
            if field.default == "null":
                lines.append(f"{tabs}.{name} = {{.len = -1}},")
        elif field.default is not None and field.default != "null":
            lines.append(f"{tabs}.{name} = {scalar_default(field)},")
    return lines


def field_row(namer, struct, field):
    owner = f"struct {namer.struct(struct)}"
    name = field_name(field)
    kind = "STRUCT" if field.struct else SCALARS[field.type][1]
    row = [f'.name = "{field.name}"', f".kind = OT_FIELD_{kind}",
           f".offset = offsetof({owner}, {name})"]
    if field.struct:
        row.append(f".type = &{namer.struct(field.struct)}_struct")
    if field.array:
        row += [".is_array = true", f".count_offset = offsetof({owner}, {name}_count)"]
    if by_pointer(field):
        row.append(".by_pointer = true")
    if field.inflexible:
        row.append(".inflexible = true")
    row += [f".tag = {-1 if field.tag is None else field.tag}",
            f".present = {range_text(field.versions)}",
            f".nullable = {range_text(field.nullable)}",
            f".tagged = {range_text(field.tagged)}"]
    return "\t{" + ", ".join(row) + "},"


def fewest_bytes(message, struct):
    versions = range(message.valid.low, message.valid.high + 1)
    used = msgschema.element_versions(message, struct) if struct.name else versions
    return min((msgschema.wire_bytes_min(message, struct, v) for v in used), default=1)


def check_elements(message):
    """The decoder bounds counts by the bytes left: no element may be free of charge."""
    for struct in all_structs(message):
        for field in struct.fields:
            if field.array and field.struct and fewest_bytes(message, field.struct) == 0:
                sys.exit(f"{message.name}.{field.name}: an element may take no byte at all")


def write_tables(out, message):
    check_elements(message)
    namer = Namer(message)
    for struct in all_structs(message):
        name = namer.struct(struct)
        out.append(f"static const struct {name} {name}_defaults = {{")
        out += initializer(message, namer, struct, 1) or ["\t0,"]
        out.append("};")
        if struct.fields:
            out.append(f"static const struct ot_msg_field {name}_fields[] = {{")
            out += [field_row(namer, struct, field) for field in struct.fields]
            out.append("};")
        label = message.name + (f".{struct.name}" if struct.name else "")
        tags = "OT_MSG_NO_TAGS"
        if is_flexible(message):
            tags = f"offsetof(struct {name}, unknown_tags)"
        fields = f"{name}_fields" if struct.fields else "no_fields"
        out.append(f"""const struct ot_msg_struct {name}_struct = {{
	.name = "{label}",
	.fields = {fields},
	.defaults = &{name}_defaults,
	.field_count = {len(struct.fields)},
	.tagged_field_count = {sum(field.tag is not None for field in struct.fields)},
	.unknown_tags_offset = {tags},
	.bytes = sizeof(struct {name}),
	.wire_bytes_min = {fewest_bytes(message, struct)},
}};""")
    out.append(f"""const struct ot_msg {namer.base}_msg = {{
	.name = "{message.name}",
	.body = &{namer.base}_struct,
	.valid = {range_text(message.valid)},
	.flexible = {range_text(message.flexible)},
	.type = {message.type},
}};
""")


def listener_bits(api):
    return " | ".join(f"OT_API_LISTENER_{name.upper()}" for name in api.listeners) or "0"


def apis_from(files, first):
    """The APIs with keys from `first` up to the next kind, without a gap: Kafka's, or our own."""
    apis = sorted((api for file in files for api in file.apis
                   if (api.key >= PRIVATE_KEY) == (first >= PRIVATE_KEY)), key=lambda api: api.key)
    if [api.key for api in apis] != list(range(first, first + len(apis))):
        sys.exit(f"schema/messages: the API keys from {first} have a gap")
    return apis


def api_table(files, first, name):
    out = [f"const struct ot_api {name} = {{"]
    for api in apis_from(files, first):
        base = "ot_" + snake(api.name)
        out.append(f"""	[{api.key - first}] = {{
		.key = {api.key},
		.name = "{api.name}",
		.request = &{base}_request_msg,
		.response = &{base}_response_msg,
		.accepted = {range_text(api.accepted)},
		.advertised = {range_text(api.advertised)},
		.unstable = {range_text(api.unstable)},
		.listeners = {listener_bits(api)},
	}},""")
    return out + ["};", ""]


def message_table(files, name, wanted):
    """A table of messages, for lookups by number and by name."""
    found = [message for file in files for message in file.messages if wanted(file, message)]
    rows = [f"\t&{Namer(message).base}_msg," for message in found]
    return [f"const struct ot_msg *const {name}[] = {{"] + rows + ["\tNULL,", "};", ""]


def source_of(files):
    out = ["/* Generated from schema/messages and schema/records. */", "",
           '#include "wire/msg_gen.h"', "", '#include "wire/tables_int.h"', "",
           "static const struct ot_msg_field no_fields[1];", ""]
    for file in files:
        for message in file.messages:
            write_tables(out, message)
    out += api_table(files, 0, "ot_api_table[OT_API_COUNT]")
    out += api_table(files, PRIVATE_KEY, "ot_api_private_table[OT_API_PRIVATE_COUNT]")
    out += message_table(files, "ot_msg_all", lambda file, message: True)
    for stem in LOGS:
        out += message_table(files, f"wire_{stem}_msgs", lambda file, _: file.stem == stem)
    return "\n".join(out) + "\n"


def api_header(files):
    apis, own = apis_from(files, 0), apis_from(files, PRIVATE_KEY)
    out = ["/* Generated from schema/messages. */", "#ifndef OT_WIRE_API_GEN_H",
           "#define OT_WIRE_API_GEN_H", "", "enum ot_api_key {"]
    out += [f"\tOT_API_{snake(api.name).upper()} = {api.key}," for api in apis]
    out += [f"\tOT_API_COUNT = {len(apis)}, /* Kafka's; what follows is our own */"]
    out += [f"\tOT_API_PRIVATE_FIRST = {PRIVATE_KEY},", f"\tOT_API_PRIVATE_COUNT = {len(own)},"]
    out += [f"\tOT_API_{snake(api.name).upper()} = {api.key}," for api in own]
    out += ["};", "", "#endif"]
    return "\n".join(out) + "\n"


def umbrella(files):
    out = ["/* Generated: every message. Include wire/msg_<file>.h where one is enough. */",
           "#ifndef OT_WIRE_MSG_GEN_H", "#define OT_WIRE_MSG_GEN_H", ""]
    out += [f'#include "wire/msg_{file.stem}.h"' for file in files]
    return "\n".join(out + ["", "#endif"]) + "\n"


def put(folder, name, text):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as old:
            if old.read() == text:
                return
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def main():
    mode, schema_dir = sys.argv[1:3]
    if mode == "list":
        paths = msgschema.schema_paths(schema_dir)
        print("\n".join(paths + ["--", "msg_gen.c", "msg_gen.h", "api_gen.h"]))
        for path in paths:
            print(f"msg_{os.path.splitext(os.path.basename(path))[0]}.h")
        return
    files = msgschema.load(schema_dir)
    folder = sys.argv[3]
    put(folder, "msg_gen.c", source_of(files))
    put(folder, "msg_gen.h", umbrella(files))
    put(folder, "api_gen.h", api_header(files))
    for file in files:
        put(folder, f"msg_{file.stem}.h", header_of(file))


main()
