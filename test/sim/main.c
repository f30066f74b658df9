/* The cluster simulator's command line: see README.md.
 *
 * Each seed runs in a process of its own, several at once, so that a panic ends one seed and no
 * more. A seed that failed is run again with fewer and fewer faults, to find what is enough for it.
 */
#include <execinfo.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/plant.h"
#include "base/report.h"
#include "run.h"

enum {
	TRACE_LINES = 60,
	JOBS_MAX = 64,
	OUTPUT_LINES = 8,
	SEED_SECONDS_MAX = 120,
	SIGNAL_EXIT = 64
};

struct options {
	struct plan_options plan;
	uint64_t first, last;
	int32_t jobs;
	int32_t trace_lines;
	bool is_verbose;
	bool has_reports;
	bool is_twice; /* each seed two times: is its history one? */
	bool is_small; /* failing seeds are not run again */
	bool is_hunt;
};

/* What a seed's process tells its parent. */
struct outcome {
	struct run_result result;
	bool is_complete;
};

static struct options options = {
	.plan = { .fault_limit = UINT64_MAX },
	.first = 1,
	.last = 1,
	.jobs = 2,
	.trace_lines = TRACE_LINES,
};

/* ---- bugs on purpose ------------------------------------------------------------------------- */

#ifdef OT_PLANTS
enum ot_plant ot_planted;

#define ROW(name) [OT_PLANT_##name] = #name
static const char *const plant_names[] = {
	ROW(NONE),
	ROW(ACK_BEFORE_SYNC),
	ROW(ACK_BEFORE_REPLICATION),
	ROW(READ_PAST_WATERMARK),
	ROW(WATERMARK_BY_WISH),
	ROW(WATERMARK_UNDER_LEAST_ISR),
	ROW(TRUNCATE_BY_WATERMARK),
	ROW(NO_TRUNCATION),
	ROW(STALE_LEADER),
	ROW(UNCLEAN_LEADER),
	ROW(DEPOSED_CONTROLLER),
	ROW(BATCH_TWICE),
	ROW(CHECKPOINT_UNSYNCED),
	ROW(TORN_TAIL),
	ROW(DUPLICATES),
	ROW(PRODUCERS_FORGOTTEN),
	ROW(STALE_GENERATION),
	ROW(OFFSETS_NOT_LOADED),
};
_Static_assert(OT_ARRAY_COUNT(plant_names) == OT_PLANT_COUNT, "each plant has a name");
#endif

/* ---- a seed's process ------------------------------------------------------------------------ */

struct tail {
	char (*lines)[160];
	uint64_t count;
};

static void
keep_line(void *arg, const char *line)
{
	struct tail *tail = arg;

	(void)snprintf(tail->lines[tail->count++ % (uint64_t)options.trace_lines],
	    sizeof(*tail->lines), "%s", line);
}

static void
print_trace(struct sim *sim, const char *why)
{
	struct tail tail = { 0 };
	uint64_t lines = (uint64_t)options.trace_lines;

	printf("%s\n", why);
	if (lines == 0)
		return;
	tail.lines = ot_must_alloc(lines * sizeof(*tail.lines));
	ot_sim_trace_print(ot_sim_world_trace(sim->world), keep_line, &tail);
	for (uint64_t i = tail.count > lines ? tail.count - lines : 0; i < tail.count; i++)
		printf("  %s\n", tail.lines[i % lines]);
}

static struct ot_sim_world *reporting_world;

static void
on_report(enum ot_report_level level, const char *area, const char *line)
{
	(void)level;
	(void)area;
	(void)reporting_world;
	if (options.has_reports)
		printf("            %s\n", line);
}

static void
run_seed(uint64_t seed, const struct plan_options *plan_options, struct outcome *ret)
{
	struct sim_plan plan;
	char text[600];

	plan_make(seed, plan_options, &plan);
	plan_print(&plan, text, sizeof(text));
	if (options.is_verbose)
		printf("%s\n", text);
	run_plan(&plan, options.is_verbose, print_trace, &ret->result);
	ret->is_complete = true;
}

/* Says where a process ends that did not mean to. */
static void
on_signal(int number)
{
	void *frames[40];

	(void)fflush(stdout);
	(void)dprintf(STDOUT_FILENO, "signal %d at:\n", number);
	backtrace_symbols_fd(frames, backtrace(frames, OT_ARRAY_COUNT(frames)), STDOUT_FILENO);
	_exit(SIGNAL_EXIT + number);
}

