/* Tests of one partition among its replicas, by direct calls: what a leader wants of the ISR and
 * what it makes of the controller's answers, how far the high watermark goes, who waits for it, and
 * what a follower takes from its leader. The model of three replicas is in test_replicas_model.c.
 */
#include "stage.h"

static const struct stage_batch one_record;

enum { LAG_MS = 1000 };

static int64_t
log_end(const struct stage *stage)
{
	return ot_log_end_offset(ot_part_log(stage->part));
}

static int64_t
log_start(const struct stage *stage)
{
	return ot_log_start_offset(ot_part_log(stage->part));
}

static int64_t
watermark(const struct stage *stage)
{
	return ot_part_high_watermark(stage->part);
}

static void
begin(struct stage *stage)
{
	stage_init(stage, 1);
	stage->settings.replica_lag_ms = LAG_MS;
	stage_create_part(stage);
}

static void
end(struct stage *stage)
{
	stage_close_part(stage);
	stage_fini(stage);
}

/* Leads with these replicas (from 1 on), the first `isr_count` in sync. */
static void
lead(struct stage *stage, int32_t epoch, int32_t partition_epoch, int32_t count, int32_t isr_count)
{
	stage_set_role(stage, STAGE_NODE, epoch, partition_epoch, count, isr_count);
	if (stage->opened == 0)
		stage_until(stage, stage_is_open, stage);
}

static void
follow(struct stage *stage, int32_t leader, int32_t epoch)
{
	stage_set_role(stage, leader, epoch, epoch, 3, 3);
	if (stage->opened == 0)
		stage_until(stage, stage_is_open, stage);
}

/* A replica reads, and tells by that what it has. */
static ot_err
fetch_as(struct stage *stage, int32_t id, int64_t offset)
{
	struct stage_read read = { .read = {
				       .offset = offset,
				       .bytes_max = 1024 * 1024,
				       .leader_epoch = ot_part_leader_epoch(stage->part),
				       .last_fetched_epoch = -1,
				       .replica_id = id,
				       .replica_epoch = 100 + id,
				       .replica_log_start = 0,
				       .done = stage_read_is_done,
				   } };
	ot_part_read(stage->part, &read.read);
	stage_until(stage, stage_is_read, &read);
	ot_file_unref(read.read.file);
	return read.read.err;
}

static void
tick(struct stage *stage)
{
	ot_part_tick(stage->part, ot_io_wall(stage->shard->io), false);
}

/* Takes the wish, which must be for these members. Of who has not fetched in this epoch yet the
 * broker's epoch is not known. */
static struct ot_part_isr_wish
take_wish(struct stage *stage, int32_t count, const int32_t *ids)
{
	struct ot_part_isr_wish wish;
	assert_true(ot_part_take_isr_wish(stage->part, &wish));
	assert_int_equal(wish.count, count);
	for (int32_t i = 0; i < count; i++) {
		assert_int_equal(wish.members[i].id, ids[i]);
		if (wish.members[i].epoch != -1)
			assert_int_equal(wish.members[i].epoch, 100 + ids[i]);
	}
	ot_free(wish.members);
	wish.members = NULL;
	return wish;
}

#define WISH(stage, ...)                                                                  \
	take_wish(stage, (int32_t)(sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t)), \
	    (const int32_t[]){ __VA_ARGS__ })

static void
assert_no_wish(struct stage *stage)
{
	struct ot_part_isr_wish wish;
	assert_false(ot_part_take_isr_wish(stage->part, &wish));
}

static void
commit(struct stage *stage, const struct ot_part_isr_wish *wish, int32_t isr_count)
{
	static const int32_t ids[] = { 1, 2, 3, 4, 5 };
	const struct ot_part_role role = {
		.leader_id = STAGE_NODE,
		.leader_epoch = wish->leader_epoch,
		.partition_epoch = wish->partition_epoch + 1,
		.isr = { ids, isr_count },
	};
	ot_part_isr_answered(stage->part, wish, OT_OK, &role);
}

/* ---- the ISR --------------------------------------------------------------------------------- */

