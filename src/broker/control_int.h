/* The control thread's side of the broker: the controller, the publication of images to shards,
 * and calls from shards to the controller. See README.md. */
#ifndef OT_BROKER_CONTROL_INT_H
#define OT_BROKER_CONTROL_INT_H

#include "cluster/controller.h"
#include "shard/shard.h"
#include "wire/link.h"

struct broker;
struct ot_dirs;

struct broker_channel;

/* An operation of the active controller for a request on a shard. Lives in the request's arena,
 * which is the control thread's from `broker_control_post` until `done`. */
struct broker_call {
	/* Set by the shard. `begin` runs on the control thread and starts one operation of this
	 * process's controller with &call->call: when it is the active one, or when nobody else
	 * could be asked. `done` runs on the shard that posted, after the operation is committed
	 * and, where it was done here, all shards have taken up an image that has it. */
	void (*begin)(struct broker_call *call, struct ot_controller *controller);
	void (*done)(struct broker_call *call);
	struct ot_arena *arena;
	/* The same as a request to another process that is the active controller. Texts of the
	 * response may be views of its answer, which ends after `done`. */
	const struct ot_api *api;
	int16_t version;
	const void *body;
	void *response;
	int64_t timeout_ms; /* how long an active controller is looked for, and waited for */
	bool is_from_peer;  /* another process sent it here: it goes no further */
	void (*prepare)(
	    struct broker_call *call); /* makes `body` anew before it is sent; or NULL */
	bool is_prompt;                /* `done` does not wait for the shards */

	ot_err err; /* of the whole operation */

	struct ot_controller_call call;
	struct ot_link_call remote;
	struct ot_blob *frame; /* a reference: of the answer that came from there */
	ot_mono_ns deadline;
	struct broker_channel *channel;
	struct ot_mail mail;
	struct ot_shard *home;
	struct ot_list link;
	struct broker_control *control;
};

/* @owner home shard */
void broker_control_post(struct broker *broker, struct ot_shard *home, struct broker_call *call);

struct broker_control;

/* Makes the engine of the metadata log. @owner the creating thread   @blocks never */
typedef struct ot_metalog *broker_make_metalog(void *arg, struct broker *broker, struct ot_io *io);

struct broker_control_args {
	struct broker *broker;
	const char *cluster_id;
	struct ot_uuid incarnation;
	broker_make_metalog *make_metalog; /* NULL: the engine `local` */
	void *metalog_arg;
	/* The broker is registered and unfenced, and every shard has the image that says so: begin
	 * to accept. Or starting failed for good. @owner control */
	void (*on_ready)(void *arg);
	void (*on_failure)(void *arg, ot_err err, const char *why);
	void *arg;
};

/* @owner control thread for all of these */
struct broker_control *broker_control_create(const struct broker_control_args *args);
void broker_control_start(struct broker_control *control);

/* The controller is to hear at once what heartbeats tell. */
void broker_control_hurry(struct broker_control *control);

/* Lets others lead in this broker's place, if there are others; then `on_left`. */
void broker_control_leave(struct broker_control *control, void (*on_left)(void *arg), void *arg);

/* Closes controller and metadata log; `on_closed` follows. */
void broker_control_close(struct broker_control *control, void (*on_closed)(void *arg), void *arg);
void broker_control_destroy(struct broker_control *control);

/* The newest settings; borrowed until the loop's next turn. @owner control */
const struct ot_settings *broker_control_settings(const struct broker_control *control);

/* The newest image; borrowed until the loop's next turn. @owner control */
const struct ot_image *broker_control_image(const struct broker_control *control);

/* The epoch that this broker was registered with; -1 before. @owner control */
int64_t broker_control_epoch(const struct broker_control *control);

#endif
