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

/* ---- fetches that wait --------------------------------------------------------------------------
 */

static void
test_long_poll_over_shards(void **state)
{
	(void)state;
	/* Goal: a fetch that waits is woken by an append on whichever shard, at once; without one
	 * it is answered empty when its time is over. Method: for each of six partitions a fetch
	 * that waits 30 s, then a record; look at the time. Then one that nobody wakes. */
	struct rig rig;
	struct link reader, writer;
	rig_init(&rig, 1, "");
	rig_start(&rig);
	link_open(&rig, &reader);
	link_open(&rig, &writer);
	assert_ok(link_create_topic(&writer, "t", 6, NULL, NULL));
	for (int32_t i = 0; i < 6; i++) {
		link_send_fetch(&reader, "t", i, 0, 30000);
		ot_sim_world_run_for_ms(rig.world, 500);
		assert_false(link_has_answer(&reader));
		ot_mono_ns began = ot_sim_world_now(rig.world);
		assert_ok(link_produce(&writer, "t", i, 1, "x", NULL));
		rig_until(&rig, link_has_answer, &reader);
		assert_true(ot_sim_world_now(rig.world) - began < 100 * (ot_mono_ns)OT_NS_PER_MS);
		struct fetched fetched;
		link_take_fetch(&reader, &fetched);
		assert_string_equal((const char *)fetched.values.data, "x;");
		fetched_fini(&fetched);
	}
	ot_mono_ns began = ot_sim_world_now(rig.world);
	struct fetched fetched;
	link_fetch(&reader, "t", 3, 1, 2000, &fetched);
	assert_ok(fetched.code);
	assert_int_equal(fetched.next_offset, -1);
	ot_mono_ns took = ot_sim_world_now(rig.world) - began;
	assert_in_range(took, 1990 * (ot_mono_ns)OT_NS_PER_MS, 2100 * (ot_mono_ns)OT_NS_PER_MS);
	fetched_fini(&fetched);
	link_close(&reader);
	link_close(&writer);
	rig_fini(&rig);
}

static size_t
count_orphans(const struct rig *rig)
{
	size_t count = 0;
	for (uint32_t i = 0; i < RIG_SHARDS; i++) {
		OT_LIST_FOREACH(link, &rig->broker->shards[i].conns.orphans)
			count++;
	}
	return count;
}

static void
test_long_poll_of_a_client_that_leaves(void **state)
{
	(void)state;
	/* Goal: the wait of a client that has gone ends with it, not hours later, and a topic that
	 * is deleted wakes those who wait for it. Method: a fetch that waits a day, its connection
	 * closed; another, its topic deleted. */
	struct rig rig;
	struct link reader, other;
	rig_init(&rig, 1, "");
	rig_start(&rig);
	link_open(&rig, &other);
	assert_ok(link_create_topic(&other, "t", 3, NULL, NULL));
	for (int32_t i = 0; i < 3; i++) {
		link_open(&rig, &reader);
		link_send_fetch(&reader, "t", i, 0, 24 * 3600 * 1000);
		ot_sim_world_run_for_ms(rig.world, 500);
		link_close(&reader);
		ot_sim_world_run_for_ms(rig.world, 500);
		assert_int_equal(count_orphans(&rig), 0);
	}
	link_open(&rig, &reader);
	link_send_fetch(&reader, "t", 1, 0, 24 * 3600 * 1000);
	ot_sim_world_run_for_ms(rig.world, 500);
	assert_ok(link_delete_topic(&other, "t"));
	rig_until(&rig, link_has_answer, &reader);
	struct fetched fetched;
	link_take_fetch(&reader, &fetched);
	assert_int_not_equal(fetched.code, 0);
	fetched_fini(&fetched);
	link_close(&reader);
	link_close(&other);
	rig_fini(&rig);
}

static void
test_acks_0(void **state)
{
	(void)state;
	/* Goal: acks=0 gets no answer; what cannot be appended ends the connection instead. */
	struct rig rig;
	struct link link, other;
	struct fetched fetched;
	rig_init(&rig, 1, "auto.create.topics.enable=false\n");
	rig_start(&rig);
	link_open(&rig, &link);
	assert_ok(link_create_topic(&link, "t", 1, NULL, NULL));
	link_send_produce(&link, "t", 0, 0, "a");
	link_fetch(&link, "t", 0, 0, 1000, &fetched);
	assert_string_equal((const char *)fetched.values.data, "a;");
	fetched_fini(&fetched);
	link_open(&rig, &other);
	link_send_produce(&other, "nothing", 0, 0, "a");
	rig_until(&rig, link_has_answer, &other);
	assert_true(other.has_ended);
	link_close(&other);
	link_close(&link);
	rig_fini(&rig);
}

