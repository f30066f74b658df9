/* Bugs that are planted on purpose, one at a time, to see that the cluster simulator finds each
 * (test/sim/README.md). Only the simulator's second program is compiled with OT_PLANTS; everywhere
 * else a plant is the constant `false` and leaves nothing behind. */
#ifndef OT_BASE_PLANT_H
#define OT_BASE_PLANT_H

enum ot_plant {
	OT_PLANT_NONE,

	/* Partitions. */
	OT_PLANT_ACK_BEFORE_SYNC,           /* flush.messages: before the disk has it */
	OT_PLANT_ACK_BEFORE_REPLICATION,    /* acks=all: when the leader has it */
	OT_PLANT_READ_PAST_WATERMARK,       /* consumers read what is not committed */
	OT_PLANT_WATERMARK_BY_WISH,         /* by an ISR that is not committed yet, alone */
	OT_PLANT_WATERMARK_UNDER_LEAST_ISR, /* it moves with too few replicas in sync */
	OT_PLANT_TRUNCATE_BY_WATERMARK,     /* a follower cuts there, not by epoch (KIP-101) */
	OT_PLANT_NO_TRUNCATION,             /* a follower keeps what its leader has not */

	/* The controller and its log. */
	OT_PLANT_STALE_LEADER,       /* an ISR of a leader that is deposed is taken */
	OT_PLANT_UNCLEAN_LEADER,     /* a replica out of sync is elected, unasked */
	OT_PLANT_DEPOSED_CONTROLLER, /* what it appends is taken */
	OT_PLANT_BATCH_TWICE,        /* a batch of the metadata log is applied two times */

	/* Files. */
	OT_PLANT_CHECKPOINT_UNSYNCED, /* renamed before it is synced */
	OT_PLANT_TORN_TAIL,           /* recovery does not look at checksums */
	OT_PLANT_DUPLICATES,          /* an idempotent producer's retry is appended again */
	OT_PLANT_PRODUCERS_FORGOTTEN, /* their snapshots are not read at the start */

	/* Groups. */
	OT_PLANT_STALE_GENERATION,   /* a commit of an earlier generation is taken */
	OT_PLANT_OFFSETS_NOT_LOADED, /* a coordinator begins with nothing */

	OT_PLANT_COUNT,
};

#ifdef OT_PLANTS
/* The one that is in force. [const] once the simulation runs */
extern enum ot_plant ot_planted;
#define OT_PLANT(name) (ot_planted == OT_PLANT_##name)
#else
#define OT_PLANT(name) false
#endif

#endif
