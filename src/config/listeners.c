#include "config/listeners.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/def.h"

static const char *const protocol_names[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };

bool
ot_security_protocol_parse(const char *text, enum ot_security_protocol *ret_security)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(protocol_names); i++) {
		if (strcasecmp(text, protocol_names[i]) == 0) {
			*ret_security = (enum ot_security_protocol)i;
			return true;
		}
	}
	return false;
}

const char *
ot_security_protocol_name(enum ot_security_protocol security)
{
	return protocol_names[security];
}

/* Kafka's names of hosts: letters, digits, - . _ and, for addresses, : and %. */
static bool
is_host_char(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("-._:%", c) != NULL);
}

static bool
parse_port(struct ot_str text, uint16_t *ret_port)
{
	uint32_t port = 0;
	if (text.len < 1 || text.len > 5)
		return false;
	for (int32_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(text.data[i] - '0');
	}
	if (port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* Divides "host:port", "[::1]:port", "host" and "[::1]"; the port is null when there is none. An
 * address with several colons must stand in brackets, or nobody knows where it ends. */
static bool
split_host_port(struct ot_str text, struct ot_str *ret_host, struct ot_str *ret_port)
{
	struct ot_str host = text, port = OT_STR_NULL;
	if (text.len > 0 && text.data[0] == '[') {
		const char *close = memchr(text.data, ']', (size_t)text.len);
		if (close == NULL)
			return false;
		host = (struct ot_str){ text.data + 1, (int32_t)(close - text.data) - 1 };
		struct ot_str rest = { close + 1, text.len - host.len - 2 };
		if (rest.len > 0 && rest.data[0] != ':')
			return false;
		if (rest.len > 0)
			port = (struct ot_str){ rest.data + 1, rest.len - 1 };
	} else if (text.len > 0) {
		const char *colon = memrchr(text.data, ':', (size_t)text.len);
		if (colon != NULL) {
			host.len = (int32_t)(colon - text.data);
			port = (struct ot_str){ colon + 1, text.len - host.len - 1 };
		}
	}
	for (int32_t i = 0; i < host.len; i++) {
		if (!is_host_char(host.data[i]))
			return false;
	}
	*ret_host = host;
	*ret_port = port;
	return true;
}

static char *
copy_upper(struct ot_arena *arena, struct ot_str text)
{
	char *copy = ot_arena_strndup(arena, text.data, (size_t)text.len);
	for (char *place = copy; copy != NULL && *place != '\0'; place++)
		*place = (char)toupper((unsigned char)*place);
	return copy;
}

ot_err
ot_listener_parse(const char *text, struct ot_arena *arena, struct ot_listener_conf *ret_listener,
    struct ot_why *why)
{
	const char *slashes = strstr(text, "://");
	struct ot_str host, port;
	struct ot_listener_conf listener = { 0 };
	if (slashes == NULL || slashes == text ||
	    !split_host_port(ot_str_from(slashes + 3), &host, &port) ||
	    !parse_port(port, &listener.port)) {
		ot_why_set(why, "Unable to parse %s to a broker endpoint; write NAME://host:port",
		    text);
		return OT_ERR_INVALID_CONFIG;
	}
	listener.name = copy_upper(arena, (struct ot_str){ text, (int32_t)(slashes - text) });
	listener.host = ot_arena_strndup(arena, host.data, (size_t)host.len);
	if (listener.name == NULL || listener.host == NULL)
		return OT_ERR_NO_MEMORY;
	*ret_listener = listener;
	return OT_OK;
}

ot_err
ot_host_port_parse(struct ot_str text, uint16_t default_port, struct ot_arena *arena,
    struct ot_host_port *ret_address, struct ot_why *why)
{
	struct ot_str host, port;
	struct ot_host_port address = { .port = default_port };
	text = ot_config_trim(text);
	bool is_valid = split_host_port(text, &host, &port) && host.len > 0;
	if (is_valid && (port.len >= 0 || default_port == 0))
		is_valid = parse_port(port, &address.port) && address.port != 0;
	if (!is_valid) {
		ot_why_set(why, "%.*s is not of the form host:port", OT_STR_ARG(text));
		return OT_ERR_INVALID_CONFIG;
	}
	address.host = ot_arena_strndup(arena, host.data, (size_t)host.len);
	if (address.host == NULL)
		return OT_ERR_NO_MEMORY;
	*ret_address = address;
	return OT_OK;
}

static ot_err
parse_mapping(struct ot_str pair, struct ot_arena *arena, struct ot_protocol_mapping *ret_mapping,
    struct ot_why *why)
{
	const char *colon = pair.len > 0 ? memrchr(pair.data, ':', (size_t)pair.len) : NULL;
	if (colon == NULL || colon == pair.data) {
		ot_why_set(why, "%.*s is not of the form NAME:PROTOCOL", OT_STR_ARG(pair));
		return OT_ERR_INVALID_CONFIG;
	}
	int32_t name_len = (int32_t)(colon - pair.data);
	struct ot_str name = ot_config_trim((struct ot_str){ pair.data, name_len });
	struct ot_str rest = { colon + 1, pair.len - name_len - 1 };
	struct ot_str protocol = ot_config_trim(rest);
	const char *word = ot_arena_strndup(arena, protocol.data, (size_t)protocol.len);
	ret_mapping->name = copy_upper(arena, name);
	if (word == NULL || ret_mapping->name == NULL)
		return OT_ERR_NO_MEMORY;
	if (ot_security_protocol_parse(word, &ret_mapping->security))
		return OT_OK;
	ot_why_set(why,
	    "%s is no security protocol; give PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", word);
	return OT_ERR_INVALID_CONFIG;
}

ot_err
ot_protocol_map_parse(struct ot_str text, struct ot_arena *arena,
    struct ot_protocol_mapping **ret_map, size_t *ret_count, struct ot_why *why)
{
	static const struct ot_config_def list = { .name = "listener.security.protocol.map",
		.type = OT_CONFIG_LIST };
	struct ot_config_value pairs;
	ot_err err = ot_config_read(&list, text, arena, &pairs, why);
	if (err != OT_OK)
		return err;
	struct ot_protocol_mapping *map = ot_arena_array(arena, pairs.item_count, sizeof(*map));
	if (map == NULL)
		return OT_ERR_NO_MEMORY;
	for (size_t i = 0; i < pairs.item_count; i++) {
		err = parse_mapping(ot_str_from(pairs.items[i]), arena, &map[i], why);
		if (err != OT_OK)
			return err;
	}
	*ret_map = map;
	*ret_count = pairs.item_count;
	return OT_OK;
}

enum address_kind {
	ADDRESS_NAME,
	ADDRESS_IPV4,
	ADDRESS_IPV6,
};

static enum address_kind
kind_of_host(const char *host)
{
	if (strchr(host, ':') != NULL)
		return ADDRESS_IPV6;
	size_t digits = strspn(host, "0123456789.");
	return host[0] != '\0' && host[digits] == '\0' ? ADDRESS_IPV4 : ADDRESS_NAME;
}

static bool
may_share_port(const struct ot_listener_conf *a, const struct ot_listener_conf *b)
{
	enum address_kind first = kind_of_host(a->host), second = kind_of_host(b->host);
	return first != ADDRESS_NAME && second != ADDRESS_NAME && first != second;
}

ot_err
ot_listeners_check_distinct(const struct ot_listener_conf *listeners, size_t count,
    struct ot_why *why)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(listeners[i].name, listeners[j].name) == 0) {
				ot_why_set(why,
				    "Each listener must have a different name, but "
				    "%s stands twice",
				    listeners[i].name);
				return OT_ERR_INVALID_CONFIG;
			}
			if (listeners[i].port != 0 && listeners[i].port == listeners[j].port &&
			    !may_share_port(&listeners[i], &listeners[j])) {
				ot_why_set(why,
				    "Each listener must have a different port, unless "
				    "one has an IPv4 address and the other an IPv6 "
				    "address, but %s and %s both have %u",
				    listeners[j].name, listeners[i].name, listeners[i].port);
				return OT_ERR_INVALID_CONFIG;
			}
		}
	}
	return OT_OK;
}
