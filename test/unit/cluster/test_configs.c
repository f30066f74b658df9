/* Tests of changes of settings: src/cluster/control_configs.c. */
#include "fixture.h"

#include "config/alter.h"

static struct fixture *fixture;

static int
set_up(void **state)
{
	(void)state;
	fixture = fixture_create("");
	fixture_add_broker(fixture, 1, NULL);
	assert_ok(fixture_create_topic(fixture, "t", 1, 1, NULL));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fixture_destroy(fixture);
	return 0;
}

/* ---- IncrementalAlterConfigs ----------------------------------------------------------------- */

struct step {
	int8_t resource;
	const char *name;
	const char *key;
	int8_t op;
	const char *value;
	ot_err err;
	const char *message;
};

static struct ot_incremental_alter_configs_response altered;

static void
alter(const struct step *steps, int32_t count, bool validate_only)
{
	struct ot_incremental_alter_configs_request_alter_configs_resource resources[8];
	struct ot_incremental_alter_configs_request_config configs[8];
	struct ot_incremental_alter_configs_request request;
	struct fixture_call call;

	memset(resources, 0, sizeof(resources));
	memset(configs, 0, sizeof(configs));
	for (int32_t i = 0; i < count; i++) {
		configs[i].name = ot_str_from(steps[i].key);
		configs[i].config_operation = steps[i].op;
		configs[i].value = ot_str_from(steps[i].value);
		resources[i].resource_type = steps[i].resource;
		resources[i].resource_name = ot_str_from(steps[i].name);
		resources[i].configs = &configs[i];
		resources[i].configs_count = 1;
	}
	ot_incremental_alter_configs_request_init(&request);
	request.resources = resources;
	request.resources_count = count;
	request.validate_only = validate_only;
	ot_controller_incremental_alter_configs(fixture->controller,
	    fixture_call_init(fixture, &call), &request, &altered);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(altered.responses_count, count);
	for (int32_t i = 0; i < count; i++) {
		assert_int_equal(altered.responses[i].resource_type, steps[i].resource);
		assert_text(altered.responses[i].resource_name, steps[i].name);
		if (altered.responses[i].error_code != ot_err_to_wire(steps[i].err))
			fail_msg("%d is not %s: %.*s", altered.responses[i].error_code,
			    ot_err_name(steps[i].err),
			    OT_STR_ARG(altered.responses[i].error_message));
		assert_text(altered.responses[i].error_message, steps[i].message);
	}
}

static int64_t
retention(void)
{
	return ot_image_topic_settings(fixture->newest,
	    ot_image_topic(fixture->newest, OT_STR_LIT("t")))
	    ->retention_ms;
}