static void
test_isr_grows(void **state)
{
	(void)state;
	/* Goal: a replica comes in once it has reached the high watermark, and holds it from the
	 * moment in which the wish is under way, committed or not (KIP-497).
	 * Method: leader alone; a second replica fetches from the beginning, then from the end. */
	struct stage stage;
	begin(&stage);
	lead(&stage, 3, 3, 3, 1);
	stage_append_many(&stage, 4, &one_record);
	assert_int_equal(watermark(&stage), 4);
	assert_ok(fetch_as(&stage, 2, 1));
	assert_int_equal(stage.isr_wishes, 0);
	assert_no_wish(&stage);
	assert_ok(fetch_as(&stage, 2, 4));
	assert_int_equal(stage.isr_wishes, 1);
	struct ot_part_isr_wish wish = WISH(&stage, 1, 2);
	assert_int_equal(wish.leader_epoch, 3);
	assert_int_equal(wish.partition_epoch, 3);
	assert_no_wish(&stage); /* one at a time */
	stage_append_many(&stage, 1, &one_record);
	assert_int_equal(watermark(&stage), 4);
	commit(&stage, &wish, 2);
	stage_append_many(&stage, 1, &one_record);
	assert_int_equal(watermark(&stage), 4);
	assert_ok(fetch_as(&stage, 2, 5));
	assert_int_equal(watermark(&stage), 5);
	assert_ok(fetch_as(&stage, 2, 6));
	assert_int_equal(watermark(&stage), 6);
	assert_no_wish(&stage);
	end(&stage);
}

static void
test_isr_waits_for_epoch_start(void **state)
{
	(void)state;
	/* Goal: a new leader takes in nobody who has not reached where its epoch begins, though
	 * that be behind the watermark that it knows: records before it may be committed.
	 * Method: three records are there when the second epoch begins, a watermark of none. */
	struct stage stage;
	begin(&stage);
	lead(&stage, 3, 3, 3, 3);
	stage_append_many(&stage, 3, &one_record);
	assert_int_equal(watermark(&stage), 0);
	lead(&stage, 4, 4, 3, 1);
	assert_int_equal(watermark(&stage), 3);
	stage_set_role(&stage, 2, 5, 5, 3, 3);
	lead(&stage, 6, 6, 3, 2);
	assert_ok(fetch_as(&stage, 3, 2));
	assert_no_wish(&stage);
	assert_ok(fetch_as(&stage, 3, 3));
	(void)WISH(&stage, 1, 2, 3);
	end(&stage);
}

static void
test_isr_shrinks(void **state)
{
	(void)state;
	/* Goal: who has not had all for replica.lag.time.max.ms goes, by the clock alone; until
	 * that is committed it still holds the watermark. Who has all stays, however long it is
	 * silent. Method: two followers, one of which stops. */
	struct stage stage;
	begin(&stage);
	lead(&stage, 3, 3, 3, 3);
	stage_append_many(&stage, 1, &one_record);
	assert_ok(fetch_as(&stage, 2, 1));
	assert_ok(fetch_as(&stage, 3, 1));
	assert_int_equal(watermark(&stage), 1);
	stage_run_for_ms(&stage, 5 * LAG_MS);
	tick(&stage);
	assert_no_wish(&stage);
	stage_append_many(&stage, 1, &one_record);
	assert_ok(fetch_as(&stage, 2, 2));
	tick(&stage);
	struct ot_part_isr_wish wish = WISH(&stage, 1, 2);
	assert_int_equal(watermark(&stage), 1);
	commit(&stage, &wish, 2);
	assert_int_equal(watermark(&stage), 2);
	end(&stage);
}

static void
test_silent_replica_stays_out(void **state)
{
	(void)state;
	/* Goal: a replica that was put out comes back by a fetch, not by the clock: where the
	 * watermark stands for want of replicas, it would still have reached it, and come in and go
	 * for ever. Method: min.insync.replicas 2; both followers fall silent behind the end. */
	struct stage stage;
	begin(&stage);
	stage.settings.min_insync_replicas = 2;
	ot_part_set_settings(stage.part, &stage.settings);
	lead(&stage, 3, 3, 3, 3);
	assert_ok(fetch_as(&stage, 2, 0));
	assert_ok(fetch_as(&stage, 3, 0));
	stage_append_many(&stage, 1, &one_record);
	stage_run_for_ms(&stage, 2 * LAG_MS);
	tick(&stage);
	struct ot_part_isr_wish wish = WISH(&stage, 1);
	commit(&stage, &wish, 1);
	assert_int_equal(watermark(&stage), 0);
	for (int i = 0; i < 3; i++) {
		stage_run_for_ms(&stage, 500);
		tick(&stage);
		assert_no_wish(&stage);
	}
	assert_ok(fetch_as(&stage, 3, 0));
	(void)WISH(&stage, 1, 3);
	end(&stage);
}

