#include "cli/drain_int.h"

#include <string.h>

/* ---- planning ------------------------------------------------------------------------------ */

static struct cli_drain_broker *
find_broker(struct cli_drain *drain, int32_t id)
{
	for (size_t i = 0; i < drain->broker_count; i++) {
		if (drain->brokers[i].id == id)
			return &drain->brokers[i];
	}
	return NULL;
}

/* Whether a replica that stays is in the rack. Without racks every broker is as good as another. */
static bool
has_rack(struct cli_drain *drain, const struct cli_drain_part *part, struct ot_str rack)
{
	for (int32_t i = 0; rack.len >= 0 && i < part->replicas.count; i++) {
		int32_t id = part->replicas.brokers[i];
		const struct cli_drain_broker *broker = find_broker(drain, id);
		if (id != drain->id && broker != NULL && ot_str_equal(broker->rack, rack))
			return true;
	}
	return false;
}

struct choice {
	struct cli_drain_broker *broker; /* NULL: none yet */
	bool is_in_used_rack;
};

static bool
is_better(const struct choice *one, const struct choice *other, bool is_leader)
{
	if (other->broker == NULL)
		return true;
	if (one->is_in_used_rack != other->is_in_used_rack)
		return !one->is_in_used_rack;
	if (is_leader && one->broker->leader_count != other->broker->leader_count)
		return one->broker->leader_count < other->broker->leader_count;
	return one->broker->replica_count < other->broker->replica_count;
}

static struct cli_drain_broker *
choose(struct cli_drain *drain, const struct cli_drain_part *part)
{
	struct choice best = { 0 };
	bool is_leader = part->replicas.count > 0 && part->replicas.brokers[0] == drain->id;
	for (size_t i = 0; i < drain->broker_count; i++) {
		struct cli_drain_broker *broker = &drain->brokers[i];
		if (broker->id == drain->id || cli_replicas_have(&part->replicas, broker->id))
			continue;
		struct choice one = { broker, has_rack(drain, part, broker->rack) };
		if (is_better(&one, &best, is_leader))
			best = one;
	}
	return best.broker;
}

static void
replace(struct cli *cli, const struct cli_drain *drain, struct cli_drain_part *part,
    struct cli_drain_broker *broker)
{
	part->state = CLI_DRAIN_PLANNED;
	part->goes_to = broker->id;
	part->target.count = part->replicas.count;
	part->target.brokers =
	    cli_alloc(cli, (size_t)part->replicas.count, sizeof(*part->target.brokers));
	for (int32_t i = 0; i < part->replicas.count; i++) {
		bool is_leaving = part->replicas.brokers[i] == drain->id;
		part->target.brokers[i] = is_leaving ? broker->id : part->replicas.brokers[i];
		if (is_leaving && i == 0)
			broker->leader_count++;
	}
	broker->replica_count++;
}

static void
stick(struct cli_drain_part *part, const char *reason)
{
	part->state = CLI_DRAIN_STUCK;
	part->reason = reason;
}

static void
plan_part(struct cli *cli, struct cli_drain *drain, struct cli_drain_part *part,
    const struct cli_moving *moving)
{
	part->goes_to = -1;
	if (moving != NULL && cli_replicas_have(&moving->removing, drain->id)) {
		part->state = CLI_DRAIN_MOVING;
		if (moving->adding.count > 0)
			part->goes_to = moving->adding.brokers[0];
		return;
	}
	if (moving != NULL) {
		stick(part, "it is being reassigned otherwise; wait for that or cancel it");
		return;
	}
	if (part->leader < 0) {
		stick(part, "it has no leader that the records could be copied from");
		return;
	}
	struct cli_drain_broker *broker = choose(drain, part);
	if (broker != NULL) {
		replace(cli, drain, part, broker);
		return;
	}
	size_t other_count = drain->broker_count - (find_broker(drain, drain->id) != NULL);
	stick(part, other_count == 0 ? "no other broker is there"
				     : cli_format(cli,
					   "each of the %zu other brokers that are there has a "
					   "replica of it already",
					   other_count));
}

void
cli_drain_plan(struct cli *cli, struct cli_drain *drain, const struct cli_movings *movings)
{
	for (size_t i = 0; i < drain->part_count; i++)
		plan_part(cli, drain, &drain->parts[i],
		    cli_movings_find(movings, drain->parts[i].name));
}

size_t
cli_drain_count(const struct cli_drain *drain, enum cli_drain_state state)
{
	size_t count = 0;
	for (size_t i = 0; i < drain->part_count; i++)
		count += drain->parts[i].state == state;
	return count;
}

/* ---- printing ------------------------------------------------------------------------------ */

const char *
cli_drain_bytes_text(struct cli *cli, int64_t bytes)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	double number = (double)bytes;
	size_t unit = 0;
	while (number >= 1000 && unit + 1 < OT_ARRAY_COUNT(units)) {
		number /= 1000;
		unit++;
	}
	return cli_format(cli, unit == 0 ? "%.0f %s" : "%.1f %s", number, units[unit]);
}

const char *
cli_drain_time_text(struct cli *cli, int64_t seconds)
{
	long long whole = seconds;
	if (whole < 60)
		return cli_format(cli, "%lld s", whole);
	if (whole < 3600)
		return cli_format(cli, "%lld min %lld s", whole / 60, whole % 60);
	return cli_format(cli, "%lld h %lld min", whole / 3600, whole / 60 % 60);
}

void
cli_drain_print_progress(struct cli *cli, const struct cli_drain *drain, int64_t rate, FILE *out)
{
	int64_t bytes = 0, copied = 0;
	for (size_t i = 0; i < drain->part_count; i++) {
		const struct cli_drain_part *part = &drain->parts[i];
		if (part->state == CLI_DRAIN_STUCK || part->bytes < 0)
			continue;
		bytes += part->bytes;
		copied +=
		    part->state == CLI_DRAIN_DONE ? part->bytes : OT_MIN(part->copied, part->bytes);
	}
	size_t done_count = cli_drain_count(drain, CLI_DRAIN_DONE);
	size_t count = drain->part_count - cli_drain_count(drain, CLI_DRAIN_STUCK);
	fprintf(out, "%zu of %zu replicas moved, %s of %s", done_count, count,
	    cli_drain_bytes_text(cli, copied), cli_drain_bytes_text(cli, bytes));
	if (rate > 0 && done_count < count)
		fprintf(out, ", %s/s, about %s left", cli_drain_bytes_text(cli, rate),
		    cli_drain_time_text(cli, (bytes - copied + rate - 1) / rate));
	fputc('\n', out);
}

void
cli_drain_print_stuck(struct cli_drain *drain, FILE *out)
{
	for (size_t i = 0; i < drain->part_count; i++) {
		struct cli_drain_part *part = &drain->parts[i];
		if (part->state == CLI_DRAIN_STUCK && !part->is_told)
			fprintf(out, "%.*s-%d cannot move: %s\n", OT_STR_ARG(part->name.topic),
			    part->name.index, part->reason);
		part->is_told = part->state == CLI_DRAIN_STUCK;
	}
}
