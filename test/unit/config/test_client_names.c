#include "../test.h"

#include <librdkafka/rdkafka.h>

#include "config/client.h"

/* Names that librdkafka took up after 2.0, the oldest release that the project is built with. */
static const char *const later_names[] = { "client.dns.lookup", "enable.metrics.push",
	"group.protocol", "group.remote.assignor", "metadata.recovery.rebootstrap.trigger.ms",
	"metadata.recovery.strategy", "retry.backoff.max.ms" };

static bool
is_later(const char *name)
{
	for (size_t i = 0; i < OT_ARRAY_COUNT(later_names); i++) {
		if (strcmp(later_names[i], name) == 0)
			return true;
	}
	return false;
}

/* Goal: no setting is translated to a property that there is none of. Method: librdkafka itself is
 * asked for every name in the tables; any answer but "no such property" will do. */
static void
librdkafka_knows_all_names(void **state)
{
	(void)state;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	for (int kind = OT_CLIENT_PRODUCER; kind <= OT_CLIENT_ADMIN; kind++) {
		const struct ot_config_table *table = ot_client_table((enum ot_client_kind)kind);
		for (size_t i = 0; i < table->count; i++) {
			const char *name = table->defs[i].rdkafka;
			char text[200];
			if (name[0] == '\0' || name[0] == '*' || is_later(name))
				continue;
			if (rd_kafka_conf_set(conf, name, "?", text, sizeof(text)) ==
			    RD_KAFKA_CONF_UNKNOWN)
				fail_msg("%s", text);
		}
	}
	rd_kafka_conf_destroy(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(librdkafka_knows_all_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
