/* The load generator: one measurement per call, its result as a line of JSON on standard output.
 *
 *   load create  --port= --topic= --parts= [--configs=name=value,...]
 *   load delete  --port= --topic=
 *   load fill    --port= --topic= --parts= --batch= --count=      so many batches per partition
 *   load produce --port= --topic= --parts= --batch= --acks= --conns= --depth=
 *   load fetch   --port= --topic= --parts= --batch= --count= --answer= --conns= --depth=
 *   load ping    --port= --key=18 --conns= --depth=               18 ApiVersions, 3 Metadata
 *   load latency --port= --topic= --rate= --acks=
 *   load hold    --port= --conns=        idle connections, until standard input ends
 *   load touch   --bytes=                touches free memory, see below
 *   load start   --port= PROGRAM ARGUMENT...     time until a program's first answer
 *
 * --probe=1 says that the server is the probe. --pid= names the server, whose processor time is
 * taken over the window of --window milliseconds that begins --warm milliseconds after the start,
 * and ends early when --bytes of records were moved; --quota= ends each connection's load.
 *
 * A page that a virtual machine touches for the first time must first be found by its host, which
 * costs several times what copying into it costs: an append to the page cache then measures the
 * host. `touch` takes so much memory and gives it back, so that what is measured afterwards uses
 * memory that the machine really has.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "latency.h"
#include "pump.h"
#include "rpc.h"
#include "wire/msg_api_versions.h"
#include "wire/msg_metadata.h"

enum {
	START_POLL_US = 100,
	START_WAIT_MS = 20 * 1000,
};

struct load {
	int64_t port;
	int64_t probe;
	int64_t pid;
	int64_t parts;
	int64_t batch;
	int64_t answer;
	int64_t count;
	int64_t acks;
	int64_t conns;
	int64_t threads;
	int64_t depth;
	int64_t key;
	int64_t rate;
	int64_t warm;
	int64_t window;
	int64_t bytes;
	int64_t quota;
	const char *topic;
	const char *configs;
	char **program; /* what follows the options */
};

static const struct {
	const char *name;
	size_t at;
} numbers[] = {
	{ "port", offsetof(struct load, port) },
	{ "probe", offsetof(struct load, probe) },
	{ "pid", offsetof(struct load, pid) },
	{ "parts", offsetof(struct load, parts) },
	{ "batch", offsetof(struct load, batch) },
	{ "answer", offsetof(struct load, answer) },
	{ "count", offsetof(struct load, count) },
	{ "acks", offsetof(struct load, acks) },
	{ "conns", offsetof(struct load, conns) },
	{ "threads", offsetof(struct load, threads) },
	{ "depth", offsetof(struct load, depth) },
	{ "key", offsetof(struct load, key) },
	{ "rate", offsetof(struct load, rate) },
	{ "warm", offsetof(struct load, warm) },
	{ "window", offsetof(struct load, window) },
	{ "bytes", offsetof(struct load, bytes) },
	{ "quota", offsetof(struct load, quota) },
};

static int64_t
parse_number(const char *option, const char *text)
{
	char *end;
	errno = 0;
	int64_t value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		meter_die("%s is not a number", option);
	return value;
}

static void
parse_option(struct load *load, char *option)
{
	char *value = strchr(option, '=');
	if (strncmp(option, "--", 2) != 0 || value == NULL)
		meter_die("%s is not --name=value", option);
	size_t name_bytes = (size_t)(value - option) - 2;
	value++;
	for (size_t i = 0; i < OT_ARRAY_COUNT(numbers); i++) {
		if (strlen(numbers[i].name) == name_bytes &&
		    strncmp(numbers[i].name, option + 2, name_bytes) == 0) {
			int64_t number = parse_number(option, value);
			memcpy((char *)load + numbers[i].at, &number, sizeof(number));
			return;
		}
	}
	if (strncmp(option, "--topic=", 8) == 0)
		load->topic = value;
	else if (strncmp(option, "--configs=", 10) == 0)
		load->configs = value;
	else
		meter_die("no such option: %s", option);
}

static struct ot_uuid
topic_id(const struct load *load)
{
	struct rpc rpc;
	struct ot_metadata_request_topic asked;
	ot_metadata_request_topic_init(&asked);
	asked.name = ot_str_from(load->topic);
	struct ot_metadata_request request;
	ot_metadata_request_init(&request);
	request.topics = &asked;
	request.topics_count = 1;
	struct ot_metadata_response response;
	rpc_open(&rpc, (int)load->port);
	rpc_call(&rpc, OT_API_METADATA, 12, &request, &response);
	if (response.topics_count != 1 || response.topics[0].error_code != 0)
		meter_die("no topic %s", load->topic);
	struct ot_uuid id = response.topics[0].topic_id;
	rpc_close(&rpc);
	return id;
}

