/* Tests of the whole broker on a simulated machine: several shards, the control thread, clients. */
#include "rig.h"

static void
test_first_steps(void **state)
{
	(void)state;
	/* Goal: a broker starts on an empty disk, takes topics and records, gives them back, and
	 * has them after a stop.
	 * Method: six partitions over three shards, one record each; stop, start, fetch again. */
	struct rig rig;
	struct link link;
	rig_init(&rig, 1, "");
	rig_start(&rig);
	link_open(&rig, &link);
	assert_ok(link_create_topic(&link, "t", 6, NULL, NULL));
	assert_int_equal(link_create_topic(&link, "t", 6, NULL, NULL), OT_ERR_TOPIC_ALREADY_EXISTS);
	for (int32_t i = 0; i < 6; i++) {
		char text[8];
		int64_t offset = -1;
		snprintf(text, sizeof(text), "v%d", i);
		assert_ok(link_produce(&link, "t", i, -1, text, &offset));
		assert_int_equal(offset, 0);
	}
	for (int round = 0; round < 2; round++) {
		for (int32_t i = 0; i < 6; i++) {
			char text[8];
			struct fetched fetched;
			snprintf(text, sizeof(text), "v%d;", i);
			link_fetch(&link, "t", i, 0, 0, &fetched);
			assert_ok(fetched.code);
			assert_int_equal(fetched.high_watermark, 1);
			assert_string_equal((const char *)fetched.values.data, text);
			fetched_fini(&fetched);
		}
		link_close(&link);
		rig_stop(&rig);
		rig_start(&rig);
		link_open(&rig, &link);
	}
	link_close(&link);
	rig_fini(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
