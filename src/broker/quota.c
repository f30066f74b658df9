#include "broker/life_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

/* The connections of one address. */
struct quota_ip {
	char host[sizeof(((struct ot_address *)NULL)->host)];
	uint32_t count;
	UT_hash_handle hh;
};

struct life_quota {
	struct quota_ip *ips;
	uint32_t count;
};

struct life_quota *
life_quota_create(void)
{
	return OT_NEW(struct life_quota);
}

void
life_quota_destroy(struct life_quota *quota)
{
	if (quota == NULL)
		return;
	struct quota_ip *ip, *next;
	HASH_ITER(hh, quota->ips, ip, next) {
		HASH_DEL(quota->ips, ip);
		ot_free(ip);
	}
	ot_free(quota);
}

/* ---- limits -------------------------------------------------------------------------------- */

/* Whether one "host:count" of the overrides is for the address; a name counts for all that it
 * stands for. */
static bool
override_is_for(struct ot_str name, const char *host)
{
	struct ot_address found[8];
	char text[256];
	if (ot_str_is(name, host))
		return true;
	if (name.len <= 0 || (size_t)name.len >= sizeof(text))
		return false;
	memcpy(text, name.data, (size_t)name.len);
	text[name.len] = '\0';
	/* Numbers were compared as they are. */
	if (strspn(text, "0123456789.") == strlen(text) || strchr(text, ':') != NULL)
		return false;
	size_t count = ot_io_resolve(text, 0, found, OT_ARRAY_COUNT(found));
	for (size_t i = 0; i < count; i++) {
		if (strcmp(found[i].host, host) == 0)
			return true;
	}
	return false;
}

static int64_t
limit_of_ip(const struct ot_settings *settings, const char *host)
{
	const char *next = ot_settings_text(settings, OT_BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES);
	while (next != NULL && *next != '\0') {
		next += strspn(next, " ,");
		size_t bytes = strcspn(next, ",");
		/* The count stands behind the last colon: an IPv6 address has some of its own. */
		const char *colon = memrchr(next, ':', bytes);
		if (colon != NULL &&
		    override_is_for((struct ot_str){ next, (int32_t)(colon - next) }, host))
			return strtol(colon + 1, NULL, 10);
		next += bytes;
	}
	return ot_settings_number(settings, OT_BROKER_MAX_CONNECTIONS_PER_IP);
}

/* ---- counting ------------------------------------------------------------------------------ */

enum life_verdict
life_quota_take(struct life_quota *quota, const struct ot_settings *settings,
    struct broker_listener *listener, const struct ot_address *peer, int64_t *ret_limit)
{
	struct quota_ip *ip;
	HASH_FIND_STR(quota->ips, peer->host, ip);
	*ret_limit = limit_of_ip(settings, peer->host);
	if ((ip != NULL ? ip->count : 0) >= *ret_limit)
		return LIFE_REFUSED;
	*ret_limit = ot_settings_number(settings, OT_BROKER_MAX_CONNECTIONS);
	if (quota->count >= *ret_limit)
		return LIFE_WAITS;
	*ret_limit =
	    ot_settings_listener_number(settings, listener->conf->name, OT_BROKER_MAX_CONNECTIONS);
	if (listener->conn_count >= *ret_limit)
		return LIFE_WAITS;
	if (ip == NULL) {
		ip = OT_NEW(struct quota_ip);
		memcpy(ip->host, peer->host, sizeof(ip->host));
		HASH_ADD_STR(quota->ips, host, ip);
	}
	ip->count++;
	quota->count++;
	listener->conn_count++;
	return LIFE_ADMITTED;
}

void
life_quota_give(struct life_quota *quota, struct broker_listener *listener,
    const struct ot_address *peer)
{
	struct quota_ip *ip;
	HASH_FIND_STR(quota->ips, peer->host, ip);
	OT_ASSERT(ip != NULL && ip->count > 0 && quota->count > 0 && listener->conn_count > 0);
	quota->count--;
	listener->conn_count--;
	if (--ip->count > 0)
		return;
	HASH_DEL(quota->ips, ip);
	ot_free(ip);
}
