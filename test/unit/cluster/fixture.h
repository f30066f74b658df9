/* What the cluster room's tests share: a simulated thread, settings, and a metadata log in memory
 * that commits when it is told to. */
#ifndef OT_TEST_UNIT_CLUSTER_FIXTURE_H
#define OT_TEST_UNIT_CLUSTER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/controller.h"
#include "sim/sim_io.h"
#include "wire/msg_gen.h"

#define CLUSTER_ID "MkU3OEVBNTcwNTJENDM2Qk"

/* ---- settings ------------------------------------------------------------------------------- */

/* Settings of a property file's text; the test fails if it has a mistake. */
static inline struct ot_settings *
fixture_settings(const char *text)
{
	struct ot_properties file;
	struct ot_config_notes notes;
	struct ot_settings *settings = NULL;
	struct ot_why why = { { 0 } };
	ot_err err;

	ot_properties_init(&file, "server.properties");
	ot_config_notes_init(&notes);
	assert_ok(ot_properties_parse(&file, text, strlen(text), &why));
	err = ot_settings_create(&(struct ot_settings_input){ .file = &file }, &notes, &settings);
	if (err != OT_OK)
		fail_msg("%s", notes.first != NULL ? notes.first->text : ot_err_name(err));
	ot_config_notes_fini(&notes);
	ot_properties_fini(&file);
	return settings;
}

/* ---- a metadata log in memory --------------------------------------------------------------- */

struct memory_batch {
	int64_t base_offset;
	int32_t epoch;
	struct ot_metadata_records records;
};

/* What stays when a controller ends: several controllers can be started on it in turn. */
struct memory_disk {
	struct memory_batch *batches;
	size_t batch_count, batch_capacity;
	int64_t next_offset;
	int32_t epoch;
	struct ot_metadata_records snapshot;
	struct ot_metalog_id snapshot_id;
	bool has_snapshot;
};

static const struct ot_metalog_endpoint memory_endpoint = { "leader.example", 9093 };

struct memory_log {
	struct ot_metalog log;
	struct memory_disk *disk;
	struct ot_io *io;
	const struct ot_metalog_events *events;
	void *arg;
	struct ot_timer turn;
	struct ot_list queue; /* appends, not committed */
	int64_t next_offset;  /* with the queue */
	struct ot_metalog_snapshot *snapshot;
	bool is_started;
	bool is_held;              /* appends stay in the queue */
	ot_err failure;            /* of the next commit, */
	int commits_until_failure; /* or of one after it */
	uint64_t bytes;            /* since the snapshot */
	void (*on_closed)(void *);
	void *closed_arg;
};

static inline void
memory_tell(struct memory_log *self, int64_t base_offset, int32_t epoch,
    struct ot_metadata_records *records, bool is_snapshot)
{
	struct ot_bytes *views = ot_must_alloc((size_t)records->count * sizeof(*views) + 1);

	for (int32_t i = 0; i < records->count; i++)
		views[i] = ot_metadata_records_at(records, i);
	self->events->on_batch(self->arg, &(struct ot_metalog_batch){
					      .base_offset = base_offset,
					      .epoch = epoch,
					      .timestamp = 1000,
					      .records = views,
					      .record_count = records->count,
					      .next_offset = base_offset + records->count,
					      .is_snapshot = is_snapshot,
					  });
	ot_free(views);
}

static inline void
memory_begin(struct memory_log *self)
{
	struct memory_disk *disk = self->disk;

	self->is_started = true;
	if (disk->has_snapshot) {
		self->events->on_snapshot_begin(self->arg, disk->snapshot_id, 1000);
		memory_tell(self, 0, 0, &disk->snapshot, true);
		self->events->on_snapshot_end(self->arg);
	}
	for (size_t i = 0; i < disk->batch_count; i++) {
		if (disk->has_snapshot &&
		    disk->batches[i].base_offset < disk->snapshot_id.end_offset)
			continue;
		memory_tell(self, disk->batches[i].base_offset, disk->batches[i].epoch,
		    &disk->batches[i].records, false);
	}
	self->next_offset = disk->next_offset;
	disk->epoch++;
	self->events->on_leader(self->arg, 1, disk->epoch, &memory_endpoint);
}

