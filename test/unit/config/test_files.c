/* Property files as people have them, of several releases of Kafka; they lie beside this file. */
#include "room.h"

#include <stdio.h>

static struct ot_config_notes notes;

static int
set_up(void **state)
{
	(void)state;
	ot_config_notes_init(&notes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ot_config_notes_fini(&notes);
	return 0;
}

static struct ot_settings *
load(const char *path)
{
	static char text[64 * 1024];
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t bytes = fread(text, 1, sizeof(text), file);
	fclose(file);
	assert_true(bytes > 0 && bytes < sizeof(text));

	struct ot_properties props;
	struct ot_settings_input input = { .file = &props };
	struct ot_settings *settings = NULL;
	struct ot_why why = { "" };
	ot_properties_init(&props, path);
	if (ot_properties_parse(&props, text, bytes, &why) != OT_OK)
		fail_msg("%s", why.text);
	if (ot_settings_create(&input, &notes, &settings) != OT_OK)
		fail_msg("%s", notes.first->text);
	ot_properties_fini(&props);
	return settings;
}

#define FILES SETTINGS_FILES_ROOT "/test/unit/config/files/"

/* Goal: files of 0.11 are read without a word, with what they say. Method: two of them. */
static void
files_of_0_11(void **state)
{
	(void)state;
	struct ot_settings *settings = load(FILES "0.11-server.properties");
	assert_null(notes.first);
	assert_int_equal(settings->node_id, 0);
	assert_int_equal(settings->listeners[0].port, 9092);
	assert_int_equal(settings->controllers[0].port, 2181);
	ot_settings_unref(settings);
	settings = load(FILES "0.11-cluster.properties");
	assert_null(notes.first);
	assert_int_equal(settings->node_id, 3);
	assert_int_equal(settings->log_dir_count, 3);
	assert_string_equal(settings->log_dirs[2], "/data3/kafka");
	assert_string_equal(settings->listeners[0].host, "10.1.2.3");
	assert_string_equal(settings->listeners[0].advertised_host, "ec2-10-1-2-3.example.com");
	assert_int_equal(settings->controller_count, 3);
	assert_string_equal(settings->controllers[2].host, "zk3");
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_RETENTION_MS), 259200000);
	ot_settings_unref(settings);
}

/* Goal: files of 3.x and 4.x are read without a word, with what they say. Method: one for each
 * role. */
static void
files_of_today(void **state)
{
	(void)state;
	struct ot_settings *settings = load(FILES "4.x-combined.properties");
	assert_true(settings->is_broker && settings->is_controller);
	assert_true(settings->listeners[1].is_controller);
	assert_string_equal(settings->listeners[1].advertised_host, "localhost");
	ot_settings_unref(settings);
	settings = load(FILES "4.x-broker.properties");
	assert_true(settings->is_broker && !settings->is_controller);
	assert_int_equal(settings->controllers[0].port, 9093);
	ot_settings_unref(settings);
	settings = load(FILES "4.x-controller.properties");
	assert_true(!settings->is_broker && settings->is_controller);
	assert_int_equal(settings->listener_count, 1);
	ot_settings_unref(settings);
	settings = load(FILES "3.x-kraft-voters.properties");
	assert_int_equal(settings->voter_count, 3);
	assert_int_equal(settings->voters[2].id, 3);
	assert_string_equal(settings->listeners[0].advertised_host, "kafka-0");
	assert_false(settings->listeners[1].is_advertised);
	ot_settings_unref(settings);
	assert_null(notes.first);
}

/* Goal: settings of plug-ins and other makers do not stop the start. Method: a file with several,
 * each of which is a warning, and no more. */
static void
files_with_strangers(void **state)
{
	(void)state;
	struct ot_settings *settings = load(FILES "cloud.properties");
	assert_int_equal(notes.error_count, 0);
	assert_int_equal(settings->voter_count, 3);
	assert_string_equal(settings->voters[2].address.host, "controller-2.kafka.svc");
	assert_string_equal(settings->listeners[2].host, "::");
	assert_int_equal(settings->listeners[2].advertised_port, 443);
	assert_string_equal(settings->inter_broker_listener, "REPLICATION-9091");
	assert_int_equal(ot_settings_number(settings, OT_BROKER_LOG_RETENTION_MS), -1);
	assert_true(room_has_note(&notes, false, "confluent.balancer.enable"));
	assert_false(room_has_note(&notes, false, "listener.name"));
	assert_int_equal(
	    ot_settings_listener_number(settings, "EXTERNAL-9094", OT_BROKER_MAX_CONNECTIONS),
	    2000);
	assert_true(ot_str_is(ot_settings_listener_text(settings, "EXTERNAL-9094", NULL,
				  OT_BROKER_SASL_ENABLED_MECHANISMS),
	    "SCRAM-SHA-512,OAUTHBEARER"));
	ot_settings_unref(settings);
}

/* Goal: our own starter file says what it means to say. Method: read it. */
static void
own_starter_file(void **state)
{
	(void)state;
	struct ot_settings *settings = load(SETTINGS_FILES_ROOT "/config/server.properties");
	assert_null(notes.first);
	assert_int_equal(settings->node_id, 0);
	assert_int_equal(settings->listeners[0].port, 9092);
	assert_string_equal(settings->log_dirs[0], "/tmp/kafka-logs");
	assert_string_equal(settings->controllers[0].host, "localhost");
	assert_int_equal(settings->controllers[0].port, 2181);
	assert_int_equal(ot_settings_int(settings, OT_BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR), 1);
	ot_settings_unref(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_of_0_11, set_up, tear_down),
		cmocka_unit_test_setup_teardown(files_of_today, set_up, tear_down),
		cmocka_unit_test_setup_teardown(files_with_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(own_starter_file, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
