#include "sim/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/panic.h"

enum { TRACE_WHAT_BYTES = 56, TRACE_LINE_BYTES = 240 };

struct kept_event {
	struct ot_sim_event event;
	char what[TRACE_WHAT_BYTES];
};

struct ot_sim_trace {
	uint64_t seed;
	uint64_t hash;
	uint64_t count;
	uint32_t capacity;
	struct kept_event kept[];
};

static const struct ot_sim_trace *watched_trace;

static void
print_to_fd(void *arg, const char *line)
{
	dprintf(*(int *)arg, "%s\n", line);
}

static void
dump_watched(int fd)
{
	if (watched_trace != NULL)
		ot_sim_trace_print(watched_trace, print_to_fd, &fd);
}

struct ot_sim_trace *
ot_sim_trace_create(uint64_t seed, uint32_t capacity)
{
	OT_ASSERT(capacity > 0);
	size_t bytes = sizeof(struct ot_sim_trace) + capacity * sizeof(struct kept_event);
	struct ot_sim_trace *trace = ot_must_alloc(bytes);
	trace->seed = seed;
	trace->capacity = capacity;
	trace->hash = seed;
	return trace;
}

void
ot_sim_trace_destroy(struct ot_sim_trace *trace)
{
	if (trace == NULL)
		return;
	if (watched_trace == trace)
		watched_trace = NULL;
	ot_free(trace);
}

/* One round of splitmix64's finisher over the running hash: order matters, every bit spreads. */
static uint64_t
mix(uint64_t hash, uint64_t value)
{
	uint64_t z = (hash ^ value) + 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t
mix_text(uint64_t hash, const char *text)
{
	uint64_t value = 0;
	for (size_t i = 0; text != NULL && text[i] != '\0'; i++) {
		value = value << 8 | (uint8_t)text[i];
		if (i % 8 == 7) {
			hash = mix(hash, value);
			value = 0;
		}
	}
	return mix(hash, value);
}

void
ot_sim_trace_mix(struct ot_sim_trace *trace, uint64_t value)
{
	trace->hash = mix(trace->hash, value);
}

void
ot_sim_trace_put(struct ot_sim_trace *trace, const struct ot_sim_event *event)
{
	uint64_t hash = mix(trace->hash, event->at);
	hash = mix_text(hash, event->verb);
	hash = mix_text(hash, event->what);
	hash = mix(hash, (uint64_t)(uint32_t)event->host << 32 | (uint32_t)event->err);
	trace->hash = mix(mix(hash, event->a), event->b);

	struct kept_event *kept = &trace->kept[trace->count % trace->capacity];
	const char *what = event->what != NULL ? event->what : "";
	size_t bytes = strlen(what);
	if (bytes >= sizeof(kept->what))
		what += bytes - (sizeof(kept->what) - 1);
	memcpy(kept->what, what, strlen(what) + 1);
	kept->event = *event;
	trace->count++;
}

uint64_t
ot_sim_trace_hash(const struct ot_sim_trace *trace)
{
	return trace->hash;
}

uint64_t
ot_sim_trace_count(const struct ot_sim_trace *trace)
{
	return trace->count;
}

uint64_t
ot_sim_trace_seed(const struct ot_sim_trace *trace)
{
	return trace->seed;
}

static void
print_event(uint64_t number, const struct kept_event *kept, ot_sim_print *print, void *arg)
{
	const struct ot_sim_event *event = &kept->event;
	char host[16] = "-";
	char line[TRACE_LINE_BYTES];
	if (event->host >= 0)
		snprintf(host, sizeof(host), "h%d", (int)event->host);
	snprintf(line, sizeof(line), "%8llu %12.6f s  %-4s %-12s %-40s %10llu %10llu  %s",
	    (unsigned long long)number, (double)event->at / (double)OT_NS_PER_S, host, event->verb,
	    kept->what, (unsigned long long)event->a, (unsigned long long)event->b,
	    event->err == OT_OK ? "" : ot_err_name(event->err));
	print(arg, line);
}

void
ot_sim_trace_print(const struct ot_sim_trace *trace, ot_sim_print *print, void *arg)
{
	char line[TRACE_LINE_BYTES];
	snprintf(line, sizeof(line), "SEED %llu: %llu events, hash %016llx; the last of them:",
	    (unsigned long long)trace->seed, (unsigned long long)trace->count,
	    (unsigned long long)trace->hash);
	print(arg, line);
	uint64_t first = trace->count > trace->capacity ? trace->count - trace->capacity : 0;
	for (uint64_t i = first; i < trace->count; i++)
		print_event(i, &trace->kept[i % trace->capacity], print, arg);
}

void
ot_sim_trace_watch(struct ot_sim_trace *trace)
{
	static bool is_registered;
	if (!is_registered)
		ot_panic_add_dump(dump_watched);
	is_registered = true;
	watched_trace = trace;
}
