/* Metadata at scale: 100 brokers, of which one fails. Prints what it takes in processor time;
 * asserts how much is written and how much memory an image needs, never how long it takes. With
 * SCALE_PARTITIONS=200000 in the environment at full size, as the benchmark runs it. */
#include "kit.h"

#include <time.h>

enum { BROKER_COUNT = 100, REPLICA_COUNT = 3, TOPIC_PARTITIONS = 5000, BYTES_PER_PARTITION = 170 };

static struct fixture *fixture;

static double
cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* One number of /proc/self/status, in MiB. */
static double
status_mib(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[200];
	double mib = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			mib = strtod(line + strlen(name) + 1, NULL) / 1024;
	}
	assert_int_equal(fclose(file), 0);
	return mib;
}

/* Lets the peak of the resident memory begin at what is resident now. */
static void
reset_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	if (file == NULL)
		return; /* not on every kernel; then the peak is of all before too */
	(void)fputs("5", file);
	(void)fclose(file);
}

static int32_t
partition_count(void)
{
	const char *text = getenv("SCALE_PARTITIONS");

	return text == NULL ? 20000 : (int32_t)strtol(text, NULL, 10);
}

/* What a broker has of the partitions. */
struct share {
	int32_t id;
	int64_t leader_count, isr_count;
};

static bool
share_partition(void *arg, const struct ot_partition_image *partition)
{
	struct share *share = arg;

	share->leader_count += partition->leader == share->id;
	share->isr_count += ot_ids_have(ot_partition_isr(partition), share->id);
	return true;
}

static bool
share_topic(void *arg, const struct ot_topic_image *topic)
{
	ot_topic_visit_partitions(topic, share_partition, arg);
	return true;
}

static struct share
share_of(int32_t id)
{
	struct share share = { .id = id };

	ot_image_visit_topics(fixture->newest, share_topic, &share);
	return share;
}

static void
create_all(int32_t count)
{
	double begin = cpu_ms(), end;
	uint64_t bytes;

	for (int32_t i = 0; i < count / TOPIC_PARTITIONS; i++) {
		char name[20];

		(void)snprintf(name, sizeof(name), "topic-%d", i);
		assert_ok(
		    fixture_create_topic(fixture, name, TOPIC_PARTITIONS, REPLICA_COUNT, NULL));
		ot_arena_reset(&fixture->arena);
	}
	end = cpu_ms();
	bytes = ot_image_bytes(fixture->newest);
	print_message(
	    "%d partitions on %d brokers: created in %.0f ms, %.1f bytes each in an image, "
	    "peak %.0f MiB\n",
	    count, BROKER_COUNT, end - begin, (double)bytes / count, status_mib("VmHWM"));
	assert_true(bytes < (uint64_t)count * BYTES_PER_PARTITION);
}

/* Lets a broker do something, and prints and checks what became of its partitions. */
static void
measure(const char *what, int32_t id, int flags)
{
	struct share before = share_of(id), after;
	int64_t offset = fixture->disk->next_offset;
	size_t batches = fixture->disk->batch_count;
	double resident, begin, end;

	reset_peak();
	resident = status_mib("VmRSS");
	begin = cpu_ms();
	(void)fixture_beat(fixture, id, flags);
	end = cpu_ms();
	after = share_of(id);
	print_message("%s: %lld leaders moved, %lld records in %zu batches, %.1f ms, "
		      "%.1f MiB more at the peak\n",
	    what, (long long)before.leader_count, (long long)(fixture->disk->next_offset - offset),
	    fixture->disk->batch_count - batches, end - begin,
	    OT_MAX(status_mib("VmHWM") - resident, 0));
	assert_true(before.leader_count > 0 && before.isr_count >= before.leader_count);
	assert_int_equal(after.leader_count, 0);
	assert_int_equal(after.isr_count, 0);
	/* One record for each of its partitions, and one for itself. */
	assert_int_equal(fixture->disk->next_offset - offset, before.isr_count + 1);
}

/* Goal: what one broker's end costs follows what it had. Method: one is fenced, one stops, one is
 * unregistered. */
static void
test_failover(void **state)
{
	double begin;
	(void)state;

	fixture = fixture_create("broker.session.timeout.ms=100000000\n");
	for (int32_t id = 1; id <= BROKER_COUNT; id++)
		fixture_add_broker(fixture, id, NULL);
	create_all(partition_count());
	measure("a broker is fenced", 7, BEAT_FENCE);
	measure("a broker stops", 8, BEAT_SHUT_DOWN);
	begin = cpu_ms();
	(void)fixture_beat(fixture, 9, 0);
	print_message("a heartbeat without a change: %.3f ms\n", cpu_ms() - begin);
	begin = cpu_ms();
	assert_int_equal(kit_elect(fixture, "topic-0", 0, 9, NULL), OT_ERR_INVALID_REQUEST);
	print_message("a request without a change: %.3f ms\n", cpu_ms() - begin);
	begin = cpu_ms();
	fixture_close_controller(fixture);
	fixture_start_controller(fixture);
	print_message("another controller takes over, reading the whole log: %.0f ms\n",
	    cpu_ms() - begin);
	fixture_destroy(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
