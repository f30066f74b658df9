/* The rules for what names alone do not say:
 *
 *   compression.*.level    that of the chosen codec becomes compression.level
 *   ssl.keystore.*         PKCS12 goes to ssl.keystore.location, PEM to certificate and key
 *   ssl.truststore.*       PEM only: nothing else can be read
 *   sasl.jaas.config       user and password, or what Kerberos and OAuth need, out of the login
 *                          module's options: Module required key="value" key="value";
 */
#include "config/client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Pairs beyond those of the file: defaults of Java's clients and parts of a JAAS entry. */
#define PAIRS_EXTRA_MAX 24
#define PLACE_BYTES_MAX 512

struct translator {
	enum ot_client_kind kind;
	const struct ot_properties *props;
	struct ot_arena *arena;
	struct ot_config_notes *notes;
	struct ot_config_pair *pairs;
	size_t count;
	bool is_out_of_memory;
};

const struct ot_config_table *
ot_client_table(enum ot_client_kind kind)
{
	switch (kind) {
	case OT_CLIENT_PRODUCER:
		return &ot_producer_table;
	case OT_CLIENT_CONSUMER:
		return &ot_consumer_table;
	case OT_CLIENT_ADMIN:
		break;
	}
	return &ot_admin_table;
}

/* Adds a pair, or overwrites what an older name of the same gave. */
static void
put(struct translator *to, const char *name, struct ot_str value)
{
	const char *copy = ot_arena_strndup(to->arena, value.len > 0 ? value.data : "",
	    (size_t)OT_MAX(value.len, 0));
	if (copy == NULL) {
		to->is_out_of_memory = true;
		return;
	}
	struct ot_config_pair pair = { ot_str_from(name), { copy, OT_MAX(value.len, 0) } };
	for (size_t i = 0; i < to->count; i++) {
		if (ot_str_is(to->pairs[i].name, name)) {
			to->pairs[i] = pair;
			return;
		}
	}
	to->pairs[to->count++] = pair;
}

static void
put_text(struct translator *to, const char *name, const char *value)
{
	put(to, name, ot_str_from(value));
}

static const struct ot_property *
find(const struct translator *to, const char *name)
{
	return ot_properties_find(to->props, ot_str_from(name));
}

static bool
is_set_to(const struct translator *to, const char *name, const char *value)
{
	const struct ot_property *item = find(to, name);
	if (item == NULL)
		return false;
	struct ot_str text = ot_config_trim(item->value);
	return text.len == (int32_t)strlen(value) &&
	       strncasecmp(text.data, value, (size_t)text.len) == 0;
}

/* Where a setting stands: file and line, or only who gave it, when that was no file. */
static const char *
place_of(const struct translator *to, const struct ot_property *item, char *room, size_t bytes_max)
{
	if (item->line > 0)
		snprintf(room, bytes_max, "%s:%u", to->props->file, item->line);
	else
		snprintf(room, bytes_max, "%s", "command line");
	return room;
}

static void
error_at(struct translator *to, const struct ot_property *item, const char *rule)
{
	char place[PLACE_BYTES_MAX];
	ot_config_error(to->notes, "%s: %s is not valid: %s",
	    place_of(to, item, place, sizeof(place)), item->name.data, rule);
}

/* Java names a class, librdkafka a word. */
static const char *
assignor_word(const char *item)
{
	static const struct {
		const char *class, *word;
	} rows[] = {
		{ "RangeAssignor", "range" },
		{ "RoundRobinAssignor", "roundrobin" },
		{ "CooperativeStickyAssignor", "cooperative-sticky" },
		{ "StickyAssignor", "cooperative-sticky" },
	};
	const char *dot = strrchr(item, '.');
	const char *class = dot != NULL ? dot + 1 : item;
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (strcmp(class, rows[i].class) == 0 || strcmp(class, rows[i].word) == 0)
			return rows[i].word;
	}
	return NULL;
}