static inline void
memory_commit(struct memory_log *self)
{
	struct memory_disk *disk = self->disk;

	while (!ot_list_is_empty(&self->queue)) {
		struct ot_metalog_append *append =
		    OT_LIST_FIRST(&self->queue, struct ot_metalog_append, link);
		struct memory_batch *batch;

		ot_list_remove(&append->link);
		if (self->failure != OT_OK && self->commits_until_failure-- <= 0) {
			append->on_done(append, self->failure);
			continue;
		}
		if (disk->batch_count == disk->batch_capacity) {
			disk->batch_capacity = OT_MAX(64, 2 * disk->batch_capacity);
			disk->batches = ot_realloc(disk->batches,
			    disk->batch_capacity * sizeof(disk->batches[0]));
			assert_non_null(disk->batches);
		}
		batch = &disk->batches[disk->batch_count++];
		assert_int_equal(append->base_offset, disk->next_offset);
		assert_int_equal(append->epoch, disk->epoch);
		batch->base_offset = append->base_offset;
		batch->epoch = append->epoch;
		ot_metadata_records_init(&batch->records);
		for (int32_t i = 0; i < append->records.count; i++)
			ot_metadata_records_add_framed(&batch->records,
			    ot_metadata_records_at(&append->records, i));
		disk->next_offset += append->records.count;
		self->bytes += append->records.bytes.bytes;
		memory_tell(self, batch->base_offset, batch->epoch, &batch->records, false);
		append->on_done(append, OT_OK);
	}
	if (self->failure == OT_OK || self->commits_until_failure >= 0)
		return;
	self->failure = OT_OK;
	self->commits_until_failure = 0;
	self->next_offset = disk->next_offset;
	disk->epoch++;
	self->events->on_leader(self->arg, 1, disk->epoch, &memory_endpoint);
}

static inline void
memory_write_snapshot(struct memory_log *self)
{
	struct ot_metalog_snapshot *snapshot = self->snapshot;
	struct memory_disk *disk = self->disk;
	int32_t before;

	self->snapshot = NULL;
	ot_metadata_records_reset(&disk->snapshot);
	do {
		struct ot_metadata_records piece;

		before = disk->snapshot.count;
		ot_metadata_records_init(&piece);
		assert_ok(snapshot->next(snapshot->arg, &piece));
		for (int32_t i = 0; i < piece.count; i++)
			ot_metadata_records_add_framed(&disk->snapshot,
			    ot_metadata_records_at(&piece, i));
		ot_metadata_records_fini(&piece);
	} while (disk->snapshot.count > before);
	disk->has_snapshot = true;
	disk->snapshot_id = snapshot->id;
	self->bytes = 0;
	snapshot->on_done(snapshot, OT_OK);
}

static inline void
memory_on_turn(struct ot_timer *timer)
{
	struct memory_log *self = OT_CONTAINER_OF(timer, struct memory_log, turn);

	if (!self->is_started)
		memory_begin(self);
	if (self->on_closed != NULL) {
		while (!ot_list_is_empty(&self->queue)) {
			struct ot_metalog_append *append =
			    OT_LIST_FIRST(&self->queue, struct ot_metalog_append, link);

			ot_list_remove(&append->link);
			append->on_done(append, OT_ERR_CLOSED);
		}
		self->on_closed(self->closed_arg);
		ot_free(self);
		return;
	}
	if (!self->is_held)
		memory_commit(self);
	if (self->snapshot != NULL)
		memory_write_snapshot(self);
}

static inline void
memory_wake(struct memory_log *self)
{
	if (!ot_timer_is_armed(&self->turn))
		ot_timer_arm_in_ms(self->io, &self->turn, 1);
}

static inline void
memory_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	struct memory_log *self = (struct memory_log *)log;

	self->events = events;
	self->arg = arg;
	memory_wake(self);
}

static inline void
memory_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	struct memory_log *self = (struct memory_log *)log;

	append->base_offset = self->next_offset;
	self->next_offset += append->records.count;
	ot_list_push_back(&self->queue, &append->link);
	memory_wake(self);
}

