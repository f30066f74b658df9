/* Tests of the controller on the engine `local` on a disk that fails: what was acknowledged is
 * there. */
#include "fixture.h"

enum { TOPICS = 24 };

/* What clients were told, over all lives of the machine. A topic whose request was never answered
 * may be there or not. */
enum known { KNOWN_NOTHING, KNOWN_CREATED, KNOWN_DELETED };

struct step {
	struct fixture_call call;
	struct ot_create_topics_request create;
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_response created;
	struct ot_delete_topics_request drop;
	struct ot_delete_topics_request_state state;
	struct ot_delete_topics_response dropped;
	char name[20];
	int number; /* in the name */
	bool is_delete;
};

struct machine {
	struct ot_sim_world *world;
	struct ot_sim_host *host;
	struct ot_settings *settings;
	struct ot_io *io;
	struct ot_controller *controller;
	struct ot_image *newest;
	struct ot_arena arena;
	bool is_active;
	bool is_closed;
	ot_err failure;
	enum known known[TOPICS];
	int64_t producer_ids_next; /* the least that no block has handed out, as far as told */
	int64_t broker_epoch;
	struct step *steps[2 * TOPICS];
	int step_count;
};

static void
on_image(void *arg, struct ot_image *image, struct ot_image *previous)
{
	struct machine *machine = arg;

	(void)previous;
	ot_image_unref(machine->newest);
	machine->newest = ot_image_ref(image);
}

static void
on_active(void *arg, bool is_active)
{
	((struct machine *)arg)->is_active = is_active;
}

static void
on_failure(void *arg, ot_err err, const char *why)
{
	(void)why;
	((struct machine *)arg)->failure = err;
}

static bool
is_up(const struct machine *machine)
{
	return ot_sim_host_is_up(machine->host) &&
	       !ot_sim_disk_is_stopped(ot_sim_host_disk(machine->host));
}

static void
start(struct machine *machine)
{
	static const struct ot_controller_events events = { .on_image = on_image,
		.on_active = on_active,
		.on_failure = on_failure };
	struct ot_metalog *log;

	machine->io = ot_sim_io_create(machine->host);
	machine->is_active = machine->is_closed = false;
	machine->failure = OT_OK;
	log = ot_metalog_local_create(&(struct ot_metalog_local_args){
	    .io = machine->io,
	    .dir = "/data",
	    .node_id = 1,
	    .segment_bytes = 1024 * 1024,
	    .segment_ms = 604800000,
	});
	machine->controller = ot_controller_create(&(struct ot_controller_args){
	    .io = machine->io,
	    .log = log,
	    .settings = machine->settings,
	    .cluster_id = CLUSTER_ID,
	    .node_id = 1,
	    .events = &events,
	    .arg = machine,
	});
	ot_controller_start(machine->controller);
	while (is_up(machine) && !machine->is_active && machine->failure == OT_OK)
		assert_true(ot_sim_world_step(machine->world));
	if (is_up(machine))
		assert_int_equal(machine->failure, OT_OK);
}

static void
on_closed(void *arg)
{
	((struct machine *)arg)->is_closed = true;
}

/* Ends the controller, of a machine that runs or one that has crashed, and what its calls held. */
static void
end(struct machine *machine)
{
	ot_controller_close(machine->controller, on_closed, machine);
	while (!machine->is_closed && is_up(machine))
		assert_true(ot_sim_world_step(machine->world));
	while (ot_sim_host_is_up(machine->host) && !is_up(machine))
		assert_true(ot_sim_world_step(machine->world));
	for (int i = 0; i < 100 && !machine->is_closed; i++)
		ot_sim_host_drain(machine->host);
	assert_true(machine->is_closed);
	ot_image_unref(machine->newest);
	machine->newest = NULL;
	ot_sim_io_destroy(machine->io);
	for (int i = 0; i < machine->step_count; i++)
		ot_free(machine->steps[i]);
	machine->step_count = 0;
	if (!ot_sim_host_is_up(machine->host))
		ot_sim_host_restart(machine->host);
}