/* librdkafka does not mix eager and cooperative assignors: the first one counts, which is the one
 * that a group of Java's consumers uses as well. */
static void
put_assignor(struct translator *to, const struct ot_property *item,
    const struct ot_config_value *value)
{
	for (size_t i = 0; i < value->item_count; i++) {
		const char *word = assignor_word(value->items[i]);
		if (word != NULL) {
			put_text(to, "partition.assignment.strategy", word);
			return;
		}
	}
	error_at(to, item,
	    "only the assignors range, roundrobin and cooperative-sticky are there; name one");
}

static void
put_partitioner(struct translator *to, const struct ot_property *item,
    const struct ot_config_value *value)
{
	const char *text = value->text.data;
	const char *dot = strrchr(text, '.');
	const char *class = dot != NULL ? dot + 1 : text;
	if (strcmp(class, "RoundRobinPartitioner") == 0)
		put_text(to, "partitioner", "random");
	else if (strcmp(class, "DefaultPartitioner") == 0 ||
		 strcmp(class, "UniformStickyPartitioner") == 0)
		put_text(to, "partitioner", "murmur2_random");
	else if (dot == NULL)
		put(to, "partitioner", value->text);
	else
		error_at(to, item,
		    "a class of your own cannot be loaded; leave it out to have Java's default");
}

static void
put_offset_reset(struct translator *to, const struct ot_property *item,
    const struct ot_config_value *value)
{
	if (strcmp(value->text.data, "none") == 0)
		put_text(to, "auto.offset.reset", "error");
	else if (strncmp(value->text.data, "by_duration", strlen("by_duration")) == 0)
		error_at(to, item,
		    "a duration cannot be given here; give earliest, latest or none");
	else
		put(to, "auto.offset.reset", value->text);
}

static void
put_lower(struct translator *to, const char *name, struct ot_str value)
{
	char text[64];
	size_t bytes = 0;
	for (; bytes < (size_t)value.len && bytes + 1 < sizeof(text); bytes++)
		text[bytes] = (char)tolower((unsigned char)value.data[bytes]);
	put(to, name, (struct ot_str){ text, (int32_t)bytes });
}

/* Java separates ciphers by commas, OpenSSL by colons. */
static void
put_ciphers(struct translator *to, const struct ot_config_value *value)
{
	char *text = ot_arena_strndup(to->arena, value->text.data, (size_t)value->text.len);
	for (char *place = text; place != NULL && *place != '\0'; place++) {
		if (*place == ',')
			*place = ':';
	}
	to->is_out_of_memory |= text == NULL;
	if (text != NULL)
		put(to, "ssl.cipher.suites", (struct ot_str){ text, value->text.len });
}

/* Values that are written in another way, by librdkafka's name; false when the rest holds. */
static bool
put_special(struct translator *to, const struct ot_property *item, const struct ot_config_def *def,
    const struct ot_config_value *value)
{
	const char *name = def->rdkafka;
	if (strcmp(name, "partition.assignment.strategy") == 0)
		put_assignor(to, item, value);
	else if (strcmp(name, "partitioner") == 0)
		put_partitioner(to, item, value);
	else if (strcmp(name, "auto.offset.reset") == 0)
		put_offset_reset(to, item, value);
	else if (strcmp(name, "security.protocol") == 0 || strcmp(name, "group.protocol") == 0 ||
		 strcmp(name, "metadata.recovery.strategy") == 0)
		put_lower(to, name, value->text);
	else if (strcmp(name, "ssl.endpoint.identification.algorithm") == 0 && value->text.len == 0)
		put_text(to, name, "none");
	else if (strcmp(name, "ssl.cipher.suites") == 0)
		put_ciphers(to, value);
	else if (strncmp(name, "socket.", strlen("socket.")) == 0 && value->number == -1)
		put_text(to, name, "0"); /* Java: -1 leaves it to the system */
	else
		return false;
	return true;
}

