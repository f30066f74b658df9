/* Goal: the codec agrees with Kafka's own serializer, byte for byte.
 *
 * Method: the folder that OTTLA_REFERENCE names holds vectors/wire-3.9.jsonl, a line for each
 * message: name, version, values as JSON, and the bytes that Kafka wrote for them. Each is decoded
 * and printed, and the JSON compared; encoded again, and the bytes compared; then built from the
 * JSON through the descriptions, encoded, and the bytes compared once more. Without the folder the
 * test is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "wire/api.h"

enum { ARENA_BYTES_MAX = 64 * 1024 * 1024 };

struct vector {
	const char *name;
	int16_t version;
	json_t *json;
	uint8_t *bytes;
	size_t byte_count;
};

static struct ot_arena arena;

static bool fill_struct(const struct ot_msg_struct *type, int16_t version, json_t *json,
    uint8_t *object);

static uint8_t *
bytes_of_hex(const char *hex, size_t *ret_count)
{
	size_t count = strlen(hex) / 2;
	uint8_t *bytes = malloc(count + 1);
	for (size_t i = 0; i < count; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1], 0 };
		bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	*ret_count = count;
	return bytes;
}

static int
base64_digit(char digit)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *place = strchr(digits, digit);
	return place != NULL && digit != 0 ? (int)(place - digits) : -1;
}

static struct ot_bytes
bytes_of_base64(const char *text)
{
	uint8_t *bytes = ot_arena_alloc(&arena, strlen(text) + 1);
	int32_t count = 0;
	uint32_t group = 0;
	int bits = 0;
	for (; base64_digit(*text) >= 0; text++) {
		group = group << 6 | (uint32_t)base64_digit(*text);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[count++] = (uint8_t)(group >> bits);
		}
	}
	return (struct ot_bytes){ bytes, count };
}

static bool
fill_view(unsigned kind, json_t *json, void *value)
{
	struct ot_bytes view = OT_BYTES_NULL;
	if (!json_is_null(json) && !json_is_string(json))
		return false;
	if (json_is_string(json) && kind == OT_FIELD_STRING)
		view = (struct ot_bytes){ (const uint8_t *)json_string_value(json),
			(int32_t)json_string_length(json) };
	else if (json_is_string(json))
		view = bytes_of_base64(json_string_value(json));
	memcpy(value, &view, sizeof(view));
	return true;
}

static bool
fill_number(unsigned kind, json_t *json, void *value)
{
	int64_t number = json_is_boolean(json) ? json_is_true(json) : json_integer_value(json);
	double real = json_number_value(json);
	switch (kind) {
	case OT_FIELD_BOOL:
	case OT_FIELD_INT8:
		*(int8_t *)value = (int8_t)number;
		return true;
	case OT_FIELD_INT16:
	case OT_FIELD_UINT16:
		*(uint16_t *)value = (uint16_t)number;
		return true;
	case OT_FIELD_INT32:
	case OT_FIELD_UINT32:
		*(uint32_t *)value = (uint32_t)number;
		return true;
	case OT_FIELD_INT64:
		*(int64_t *)value = number;
		return true;
	case OT_FIELD_FLOAT64:
		*(double *)value = real;
		return true;
	case OT_FIELD_UUID:
		return ot_uuid_from_text(json_string_value(json), json_string_length(json),
			   value) == OT_OK;
	default:
		return false;
	}
}

static bool
fill_value(const struct ot_msg_field *field, int16_t version, json_t *json, uint8_t *value)
{
	if (field->kind == OT_FIELD_STRUCT) {
		memcpy(value, field->type->defaults, field->type->bytes);
		return fill_struct(field->type, version, json, value);
	}
	if (field->kind >= OT_FIELD_STRING)
		return fill_view(field->kind, json, value);
	return fill_number(field->kind, json, value);
}

static size_t
value_bytes(const struct ot_msg_field *field)
{
	static const size_t bytes[] = { 1, 1, 2, 2, 4, 4, 8, 8, 16, sizeof(struct ot_str),
		sizeof(struct ot_bytes), sizeof(struct ot_records) };
	return field->kind == OT_FIELD_STRUCT ? field->type->bytes : bytes[field->kind];
}

static bool
fill_array(const struct ot_msg_field *field, int16_t version, json_t *json, uint8_t *object)
{
	int32_t count = json_is_null(json) ? -1 : (int32_t)json_array_size(json);
	uint8_t *elements = ot_arena_array(&arena, (size_t)OT_MAX(count, 0), value_bytes(field));
	memcpy(object + field->offset, &elements, sizeof(elements));
	memcpy(object + field->count_offset, &count, sizeof(count));
	for (int32_t i = 0; i < count; i++) {
		json_t *element = json_array_get(json, (size_t)i);
		uint8_t *place = elements + (size_t)i * value_bytes(field);
		if (!fill_value(field, version, element, place))
			return false;
	}
	return true;
}

static bool
fill_field(const struct ot_msg_field *field, int16_t version, json_t *json, uint8_t *object)
{
	if (field->is_array)
		return fill_array(field, version, json, object);
	if (!field->by_pointer)
		return fill_value(field, version, json, object + field->offset);
	uint8_t *target = NULL;
	if (!json_is_null(json))
		target = ot_arena_alloc(&arena, field->type->bytes);
	memcpy(object + field->offset, &target, sizeof(target));
	return target == NULL || fill_value(field, version, json, target);
}

/* "TopicData" is "topicData" in the JSON. */
static const char *
name_in_json(const struct ot_msg_field *field, char ret_name[static 128])
{
	snprintf(ret_name, 128, "%s", field->name);
	if (*ret_name >= 'A' && *ret_name <= 'Z')
		*ret_name = (char)(*ret_name - 'A' + 'a');
	return ret_name;
}

