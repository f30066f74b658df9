#include "cli/reassign_int.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int
cli_partition_name_compare(const void *a, const void *b)
{
	const struct cli_partition_name *one = a;
	const struct cli_partition_name *other = b;
	int order = ot_str_compare(one->topic, other->topic);
	return order != 0 ? order : (one->index > other->index) - (one->index < other->index);
}

const char *
cli_replicas_text(struct cli *cli, const struct cli_replicas *replicas)
{
	const char *text = "";
	for (int32_t i = 0; i < replicas->count; i++)
		text = cli_format(cli, "%s%s%d", text, i > 0 ? "," : "", replicas->brokers[i]);
	return text;
}

bool
cli_replicas_have(const struct cli_replicas *replicas, int32_t broker)
{
	for (int32_t i = 0; i < replicas->count; i++) {
		if (replicas->brokers[i] == broker)
			return true;
	}
	return false;
}

/* ---- reading ------------------------------------------------------------------------------- */

static const char *
check_version(struct cli *cli, json_t *root)
{
	json_t *version = json_object_get(root, "version");
	if (version == NULL || (json_is_integer(version) && json_integer_value(version) == 1))
		return NULL;
	return cli_format(cli, "Not supported version field value %lld",
	    (long long)json_integer_value(version));
}

static const char *
read_replicas(struct cli *cli, json_t *array, struct cli_target *target)
{
	size_t count = json_array_size(array);
	target->replicas.brokers = cli_alloc(cli, count, sizeof(int32_t));
	target->replicas.count = (int32_t)count;
	for (size_t i = 0; i < count; i++) {
		json_t *id = json_array_get(array, i);
		if (!json_is_integer(id) || json_integer_value(id) < 0 ||
		    json_integer_value(id) > INT32_MAX)
			return "\"replicas\" must be numbers of brokers";
		target->replicas.brokers[i] = (int32_t)json_integer_value(id);
	}
	return NULL;
}

static const char *
read_dirs(struct cli *cli, json_t *array, struct cli_target *target)
{
	size_t count = json_array_size(array);
	if (!json_is_array(array))
		return "\"log_dirs\" must be a list of paths, or of \"any\"";
	if (count != (size_t)target->replicas.count)
		return cli_format(cli,
		    "Size of replicas list [%s] is different from size of log dirs list, %zu, for "
		    "partition %.*s-%d",
		    cli_replicas_text(cli, &target->replicas), count,
		    OT_STR_ARG(target->name.topic), target->name.index);
	target->dirs = cli_alloc(cli, count, sizeof(*target->dirs));
	for (size_t i = 0; i < count; i++) {
		const char *path = json_string_value(json_array_get(array, i));
		if (path == NULL)
			return "\"log_dirs\" must be a list of paths, or of \"any\"";
		if (strcmp(path, "any") != 0)
			target->dirs[i] = cli_format(cli, "%s", path);
	}
	return NULL;
}

static const char *
read_target(struct cli *cli, json_t *object, struct cli_target *target)
{
	json_t *topic = json_object_get(object, "topic");
	json_t *partition = json_object_get(object, "partition");
	json_t *replicas = json_object_get(object, "replicas");
	json_t *dirs = json_object_get(object, "log_dirs");
	if (!json_is_string(topic) || !json_is_integer(partition) || !json_is_array(replicas))
		return "Each of \"partitions\" needs \"topic\", \"partition\" and \"replicas\"";
	if (json_integer_value(partition) < 0 || json_integer_value(partition) > INT32_MAX)
		return cli_format(cli, "\"partition\" is %lld, and must be from 0 to %d",
		    (long long)json_integer_value(partition), INT32_MAX);
	target->name.topic = ot_str_from(cli_format(cli, "%s", json_string_value(topic)));
	target->name.index = (int32_t)json_integer_value(partition);
	const char *mistake = read_replicas(cli, replicas, target);
	if (mistake != NULL || dirs == NULL)
		return mistake;
	return read_dirs(cli, dirs, target);
}

const char *
cli_targets_read(struct cli *cli, json_t *root, struct cli_targets *ret_targets)
{
	const char *mistake = check_version(cli, root);
	json_t *partitions = json_object_get(root, "partitions");
	size_t count = json_array_size(partitions); /* 0 when it is not there, as in Kafka */
	if (mistake != NULL)
		return mistake;
	struct cli_targets targets = { cli_alloc(cli, count, sizeof(*targets.items)), count };
	for (size_t i = 0; i < count; i++) {
		mistake = read_target(cli, json_array_get(partitions, i), &targets.items[i]);
		if (mistake != NULL)
			return mistake;
	}
	*ret_targets = targets;
	return NULL;
}

