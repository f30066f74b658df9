/* The settings of a process: every broker key with its value and where that came from.
 *
 * A value is looked for in four places, and the first that has one counts: what was set for this
 * broker while it ran, what was set for all brokers, the property file with --override, and the
 * default. Settings never change once built. A change at run time makes new ones, and the old go
 * when nobody refers to them any more; so any thread may read the settings that it has a
 * reference to, without a lock and without asking.
 */
#ifndef OT_CONFIG_SETTINGS_H
#define OT_CONFIG_SETTINGS_H

#include "base/blob.h"
#include "config/def.h"
#include "config/listeners.h"
#include "config/notes.h"
#include "config/properties.h"

/* Places of values, weakest first; the default has none. */
enum ot_settings_layer {
	OT_LAYER_STATIC,
	OT_LAYER_DYNAMIC_DEFAULT,
	OT_LAYER_DYNAMIC_BROKER,
	OT_LAYER_COUNT,
};

struct ot_setting {
	struct ot_config_value value;
	enum ot_config_source source;
	struct ot_str raw[OT_LAYER_COUNT]; /* as it was given; null where it was not */
	const char *origin;                /* of raw[OT_LAYER_STATIC]: "server.properties:12" */
};

/* A key that no table knows, or one with a listener's prefix. */
struct ot_setting_extra {
	struct ot_str name;
	struct ot_str value;
	int key; /* what the prefix stands before, or -1 */
	enum ot_settings_layer layer;
	const char *origin;
};

/* One entry of controller.quorum.voters. */
struct ot_voter {
	int32_t id;
	struct ot_host_port address;
};

/* All memory is the settings' own. [const] once built. */
struct ot_settings {
	struct ot_blob *blob; /* holds this struct; its count of references is the settings' */
	struct ot_arena arena;
	struct ot_setting values[OT_BROKER_KEY_COUNT];
	struct ot_setting_extra *extras;
	size_t extra_count;

	/* Derived from them. */
	int32_t node_id; /* -1: nobody gave one */
	bool is_broker;
	bool is_controller;
	const char *const *log_dirs; /* at least one */
	size_t log_dir_count;
	const char *metadata_log_dir;
	const struct ot_listener_conf *listeners;
	size_t listener_count;
	const char *inter_broker_listener;            /* its name */
	const char *const *controller_listener_names; /* upper case */
	size_t controller_listener_count;
	const struct ot_protocol_mapping *protocol_map;
	size_t protocol_map_count;
	const struct ot_voter *voters; /* controller.quorum.voters */
	size_t voter_count;
	/* Where controllers answer: of the voters, the bootstrap servers or zookeeper.connect, the
	 * first of these that was given; none when nobody gave any. */
	const struct ot_host_port *controllers;
	size_t controller_count;
	enum ot_broker_key controllers_key;
	/* Where a process with the controller role answers: the first of its listeners that
	 * controller.listener.names has. Without one it is made of the controllers' addresses, its
	 * own among the voters or the first: then it may belong to another machine or process, and
	 * whoever cannot bind it joins the one who could. NULL: not a controller, or no address. */
	const struct ot_listener_conf *control_listener;
	bool control_listener_is_made;
};

struct ot_settings_input {
	const struct ot_properties *file;       /* NULL: none */
	const struct ot_config_pair *overrides; /* of --override; they beat the file */
	size_t override_count;
	const struct ot_config_pair *dynamic_default;
	size_t dynamic_default_count;
	const struct ot_config_pair *dynamic_broker;
	size_t dynamic_broker_count;
};

/* Builds settings with one reference. All mistakes and doubts go to `notes`, not only the first;
 * with a mistake in the file or an override the answer is OT_ERR_INVALID_CONFIG and no settings.
 * A bad dynamic value is a warning, and the next place counts. OT_ERR_NO_MEMORY.
 * @owner any thread   @blocks never */
ot_err ot_settings_create(const struct ot_settings_input *input, struct ot_config_notes *notes,
    struct ot_settings **ret_settings) OT_MUST_USE;

/* The same file and overrides with other dynamic values. Those of `input` that are not dynamic are
 * not looked at. Errors as above. @owner any thread   @blocks never */
ot_err ot_settings_create_changed(const struct ot_settings *base,
    const struct ot_settings_input *input, struct ot_config_notes *notes,
    struct ot_settings **ret_settings) OT_MUST_USE;

/* @owner any thread   @blocks never */
struct ot_settings *ot_settings_ref(struct ot_settings *settings);
void ot_settings_unref(struct ot_settings *settings); /* accepts NULL */

/* A BOOLEAN, a number, a DOUBLE, a text (NULL when there is none), a LIST. A number that has no
 * value takes that of its synonyms in its own unit (log.retention.ms from log.retention.hours), and
 * -1 when these have none either. The type must be the key's. @owner any thread */
bool ot_settings_flag(const struct ot_settings *settings, enum ot_broker_key key);
int64_t ot_settings_number(const struct ot_settings *settings, enum ot_broker_key key);
int32_t ot_settings_int(const struct ot_settings *settings, enum ot_broker_key key);
double ot_settings_real(const struct ot_settings *settings, enum ot_broker_key key);
const char *ot_settings_text(const struct ot_settings *settings, enum ot_broker_key key);
const struct ot_config_value *ot_settings_list(const struct ot_settings *settings,
    enum ot_broker_key key);

/* Whether the setting names that class, with or without a package; false when it names none.
 * @owner any thread   @blocks never */
bool ot_settings_names_class(const struct ot_settings *settings, enum ot_broker_key key,
    const char *simple_name);

/* Whether somebody set the key, so that its value is not just the default. @owner any thread */
bool ot_settings_is_set(const struct ot_settings *settings, enum ot_broker_key key);

/* The text of a key for one listener: listener.name.NAME.MECHANISM.key, then
 * listener.name.NAME.key, then key. `mechanism` may be NULL. Null when there is none.
 * @owner any thread */
struct ot_str ot_settings_listener_text(const struct ot_settings *settings, const char *listener,
    const char *mechanism, enum ot_broker_key key);

/* The number of a key for one listener, with or without the prefix. @owner any thread */
int64_t ot_settings_listener_number(const struct ot_settings *settings, const char *listener,
    enum ot_broker_key key);

/* The listener called `name` (case does not count), or NULL. @owner any thread */
const struct ot_listener_conf *ot_settings_listener(const struct ot_settings *settings,
    const char *name);

#endif