/* ---- crashes and stops under load ---------------------------------------------------------------
 */

enum { PRODUCERS = 4, NUMBERS_MAX = 4000, PARTITIONS = 4 };

/* Sends numbered records to one partition, one after the other. */
struct producer {
	struct link link;
	int32_t id;
	int32_t number; /* of the last that was sent */
	bool is_open;
	bool is_waiting;
	bool is_acked[NUMBERS_MAX];
	bool is_seen[NUMBERS_MAX];
};

struct load {
	struct rig rig;
	struct producer producers[PRODUCERS];
	unsigned acked;
};

static void
step_producer(struct load *load, struct producer *producer)
{
	if (!producer->is_open)
		return;
	if (producer->is_waiting && link_has_answer(&producer->link)) {
		if (link_take_produce(&producer->link, NULL) == 0) {
			producer->is_acked[producer->number] = true;
			load->acked++;
		}
		producer->is_waiting = false;
	}
	if (producer->link.has_ended || producer->is_waiting)
		return;
	char text[32];
	snprintf(text, sizeof(text), "%d:%d", producer->id, ++producer->number);
	assert_true(producer->number < NUMBERS_MAX);
	link_send_produce(&producer->link, "t", producer->id % PARTITIONS, -1, text);
	producer->is_waiting = true;
}

static void
open_producers(struct load *load)
{
	for (int32_t i = 0; i < PRODUCERS; i++) {
		struct producer *producer = &load->producers[i];
		producer->id = i;
		producer->is_open = true;
		producer->is_waiting = false;
		link_open(&load->rig, &producer->link);
	}
}

static void
close_producers(struct load *load)
{
	for (int32_t i = 0; i < PRODUCERS; i++) {
		link_close(&load->producers[i].link);
		load->producers[i].is_open = false;
	}
}

static void
see_values(struct load *load, int32_t partition, const char *values, int32_t last[PRODUCERS])
{
	int id = 0, number = 0, length = 0;
	while (sscanf(values, "%d:%d;%n", &id, &number, &length) == 2) {
		assert_in_range(id, 0, PRODUCERS - 1);
		assert_int_equal(id % PARTITIONS, partition);
		/* In order, and once. */
		assert_true(number > last[id]);
		last[id] = number;
		load->producers[id].is_seen[number] = true;
		values += length;
	}
	assert_int_equal(*values, 0);
}

/* Reads everything: what was acknowledged is there, once and in order. */
static void
check_history(struct load *load)
{
	struct link link;
	link_open(&load->rig, &link);
	for (int32_t partition = 0; partition < PARTITIONS; partition++) {
		int32_t last[PRODUCERS] = { 0 };
		int64_t offset = 0;
		for (;;) {
			struct fetched fetched;
			link_fetch(&link, "t", partition, offset, 0, &fetched);
			assert_ok(fetched.code);
			see_values(load, partition, (const char *)fetched.values.data, last);
			int64_t next = fetched.next_offset;
			fetched_fini(&fetched);
			if (next < 0)
				break;
			offset = next;
		}
	}
	link_close(&link);
	for (int32_t i = 0; i < PRODUCERS; i++) {
		for (int32_t n = 0; n < NUMBERS_MAX; n++)
			assert_true(
			    !load->producers[i].is_acked[n] || load->producers[i].is_seen[n]);
	}
}

static bool
is_broker_gone(void *arg)
{
	return ((struct load *)arg)->rig.broker == NULL;
}

static void
run_load_for(struct load *load, unsigned steps)
{
	for (unsigned i = 0; i < steps && load->rig.broker != NULL; i++) {
		for (int32_t j = 0; j < PRODUCERS; j++)
			step_producer(load, &load->producers[j]);
		ot_sim_world_run_for_ms(load->rig.world, 1);
	}
}

static void
begin_load(struct load *load, uint64_t seed)
{
	struct link link;
	*load = (struct load){ 0 };
	rig_init(&load->rig, seed,
	    "log.segment.bytes=20000\nlog.flush.offset.checkpoint.interval.ms=50\n"
	    "log.retention.check.interval.ms=40\nlog.retention.ms=-1\n");
	rig_start(&load->rig);
	link_open(&load->rig, &link);
	assert_ok(link_create_topic(&link, "t", PARTITIONS, "flush.messages", "1"));
	link_close(&link);
}