static bool
is_third_away(void *arg, int32_t broker, int64_t epoch)
{
	(void)arg;
	assert_int_equal(epoch, 100 + broker);
	return broker != 3;
}

static void
test_isr_asks_for_the_living(void **state)
{
	(void)state;
	/* Goal: a broker that the metadata has as fenced, stopping, or of another epoch, is not
	 * asked for, and does not hold the watermark (KIP-841, KIP-903). Method: one of two. */
	struct stage stage;
	begin(&stage);
	stage_close_part(&stage);
	stage.is_eligible = is_third_away;
	stage_create_part(&stage);
	lead(&stage, 3, 3, 3, 1);
	assert_ok(fetch_as(&stage, 3, 0));
	assert_no_wish(&stage);
	assert_ok(fetch_as(&stage, 2, 0));
	(void)WISH(&stage, 1, 2);
	stage_append_many(&stage, 1, &one_record);
	assert_ok(fetch_as(&stage, 2, 1));
	assert_int_equal(watermark(&stage), 1);
	end(&stage);
}

static void
test_fetch_of_an_old_registration(void **state)
{
	(void)state;
	/* Goal: what a broker sent before it was started anew says nothing of it any more
	 * (KIP-903), and strangers are sent back. Method: epochs that fall; an id that is none. */
	struct stage stage;
	begin(&stage);
	lead(&stage, 3, 3, 2, 2);
	stage_append_many(&stage, 2, &one_record);
	assert_ok(fetch_as(&stage, 2, 1));
	struct stage_read read = { .read = {
				       .offset = 2,
				       .leader_epoch = 3,
				       .last_fetched_epoch = -1,
				       .replica_id = 2,
				       .replica_epoch = 101,
				       .done = stage_read_is_done,
				   } };
	ot_part_read(stage.part, &read.read);
	assert_int_equal(read.read.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(watermark(&stage), 1);
	assert_int_equal(fetch_as(&stage, 4, 0), OT_ERR_UNKNOWN_LEADER_EPOCH);
	end(&stage);
}

/* ---- the controller's answers ---------------------------------------------------------------- */

/* Leads; replica 2 has all and is wanted. */
static struct ot_part_isr_wish
want_second(struct stage *stage)
{
	begin(stage);
	lead(stage, 3, 3, 3, 1);
	assert_ok(fetch_as(stage, 2, 0));
	return WISH(stage, 1, 2);
}

static void
test_refused_wish(void **state)
{
	(void)state;
	/* Goal: a refusal that says that the wish was not and will not be committed frees the
	 * watermark at once; what is wanted then is asked anew. Method: both such errors. */
	static const ot_err errs[] = { OT_ERR_INELIGIBLE_REPLICA, OT_ERR_OPERATION_NOT_ATTEMPTED };
	for (size_t i = 0; i < OT_ARRAY_COUNT(errs); i++) {
		struct stage stage;
		struct ot_part_isr_wish wish = want_second(&stage);
		stage_append_many(&stage, 1, &one_record);
		assert_int_equal(watermark(&stage), 0);
		ot_part_isr_answered(stage.part, &wish, errs[i], NULL);
		stage_run_for_ms(&stage, 2 * LAG_MS);
		stage_append_many(&stage, 1, &one_record);
		assert_int_equal(watermark(&stage), 2);
		assert_ok(fetch_as(&stage, 2, 2));
		(void)WISH(&stage, 1, 2);
		end(&stage);
	}
}

static void
test_wish_that_metadata_decides(void **state)
{
	(void)state;
	/* Goal: where the answer says that our metadata is behind, the wish may have been
	 * committed: both sets hold the watermark until the metadata comes, and nothing is asked
	 * meanwhile. Method: each such error; then the role of a later change. */
	static const ot_err errs[] = {
		OT_ERR_UNKNOWN_TOPIC_OR_PARTITION,
		OT_ERR_UNKNOWN_TOPIC_ID,
		OT_ERR_NEW_LEADER_ELECTED,
		OT_ERR_FENCED_LEADER_EPOCH,
		OT_ERR_INVALID_UPDATE_VERSION,
		OT_ERR_INVALID_REQUEST,
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(errs); i++) {
		struct stage stage;
		struct ot_part_isr_wish wish = want_second(&stage);
		ot_part_isr_answered(stage.part, &wish, errs[i], NULL);
		stage_append_many(&stage, 1, &one_record);
		stage_run_for_ms(&stage, 2 * LAG_MS);
		tick(&stage);
		assert_no_wish(&stage);
		assert_int_equal(watermark(&stage), 0);
		lead(&stage, 3, 4, 3, 1);
		assert_int_equal(watermark(&stage), 1);
		end(&stage);
	}
}

static void
test_wish_without_an_answer(void **state)
{
	(void)state;
	/* Goal: a wish of which nobody knows whether it was committed is asked again as it was,
	 * though something else would be wanted by now. Method: an answer lost, the replica lags.
	 */
	struct stage stage;
	struct ot_part_isr_wish wish = want_second(&stage);
	stage_append_many(&stage, 1, &one_record);
	stage_run_for_ms(&stage, 2 * LAG_MS);
	ot_part_isr_answered(stage.part, &wish, OT_ERR_UNKNOWN_SERVER_ERROR, NULL);
	assert_int_equal(watermark(&stage), 0);
	tick(&stage);
	wish = WISH(&stage, 1, 2);
	commit(&stage, &wish, 2);
	tick(&stage);
	wish = WISH(&stage, 1);
	commit(&stage, &wish, 1);
	assert_int_equal(watermark(&stage), 1);
	end(&stage);
}

static void
test_late_answers(void **state)
{
	(void)state;
	/* Goal: an answer to a wish of an earlier role changes nothing: the one that is under way
	 * holds. Method: a role comes between; then the refusal of the older wish. */
	struct stage stage;
	struct ot_part_isr_wish older = want_second(&stage);
	lead(&stage, 3, 4, 3, 1);
	assert_ok(fetch_as(&stage, 2, 0));
	struct ot_part_isr_wish wish = WISH(&stage, 1, 2);
	assert_int_equal(wish.partition_epoch, 4);
	ot_part_isr_answered(stage.part, &older, OT_ERR_INELIGIBLE_REPLICA, NULL);
	stage_append_many(&stage, 1, &one_record);
	assert_int_equal(watermark(&stage), 0);
	commit(&stage, &older, 1); /* of the past: partition epoch 4 is known */
	assert_int_equal(watermark(&stage), 0);
	commit(&stage, &wish, 2);
	assert_ok(fetch_as(&stage, 2, 1));
	assert_int_equal(watermark(&stage), 1);
	end(&stage);
}

static void
test_recovery_is_told(void **state)
{
	(void)state;
	/* Goal: a leader that was elected uncleanly tells that it has recovered, without being
	 * asked for another ISR (KIP-704). Method: a role that says so. */
	struct stage stage;
	static const int32_t ids[] = { 1, 2 };
	begin(&stage);
	const struct ot_part_role role = {
		.leader_id = STAGE_NODE,
		.leader_epoch = 3,
		.partition_epoch = 3,
		.is_recovering = true,
		.replicas = { ids, 2 },
		.isr = { ids, 1 },
	};
	ot_part_set_role(stage.part, &role);
	stage_until(&stage, stage_is_open, &stage);
	assert_int_equal(stage.isr_wishes, 1);
	struct ot_part_isr_wish wish = WISH(&stage, 1);
	assert_true(wish.is_recovered);
	commit(&stage, &wish, 1);
	assert_no_wish(&stage);
	end(&stage);
}

/* ---- waiting for the watermark ----------------------------------------------------------------
 */

static void
test_watermark_under_least_isr(void **state)
{
	(void)state;
	/* Goal: with fewer than min.insync.replicas in sync nothing is committed, acks=1 or not
	 * (KIP-966), acks=all is refused, and what waits already is told when it gets through by a
	 * set that has become too small. Method: ISR of 1, 2, 1 of 3. */
	struct stage stage;
	begin(&stage);
	stage.settings.min_insync_replicas = 2;
	ot_part_set_settings(stage.part, &stage.settings);
	lead(&stage, 3, 3, 3, 1);
	stage_append_many(&stage, 2, &one_record);
	assert_int_equal(watermark(&stage), 0);
	assert_int_equal(stage_append_and_wait(&stage, -1, &one_record, NULL),
	    OT_ERR_NOT_ENOUGH_REPLICAS);
	lead(&stage, 3, 4, 3, 2);
	struct stage_append *append = stage_append(&stage, -1, &one_record);
	stage_run_for_ms(&stage, 10);
	assert_false(append->is_done);
	lead(&stage, 3, 5, 3, 1);
	assert_false(append->is_done);
	assert_int_equal(watermark(&stage), 0);
	lead(&stage, 3, 6, 3, 2);
	assert_ok(fetch_as(&stage, 2, 3));
	assert_true(append->is_done);
	assert_ok(append->append.err);
	assert_int_equal(append->append.base_offset, 2);
	stage_free_append(append);
	assert_int_equal(watermark(&stage), 3);
	end(&stage);
}

static void
test_role_ends_waiting(void **state)
{
	(void)state;
	/* Goal: who waits for a leader learns at once that it is none any more: appends, long
	 * polls; what it wanted of the ISR is forgotten. Leading on in a new epoch ends nothing.
	 * Method: an append that waits; a new epoch; another leader. */
	struct stage stage;
	begin(&stage);
	lead(&stage, 3, 3, 3, 2);
	struct stage_append *append = stage_append(&stage, -1, &one_record);
	assert_ok(fetch_as(&stage, 3, 0));
	(void)WISH(&stage, 1, 2, 3);
	stage_run_for_ms(&stage, 10);
	lead(&stage, 4, 4, 3, 2);
	assert_false(append->is_done);
	stage_set_role(&stage, 2, 3, 9, 3, 3); /* of an epoch that is over */
	assert_false(append->is_done);
	stage_set_role(&stage, 2, 5, 5, 3, 3);
	assert_true(append->is_done);
	assert_int_equal(append->append.err, OT_ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(append->append.base_offset, -1);
	stage_free_append(append);
	assert_no_wish(&stage);
	assert_int_equal(log_end(&stage), 1);
	/* Nobody leads: nothing is taken either. */
	stage_set_role(&stage, -1, 6, 6, 3, 3);
	assert_int_equal(stage_append_and_wait(&stage, 1, &one_record, NULL),
	    OT_ERR_NOT_LEADER_OR_FOLLOWER);
	struct ot_part_follow follow_state;
	assert_false(ot_part_follow_state(stage.part, &follow_state));
	end(&stage);
}

/* ---- following --------------------------------------------------------------------------------
 */

struct taking {
	struct ot_part_fetched fetched;
	bool is_done;
	ot_err err;
};

static void
is_taken(struct ot_part_fetched *fetched, ot_err err)
{
	struct taking *taking = OT_CONTAINER_OF(fetched, struct taking, fetched);
	assert_false(taking->is_done);
	taking->is_done = true;
	taking->err = err;
}

static bool
is_taking_done(void *arg)
{
	return ((struct taking *)arg)->is_done;
}

/* A batch as the leader of `epoch` has it at `offset`, behind what `out` has. */
static void
add_batch(struct stage *stage, struct ot_writer *out, int64_t offset, int32_t epoch,
    const struct stage_batch *batch)
{
	struct stage_append build = { 0 };
	stage_build(stage, batch, &build);
	ot_put_u64(build.bytes.data, (uint64_t)offset);
	ot_put_u32(build.bytes.data + 12, (uint32_t)epoch); /* not under the CRC */
	ot_write_raw(out, build.bytes.data, build.bytes.bytes);
	ot_writer_fini(&build.bytes);
}

struct answer {
	int32_t epoch;
	struct ot_writer *records;
	int64_t high_watermark;
	int64_t log_start;
};

static ot_err
take(struct stage *stage, const struct answer *answer)
{
	struct ot_blob *blob = NULL;
	struct taking taking = { .fetched = {
				     .leader_epoch = answer->epoch,
				     .high_watermark = answer->high_watermark,
				     .log_start_offset = answer->log_start,
				     .done = is_taken,
				 } };
	if (answer->records != NULL) {
		blob = ot_blob_create(answer->records->bytes);
		assert_non_null(blob);
		memcpy(blob->data, answer->records->data, answer->records->bytes);
		taking.fetched.blob = blob;
		taking.fetched.records =
		    (struct ot_bytes){ blob->data, (int32_t)answer->records->bytes };
		ot_writer_fini(answer->records);
		ot_writer_init(answer->records);
	}
	ot_part_take_fetched(stage->part, &taking.fetched);
	stage_until(stage, is_taking_done, &taking);
	ot_blob_unref(blob);
	return taking.err;
}

/* Follows in the epoch with `count` records of `epoch`, all below the watermark. */
static void
follow_with(struct stage *stage, int32_t epoch, int count)
{
	struct ot_writer out;
	ot_writer_init(&out);
	begin(stage);
	follow(stage, 2, epoch);
	for (int i = 0; i < count; i++)
		add_batch(stage, &out, i, epoch, &one_record);
	assert_ok(take(stage, &(struct answer){ epoch, &out, count, 0 }));
	ot_writer_fini(&out);
}

static struct ot_part_follow
state_of(struct stage *stage)
{
	struct ot_part_follow state;
	assert_true(ot_part_follow_state(stage->part, &state));
	return state;
}

static void
test_follower_takes(void **state)
{
	(void)state;
	/* Goal: a follower has the leader's offsets and epochs, takes over the watermark as far as
	 * its log goes and never back, ignores what it has and the piece of a batch at the end, and
	 * what was asked in another role. Method: answers of these kinds. */
	struct stage stage;
	struct ot_writer out;
	ot_writer_init(&out);
	begin(&stage);
	follow(&stage, 2, 5);
	assert_int_equal(state_of(&stage).last_fetched_epoch, -1);
	add_batch(&stage, &out, 0, 3, &(struct stage_batch){ .record_count = 3 });
	add_batch(&stage, &out, 3, 5, &one_record);
	assert_ok(take(&stage, &(struct answer){ 5, &out, 99, 0 }));
	assert_int_equal(state_of(&stage).fetch_offset, 4);
	assert_int_equal(state_of(&stage).last_fetched_epoch, 5);
	assert_int_equal(watermark(&stage), 4);
	assert_int_equal(ot_log_epoch_at(ot_part_log(stage.part), 2), 3);
	/* The batch at 3 again, one at 4, and half of another. */
	add_batch(&stage, &out, 3, 5, &one_record);
	add_batch(&stage, &out, 4, 5, &one_record);
	add_batch(&stage, &out, 5, 5, &one_record);
	out.bytes -= 10;
	assert_ok(take(&stage, &(struct answer){ 5, &out, 2, 0 }));
	assert_int_equal(log_end(&stage), 5);
	assert_int_equal(watermark(&stage), 4);
	add_batch(&stage, &out, 5, 5, &one_record);
	assert_int_equal(take(&stage, &(struct answer){ 4, &out, 6, 0 }),
	    OT_ERR_FENCED_LEADER_EPOCH);
	assert_int_equal(log_end(&stage), 5);
	ot_writer_fini(&out);
	end(&stage);
}

static void
test_follower_refuses(void **state)
{
	(void)state;
	/* Goal: what is damaged or does not follow is not taken; what stood before it is, and the
	 * follower goes on. Method: a flipped bit in the second batch; a gap; a fall of the epoch
	 * is not possible from a leader. */
	struct stage stage;
	struct ot_writer out;
	follow_with(&stage, 5, 2);
	ot_writer_init(&out);
	add_batch(&stage, &out, 2, 5, &one_record);
	size_t first = out.bytes;
	add_batch(&stage, &out, 3, 5, &one_record);
	out.data[first + 70] ^= 1;
	assert_int_equal(take(&stage, &(struct answer){ 5, &out, 9, 0 }), OT_ERR_CORRUPT_MESSAGE);
	assert_int_equal(log_end(&stage), 3);
	assert_int_equal(watermark(&stage), 2);
	add_batch(&stage, &out, 3, 5, &one_record);
	assert_ok(take(&stage, &(struct answer){ 5, &out, 4, 0 }));
	assert_int_equal(watermark(&stage), 4);
	ot_writer_fini(&out);
	end(&stage);
}

static void
test_log_start_is_taken_over(void **state)
{
	(void)state;
	/* Goal: what was deleted at the leader goes at the follower, up to its watermark and no
	 * further. Method: starts within and beyond it, without records. */
	struct stage stage;
	follow_with(&stage, 5, 4);
	assert_ok(take(&stage, &(struct answer){ 5, NULL, 4, 3 }));
	assert_int_equal(log_start(&stage), 3);
	assert_int_equal(state_of(&stage).log_start_offset, 3);
	assert_ok(take(&stage, &(struct answer){ 5, NULL, 9, 9 }));
	assert_int_equal(log_start(&stage), 4);
	assert_int_equal(state_of(&stage).fetch_offset, 4);
	/* Nothing is left whose epoch could be told. */
	assert_int_equal(state_of(&stage).last_fetched_epoch, -1);
	end(&stage);
}

static bool
is_online(void *arg)
{
	return ot_part_state(((struct stage *)arg)->part) == OT_PART_ONLINE;
}

static void
test_cut_by_epoch(void **state)
{
	(void)state;
	/* Goal: a follower is cut where its log and the leader's part, by epochs (KIP-101,
	 * KIP-279): at the lesser of both ends of an epoch that both know; else at the end of its
	 * own newest epoch before; and the watermark does not stand behind the end. An epoch of
	 * which it has nothing leaves nothing of it. Method: a log of epochs 3 (0-2), 5 (3-5), 7
	 * (6-8). */
	static const struct {
		int32_t epoch;
		int64_t end;
		int64_t expected;
	} cases[] = {
		{ 7, 8, 8 }, { 5, 4, 4 }, /* ours of 5 is longer */
		{ 5, 99, 6 },             /* ours of 5 is shorter */
		{ 6, 7, 6 },              /* ours before 6 is 5 */
		{ 4, 9, 3 }, { 2, 9, 0 }, /* all ours are later: none of it can be the leader's */
	};
	for (size_t i = 0; i < OT_ARRAY_COUNT(cases); i++) {
		struct stage stage;
		struct ot_writer out;
		ot_writer_init(&out);
		begin(&stage);
		follow(&stage, 2, 7);
		for (int64_t offset = 0; offset < 9; offset++)
			add_batch(&stage, &out, offset, (int32_t)(3 + offset / 3 * 2), &one_record);
		assert_ok(take(&stage, &(struct answer){ 7, &out, 7, 0 }));
		follow(&stage, 3, 8);
		assert_false(ot_part_diverged(stage.part, 7, cases[i].epoch, cases[i].end));
		assert_true(ot_part_diverged(stage.part, 8, cases[i].epoch, cases[i].end));
		assert_int_equal(ot_part_state(stage.part), OT_PART_CUTTING);
		assert_int_equal(stage_read(&stage, 0, NULL), OT_ERR_NOT_LEADER_OR_FOLLOWER);
		stage_until(&stage, is_online, &stage);
		assert_int_equal(log_end(&stage), cases[i].expected);
		assert_int_equal(watermark(&stage), OT_MIN(7, cases[i].expected));
		ot_writer_fini(&out);
		end(&stage);
	}
}

static void
test_cut_on_a_full_disk(void **state)
{
	(void)state;
	/* Goal: a follower that has to be cut while its disk is full waits for space, with its log
	 * as it was, and is cut then; it can be closed meanwhile. Method: a log that is synced and
	 * checkpointed, so that the cut needs a file; the disk gets room again. */
	struct stage stage;
	follow_with(&stage, 5, 6);
	stage_run_for_ms(&stage, 1000); /* a chore writes the epochs */
	ot_part_checkpoint(stage.part);
	stage_run_for_ms(&stage, 1000);
	assert_int_equal(ot_log_recovery_point(ot_part_log(stage.part)), 6);
	ot_sim_disk_set_capacity(stage.disk, 4096);
	assert_true(ot_part_cut_to(stage.part, 5, 3));
	for (int i = 0; i < 20; i++) {
		stage_run_for_ms(&stage, 500);
		tick(&stage);
		assert_int_equal(ot_part_state(stage.part), OT_PART_CUTTING);
	}
	ot_sim_disk_set_capacity(stage.disk, 1 << 30);
	for (int i = 0; i < 5; i++) {
		stage_run_for_ms(&stage, 500);
		tick(&stage);
	}
	assert_int_equal(ot_part_state(stage.part), OT_PART_ONLINE);
	assert_int_equal(log_end(&stage), 3);
	ot_sim_disk_set_capacity(stage.disk, 4096);
	assert_true(ot_part_cut_to(stage.part, 5, 1));
	stage_run_for_ms(&stage, 500);
	ot_sim_disk_set_capacity(stage.disk, 1 << 30);
	end(&stage);
}

static void
test_begin_anew(void **state)
{
	(void)state;
	/* Goal: a follower whose end lies before the leader's start begins there, with nothing; one
	 * that has more than the leader is cut at the leader's end; and it can lead from there.
	 * Method: both, then a role. */
	struct stage stage;
	struct ot_writer out;
	follow_with(&stage, 5, 4);
	ot_writer_init(&out);
	assert_true(ot_part_cut_to(stage.part, 5, 2));
	stage_until(&stage, is_online, &stage);
	assert_int_equal(log_end(&stage), 2);
	assert_true(ot_part_restart_at(stage.part, 5, 50));
	stage_until(&stage, is_online, &stage);
	assert_int_equal(log_start(&stage), 50);
	assert_int_equal(log_end(&stage), 50);
	assert_int_equal(watermark(&stage), 50);
	add_batch(&stage, &out, 50, 5, &one_record);
	assert_ok(take(&stage, &(struct answer){ 5, &out, 51, 50 }));
	lead(&stage, 6, 6, 3, 1);
	int64_t offset = -1;
	assert_ok(stage_append_and_wait(&stage, -1, &one_record, &offset));
	assert_int_equal(offset, 51);
	ot_writer_fini(&out);
	end(&stage);
}

static void
test_elected_while_being_cut(void **state)
{
	(void)state;
	/* Goal: a replica that is elected while its log is in a worker's hands leads as soon as it
	 * has it back, from where that ends. Method: the role comes before the worker is done. */
	struct stage stage;
	follow_with(&stage, 5, 4);
	assert_true(ot_part_cut_to(stage.part, 5, 3));
	lead(&stage, 6, 6, 3, 1);
	assert_int_equal(ot_part_check_leader(stage.part, -1), OT_ERR_NOT_LEADER_OR_FOLLOWER);
	stage_until(&stage, is_online, &stage);
	int64_t offset = -1;
	assert_ok(stage_append_and_wait(&stage, -1, &one_record, &offset));
	assert_int_equal(offset, 3);
	assert_int_equal(ot_log_epoch_at(ot_part_log(stage.part), 3), 6);
	end(&stage);
}

static void
test_idempotence_after_failover(void **state)
{
	(void)state;
	/* Goal: a follower knows the sequences of the producers in what it took: when it leads, a
	 * batch that is sent again is answered with its old offset and not appended, the next is,
	 * and one out of order is refused; what was cut off again is forgotten. Method: batches of
	 * one producer at a follower, the last of which is cut off before it is elected. */
	struct stage stage;
	struct ot_writer out;
	ot_writer_init(&out);
	begin(&stage);
	follow(&stage, 2, 5);
	for (int32_t i = 0; i < 4; i++)
		add_batch(&stage, &out, i, 5,
		    &(struct stage_batch){ .producer_id = 77, .sequence = i });
	assert_ok(take(&stage, &(struct answer){ 5, &out, 3, 0 }));
	follow(&stage, 3, 6);
	assert_true(ot_part_diverged(stage.part, 6, 5, 3));
	stage_until(&stage, is_online, &stage);
	lead(&stage, 7, 7, 3, 1);
	int64_t offset = -1;
	struct stage_batch batch = { .producer_id = 77, .sequence = 2 };
	assert_ok(stage_append_and_wait(&stage, -1, &batch, &offset));
	assert_int_equal(offset, 2);
	assert_int_equal(log_end(&stage), 3);
	batch.sequence = 4;
	assert_int_equal(stage_append_and_wait(&stage, -1, &batch, NULL),
	    OT_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	batch.sequence = 3;
	assert_ok(stage_append_and_wait(&stage, -1, &batch, &offset));
	assert_int_equal(offset, 3);
	ot_writer_fini(&out);
	end(&stage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_isr_grows),
		cmocka_unit_test(test_isr_waits_for_epoch_start),
		cmocka_unit_test(test_isr_shrinks),
		cmocka_unit_test(test_silent_replica_stays_out),
		cmocka_unit_test(test_isr_asks_for_the_living),
		cmocka_unit_test(test_fetch_of_an_old_registration),
		cmocka_unit_test(test_refused_wish),
		cmocka_unit_test(test_wish_that_metadata_decides),
		cmocka_unit_test(test_wish_without_an_answer),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_recovery_is_told),
		cmocka_unit_test(test_watermark_under_least_isr),
		cmocka_unit_test(test_role_ends_waiting),
		cmocka_unit_test(test_follower_takes),
		cmocka_unit_test(test_follower_refuses),
		cmocka_unit_test(test_log_start_is_taken_over),
		cmocka_unit_test(test_cut_by_epoch),
		cmocka_unit_test(test_cut_on_a_full_disk),
		cmocka_unit_test(test_begin_anew),
		cmocka_unit_test(test_elected_while_being_cut),
		cmocka_unit_test(test_idempotence_after_failover),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