static inline void
memory_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	((struct memory_log *)log)->snapshot = snapshot;
	memory_wake((struct memory_log *)log);
}

static inline uint64_t
memory_bytes(const struct ot_metalog *log)
{
	return ((const struct memory_log *)log)->bytes;
}

static inline void
memory_close(struct ot_metalog *log, void (*on_closed)(void *), void *arg)
{
	struct memory_log *self = (struct memory_log *)log;

	self->on_closed = on_closed;
	self->closed_arg = arg;
	memory_wake(self);
}

static inline struct memory_log *
memory_log_create(struct ot_io *io, struct memory_disk *disk)
{
	static const struct ot_metalog_ops ops = { memory_start, memory_append, memory_put_snapshot,
		memory_bytes, memory_close };
	struct memory_log *self = ot_must_alloc(sizeof(*self));

	self->log.ops = &ops;
	self->disk = disk;
	self->io = io;
	ot_list_init(&self->queue);
	ot_timer_init(&self->turn, memory_on_turn);
	return self;
}

static inline void
memory_disk_fini(struct memory_disk *disk)
{
	for (size_t i = 0; i < disk->batch_count; i++)
		ot_metadata_records_fini(&disk->batches[i].records);
	ot_metadata_records_fini(&disk->snapshot);
	ot_free(disk->batches);
	memset(disk, 0, sizeof(*disk));
}

/* ---- a controller on it --------------------------------------------------------------------- */

struct fixture {
	struct ot_sim_world *world;
	struct ot_sim_host *host;
	struct ot_io *io;
	struct ot_settings *settings;
	struct memory_disk *disk;
	struct memory_log *log; /* the controller's */
	struct ot_controller *controller;
	struct ot_arena arena;   /* of requests and responses */
	struct ot_image *newest; /* a reference */
	int image_count;
	bool is_active;
	bool is_closed;
	ot_err failure;
};

static inline void
fixture_on_image(void *arg, struct ot_image *image, struct ot_image *previous)
{
	struct fixture *fixture = arg;

	assert_non_null(previous);
	ot_image_unref(fixture->newest);
	fixture->newest = ot_image_ref(image);
	fixture->image_count++;
}

static inline void
fixture_on_active(void *arg, bool is_active)
{
	((struct fixture *)arg)->is_active = is_active;
}

static inline void
fixture_on_failure(void *arg, ot_err err, const char *why)
{
	(void)why;
	((struct fixture *)arg)->failure = err;
}

static inline bool
fixture_holds_active(void *arg)
{
	const struct fixture *fixture = arg;

	return fixture->is_active || fixture->failure != OT_OK;
}

static inline void
fixture_start_controller(struct fixture *fixture)
{
	static const struct ot_controller_events events = {
		.on_image = fixture_on_image,
		.on_active = fixture_on_active,
		.on_failure = fixture_on_failure,
	};

	fixture->log = memory_log_create(fixture->io, fixture->disk);
	fixture->is_active = fixture->is_closed = false;
	fixture->controller = ot_controller_create(&(struct ot_controller_args){
	    .io = fixture->io,
	    .log = &fixture->log->log,
	    .settings = fixture->settings,
	    .cluster_id = CLUSTER_ID,
	    .node_id = 1,
	    .events = &events,
	    .arg = fixture,
	});
	ot_controller_start(fixture->controller);
	assert_true(ot_sim_world_run_until(fixture->world, fixture_holds_active, fixture, 1000));
}

static inline void
fixture_on_closed(void *arg)
{
	((struct fixture *)arg)->is_closed = true;
}

static inline bool
fixture_holds_closed(void *arg)
{
	return ((struct fixture *)arg)->is_closed;
}

static inline void
fixture_close_controller(struct fixture *fixture)
{
	ot_controller_close(fixture->controller, fixture_on_closed, fixture);
	assert_true(ot_sim_world_run_until(fixture->world, fixture_holds_closed, fixture, 1000));
	fixture->controller = NULL;
	ot_image_unref(fixture->newest);
	fixture->newest = NULL;
}