static void
run_create(const struct load *load)
{
	struct rpc rpc;
	struct rpc_topic topic = { load->topic, (int32_t)load->parts, load->configs };
	uint64_t start = meter_now_ns();
	rpc_open(&rpc, (int)load->port);
	rpc_create_topic(&rpc, &topic);
	rpc_close(&rpc);
	printf("{\"ms\": %.3f}\n", (double)(meter_now_ns() - start) / 1e6);
}

static void
run_delete(const struct load *load)
{
	struct rpc rpc;
	rpc_open(&rpc, (int)load->port);
	rpc_delete_topic(&rpc, load->topic);
	rpc_close(&rpc);
	puts("{}");
}

static void
print_meter(const struct meter *start, const struct meter *end, uint64_t requests)
{
	double seconds = (double)(end->time_ns - start->time_ns) / 1e9;
	double cpu = (double)(end->cpu_ns - start->cpu_ns) / 1e9;
	double own = (double)(end->own_cpu_ns - start->own_cpu_ns) / 1e9;
	printf("\"seconds\": %.4f, \"requests\": %llu, \"cpu_s\": %.4f, \"client_cpu_s\": %.4f",
	    seconds, (unsigned long long)requests, cpu, own);
}

static void
print_hist(const char *name, const struct hist *hist)
{
	printf(", \"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, "
	       "\"count\": %llu}",
	    name, (double)hist_quantile(hist, 0.5) / 1e3, (double)hist_quantile(hist, 0.99) / 1e3,
	    (double)hist_quantile(hist, 0.999) / 1e3, (double)hist->max / 1e3,
	    (unsigned long long)hist->count);
}

static void
run_pump(const struct load *load, enum work_kind kind)
{
	struct work_options options = {
		.kind = kind,
		.is_probe = load->probe != 0,
		.acks = (int)load->acks,
		.ping_key = (int)load->key,
		.batch_bytes = (size_t)load->batch,
		.answer_bytes = (size_t)load->answer,
		.partition_count = (int32_t)load->parts,
		.part_batch_count = load->count,
		.topic = load->topic,
	};
	if (kind == WORK_FETCH && !options.is_probe)
		options.topic_id = topic_id(load);
	struct work work;
	work_init(&work, &options);
	struct pump_options pump = {
		.port = (int)load->port,
		.conn_count = (int32_t)load->conns,
		.thread_count = (int32_t)OT_MIN(load->threads, load->conns),
		.depth = (int32_t)load->depth,
		.quota = load->quota,
		.warm_ms = load->warm,
		.window_ms = load->window,
		.window_bytes = load->bytes,
		.pid = (pid_t)load->pid,
	};
	static struct pump_result result;
	pump_run(&work, &pump, &result);
	printf("{");
	print_meter(&result.start, &result.end, result.requests);
	print_hist("latency_us", &result.latency_ns);
	printf(", \"request_bytes\": %zu, \"payload_bytes\": %zu, \"records\": %lld, "
	       "\"rss_kib\": %llu}\n",
	    work.head_bytes + work.body_bytes, work.payload_bytes, (long long)work.records,
	    (unsigned long long)meter_memory_kib((pid_t)load->pid, "VmRSS"));
	work_fini(&work);
}

/* Batches into every partition, as many into each: what a fetch reads afterwards. */
static void
run_fill(struct load *load)
{
	load->conns = 1;
	load->quota = load->parts * load->count;
	load->warm = 0;
	load->window = INT32_MAX;
	load->bytes = 0;
	run_pump(load, WORK_PRODUCE);
}

static void
run_latency(const struct load *load)
{
	struct latency_options options = {
		.port = (int)load->port,
		.acks = (int)load->acks,
		.topic = load->topic,
		.topic_id = topic_id(load),
		.rate = load->rate,
		.warm_ms = load->warm,
		.window_ms = load->window,
		.pid = (pid_t)load->pid,
	};
	static struct latency_result result;
	latency_run(&options, &result);
	printf("{");
	print_meter(&result.start, &result.end, result.arrival_ns.count);
	print_hist("ack_us", &result.ack_ns);
	print_hist("arrival_us", &result.arrival_ns);
	printf("}\n");
}

/* One request and its answer, so that the connection is one that the broker has served. */
static void
ask_api_versions(struct rpc *rpc)
{
	struct ot_api_versions_request request;
	ot_api_versions_request_init(&request);
	request.client_software_name = OT_STR_LIT("bench");
	request.client_software_version = OT_STR_LIT("1");
	struct ot_api_versions_response response;
	rpc_call(rpc, OT_API_API_VERSIONS, 3, &request, &response);
	if (response.error_code != 0)
		meter_die("ApiVersions: error %d", response.error_code);
}