static void
machine_create(struct machine *machine, uint64_t seed)
{
	memset(machine, 0, sizeof(*machine));
	machine->world = ot_sim_world_create(seed);
	machine->host = ot_sim_host_create(machine->world, "10.0.0.1");
	machine->settings =
	    fixture_settings("node.id=1\nmetadata.log.max.record.bytes.between.snapshots=900\n");
	ot_arena_init(&machine->arena, 0);
	assert_ok(ot_fs_mkdir_all(ot_sim_host_fs(machine->host), "/data"));
	assert_ok(ot_fs_sync_dir(ot_sim_host_fs(machine->host), "/"));
}

static void
machine_destroy(struct machine *machine)
{
	ot_settings_unref(machine->settings);
	ot_sim_world_destroy(machine->world);
	ot_arena_fini(&machine->arena);
}

/* ---- the workload -----------------------------------------------------------------------------
 */

static bool
wait(struct machine *machine, struct fixture_call *call)
{
	while (is_up(machine) && !call->is_done)
		assert_true(ot_sim_world_step(machine->world));
	return call->is_done && call->err == OT_OK;
}

static struct ot_controller_call *
prepare(struct machine *machine, struct fixture_call *call)
{
	*call = (struct fixture_call){ 0 };
	call->call.arena = &machine->arena;
	call->call.on_done = fixture_call_done;
	return &call->call;
}

/* Registers and unfences broker 1; false when the machine stopped meanwhile. */
static bool
join(struct machine *machine)
{
	struct ot_uuid directory = { { 9 } };
	struct ot_broker_registration_request request;
	struct ot_broker_registration_response response;
	struct ot_broker_heartbeat_request beat;
	struct ot_broker_heartbeat_response beaten;
	static struct fixture_call calls[2]; /* they may outlive a crash of the machine */

	ot_broker_registration_request_init(&request);
	request.broker_id = 1;
	request.cluster_id = ot_str_from(CLUSTER_ID);
	request.incarnation_id = ot_io_random_uuid(machine->io);
	fixture_fill_features(&request);
	request.log_dirs = &directory;
	request.log_dirs_count = 1;
	ot_controller_register_broker(machine->controller, prepare(machine, &calls[0]), &request,
	    &response);
	if (!wait(machine, &calls[0])) {
		end(machine);
		return false;
	}
	assert_ok(response.error_code);
	assert_true(response.broker_epoch > machine->broker_epoch);
	machine->broker_epoch = response.broker_epoch;
	ot_broker_heartbeat_request_init(&beat);
	beat.broker_id = 1;
	beat.broker_epoch = response.broker_epoch;
	beat.current_metadata_offset = response.broker_epoch;
	ot_controller_heartbeat(machine->controller, prepare(machine, &calls[1]), &beat, &beaten);
	if (!wait(machine, &calls[1])) {
		end(machine);
		return false;
	}
	assert_ok(beaten.error_code);
	return true;
}

static void
begin_step(struct machine *machine, int number, bool is_delete)
{
	struct step *step = ot_must_alloc(sizeof(*step));

	machine->steps[machine->step_count++] = step;
	step->is_delete = is_delete;
	step->number = number;
	(void)snprintf(step->name, sizeof(step->name), "topic-%d", number);
	if (is_delete) {
		ot_delete_topics_request_init(&step->drop);
		step->state.name = ot_str_from(step->name);
		step->drop.topics = &step->state;
		step->drop.topics_count = 1;
		ot_controller_delete_topics(machine->controller, prepare(machine, &step->call),
		    &step->drop, 6, &step->dropped);
		return;
	}
	ot_create_topics_request_init(&step->create);
	ot_create_topics_request_topic_init(&step->topic);
	step->topic.name = ot_str_from(step->name);
	step->topic.num_partitions = 1 + number % 4;
	step->topic.replication_factor = 1;
	step->create.topics = &step->topic;
	step->create.topics_count = 1;
	ot_controller_create_topics(machine->controller, prepare(machine, &step->call),
	    &step->create, &step->created);
}

