#include "cluster/etcd_place.h"

#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/durable_int.h"
#include "config/properties.h"

enum { FILE_BYTES_MAX = OT_ETCD_ENDPOINTS_MAX * OT_ETCD_URL_BYTES + 1024 };

static const char file_name[] = "metadata.etcd";

void
ot_etcd_place_add(struct ot_etcd_place *place, const char *endpoint)
{
	struct ot_text text;

	for (size_t i = 0; i < place->endpoint_count; i++)
		if (strcmp(place->endpoints[i], endpoint) == 0)
			return;
	if (place->endpoint_count == OT_ETCD_ENDPOINTS_MAX || strlen(endpoint) >= OT_ETCD_URL_BYTES)
		return;
	text = (struct ot_text)OT_TEXT(place->endpoints[place->endpoint_count]);
	ot_text_put(&text, "%s", endpoint);
	place->endpoint_count++;
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool
take_text(const struct ot_properties *props, const char *name, char *to, size_t bytes)
{
	const struct ot_property *found = ot_properties_find(props, ot_str_from(name));
	struct ot_text text = { .data = to, .bytes_max = bytes };

	if (found == NULL || found->value.len == 0 || (size_t)found->value.len >= bytes)
		return false;
	ot_text_put(&text, "%.*s", OT_STR_ARG(found->value));
	return true;
}

static void
take_endpoints(const struct ot_properties *props, struct ot_etcd_place *place)
{
	const struct ot_property *found = ot_properties_find(props, OT_STR_LIT("endpoints"));
	const char *next = found != NULL ? found->value.data : "";
	const char *end = next + (found != NULL ? found->value.len : 0);

	while (next < end) {
		const char *comma = memchr(next, ',', (size_t)(end - next));
		size_t bytes = (size_t)((comma != NULL ? comma : end) - next);
		char endpoint[OT_ETCD_URL_BYTES];
		struct ot_text text = OT_TEXT(endpoint);

		ot_text_put(&text, "%.*s", (int)bytes, next);
		if (bytes > 0)
			ot_etcd_place_add(place, endpoint);
		next += bytes + 1;
	}
}

static ot_err
parse(const char *content, struct ot_etcd_place *ret_place)
{
	struct ot_etcd_place place = { .endpoint_count = 0 };
	struct ot_properties props;
	ot_err err;

	ot_properties_init(&props, file_name);
	err = ot_properties_parse(&props, content, strlen(content), NULL);
	if (err == OT_OK &&
	    (!take_text(&props, "cluster.id", place.cluster_id, sizeof(place.cluster_id)) ||
		!take_text(&props, "prefix", place.prefix, sizeof(place.prefix))))
		err = OT_ERR_CORRUPT_FILE;
	if (err == OT_OK)
		take_endpoints(&props, &place);
	ot_properties_fini(&props);
	if (err == OT_OK)
		*ret_place = place;
	return err == OT_OK || err == OT_ERR_NO_MEMORY ? err : OT_ERR_CORRUPT_FILE;
}

ot_err
ot_etcd_place_read(struct ot_fs *fs, const char *dir, struct ot_etcd_place *ret_place,
    struct ot_why *why)
{
	char *content = ot_must_alloc(FILE_BYTES_MAX);
	ot_err err = durable_read(fs, dir, file_name, content, FILE_BYTES_MAX);

	if (err == OT_OK)
		err = parse(content, ret_place);
	if (err == OT_ERR_CORRUPT_FILE)
		ot_why_set(why,
		    "%s/%s does not say where the cluster's metadata is: restore it, or copy that "
		    "of "
		    "another node of the cluster",
		    dir, file_name);
	else if (err != OT_OK)
		ot_why_set(why, "%s/%s: %s", dir, file_name, ot_err_message(err));
	ot_free(content);
	return err;
}

ot_err
ot_etcd_place_write(struct ot_fs *fs, const char *dir, const struct ot_etcd_place *place)
{
	char *content = ot_must_alloc(FILE_BYTES_MAX);
	struct ot_text text = { .data = content, .bytes_max = FILE_BYTES_MAX };
	ot_err err;

	ot_text_put(&text, "cluster.id=%s\nprefix=%s\nendpoints=", place->cluster_id,
	    place->prefix);
	for (size_t i = 0; i < place->endpoint_count; i++)
		ot_text_put(&text, "%s%s", i > 0 ? "," : "", place->endpoints[i]);
	ot_text_put(&text, "\n");
	err = durable_write(fs, dir, file_name, content, text.bytes);
	ot_free(content);
	return err;
}

/* ---- the shared list ------------------------------------------------------------------------ */

struct ot_etcd_endpoints {
	uint32_t refs;
	uint64_t version;
	size_t count;
	char *items[OT_ETCD_ENDPOINTS_MAX];
};

struct ot_etcd_endpoints *
ot_etcd_endpoints_create(void)
{
	struct ot_etcd_endpoints *list = OT_NEW(struct ot_etcd_endpoints);

	list->refs = 1;
	list->version = 1;
	return list;
}

struct ot_etcd_endpoints *
ot_etcd_endpoints_ref(struct ot_etcd_endpoints *list)
{
	list->refs++;
	return list;
}

static void
clear(struct ot_etcd_endpoints *list)
{
	for (size_t i = 0; i < list->count; i++)
		ot_free(list->items[i]);
	list->count = 0;
}

void
ot_etcd_endpoints_unref(struct ot_etcd_endpoints *list)
{
	if (list == NULL || --list->refs > 0)
		return;
	clear(list);
	ot_free(list);
}

static bool
is_same(const struct ot_etcd_endpoints *list, const char *const *endpoints, size_t count)
{
	if (list->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(list->items[i], endpoints[i]) != 0)
			return false;
	return true;
}

void
ot_etcd_endpoints_set(struct ot_etcd_endpoints *list, const char *const *endpoints, size_t count)
{
	OT_ASSERT(count <= OT_ETCD_ENDPOINTS_MAX);
	if (is_same(list, endpoints, count))
		return;
	clear(list);
	for (size_t i = 0; i < count; i++)
		list->items[i] = ot_must_strdup(endpoints[i]);
	list->count = count;
	list->version++;
}

size_t
ot_etcd_endpoints_count(const struct ot_etcd_endpoints *list)
{
	return list->count;
}

const char *
ot_etcd_endpoints_at(const struct ot_etcd_endpoints *list, size_t index)
{
	OT_ASSERT(index < list->count);
	return list->items[index];
}

uint64_t
ot_etcd_endpoints_version(const struct ot_etcd_endpoints *list)
{
	return list->version;
}
