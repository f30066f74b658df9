/* A random but repeatable life of a log on a simulated disk, and a model of what it must hold: for
 * the tests that stop the machine, and those that let calls fail. */
#ifndef OT_TEST_LOG_LIFE_H
#define OT_TEST_LOG_LIFE_H

#include "kit.h"
#include "log/logdir.h"
#include "sim/disk.h"

enum { LIFE_BATCHES_MAX = 4096, LIFE_PRODUCERS = 4 };

enum life_marker { LIFE_NO_MARKER, LIFE_COMMIT, LIFE_ABORT };

struct life_batch {
	int64_t base;
	int64_t last;
	int64_t timestamp; /* no two batches have the same */
	int64_t producer_id;
	int32_t last_sequence;
	bool is_transactional;
	enum life_marker marker;
};

struct life_producer {
	int32_t next_sequence;
	bool has_txn;
};

struct life {
	struct kit kit;
	struct ot_sim_disk *disk;
	struct ot_logdir *logdir;
	uint64_t random;
	uint64_t clock; /* one per batch */
	struct life_batch batches[LIFE_BATCHES_MAX];
	uint32_t count;
	int64_t synced;      /* all before it must come back */
	int64_t deleted;     /* nothing before it need come back */
	int64_t synced_base; /* segment and place behind which bits may flip; -1: unknown */
	uint64_t synced_place;
	struct life_producer producers[LIFE_PRODUCERS];
	struct ot_log_job *job; /* a sync under way, or NULL */
	enum ot_log_sync_scope job_scope;
	int64_t job_base; /* what it covers: segment and place */
	uint64_t job_place;
	bool is_job_run;
	bool has_faults; /* the disk may fail a read: no reading beside */
	bool is_traced;  /* OTTLA_TRACE: print each step */
};

struct life *life_begin(uint64_t seed);
void life_end(struct life *life);

/* Opens directory and log as a broker does; checks nothing. */
ot_err life_open(struct life *life);

/* Lets go of everything as a process does that ends. */
void life_drop(struct life *life);

/* One random step. */
ot_err life_step(struct life *life);

/* Up to `steps` of them, until the disk stops. */
void life_go_on(struct life *life, int steps);

/* After a restart of the disk: opens, compares with the model, and makes the model what came
 * back. */
void life_come_back(struct life *life, enum ot_sim_stop how, bool has_flip);

/* Compares the open log with the model. */
void life_check(struct life *life);

/* Takes batches from the model that the log says it does not have. */
void life_forget_unwritten(struct life *life);

#endif