/* A broker of node id 1 with these settings, active. */
static inline struct fixture *
fixture_create(const char *settings)
{
	struct fixture *fixture = ot_must_alloc(sizeof(*fixture));
	char text[1000];

	(void)snprintf(text, sizeof(text), "node.id=1\n%s", settings);
	fixture->world = ot_sim_world_create(7);
	fixture->host = ot_sim_host_create(fixture->world, "10.0.0.1");
	fixture->io = ot_sim_io_create(fixture->host);
	fixture->settings = fixture_settings(text);
	fixture->disk = ot_must_alloc(sizeof(*fixture->disk));
	ot_arena_init(&fixture->arena, 0);
	fixture_start_controller(fixture);
	return fixture;
}

/* Begins anew on the log of a cluster of an older release: at that level of metadata.version. */
static inline void
fixture_begin_at_level(struct fixture *fixture, int16_t level)
{
	struct ot_feature_level_record record;
	struct memory_disk *disk = fixture->disk;

	fixture_close_controller(fixture);
	memory_disk_fini(disk);
	ot_feature_level_record_init(&record);
	record.name = OT_STR_LIT("metadata.version");
	record.feature_level = level;
	disk->batches = ot_must_alloc(sizeof(disk->batches[0]));
	disk->batch_capacity = disk->batch_count = 1;
	ot_metadata_records_init(&disk->batches[0].records);
	ot_metadata_records_add(&disk->batches[0].records, &ot_feature_level_record_msg, &record);
	disk->next_offset = 1;
	fixture_start_controller(fixture);
}

static inline void
fixture_destroy(struct fixture *fixture)
{
	if (fixture->controller != NULL)
		fixture_close_controller(fixture);
	ot_settings_unref(fixture->settings);
	ot_sim_io_destroy(fixture->io);
	ot_sim_world_destroy(fixture->world);
	ot_arena_fini(&fixture->arena);
	memory_disk_fini(fixture->disk);
	ot_free(fixture->disk);
	ot_free(fixture);
}

/* ---- calls ---------------------------------------------------------------------------------- */

struct fixture_call {
	struct ot_controller_call call;
	bool is_done;
	ot_err err;
};

static inline void
fixture_call_done(struct ot_controller_call *call, ot_err err)
{
	struct fixture_call *done = OT_CONTAINER_OF(call, struct fixture_call, call);

	assert_false(done->is_done);
	done->is_done = true;
	done->err = err;
}

static inline struct ot_controller_call *
fixture_call_init(struct fixture *fixture, struct fixture_call *call)
{
	*call = (struct fixture_call){ 0 };
	call->call.arena = &fixture->arena;
	call->call.on_done = fixture_call_done;
	return &call->call;
}

static inline bool
fixture_holds_done(void *arg)
{
	return ((struct fixture_call *)arg)->is_done;
}

static inline ot_err
fixture_wait(struct fixture *fixture, struct fixture_call *call)
{
	assert_true(ot_sim_world_run_until(fixture->world, fixture_holds_done, call, 1000));
	return call->err;
}

/* The features of a broker of this release. */
static inline void
fixture_fill_features(struct ot_broker_registration_request *request)
{
	static struct ot_broker_registration_request_feature features[] = {
		{ .name = OT_STR_LIT("metadata.version"),
		    .min_supported_version = 7,
		    .max_supported_version = 30 },
		{ .name = OT_STR_LIT("eligible.leader.replicas.version"),
		    .max_supported_version = 1 },
	};

	request->features = features;
	request->features_count = 2;
}

/* The log directory that a broker of the tests has. */
static inline struct ot_uuid
fixture_directory(int32_t id)
{
	return (struct ot_uuid){ { 1, 2, 3, (uint8_t)id } };
}

/* Registers a new incarnation of a broker, whose registration of before is named as one that ended
 * cleanly (-1: none). Gives the error and, in `ret_epoch`, the epoch. */