static void
put_value(struct translator *to, const struct ot_property *item, const struct ot_config_def *def,
    const struct ot_config_value *value)
{
	if (put_special(to, item, def, value))
		return;
	if (def->rdkafka_divisor == 1) {
		put(to, def->rdkafka, value->text);
		return;
	}
	char digits[32];
	snprintf(digits, sizeof(digits), "%lld",
	    (long long)OT_MAX(value->number / def->rdkafka_divisor, 1));
	put_text(to, def->rdkafka, digits);
}

static void
translate_item(struct translator *to, const struct ot_property *item)
{
	const struct ot_config_table *table = ot_client_table(to->kind);
	int key = ot_config_find(table, item->name);
	if (key < 0) {
		const char *name =
		    ot_arena_strndup(to->arena, item->name.data, (size_t)item->name.len);
		to->is_out_of_memory |= name == NULL;
		if (name != NULL)
			put(to, name, ot_config_trim(item->value));
		return;
	}
	const struct ot_config_def *def = &table->defs[key];
	struct ot_config_value value;
	struct ot_why why;
	char place[PLACE_BYTES_MAX];
	ot_err err = ot_config_read(def, item->value, to->arena, &value, &why);
	if (err == OT_ERR_NO_MEMORY)
		to->is_out_of_memory = true;
	else if (err != OT_OK)
		ot_config_error(to->notes, "%s: %s", place_of(to, item, place, sizeof(place)),
		    why.text);
	else if (def->rdkafka[0] != '\0' && def->rdkafka[0] != '*')
		put_value(to, item, def, &value);
}

static void
translate_level(struct translator *to)
{
	static const char *const codecs[] = { "gzip", "lz4", "zstd" };
	for (size_t i = 0; i < OT_ARRAY_COUNT(codecs); i++) {
		char name[64];
		snprintf(name, sizeof(name), "compression.%s.level", codecs[i]);
		const struct ot_property *item = find(to, name);
		if (item != NULL && is_set_to(to, "compression.type", codecs[i]))
			put(to, "compression.level", ot_config_trim(item->value));
	}
}

static void
translate_stores(struct translator *to)
{
	const struct ot_property *key_store = find(to, "ssl.keystore.location");
	const struct ot_property *trust_store = find(to, "ssl.truststore.location");
	if (key_store != NULL && is_set_to(to, "ssl.keystore.type", "PEM")) {
		struct ot_str path = ot_config_trim(key_store->value);
		put(to, "ssl.certificate.location", path);
		put(to, "ssl.key.location", path);
		for (size_t i = 0; i < to->count; i++) {
			if (ot_str_is(to->pairs[i].name, "ssl.keystore.location"))
				to->pairs[i] = to->pairs[--to->count];
		}
	}
	if (trust_store != NULL && !is_set_to(to, "ssl.truststore.type", "PEM"))
		error_at(to, trust_store,
		    "only PEM can be read here; write the certificates to a PEM file and set "
		    "ssl.truststore.type=PEM");
}

/* Where an option of a login module goes. */
static const char *
jaas_target(struct ot_str name)
{
	static const struct {
		const char *option, *target;
	} rows[] = {
		{ "username", "sasl.username" },
		{ "password", "sasl.password" },
		{ "principal", "sasl.kerberos.principal" },
		{ "keyTab", "sasl.kerberos.keytab" },
		{ "serviceName", "sasl.kerberos.service.name" },
		{ "clientId", "sasl.oauthbearer.client.id" },
		{ "clientSecret", "sasl.oauthbearer.client.secret" },
		{ "scope", "sasl.oauthbearer.scope" },
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(rows); i++) {
		if (ot_str_is(name, rows[i].option))
			return rows[i].target;
	}
	return NULL;
}