const char *
cli_target_topics_read(struct cli *cli, json_t *root, struct ot_str **ret_topics, size_t *ret_count)
{
	const char *mistake = check_version(cli, root);
	json_t *array = json_object_get(root, "topics");
	size_t count = json_array_size(array);
	struct ot_str *topics = cli_alloc(cli, count, sizeof(*topics));
	for (size_t i = 0; mistake == NULL && i < count; i++) {
		const char *name =
		    json_string_value(json_object_get(json_array_get(array, i), "topic"));
		if (name == NULL)
			return "Each of \"topics\" needs a \"topic\"";
		topics[i] = ot_str_from(cli_format(cli, "%s", name));
		for (size_t k = 0; k < i; k++) {
			if (ot_str_equal(topics[k], topics[i]))
				mistake = cli_format(cli,
				    "List of topics to reassign contains duplicate entries: [%s]",
				    name);
		}
	}
	*ret_topics = topics;
	*ret_count = count;
	return mistake;
}

/* ---- checking ------------------------------------------------------------------------------ */

/* The brokers that a list has more than once; "" for none. */
static const char *
find_twice(struct cli *cli, const struct cli_replicas *replicas)
{
	const char *twice = "";
	for (int32_t i = 1; i < replicas->count; i++) {
		const struct cli_replicas before = { replicas->brokers, i };
		if (cli_replicas_have(&before, replicas->brokers[i]))
			twice = cli_format(cli, "%s%s%d", twice, *twice != '\0' ? "," : "",
			    replicas->brokers[i]);
	}
	return twice;
}

const char *
cli_targets_check(struct cli *cli, struct cli_targets *targets)
{
	const char *twice = "";
	if (targets->count == 0)
		return "Partition reassignment list cannot be empty";
	if (targets->count > 1)
		qsort(targets->items, targets->count, sizeof(*targets->items),
		    cli_partition_name_compare);
	for (size_t i = 0; i < targets->count; i++) {
		if (targets->items[i].replicas.count == 0)
			return "Partition replica list cannot be empty";
	}
	for (size_t i = 1; i < targets->count; i++) {
		const struct cli_partition_name *name = &targets->items[i].name;
		if (cli_partition_name_compare(name, &targets->items[i - 1].name) == 0)
			twice = cli_format(cli, "%s%s%.*s-%d", twice, *twice != '\0' ? "," : "",
			    OT_STR_ARG(name->topic), name->index);
	}
	if (*twice != '\0')
		return cli_format(cli,
		    "Partition reassignment contains duplicate topic partitions: %s", twice);
	for (size_t i = 0; i < targets->count; i++) {
		const char *again = find_twice(cli, &targets->items[i].replicas);
		if (*again != '\0')
			twice = cli_format(cli, "%s%s%.*s-%d contains multiple entries for %s",
			    twice, *twice != '\0' ? ". " : "",
			    OT_STR_ARG(targets->items[i].name.topic), targets->items[i].name.index,
			    again);
	}
	if (*twice != '\0')
		return cli_format(cli,
		    "Partition replica lists may not contain duplicate entries: %s", twice);
	return NULL;
}

/* ---- printing ------------------------------------------------------------------------------ */

static json_t *
json_of_target(const struct cli_target *target, bool has_dirs)
{
	json_t *replicas = json_array();
	json_t *dirs = json_array();
	for (int32_t i = 0; i < target->replicas.count; i++) {
		bool is_any = target->dirs == NULL || target->dirs[i] == NULL;
		json_array_append_new(replicas, json_integer(target->replicas.brokers[i]));
		json_array_append_new(dirs, json_string(is_any ? "any" : target->dirs[i]));
	}
	json_t *object = json_pack("{s:s%,s:i,s:o}", "topic", target->name.topic.data,
	    (size_t)target->name.topic.len, "partition", (int)target->name.index, "replicas",
	    replicas);
	if (has_dirs)
		json_object_set_new(object, "log_dirs", dirs);
	else
		json_decref(dirs);
	return object;
}

void
cli_targets_print(const struct cli_targets *targets, bool has_dirs, FILE *out)
{
	json_t *partitions = json_array();
	for (size_t i = 0; i < targets->count; i++)
		json_array_append_new(partitions, json_of_target(&targets->items[i], has_dirs));
	json_t *root = json_pack("{s:i,s:o}", "version", 1, "partitions", partitions);
	json_dumpf(root, out, JSON_COMPACT);
	json_decref(root);
}
