/* Names of topics. */
#include "cluster/controller.h"

enum { NAME_BYTES_MAX = 249 };

bool
ot_topic_name_is_internal(struct ot_str name)
{
	return ot_str_is(name, "__consumer_offsets") || ot_str_is(name, "__transaction_state") ||
	       ot_str_is(name, "__share_group_state");
}

static bool
is_legal(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

ot_err
ot_topic_name_check(struct ot_str name, struct ot_why *why)
{
	if (name.len <= 0) {
		ot_why_set(why, "Topic name is invalid: the empty string is not allowed");
		return OT_ERR_INVALID_TOPIC_EXCEPTION;
	}
	if (ot_str_is(name, ".") || ot_str_is(name, "..")) {
		ot_why_set(why, "Topic name is invalid: '%.*s' is not allowed", OT_STR_ARG(name));
		return OT_ERR_INVALID_TOPIC_EXCEPTION;
	}
	if (name.len > NAME_BYTES_MAX) {
		ot_why_set(why,
		    "Topic name is invalid: the length of '%.*s' is longer than the max "
		    "allowed length %d",
		    OT_STR_ARG(name), NAME_BYTES_MAX);
		return OT_ERR_INVALID_TOPIC_EXCEPTION;
	}
	for (int32_t i = 0; i < name.len; i++) {
		if (is_legal(name.data[i]))
			continue;
		ot_why_set(why,
		    "Topic name is invalid: '%.*s' contains one or more characters other "
		    "than ASCII alphanumerics, '.', '_' and '-'",
		    OT_STR_ARG(name));
		return OT_ERR_INVALID_TOPIC_EXCEPTION;
	}
	return OT_OK;
}
