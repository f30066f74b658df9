#include "../test.h"

#include "config/settings.h"

static struct ot_config_notes notes;
static struct ot_properties props;

static int
set_up(void **state)
{
	(void)state;
	ot_config_notes_init(&notes);
	ot_properties_init(&props, "server.properties");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_config_notes_fini(&notes);
	ot_properties_fini(&props);
	return 0;
}

static ot_err
create(const char *text, struct ot_settings **ret_settings)
{
	struct ot_why why;
	struct ot_settings_input input = { .file = &props };
	assert_ok(ot_properties_parse(&props, text, strlen(text), &why));
	return ot_settings_create(&input, &notes, ret_settings);
}

/* Goal: a server starts without any setting. Method: settings of an empty file have Kafka's
 * defaults, and nothing is found wrong with them. */
static void
defaults_are_kafkas(void **state)
{
	(void)state;
	struct ot_settings *settings;
	assert_ok(create("", &settings));
	assert_int_equal(notes.error_count + notes.warning_count, 0);
	assert_int_equal(settings->listener_count, 1);
	assert_string_equal(settings->listeners[0].name, "PLAINTEXT");
	assert_string_equal(settings->listeners[0].host, "");
	assert_int_equal(settings->listeners[0].port, 9092);
	assert_int_equal(settings->log_dir_count, 1);
	assert_string_equal(settings->log_dirs[0], "/tmp/kafka-logs");
	assert_true(settings->is_broker && settings->is_controller);
	assert_int_equal(settings->node_id, -1);
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_RETENTION_MS), 604800000);
	ot_settings_unref(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_are_kafkas, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