static void
catch_signals(void)
{
	static const int numbers[] = { SIGSEGV, SIGABRT, SIGALRM, SIGBUS, SIGFPE };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < OT_ARRAY_COUNT(numbers); i++)
		(void)sigaction(numbers[i], &action, NULL);
}

/* ---- processes ------------------------------------------------------------------------------ */

struct job {
	pid_t pid; /* 0: none */
	uint64_t seed;
	int result_fd;
	FILE *output;
};

static void
begin_job(struct job *job, uint64_t seed, const struct plan_options *plan_options)
{
	int ends[2];

	job->seed = seed;
	job->output = tmpfile();
	if (job->output == NULL || pipe(ends) != 0)
		abort();
	(void)fflush(stdout);
	job->pid = fork();
	if (job->pid < 0)
		abort();
	if (job->pid > 0) {
		close(ends[1]);
		job->result_fd = ends[0];
		return;
	}
	struct outcome outcome = { 0 };
	close(ends[0]);
	(void)dup2(fileno(job->output), STDOUT_FILENO);
	(void)dup2(fileno(job->output), STDERR_FILENO);
	catch_signals();
	alarm(SEED_SECONDS_MAX);
	run_seed(seed, plan_options, &outcome);
	(void)fflush(stdout);
	if (write(ends[1], &outcome, sizeof(outcome)) != sizeof(outcome))
		_exit(3);
	_exit(outcome.result.failure[0] != '\0');
}

static void
end_job(struct job *job, int status, struct outcome *ret)
{
	*ret = (struct outcome){ 0 };
	if (read(job->result_fd, ret, sizeof(*ret)) != sizeof(*ret))
		ret->is_complete = false;
	close(job->result_fd);
	job->pid = 0;
	if (ret->is_complete)
		return;
	(void)snprintf(ret->result.failure, sizeof(ret->result.failure), "%s",
	    WIFEXITED(status) && WEXITSTATUS(status) == SIGNAL_EXIT + SIGALRM
		? "it took too long"
		: "the process ended");
}

/* The first lines, which say what it was, and the last. */
static void
print_output(struct job *job)
{
	char line[400];
	uint64_t count = 0, at = 0, last = (uint64_t)options.trace_lines + 16;

	rewind(job->output);
	while (fgets(line, sizeof(line), job->output) != NULL)
		count++;
	rewind(job->output);
	for (; fgets(line, sizeof(line), job->output) != NULL; at++) {
		if (at < OUTPUT_LINES || count - at <= last)
			printf("%s", line);
		else if (at == OUTPUT_LINES)
			printf("  ...\n");
	}
}

static void
run_once(uint64_t seed, const struct plan_options *plan_options, struct outcome *ret)
{
	struct job job;
	int status = 0;

	begin_job(&job, seed, plan_options);
	(void)waitpid(job.pid, &status, 0);
	end_job(&job, status, ret);
	(void)fclose(job.output);
}

/* ---- minimising ----------------------------------------------------------------------------- */

static bool
fails(uint64_t seed, const struct plan_options *plan_options)
{
	struct outcome outcome;

	run_once(seed, plan_options, &outcome);
	return outcome.result.failure[0] != '\0';
}

/* The least number of faults, then the fewest kinds of them, with which the seed fails still. What
 * happens before a fault is the same with and without those behind it, so the number is found by
 * halving, though nothing says that it is the least. */
static struct plan_options
minimise(uint64_t seed, const struct plan_options *from, uint64_t fault_count)
{
	struct plan_options best = *from, next;
	uint64_t low = 0, high = OT_MIN(fault_count, from->fault_limit);

	while (low < high) {
		next = best;
		next.fault_limit = (low + high) / 2;
		if (fails(seed, &next))
			high = next.fault_limit;
		else
			low = next.fault_limit + 1;
	}
	best.fault_limit = high;
	if (!fails(seed, &best))
		best.fault_limit = from->fault_limit;
	for (int kind = 0; best.fault_limit > 0 && kind < FAULT_COUNT; kind++) {
		next = best;
		next.without |= 1u << kind;
		if (fails(seed, &next))
			best = next;
	}
	return best;
}

static void
print_command(uint64_t seed, const struct plan_options *plan_options)
{
	printf("  test/sim/sim --seed=%" PRIu64, seed);
	if (plan_options->broker_count > 0)
		printf(" --brokers=%d", plan_options->broker_count);
	if (plan_options->factor_most > 0)
		printf(" --replicas=%d", plan_options->factor_most);
	if (plan_options->fault_limit != UINT64_MAX)
		printf(" --fault-limit=%" PRIu64, plan_options->fault_limit);
	if (plan_options->without != 0)
		for (int kind = 0; kind < FAULT_COUNT; kind++)
			if ((plan_options->without >> kind & 1) == 0)
				printf(" --only=%s", fault_names[kind]);
	printf("\n");
}

