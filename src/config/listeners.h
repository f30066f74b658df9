/* Listeners: which addresses a process listens on, under which names and protocols, and what it
 * tells others to connect to. */
#ifndef OT_CONFIG_LISTENERS_H
#define OT_CONFIG_LISTENERS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/text.h"

/* The numbers are those of Kafka's security protocols on the wire. */
enum ot_security_protocol {
	OT_SECURITY_PLAINTEXT = 0,
	OT_SECURITY_SSL = 1,
	OT_SECURITY_SASL_PLAINTEXT = 2,
	OT_SECURITY_SASL_SSL = 3,
};

struct ot_listener_conf {
	const char *name; /* upper case */
	enum ot_security_protocol security;
	bool is_controller;          /* named in controller.listener.names */
	const char *host;            /* without brackets; empty: all addresses */
	uint16_t port;               /* 0: any free one */
	bool is_advertised;          /* others are told of it */
	const char *advertised_host; /* empty: the machine's own name */
	uint16_t advertised_port;    /* 0: the port that is bound in the end */
};

struct ot_host_port {
	const char *host; /* without brackets */
	uint16_t port;
};

/* One pair of listener.security.protocol.map. */
struct ot_protocol_mapping {
	const char *name; /* upper case */
	enum ot_security_protocol security;
};

/* "SASL_SSL" and so on; false for any other word. Case does not count.
 * @owner any thread */
bool ot_security_protocol_parse(const char *text, enum ot_security_protocol *ret_security);
const char *ot_security_protocol_name(enum ot_security_protocol security);

/* "NAME://host:port" with brackets around an IPv6 address. Only name, host and port of
 * `ret_listener` are set. OT_ERR_INVALID_CONFIG with `why`, OT_ERR_NO_MEMORY.
 * @owner the arena's */
ot_err ot_listener_parse(const char *text, struct ot_arena *arena,
    struct ot_listener_conf *ret_listener, struct ot_why *why) OT_MUST_USE;

/* "host:port" with brackets around an IPv6 address; without a port, `default_port`, unless that is
 * 0: then the port must be there. Errors as above. @owner the arena's */
ot_err ot_host_port_parse(struct ot_str text, uint16_t default_port, struct ot_arena *arena,
    struct ot_host_port *ret_address, struct ot_why *why) OT_MUST_USE;

/* "NAME:PROTOCOL,NAME:PROTOCOL". Errors as above. @owner the arena's */
ot_err ot_protocol_map_parse(struct ot_str text, struct ot_arena *arena,
    struct ot_protocol_mapping **ret_map, size_t *ret_count, struct ot_why *why) OT_MUST_USE;

/* Each name once, and each port once, but for one IPv4 and one IPv6 address that share it.
 * @owner any thread */
ot_err ot_listeners_check_distinct(const struct ot_listener_conf *listeners, size_t count,
    struct ot_why *why) OT_MUST_USE;

#endif
