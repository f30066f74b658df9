/* Goal: messages arrive once and in order, sleepers are woken, turn work runs once a turn, and the
 * budget admits in order. Method: real threads on real loops for messages; the rest by hand. */
#include "../test.h"

#include <pthread.h>

#include "base/alloc.h"
#include "io/loop.h"
#include "shard/shard.h"

enum { SHARD_COUNT = 2, MAIL_COUNT = 20000 };

struct numbered_mail {
	struct ot_mail mail;
	struct ot_shard *from;
	struct ot_shard *to;
	int number;
};

static struct ot_shard_set *set;
static int next_number[SHARD_COUNT + 1]; /* by sender, of what the last shard expects */
static int arrived_count;

static void
receive(struct ot_mail *mail)
{
	struct numbered_mail *numbered = OT_CONTAINER_OF(mail, struct numbered_mail, mail);
	assert_ptr_equal(ot_shard_self, numbered->to);
	assert_int_equal(numbered->number, next_number[numbered->from->index]++);
	ot_free(numbered);
	if (++arrived_count == SHARD_COUNT * MAIL_COUNT) {
		for (uint32_t i = 0; i <= SHARD_COUNT; i++)
			ot_loop_stop(set->shards[i]->io);
	}
}

static void
send_next(struct ot_timer *timer)
{
	struct ot_shard *from = ot_shard_self;
	static _Thread_local int sent;
	for (int i = 0; i < 100 && sent < MAIL_COUNT; i++) {
		struct numbered_mail *numbered = OT_NEW(struct numbered_mail);
		numbered->mail.deliver = receive;
		numbered->from = from;
		numbered->to = ot_shard_control(set);
		numbered->number = sent++;
		ot_shard_post(numbered->to, &numbered->mail);
	}
	if (sent < MAIL_COUNT)
		ot_timer_arm_in_ms(from->io, timer, sent % 1000 == 0 ? 2 : 0);
}

static void *
run_shard(void *arg)
{
	struct ot_shard *shard = arg;
	struct ot_timer timer;
	ot_shard_enter(shard);
	ot_timer_init(&timer, send_next);
	if (shard != ot_shard_control(set))
		ot_timer_arm_in_ms(shard->io, &timer, 0);
	ot_loop_run(shard->io);
	return NULL;
}

static void
create_set(struct ot_io *ios[SHARD_COUNT + 1], size_t budget_bytes)
{
	for (int i = 0; i <= SHARD_COUNT; i++)
		assert_ok(ot_loop_create(&ios[i]));
	set = ot_shard_set_create(SHARD_COUNT, ios, budget_bytes);
}

static void
destroy_set(struct ot_io *ios[SHARD_COUNT + 1])
{
	ot_shard_set_destroy(set);
	for (int i = 0; i <= SHARD_COUNT; i++)
		ot_loop_destroy(ios[i]);
}

static void
test_mail_arrives_once_and_in_order(void **state)
{
	(void)state;
	struct ot_io *ios[SHARD_COUNT + 1];
	pthread_t threads[SHARD_COUNT + 1];
	create_set(ios, OT_MIB);
	for (int i = 0; i <= SHARD_COUNT; i++)
		pthread_create(&threads[i], NULL, run_shard, set->shards[i]);
	for (int i = 0; i <= SHARD_COUNT; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(arrived_count, SHARD_COUNT * MAIL_COUNT);
	destroy_set(ios);
}

static int work_order[8], work_count;

static void
run_append(struct ot_turn_work *work)
{
	(void)work;
	work_order[work_count++] = OT_TURN_APPEND;
}

static void
run_send(struct ot_turn_work *work)
{
	(void)work;
	work_order[work_count++] = OT_TURN_SEND;
}

static void
test_turn_work_runs_once_appends_first(void **state)
{
	(void)state;
	struct ot_io *ios[SHARD_COUNT + 1];
	create_set(ios, OT_MIB);
	struct ot_shard *shard = set->shards[0];
	ot_shard_enter(shard);
	struct ot_turn_work send, append;
	ot_turn_work_init(&send, run_send);
	ot_turn_work_init(&append, run_append);
	ot_shard_defer(shard, &send, OT_TURN_SEND);
	ot_shard_defer(shard, &append, OT_TURN_APPEND);
	ot_shard_defer(shard, &append, OT_TURN_APPEND);
	ot_shard_end_turn(shard);
	ot_shard_end_turn(shard);
	assert_int_equal(work_count, 2);
	assert_int_equal(work_order[0], OT_TURN_APPEND);
	assert_int_equal(work_order[1], OT_TURN_SEND);
	ot_shard_self = NULL;
	destroy_set(ios);
}

static int room_order[4], room_count;
static struct ot_budget_waiter waiters[2];

static void
on_room(struct ot_budget_waiter *waiter)
{
	room_order[room_count++] = (int)(waiter - waiters);
}

static void
test_budget_admits_in_order(void **state)
{
	(void)state;
	struct ot_io *ios[SHARD_COUNT + 1];
	create_set(ios, SHARD_COUNT * 1000);
	struct ot_shard *shard = set->shards[0];
	ot_shard_enter(shard);
	assert_true(ot_budget_take(shard, 5000)); /* the first gets whatever it needs */
	assert_false(ot_budget_take(shard, 1));
	ot_budget_wait(shard, &waiters[0], 900, on_room);
	ot_budget_wait(shard, &waiters[1], 50, on_room);
	ot_shard_end_turn(shard);
	assert_int_equal(room_count, 0);
	ot_budget_give(shard, 4950);
	ot_shard_end_turn(shard);
	assert_int_equal(room_count, 2);
	assert_int_equal(room_order[0], 0);
	assert_int_equal(room_order[1], 1);
	assert_false(ot_budget_take(shard, 1));
	ot_shard_self = NULL;
	destroy_set(ios);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail_arrives_once_and_in_order),
		cmocka_unit_test(test_turn_work_runs_once_appends_first),
		cmocka_unit_test(test_budget_admits_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