static void
run_hold(const struct load *load)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	uint64_t before = meter_memory_kib((pid_t)load->pid, "VmRSS");
	struct rpc *rpcs = ot_must_alloc((size_t)load->conns * sizeof(*rpcs));
	for (int64_t i = 0; i < load->conns; i++) {
		rpc_open(&rpcs[i], (int)load->port);
		ask_api_versions(&rpcs[i]);
	}
	uint64_t after = meter_memory_kib((pid_t)load->pid, "VmRSS");
	printf("{\"before_kib\": %llu, \"after_kib\": %llu}\n", (unsigned long long)before,
	    (unsigned long long)after);
	fflush(stdout);
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	for (int64_t i = 0; i < load->conns; i++)
		rpc_close(&rpcs[i]);
	ot_free(rpcs);
}

static pid_t
start_program(char **program)
{
	pid_t pid = vfork();
	if (pid < 0)
		meter_die("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		execv(program[0], program);
		_exit(127);
	}
	return pid;
}

/* From just before the program is started until its answer to a first request is read. */
static void
run_start(const struct load *load)
{
	uint64_t start = meter_now_ns();
	pid_t pid = start_program(load->program);
	int fd = -1;
	while (fd < 0) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			meter_die("%s has ended", load->program[0]);
		if (meter_now_ns() - start > START_WAIT_MS * 1000000ull) {
			kill(pid, SIGKILL);
			meter_die("%s does not listen", load->program[0]);
		}
		fd = rpc_connect((int)load->port);
		if (fd < 0)
			usleep(START_POLL_US);
	}
	uint64_t connected = meter_now_ns();
	close(fd);
	struct rpc rpc;
	rpc_open(&rpc, (int)load->port);
	ask_api_versions(&rpc);
	uint64_t answered = meter_now_ns();
	rpc_close(&rpc);
	sleep(1);
	uint64_t rss = meter_memory_kib(pid, "VmRSS");
	kill(pid, SIGTERM);
	uint64_t stop = meter_now_ns();
	waitpid(pid, NULL, 0);
	printf("{\"listen_ms\": %.3f, \"answer_ms\": %.3f, \"idle_rss_kib\": %llu, "
	       "\"stop_ms\": %.3f}\n",
	    (double)(connected - start) / 1e6, (double)(answered - start) / 1e6,
	    (unsigned long long)rss, (double)(meter_now_ns() - stop) / 1e6);
}

static void
run_touch(const struct load *load)
{
	size_t bytes = (size_t)load->bytes;
	uint8_t *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		meter_die("cannot map %zu bytes", bytes);
	uint64_t start = meter_now_ns();
	for (size_t at = 0; at < bytes; at += 4096)
		((volatile uint8_t *)memory)[at] = 1;
	printf("{\"ms\": %.3f}\n", (double)(meter_now_ns() - start) / 1e6);
	munmap(memory, bytes);
}

static void
run(struct load *load, const char *what)
{
	if (strcmp(what, "create") == 0)
		run_create(load);
	else if (strcmp(what, "delete") == 0)
		run_delete(load);
	else if (strcmp(what, "fill") == 0)
		run_fill(load);
	else if (strcmp(what, "produce") == 0)
		run_pump(load, WORK_PRODUCE);
	else if (strcmp(what, "fetch") == 0)
		run_pump(load, WORK_FETCH);
	else if (strcmp(what, "ping") == 0)
		run_pump(load, WORK_PING);
	else if (strcmp(what, "latency") == 0)
		run_latency(load);
	else if (strcmp(what, "hold") == 0)
		run_hold(load);
	else if (strcmp(what, "touch") == 0)
		run_touch(load);
	else if (strcmp(what, "start") == 0 && load->program[0] != NULL)
		run_start(load);
	else
		meter_die("no such measurement: %s", what);
}

int
main(int argc, char **argv)
{
	struct load load = { .parts = 1,
		.batch = 1,
		.answer = 1,
		.count = 1,
		.acks = -1,
		.conns = 1,
		.threads = 1,
		.depth = 1,
		.key = 18,
		.rate = 1000,
		.warm = 300,
		.window = 1500,
		.bytes = INT64_C(1500000000),
		.topic = "bench" };
	if (argc < 2)
		meter_die("usage: load WHAT --name=value...");
	int next = 2;
	while (next < argc && argv[next][0] == '-')
		parse_option(&load, argv[next++]);
	load.program = argv + next;
	run(&load, argv[1]);
	return 0;
}