static void
report_failure(struct job *job, const struct outcome *outcome)
{
	printf("\nseed %" PRIu64 " FAILED: %s\n", job->seed, outcome->result.failure);
	print_output(job);
	printf("again:\n  make sim SEED=%" PRIu64 "\n", job->seed);
	if (!options.is_small) {
		struct plan_options small =
		    minimise(job->seed, &options.plan, outcome->result.fault_count);

		printf("the same or similar, with less:\n");
		print_command(job->seed, &small);
	}
	(void)fflush(stdout);
}

/* ---- all seeds ------------------------------------------------------------------------------ */

struct totals {
	uint64_t passed, failed;
	uint64_t acked, seen, faults, excused, claims, commits;
	uint64_t virtual_ms;
};

static void
take_outcome(struct job *job, const struct outcome *outcome, struct totals *totals)
{
	const struct run_result *result = &outcome->result;

	if (result->failure[0] != '\0') {
		totals->failed++;
		report_failure(job, outcome);
	} else {
		totals->passed++;
		if (options.is_verbose) {
			print_output(job);
			printf("seed %" PRIu64 ": %" PRIu64 " acknowledged, %" PRIu64
			       " seen, %" PRIu64 " faults, %.1f s, hash %016" PRIx64 "\n",
			    job->seed, result->counts.acked, result->counts.seen,
			    result->fault_count, (double)result->virtual_ms / 1000,
			    result->trace_hash);
		}
	}
	totals->acked += result->counts.acked;
	totals->seen += result->counts.seen;
	totals->claims += result->claims;
	totals->commits += result->commits;
	totals->excused += result->counts.excused;
	totals->faults += result->fault_count;
	totals->virtual_ms += result->virtual_ms;
}

static void
check_twice(struct job *job, struct outcome *outcome)
{
	struct outcome again;

	run_once(job->seed, &options.plan, &again);
	if (again.result.trace_hash != outcome->result.trace_hash &&
	    outcome->result.failure[0] == '\0')
		(void)snprintf(outcome->result.failure, sizeof(outcome->result.failure),
		    "two runs of the seed differ: hashes %016" PRIx64 " and %016" PRIx64,
		    outcome->result.trace_hash, again.result.trace_hash);
}

static struct job *
find_job(struct job *jobs, pid_t pid)
{
	for (int32_t i = 0; i < options.jobs; i++)
		if (jobs[i].pid == pid)
			return &jobs[i];
	return NULL;
}

static void
run_all(struct totals *totals)
{
	static struct job jobs[JOBS_MAX];
	uint64_t next = options.first;
	int32_t running = 0;

	while (next <= options.last || running > 0) {
		struct outcome outcome;
		struct job *job;
		int status;

		if (next <= options.last && running < options.jobs) {
			begin_job(find_job(jobs, 0), next++, &options.plan);
			running++;
			continue;
		}
		job = find_job(jobs, waitpid(-1, &status, 0));
		if (job == NULL)
			continue;
		running--;
		end_job(job, status, &outcome);
		if (options.is_twice)
			check_twice(job, &outcome);
		take_outcome(job, &outcome, totals);
		(void)fclose(job->output);
	}
}

#ifdef OT_PLANTS
/* Whether some seed of the range fails with that bug; the first that does is told. */
static bool
hunt_one(enum ot_plant plant)
{
	struct outcome outcome;

	ot_planted = plant;
	for (uint64_t seed = options.first; seed <= options.last; seed++) {
		run_once(seed, &options.plan, &outcome);
		if (outcome.result.failure[0] == '\0')
			continue;
		printf("%s: found by seed %" PRIu64 ": %s\n", plant_names[plant], seed,
		    outcome.result.failure);
		(void)fflush(stdout);
		return true;
	}
	printf("%s: NOT FOUND\n", plant_names[plant]);
	(void)fflush(stdout);
	return false;
}

static int
hunt_all(void)
{
	uint64_t found = 0, missed = 0;

	for (int plant = OT_PLANT_NONE + 1; plant < OT_PLANT_COUNT; plant++) {
		bool is_found = hunt_one((enum ot_plant)plant);

		found += is_found;
		missed += !is_found;
	}
	printf("%" PRIu64 " planted bugs found, %" PRIu64 " not\n", found, missed);
	return missed == 0 ? 0 : 1;
}