/* Notes what the answers said; none means that nothing is known. */
static void
note_answers(struct machine *machine)
{
	for (int i = 0; i < machine->step_count; i++) {
		struct step *step = machine->steps[i];
		enum known *known = &machine->known[step->number];

		if (!step->call.is_done || step->call.err != OT_OK)
			*known = KNOWN_NOTHING;
		else if (step->is_delete)
			*known =
			    step->dropped.responses[0].error_code == OT_OK ? KNOWN_DELETED : *known;
		else
			*known = KNOWN_CREATED;
	}
}

/* Creates all topics and deletes every third, several operations under way at a time. */
static void
work(struct machine *machine)
{
	for (int i = 0; i < TOPICS && is_up(machine); i++) {
		begin_step(machine, i, false);
		if (i % 3 == 2)
			begin_step(machine, i - 1, true);
		if (i % 4 == 3)
			(void)wait(machine, &machine->steps[machine->step_count - 1]->call);
	}
	(void)wait(machine, &machine->steps[machine->step_count - 1]->call);
	note_answers(machine);
}

/* The image has what was acknowledged. */
static void
verify(struct machine *machine)
{
	char name[20];

	ot_image_check(machine->newest);
	for (int i = 0; i < TOPICS; i++) {
		const struct ot_topic_image *topic;

		(void)snprintf(name, sizeof(name), "topic-%d", i);
		topic = ot_image_topic(machine->newest, ot_str_from(name));
		if (machine->known[i] == KNOWN_CREATED)
			assert_non_null(topic);
		if (machine->known[i] == KNOWN_DELETED)
			assert_null(topic);
		if (topic != NULL)
			assert_int_equal(topic->partition_count, 1 + i % 4);
	}
}

/* ---- tests ------------------------------------------------------------------------------------
 */

/* Goal: power lost at any change of the disk leaves everything that was acknowledged. Method: the
 * same workload with pipelined operations and frequent snapshots, stopped at change 1, 2, 3, ...,
 * until it runs through; each time started again, checked, and used. */
static void
test_power_loss(void **state)
{
	bool is_through = false;
	(void)state;

	for (uint64_t crash = 1; !is_through; crash += 1 + crash / 100) {
		struct machine machine;

		machine_create(&machine, 500 + crash);
		ot_sim_disk_crash_at(ot_sim_host_disk(machine.host), crash);
		start(&machine);
		if (!is_up(&machine)) {
			end(&machine);
		} else if (join(&machine)) {
			work(&machine);
			is_through = is_up(&machine);
			end(&machine);
		}
		ot_sim_disk_crash_at(ot_sim_host_disk(machine.host), 0);
		start(&machine);
		verify(&machine);
		assert_true(join(&machine));
		work(&machine);
		verify(&machine);
		end(&machine);
		machine_destroy(&machine);
	}
}

/* The text behind the line that names offset and epoch. */
static char *
content(const struct ot_image *image)
{
	char *text = fixture_print(image), *rest = ot_must_strdup(strchr(text, '\n'));

	ot_free(text);
	return rest;
}

/* Goal: the image from the log is the image of before, with snapshots and without. Method: a clean
 * stop after the workload, the content as text; several lives. */
static void
test_equality(void **state)
{
	struct machine machine;
	char *before, *after;
	(void)state;

	machine_create(&machine, 4);
	start(&machine);
	for (int life = 0; life < 4; life++) {
		assert_true(join(&machine));
		work(&machine);
		verify(&machine);
		before = content(machine.newest);
		end(&machine);
		start(&machine);
		after = content(machine.newest);
		assert_string_equal(after, before);
		ot_free(before);
		ot_free(after);
	}
	end(&machine);
	machine_destroy(&machine);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_loss),
		cmocka_unit_test(test_equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