static const char *
skip_space(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

/* One word, or a text in quotes with \ before what is meant literally; NULL when it does not end.
 */
static const char *
read_jaas_word(const char *at, char *to, size_t bytes_max, struct ot_str *ret_word)
{
	size_t bytes = 0;
	char quote = *at == '"' || *at == '\'' ? *at++ : '\0';
	while (*at != '\0' && bytes + 1 < bytes_max) {
		if (quote != '\0' ? *at == quote
				  : isspace((unsigned char)*at) || *at == ';' || *at == '=')
			break;
		if (quote != '\0' && *at == '\\' && at[1] != '\0')
			at++;
		to[bytes++] = *at++;
	}
	if (quote != '\0' && *at++ != quote)
		return NULL;
	*ret_word = (struct ot_str){ to, (int32_t)bytes };
	return at;
}

/* Module, flag, then option=value until the semicolon. */
static bool
read_jaas(struct translator *to, const char *at)
{
	char name_room[256], value_room[4096];
	struct ot_str name, value;
	for (int word = 0; word < 2; word++) {
		at = read_jaas_word(skip_space(at), name_room, sizeof(name_room), &name);
		if (at == NULL || name.len == 0)
			return false;
	}
	for (at = skip_space(at); *at != '\0' && *at != ';'; at = skip_space(at)) {
		at = read_jaas_word(at, name_room, sizeof(name_room), &name);
		if (at == NULL || name.len == 0)
			return false;
		at = skip_space(at);
		if (*at++ != '=')
			return false;
		at = read_jaas_word(skip_space(at), value_room, sizeof(value_room), &value);
		if (at == NULL)
			return false;
		const char *target = jaas_target(name);
		if (target != NULL)
			put(to, target, value);
	}
	return true;
}

static void
translate_jaas(struct translator *to)
{
	const struct ot_property *item = find(to, "sasl.jaas.config");
	if (item != NULL && !read_jaas(to, item->value.data))
		error_at(to, item, "it must look like: Module required option=\"value\" ...;");
	if (is_set_to(to, "sasl.mechanism", "OAUTHBEARER") &&
	    find(to, "sasl.oauthbearer.token.endpoint.url") != NULL)
		put_text(to, "sasl.oauthbearer.method", "oidc");
}

/* Whether the file rules out idempotence, which Java's producer gives up then without a word. */
static bool
is_not_idempotent(const struct translator *to)
{
	const struct ot_property *flights = find(to, "max.in.flight.requests.per.connection");
	return is_set_to(to, "acks", "0") || is_set_to(to, "acks", "1") ||
	       is_set_to(to, "retries", "0") ||
	       (flights != NULL && strtol(flights->value.data, NULL, 10) > 5);
}

/* What Java's clients do when nobody says otherwise, and librdkafka does not. */
static void
put_defaults(struct translator *to)
{
	if (to->kind == OT_CLIENT_CONSUMER) {
		put_text(to, "isolation.level", "read_uncommitted");
	} else if (to->kind == OT_CLIENT_PRODUCER) {
		put_text(to, "partitioner", "murmur2_random");
		put_text(to, "enable.idempotence", is_not_idempotent(to) ? "false" : "true");
	}
}

ot_err
ot_client_translate(enum ot_client_kind kind, const struct ot_properties *props,
    struct ot_arena *arena, struct ot_config_pair **ret_pairs, size_t *ret_count,
    struct ot_config_notes *notes)
{
	struct translator to = { .kind = kind, .props = props, .arena = arena, .notes = notes };
	to.pairs = ot_arena_array(arena, props->count + PAIRS_EXTRA_MAX, sizeof(*to.pairs));
	if (to.pairs == NULL)
		return OT_ERR_NO_MEMORY;
	put_defaults(&to);
	for (size_t i = 0; i < props->count; i++)
		translate_item(&to, &props->items[i]);
	if (kind == OT_CLIENT_PRODUCER)
		translate_level(&to);
	translate_stores(&to);
	translate_jaas(&to);
	if (to.is_out_of_memory)
		return OT_ERR_NO_MEMORY;
	if (notes->error_count > 0)
		return OT_ERR_INVALID_CONFIG;
	*ret_pairs = to.pairs;
	*ret_count = to.count;
	return OT_OK;
}