static inline ot_err
fixture_register(struct fixture *fixture, int32_t id, const char *rack, int64_t previous_epoch,
    int64_t *ret_epoch)
{
	struct ot_broker_registration_request request;
	struct ot_broker_registration_response response;
	struct ot_broker_registration_request_listener listener = { .name = OT_STR_LIT("PLAINTEXT"),
		.host = OT_STR_LIT("localhost"),
		.port = 9092 };
	struct ot_uuid directory = fixture_directory(id);
	struct fixture_call call;

	ot_broker_registration_request_init(&request);
	request.broker_id = id;
	request.cluster_id = ot_str_from(CLUSTER_ID);
	request.incarnation_id = ot_io_random_uuid(fixture->io);
	request.listeners = &listener;
	request.listeners_count = 1;
	fixture_fill_features(&request);
	request.rack = ot_str_from(rack);
	request.log_dirs = &directory;
	request.log_dirs_count = 1;
	request.previous_broker_epoch = previous_epoch;
	ot_controller_register_broker(fixture->controller, fixture_call_init(fixture, &call),
	    &request, &response);
	assert_ok(fixture_wait(fixture, &call));
	if (ret_epoch != NULL)
		*ret_epoch = response.broker_epoch;
	return ot_err_from_wire(response.error_code);
}

enum { BEAT_FENCE = 1, BEAT_SHUT_DOWN = 2 };

/* A heartbeat of a broker that has read everything; the test fails if it is refused. */
static inline struct ot_broker_heartbeat_response
fixture_beat(struct fixture *fixture, int32_t id, int flags)
{
	struct ot_broker_heartbeat_request request;
	struct ot_broker_heartbeat_response response;
	struct fixture_call call;

	ot_broker_heartbeat_request_init(&request);
	request.broker_id = id;
	request.broker_epoch = ot_image_broker(fixture->newest, id)->epoch;
	request.current_metadata_offset = ot_image_place(fixture->newest).offset;
	request.want_fence = (flags & BEAT_FENCE) != 0;
	request.want_shut_down = (flags & BEAT_SHUT_DOWN) != 0;
	ot_controller_heartbeat(fixture->controller, fixture_call_init(fixture, &call), &request,
	    &response);
	assert_ok(fixture_wait(fixture, &call));
	assert_ok(response.error_code);
	return response;
}

/* Registers a broker and unfences it. Gives its epoch. */
static inline int64_t
fixture_add_broker(struct fixture *fixture, int32_t id, const char *rack)
{
	int64_t epoch;

	assert_ok(fixture_register(fixture, id, rack, -1, &epoch));
	assert_false(fixture_beat(fixture, id, 0).is_fenced);
	return epoch;
}

static inline void
assert_text(struct ot_str text, const char *expected)
{
	if (expected == NULL ? text.len >= 0 : !ot_str_is(text, expected))
		fail_msg("\"%.*s\" is not \"%s\"", OT_STR_ARG(text),
		    expected == NULL ? "(null)" : expected);
}

/* Creates one topic; gives the error code and, in `ret_message`, the message. */
static inline ot_err
fixture_create_topic(struct fixture *fixture, const char *name, int32_t partitions,
    int16_t replicas, struct ot_str *ret_message)
{
	struct ot_create_topics_request_topic topic;
	struct ot_create_topics_request request;
	struct ot_create_topics_response *response =
	    ot_arena_alloc(&fixture->arena, sizeof(*response));
	struct fixture_call call;

	ot_create_topics_request_init(&request);
	ot_create_topics_request_topic_init(&topic);
	topic.name = ot_str_from(name);
	topic.num_partitions = partitions;
	topic.replication_factor = replicas;
	request.topics = &topic;
	request.topics_count = 1;
	ot_controller_create_topics(fixture->controller, fixture_call_init(fixture, &call),
	    &request, response);
	assert_ok(fixture_wait(fixture, &call));
	assert_int_equal(response->topics_count, 1);
	assert_text(response->topics[0].name, name);
	if (ret_message != NULL)
		*ret_message = response->topics[0].error_message;
	return ot_err_from_wire(response->topics[0].error_code);
}

/* The image as text, in memory that the caller frees. */
static inline char *
fixture_print(const struct ot_image *image)
{
	struct ot_writer out;

	ot_writer_init(&out);
	assert_ok(ot_image_print(image, &out));
	ot_write_raw(&out, "", 1);
	assert_false(out.failed);
	return (char *)out.data;
}

#endif