static void
test_power_cuts(void **state)
{
	(void)state;
	/* Goal: with flush.messages=1 and acks=all, what was acknowledged is there after the
	 * machine lost its power at any change of the disk: once, in order. Method: producers under
	 * load, power cut at a random change, again and again; small segments, frequent
	 * checkpoints; read all after each. */
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct load *load = OT_NEW(struct load);
		begin_load(load, seed);
		for (int round = 0; round < 6; round++) {
			uint64_t n =
			    1 + ot_sim_random_below(ot_sim_world_random(load->rig.world), 600);
			open_producers(load);
			ot_sim_disk_crash_at(ot_sim_host_disk(load->rig.host), n);
			run_load_for(load, 3000);
			assert_true(is_broker_gone(load));
			close_producers(load);
			ot_sim_host_restart(load->rig.host);
			rig_start(&load->rig);
			check_history(load);
		}
		assert_true(load->acked > 0);
		rig_fini(&load->rig);
		ot_free(load);
	}
}

static void
test_stops_under_load(void **state)
{
	(void)state;
	/* Goal: a broker that is told to stop in the middle of anything stops, and what it has
	 * acknowledged is there afterwards, found by a start that scans nothing.
	 * Method: stops at random moments of the start and of the load, over seeds. */
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct load *load = OT_NEW(struct load);
		begin_load(load, seed);
		for (int round = 0; round < 4; round++) {
			struct ot_sim_random *random = ot_sim_world_random(load->rig.world);
			open_producers(load);
			run_load_for(load, (unsigned)ot_sim_random_below(random, 60));
			rig_stop(&load->rig);
			close_producers(load);
			rig_begin_start(&load->rig);
			ot_sim_world_run_for_ms(load->rig.world, ot_sim_random_below(random, 30));
			rig_stop(&load->rig);
			rig_start(&load->rig);
			check_history(load);
		}
		rig_fini(&load->rig);
		ot_free(load);
	}
}

static void
test_topics_made_again_over_crashes(void **state)
{
	(void)state;
	/* Goal: a topic that is deleted and made again at once has its own records and none of the
	 * old one's, over crashes of any kind too; the old folders go.
	 * Method: one record, delete, create, one record, at once; a crash at a random moment; the
	 * next start sees a whole topic or none. */
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rig rig;
		struct link link;
		rig_init(&rig, seed,
		    "log.flush.offset.checkpoint.interval.ms=20\n"
		    "log.flush.interval.messages=1\n");
		rig_start(&rig);
		for (int round = 0; round < 6; round++) {
			char text[16], texts[20]; /* texts: what a fetch of that one record gives */
			struct fetched fetched;
			snprintf(text, sizeof(text), "r%d", round);
			snprintf(texts, sizeof(texts), "%s;", text);
			link_open(&rig, &link);
			int16_t code = link_delete_topic(&link, "t");
			assert_true(code == 0 || code == OT_ERR_UNKNOWN_TOPIC_OR_PARTITION);
			assert_ok(link_create_topic(&link, "t", 2, NULL, NULL));
			assert_ok(link_produce(&link, "t", 1, -1, text, NULL));
			link_fetch(&link, "t", 1, 0, 0, &fetched);
			assert_ok(fetched.code);
			assert_int_equal(fetched.high_watermark, 1);
			fetched_fini(&fetched);
			struct ot_sim_random *random = ot_sim_world_random(rig.world);
			ot_sim_world_run_for_ms(rig.world, ot_sim_random_below(random, 50));
			ot_sim_host_crash(rig.host, ot_sim_random_below(random, 2) == 0
							? OT_SIM_KILLED
							: OT_SIM_POWER_LOST);
			link_close(&link);
			ot_sim_host_restart(rig.host);
			rig_start(&rig);
			link_open(&rig, &link);
			link_fetch(&link, "t", 1, 0, 0, &fetched);
			assert_ok(fetched.code);
			assert_string_equal((const char *)fetched.values.data, texts);
			fetched_fini(&fetched);
			link_close(&link);
		}
		rig_fini(&rig);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_steps),
		cmocka_unit_test(test_long_poll_over_shards),
		cmocka_unit_test(test_long_poll_of_a_client_that_leaves),
		cmocka_unit_test(test_acks_0),
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_stops_under_load),
		cmocka_unit_test(test_topics_made_again_over_crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
