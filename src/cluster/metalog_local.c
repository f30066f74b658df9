#include "cluster/metalog.h"
#include "base/alloc.h"
#include "base/list.h"
struct mem {
	struct ot_metalog log;
	struct ot_io *io;
	int32_t node;
	const struct ot_metalog_events *ev;
	void *arg;
	int64_t end;
	struct ot_timer t;
	struct ot_list q;
	bool led;
	void (*cb)(void *);
	void *cba;
};
static void
tick(struct ot_timer *t)
{
	struct mem *m = OT_CONTAINER_OF(t, struct mem, t);
	if (!m->led) {
		m->led = true;
		m->ev->on_leader(m->arg, m->node, 1);
	}
	while (!ot_list_is_empty(&m->q)) {
		struct ot_metalog_append *a = OT_LIST_FIRST(&m->q, struct ot_metalog_append, link);
		ot_list_remove(&a->link);
		int32_t n = a->records.count;
		struct ot_bytes *v = ot_must_alloc((size_t)(n + 1) * sizeof(*v));
		size_t prev = 0;
		for (int32_t i = 0; i < n; i++) {
			size_t e = a->records.ends[i];
			v[i] =
			    (struct ot_bytes){ a->records.bytes.data + prev, (int32_t)(e - prev) };
			prev = e;
		}
		struct ot_metalog_batch b = { .base_offset = a->base_offset,
			.epoch = 1,
			.timestamp = ot_io_wall(m->io),
			.records = v,
			.record_count = n,
			.next_offset = a->base_offset + n };
		m->ev->on_batch(m->arg, &b);
		a->on_done(a, OT_OK);
		ot_free(v);
	}
	if (m->cb)
		m->cb(m->cba);
}
static void
kick(struct mem *m)
{
	ot_timer_arm_in_ms(m->io, &m->t, 0);
}
static void
start(struct ot_metalog *l, const struct ot_metalog_events *e, void *a)
{
	struct mem *m = (struct mem *)l;
	m->ev = e;
	m->arg = a;
	kick(m);
}
static void
app(struct ot_metalog *l, struct ot_metalog_append *a)
{
	struct mem *m = (struct mem *)l;
	a->base_offset = m->end;
	m->end += a->records.count;
	ot_list_push_back(&m->q, &a->link);
	kick(m);
}
static void
snap(struct ot_metalog *l, struct ot_metalog_snapshot *s)
{
	(void)l;
	(void)s;
}
static uint64_t
bs(const struct ot_metalog *l)
{
	(void)l;
	return 0;
}
static void
cl(struct ot_metalog *l, void (*f)(void *), void *a)
{
	struct mem *m = (struct mem *)l;
	m->cb = f;
	m->cba = a;
	kick(m);
}
static const struct ot_metalog_ops ops = { start, app, snap, bs, cl };
struct ot_metalog *
ot_metalog_local_create(const struct ot_metalog_local_args *a)
{
	struct mem *m = OT_NEW(struct mem);
	m->log.ops = &ops;
	m->io = a->io;
	m->node = a->node_id;
	ot_list_init(&m->q);
	ot_timer_init(&m->t, tick);
	return &m->log;
}