/* Every field of the version must be in the JSON, but for tagged ones; nothing else may be. */
static bool
fill_struct(const struct ot_msg_struct *type, int16_t version, json_t *json, uint8_t *object)
{
	size_t used = 0;
	for (size_t i = 0; i < type->field_count; i++) {
		const struct ot_msg_field *field = &type->fields[i];
		char name[128];
		if (!ot_versions_have(field->present, version))
			continue;
		json_t *value = json_object_get(json, name_in_json(field, name));
		bool is_tagged = field->tag >= 0 && ot_versions_have(field->tagged, version);
		if (value == NULL && is_tagged)
			continue;
		if (value == NULL || !fill_field(field, version, value, object)) {
			printf("# field %s of %s\n", name, type->name);
			return false;
		}
		used++;
	}
	return used == json_object_size(json);
}

static void drop_defaults(const struct ot_msg_struct *type, int16_t version, json_t *json);

/* Whether the object would be as by default if it had nothing but this value. */
static bool
is_default(const struct ot_msg_struct *type, const struct ot_msg_field *field, int16_t version,
    json_t *value)
{
	uint8_t *scratch = ot_arena_alloc(&arena, type->bytes);
	memcpy(scratch, type->defaults, type->bytes);
	return fill_field(field, version, value, scratch) && ot_msg_is_default(type, scratch);
}

static void
drop_defaults_below(const struct ot_msg_field *field, int16_t version, json_t *value)
{
	if (field->kind != OT_FIELD_STRUCT)
		return;
	if (!field->is_array)
		drop_defaults(field->type, version, value);
	for (size_t i = 0; field->is_array && i < json_array_size(value); i++)
		drop_defaults(field->type, version, json_array_get(value, i));
}

/* The vectors have some tagged fields with their default value, which has no bytes: takes them out
 * of the JSON. */