/* Goal: what may be said of which resource; every rule and its message. Method: a table. */
static void
test_refused(void **state)
{
	static const struct step steps[] = {
		{ OT_RESOURCE_TOPIC, "", "retention.ms", OT_ALTER_SET, "1", OT_ERR_INVALID_REQUEST,
		    "Default topic resources are not allowed." },
		{ OT_RESOURCE_TOPIC, "a/b", "retention.ms", OT_ALTER_SET, "1",
		    OT_ERR_INVALID_TOPIC_EXCEPTION,
		    "Topic name is invalid: 'a/b' contains one or more characters other than "
		    "ASCII alphanumerics, '.', '_' and '-'" },
		{ OT_RESOURCE_TOPIC, "nobody", "retention.ms", OT_ALTER_SET, "1",
		    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic 'nobody' does not exist." },
		{ OT_RESOURCE_TOPIC, "nobody", "retention.ms", OT_ALTER_SET, "x",
		    OT_ERR_INVALID_CONFIG,
		    "Invalid value x for configuration retention.ms: Not a number of type LONG" },
		{ OT_RESOURCE_TOPIC, "t", "no.such", OT_ALTER_SET, "1", OT_ERR_INVALID_CONFIG,
		    "Unknown topic config name: no.such" },
		{ OT_RESOURCE_TOPIC, "t", "retention.ms", OT_ALTER_APPEND, "1",
		    OT_ERR_INVALID_CONFIG,
		    "Can't APPEND to key retention.ms because its type is not LIST." },
		{ OT_RESOURCE_BROKER, "x1", "log.retention.ms", OT_ALTER_SET, "1",
		    OT_ERR_INVALID_REQUEST, "Unable to parse broker name as a base 10 number." },
		{ OT_RESOURCE_BROKER, "-1", "log.retention.ms", OT_ALTER_SET, "1",
		    OT_ERR_INVALID_REQUEST, "Invalid negative broker ID." },
		{ OT_RESOURCE_BROKER, "7", "log.retention.ms", OT_ALTER_SET, "1",
		    OT_ERR_BROKER_ID_NOT_REGISTERED, "No node with id 7 found." },
		{ 99, "t", "retention.ms", OT_ALTER_SET, "1", OT_ERR_INVALID_REQUEST,
		    "Unknown resource type 99" },
	};
	char *before = fixture_print(fixture->newest), *after;
	(void)state;

	for (size_t i = 0; i < OT_ARRAY_COUNT(steps); i++)
		alter(&steps[i], 1, false);
	after = fixture_print(fixture->newest);
	assert_string_equal(after, before);
	ot_free(before);
	ot_free(after);
}

/* Goal: changes take effect on topics and brokers, each resource alone. Method: one request with
 * good and bad ones, some twice; then deletes. */
static void
test_incremental(void **state)
{
	static const struct step steps[] = {
		{ OT_RESOURCE_TOPIC, "t", "retention.ms", OT_ALTER_SET, "5", OT_OK, NULL },
		{ OT_RESOURCE_TOPIC, "nobody", "retention.ms", OT_ALTER_SET, "5",
		    OT_ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic 'nobody' does not exist." },
		{ OT_RESOURCE_BROKER, "1", "log.cleaner.threads", OT_ALTER_SET, "2", OT_OK, NULL },
		{ OT_RESOURCE_BROKER, "", "log.retention.ms", OT_ALTER_SET, "9", OT_OK, NULL },
		{ OT_RESOURCE_BROKER, "2", "log.retention.ms", OT_ALTER_SET, "9",
		    OT_ERR_INVALID_REQUEST, "Each resource must appear at most once." },
		{ OT_RESOURCE_BROKER, "2", "log.retention.bytes", OT_ALTER_SET, "9",
		    OT_ERR_INVALID_REQUEST, "Each resource must appear at most once." },
	};
	static const struct step undo[] = {
		{ OT_RESOURCE_TOPIC, "t", "retention.ms", OT_ALTER_DELETE, NULL, OT_OK, NULL },
		{ OT_RESOURCE_BROKER, "", "log.retention.ms", OT_ALTER_DELETE, NULL, OT_OK, NULL },
	};
	int64_t original = retention();
	(void)state;

	alter(steps, 6, true);
	assert_int_equal(retention(), original);
	alter(steps, 6, false);
	assert_int_equal(retention(), 5);
	assert_int_equal(
	    ot_settings_number(ot_image_settings(fixture->newest), OT_BROKER_LOG_RETENTION_MS), 9);
	assert_int_equal(
	    ot_settings_number(ot_image_settings(fixture->newest), OT_BROKER_LOG_CLEANER_THREADS),
	    2);
	alter(undo, 1, false);
	assert_int_equal(retention(), 9);
	assert_null(ot_image_config(fixture->newest, OT_RESOURCE_TOPIC, OT_STR_LIT("t")));
	alter(&undo[1], 1, false);
	assert_int_equal(retention(), original);
}

/* Goal: a request with more changes than one operation may have is refused whole, and soon. Method:
 * 100,000 changes of one key. */
static void
test_excessive(void **state)
{
	enum { COUNT = 100000 };
	struct ot_incremental_alter_configs_request_alter_configs_resource resource;
	struct ot_incremental_alter_configs_request_config *configs =
	    ot_arena_array(&fixture->arena, COUNT, sizeof(*configs));
	struct ot_incremental_alter_configs_request request;
	struct fixture_call call;
	(void)state;

	memset(&resource, 0, sizeof(resource));
	for (int i = 0; i < COUNT; i++) {
		configs[i].name = OT_STR_LIT("retention.ms");
		configs[i].value = OT_STR_LIT("1");
	}
	resource.resource_type = OT_RESOURCE_TOPIC;
	resource.resource_name = OT_STR_LIT("t");
	resource.configs = configs;
	resource.configs_count = COUNT;
	ot_incremental_alter_configs_request_init(&request);
	request.resources = &resource;
	request.resources_count = 1;
	ot_controller_incremental_alter_configs(fixture->controller,
	    fixture_call_init(fixture, &call), &request, &altered);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(altered.responses[0].error_code, OT_ERR_POLICY_VIOLATION);
	assert_text(altered.responses[0].error_message,
	    "Unable to perform excessively large batch operation.");
}

/* ---- AlterConfigs ---------------------------------------------------------------------------- */

/* Goal: AlterConfigs replaces everything that a resource had. Method: two settings, then one other.
 */
static void
test_replace(void **state)
{
	static const struct step steps[] = { { OT_RESOURCE_TOPIC, "t", "retention.ms", OT_ALTER_SET,
	    "5", OT_OK, NULL } };
	struct ot_alter_configs_request_config config;
	struct ot_alter_configs_request_resource resource;
	struct ot_alter_configs_request request;
	struct ot_alter_configs_response response;
	const struct ot_config_image *image;
	struct fixture_call call;
	(void)state;

	alter(steps, 1, false);
	ot_alter_configs_request_init(&request);
	memset(&config, 0, sizeof(config));
	memset(&resource, 0, sizeof(resource));
	config.name = OT_STR_LIT("segment.bytes");
	config.value = OT_STR_LIT("1048576");
	resource.resource_type = OT_RESOURCE_TOPIC;
	resource.resource_name = OT_STR_LIT("t");
	resource.configs = &config;
	resource.configs_count = 1;
	request.resources = &resource;
	request.resources_count = 1;
	ot_controller_alter_configs(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.responses_count, 1);
	assert_ok(response.responses[0].error_code);
	image = ot_image_config(fixture->newest, OT_RESOURCE_TOPIC, OT_STR_LIT("t"));
	assert_int_equal(image->pair_count, 1);
	assert_text(image->pairs[0].name, "segment.bytes");
	config.value = OT_STR_LIT("-5");
	ot_controller_alter_configs(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response.responses[0].error_code, OT_ERR_INVALID_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_incremental, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_excessive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replace, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