static bool
take_plant(const char *name)
{
	for (int plant = OT_PLANT_NONE + 1; plant < OT_PLANT_COUNT; plant++)
		if (strcmp(plant_names[plant], name) == 0)
			ot_planted = (enum ot_plant)plant;
	return ot_planted != OT_PLANT_NONE;
}
#endif

/* ---- command line --------------------------------------------------------------------------- */

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: sim [--seed=N | --seeds=A-B] [--jobs=N] [--brokers=N] [--replicas=N]\n"
	    "           [--fault-limit=N] [--only=FAULT]... [--trace=LINES] [--verbose] "
	    "[--reports] [--twice]\n"
	    "           [--no-minimise]\n");
	return 2;
}

static bool
take_only(const char *name)
{
	for (int kind = 0; kind < FAULT_COUNT; kind++) {
		if (strcmp(fault_names[kind], name) != 0)
			continue;
		if (options.plan.without == 0)
			options.plan.without = (1u << FAULT_COUNT) - 1;
		options.plan.without &= ~(1u << kind);
		return true;
	}
	return false;
}

/* A number within bounds; -1 if it is none. */
static int32_t
read_number(const char *text, long least, long most)
{
	char *end;
	long number = strtol(text, &end, 10);

	return *text == '\0' || *end != '\0' || number < least || number > most ? -1
	                                                                        : (int32_t)number;
}

static bool
take_option(int letter, const char *value)
{
	switch (letter) {
	case 's':
		options.first = options.last = strtoull(value, NULL, 10);
		return true;
	case 'r':
		return sscanf(value, "%" SCNu64 "-%" SCNu64, &options.first, &options.last) == 2 &&
		       options.first <= options.last;
	case 'j':
		options.jobs = read_number(value, 1, JOBS_MAX);
		return options.jobs > 0;
	case 'b':
		options.plan.broker_count = read_number(value, 1, CLUSTER_BROKERS_MAX);
		return options.plan.broker_count > 0;
	case 'x':
		options.plan.factor_most = read_number(value, 1, CLUSTER_BROKERS_MAX);
		return options.plan.factor_most > 0;
	case 'f':
		options.plan.fault_limit = strtoull(value, NULL, 10);
		return true;
	case 'w':
		return take_only(value);
	case 't':
		options.trace_lines = read_number(value, 0, 1000000);
		return options.trace_lines >= 0;
	case 'v':
		options.is_verbose = true;
		return true;
	case 'p':
		options.has_reports = true;
		return true;
	case '2':
		options.is_twice = true;
		return true;
	case 'm':
		options.is_small = true;
		return true;
#ifdef OT_PLANTS
	case 'P':
		return take_plant(value);
	case 'H':
		options.is_hunt = true;
		return true;
#endif
	default:
		return false;
	}
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'r' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "brokers", required_argument, NULL, 'b' },
		{ "replicas", required_argument, NULL, 'x' },
		{ "fault-limit", required_argument, NULL, 'f' },
		{ "only", required_argument, NULL, 'w' },
		{ "trace", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "reports", no_argument, NULL, 'p' },
		{ "twice", no_argument, NULL, '2' },
		{ "no-minimise", no_argument, NULL, 'm' },
#ifdef OT_PLANTS
		{ "plant", required_argument, NULL, 'P' },
		{ "hunt", no_argument, NULL, 'H' },
#endif
		{ 0 },
	};
	struct totals totals = { 0 };
	time_t began = time(NULL);
	int letter;

	while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (!take_option(letter, optarg))
			return usage();
	if (optind != argc)
		return usage();
	ot_report_set_sink(on_report, options.has_reports ? OT_REPORT_INFO : OT_REPORT_ERROR);
#ifdef OT_PLANTS
	if (options.is_hunt)
		return hunt_all();
#endif
	run_all(&totals);
	printf("%" PRIu64 " seed%s passed, %" PRIu64 " failed: %" PRIu64 " faults, %" PRIu64
	       " records acknowledged, %" PRIu64 " read, %" PRIu64 " shares of groups, %" PRIu64
	       " commits, %" PRIu64 " partitions excused; %.0f s of virtual time in %.0f s\n",
	    totals.passed, totals.passed == 1 ? "" : "s", totals.failed, totals.faults,
	    totals.acked, totals.seen, totals.claims, totals.commits, totals.excused,
	    (double)totals.virtual_ms / 1000, difftime(time(NULL), began));
	return totals.failed == 0 ? 0 : 1;
}