static void
drop_defaults(const struct ot_msg_struct *type, int16_t version, json_t *json)
{
	for (size_t i = 0; i < type->field_count; i++) {
		const struct ot_msg_field *field = &type->fields[i];
		char name[128];
		json_t *value = json_object_get(json, name_in_json(field, name));
		bool is_tagged = field->tag >= 0 && ot_versions_have(field->tagged, version);
		if (value != NULL && is_tagged && is_default(type, field, version, value))
			json_object_del(json, name);
		else if (value != NULL)
			drop_defaults_below(field, version, value);
	}
}

static const char *
check_bytes(const struct vector *vector, const struct ot_msg *type, const void *msg)
{
	struct ot_writer out;
	ot_writer_init(&out);
	ot_err err = ot_msg_encode(type, vector->version, msg, &out, NULL);
	bool same = err == OT_OK && out.bytes == vector->byte_count &&
	            (out.bytes == 0 || memcmp(out.data, vector->bytes, out.bytes) == 0);
	ot_writer_fini(&out);
	return same ? NULL : "encodes to other bytes";
}

static const char *
check_json(const struct vector *vector, const struct ot_msg *type, const void *msg)
{
	struct ot_writer out;
	ot_writer_init(&out);
	if (ot_msg_print(type, vector->version, msg, &out) != OT_OK)
		return "does not print";
	json_t *printed = json_loadb((const char *)out.data, out.bytes, 0, NULL);
	bool same = json_equal(printed, vector->json) != 0;
	if (!same)
		printf("# printed %.*s\n", (int)out.bytes, (const char *)out.data);
	json_decref(printed);
	ot_writer_fini(&out);
	return same ? NULL : "has other values";
}

/* Gives all members of that name in the JSON another one, at any depth. */
static void
rename_member(json_t *json, const char *from, const char *to)
{
	json_t *child;
	const char *name;
	size_t i;
	json_array_foreach(json, i, child) rename_member(child, from, to);
	json_t *value = json_object_get(json, from);
	if (value != NULL) {
		json_object_set(json, to, value);
		json_object_del(json, from);
	}
	json_object_foreach(json, name, child) rename_member(child, from, to);
}

/* Names that changed between 3.9 and 4.3, whose names the schema has. */
static void
rename_to_newest(struct vector *vector)
{
	static const struct {
		const char *message, *message_now, *member, *member_now;
	} changes[] = {
		{ "ListClientMetricsResourcesRequest", "ListConfigResourcesRequest", "", "" },
		{ "ListClientMetricsResourcesResponse", NULL, "name", "resourceName" },
		{ "ListClientMetricsResourcesResponse", "ListConfigResourcesResponse",
		    "clientMetricsResources", "configResources" },
		{ "VoteRequest", NULL, "candidateId", "replicaId" },
		{ "VoteRequest", NULL, "candidateEpoch", "replicaEpoch" },
		{ "VoteRequest", NULL, "candidateDirectoryId", "replicaDirectoryId" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(changes); i++) {
		if (strcmp(vector->name, changes[i].message) != 0)
			continue;
		rename_member(vector->json, changes[i].member, changes[i].member_now);
		if (changes[i].message_now != NULL)
			vector->name = changes[i].message_now;
	}
}

/* A description without one field of the innermost of nested arrays. */
static const struct ot_msg_struct *
without_field(const struct ot_msg_struct *type, const char *name)
{
	struct ot_msg_field *fields = ot_arena_array(&arena, type->field_count, sizeof(*fields));
	struct ot_msg_struct *copy = ot_arena_alloc(&arena, sizeof(*copy));
	*copy = *type;
	copy->fields = fields;
	copy->field_count = 0;
	copy->wire_bytes_min = 1;
	for (size_t i = 0; i < type->field_count; i++) {
		struct ot_msg_field field = type->fields[i];
		if (strcmp(field.name, name) == 0)
			continue;
		if (field.kind == OT_FIELD_STRUCT)
			field.type = without_field(field.type, name);
		fields[copy->field_count++] = field;
	}
	return copy;
}

/* 3.9 had ReadShareGroupStateSummary as an unstable draft; 4.0 put LeaderEpoch into the response
 * without a new version. The draft's bytes are read with a description of the draft. */
static struct ot_msg
type_as_of_39(const struct ot_msg *type)
{
	struct ot_msg draft = *type;
	if (strcmp(type->name, "ReadShareGroupStateSummaryResponse") == 0)
		draft.body = without_field(type->body, "LeaderEpoch");
	return draft;
}

static const char *
check_vector(const struct vector *vector)
{
	const struct ot_msg *newest = ot_msg_find_name(ot_str_from(vector->name));
	if (newest == NULL)
		return "is in no schema";
	const struct ot_msg draft = type_as_of_39(newest);
	const struct ot_msg *type = &draft;
	struct ot_reader in = ot_reader_of(vector->bytes, vector->byte_count);
	void *msg = ot_arena_alloc(&arena, type->body->bytes);
	ot_err err = ot_msg_decode(type, vector->version, &in, &arena, msg);
	if (err != OT_OK)
		return ot_err_name(err);
	drop_defaults(type->body, vector->version, vector->json);
	const char *wrong = check_json(vector, type, msg);
	if (wrong == NULL)
		wrong = check_bytes(vector, type, msg);
	if (wrong != NULL)
		return wrong;
	ot_msg_init(type, msg);
	if (!fill_struct(type->body, vector->version, vector->json, msg))
		return "has other fields";
	return check_bytes(vector, type, msg);
}

/* Cases of the output: one for each message, with all its versions. */
struct tally {
	char name[128];
	int count;
	int failures;
	int cases;
	int cases_failed;
};

static void
end_case(struct tally *tally)
{
	if (tally->count == 0)
		return;
	tally->cases++;
	tally->cases_failed += tally->failures > 0;
	printf("%sok %d - %s, %d vectors\n", tally->failures > 0 ? "not " : "", tally->cases,
	    tally->name, tally->count);
	tally->count = tally->failures = 0;
}

static void
run_line(struct tally *tally, const char *line)
{
	json_t *root = json_loads(line, 0, NULL);
	struct vector vector = {
		.name = json_string_value(json_object_get(root, "name")),
		.version = (int16_t)json_integer_value(json_object_get(root, "version")),
		.json = json_object_get(root, "json"),
	};
	if (strcmp(tally->name, vector.name) != 0) {
		end_case(tally);
		snprintf(tally->name, sizeof(tally->name), "%s", vector.name);
	}
	const char *hex = json_string_value(json_object_get(root, "hex"));
	vector.bytes = bytes_of_hex(hex, &vector.byte_count);
	rename_to_newest(&vector);
	const char *wrong = check_vector(&vector);
	if (wrong != NULL)
		printf("# %s %d %s: %.1000s\n", vector.name, vector.version, wrong, line);
	tally->count++;
	tally->failures += wrong != NULL;
	free(vector.bytes);
	json_decref(root);
	ot_arena_reset(&arena);
}

int
main(void)
{
	const char *folder = getenv("OTTLA_REFERENCE");
	char path[1024];
	snprintf(path, sizeof(path), "%s/vectors/wire-3.9.jsonl", folder != NULL ? folder : "");
	FILE *file = folder != NULL ? fopen(path, "r") : NULL;
	if (file == NULL) {
		printf("1..0 # SKIP OTTLA_REFERENCE names no folder with vectors/wire-3.9.jsonl\n");
		return 0;
	}
	ot_arena_init(&arena, ARENA_BYTES_MAX);
	char *line = NULL;
	size_t line_capacity = 0;
	struct tally tally = { 0 };
	while (getline(&line, &line_capacity, file) > 0)
		run_line(&tally, line);
	end_case(&tally);
	printf("1..%d\n", tally.cases);
	free(line);
	fclose(file);
	ot_arena_fini(&arena);
	return tally.cases_failed > 0 || tally.cases == 0;
}
