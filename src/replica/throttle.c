#include "replica/throttle.h"

#include "base/alloc.h"
#include "base/defs.h"

struct sample {
	uint64_t number; /* samples since the clock began */
	uint64_t bytes;
};

/* What one shard tells another. */
struct word {
	struct ot_mail mail;
	struct meter *to;
	uint32_t from;     /* index of a shard */
	bool is_under_way; /* [owner: the sender] until the receiver has sent it back */
	int64_t rate;
};

/* One shard's. */
struct meter {
	struct ot_throttle *throttle;
	struct ot_shard *shard;
	struct sample *samples;
	int64_t *told;      /* by shard: its rate, as it said last */
	struct word *words; /* by shard that is told */
	struct ot_timer timer;
};

struct ot_throttle {
	uint32_t shard_count;  /* [const] */
	uint32_t sample_count; /* [const] */
	ot_mono_ns sample_ns;  /* [const] */
	struct meter *meters;  /* [const] each [owner] its shard */
};

static struct meter *
own_meter(struct ot_throttle *throttle)
{
	OT_ASSERT(ot_shard_self != NULL && ot_shard_self->index < throttle->shard_count);
	struct meter *meter = &throttle->meters[ot_shard_self->index];
	OT_ON_SHARD(meter->shard);
	return meter;
}

static uint64_t
sample_number(const struct meter *meter)
{
	return ot_io_now(meter->shard->io) / meter->throttle->sample_ns;
}

/* Whole samples count whole, the present one as far as it has come. */
static int64_t
own_rate(const struct meter *meter)
{
	const struct ot_throttle *throttle = meter->throttle;
	uint64_t number = sample_number(meter);
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < throttle->sample_count; i++) {
		const struct sample *sample = &meter->samples[i];
		if (sample->number + throttle->sample_count > number)
			bytes += sample->bytes;
	}
	ot_mono_ns span = (throttle->sample_count - 1) * throttle->sample_ns +
	                  ot_io_now(meter->shard->io) % throttle->sample_ns;
	return (int64_t)((double)bytes * 1e9 / (double)span);
}

static void take_back(struct ot_mail *mail);

static void
take_word(struct ot_mail *mail)
{
	struct word *word = OT_CONTAINER_OF(mail, struct word, mail);
	struct meter *meter = word->to;
	OT_ON_SHARD(meter->shard);
	meter->told[word->from] = word->rate;
	word->mail.deliver = take_back;
	ot_shard_post(meter->throttle->meters[word->from].shard, &word->mail);
}

static void
take_back(struct ot_mail *mail)
{
	OT_CONTAINER_OF(mail, struct word, mail)->is_under_way = false;
}

/* Tells all others. One that has not answered to the last word yet hears the next. */
static void
tell(struct meter *meter, int64_t rate)
{
	const struct ot_throttle *throttle = meter->throttle;
	for (uint32_t i = 0; i < throttle->shard_count; i++) {
		struct word *word = &meter->words[i];
		if (i == meter->shard->index || word->is_under_way)
			continue;
		word->is_under_way = true;
		word->rate = rate;
		word->mail.deliver = take_word;
		ot_shard_post(word->to->shard, &word->mail);
	}
}

static bool
are_words_under_way(const struct meter *meter)
{
	for (uint32_t i = 0; i < meter->throttle->shard_count; i++) {
		if (meter->words[i].is_under_way)
			return true;
	}
	return false;
}

static void
arm(struct meter *meter)
{
	ot_timer_arm(meter->shard->io, &meter->timer,
	    ot_io_now(meter->shard->io) + meter->throttle->sample_ns);
}

/* Goes on until everyone knows that nothing moves any more. */
static void
on_sample_over(struct ot_timer *timer)
{
	struct meter *meter = OT_CONTAINER_OF(timer, struct meter, timer);
	int64_t rate = own_rate(meter);
	bool is_heard = !are_words_under_way(meter);
	tell(meter, rate);
	if (rate > 0 || !is_heard)
		arm(meter);
}

void
ot_throttle_note(struct ot_throttle *throttle, uint64_t bytes)
{
	struct meter *meter = own_meter(throttle);
	uint64_t number = sample_number(meter);
	struct sample *sample = &meter->samples[number % throttle->sample_count];
	if (sample->number != number)
		*sample = (struct sample){ .number = number };
	sample->bytes += bytes;
	if (throttle->shard_count > 1 && !ot_timer_is_armed(&meter->timer))
		arm(meter);
}

int64_t
ot_throttle_rate(struct ot_throttle *throttle)
{
	struct meter *meter = own_meter(throttle);
	int64_t rate = own_rate(meter);
	for (uint32_t i = 0; i < throttle->shard_count; i++)
		rate += meter->told[i];
	return rate;
}

static void
init_meter(struct ot_throttle *throttle, const struct ot_shard_set *set, uint32_t index)
{
	struct meter *meter = &throttle->meters[index];
	meter->throttle = throttle;
	meter->shard = set->shards[index];
	meter->samples = ot_must_alloc(throttle->sample_count * sizeof(*meter->samples));
	meter->told = ot_must_alloc(throttle->shard_count * sizeof(*meter->told));
	meter->words = ot_must_alloc(throttle->shard_count * sizeof(*meter->words));
	for (uint32_t i = 0; i < throttle->shard_count; i++)
		meter->words[i] = (struct word){ .to = &throttle->meters[i], .from = index };
	ot_timer_init(&meter->timer, on_sample_over);
}

struct ot_throttle *
ot_throttle_create(const struct ot_shard_set *set, uint32_t sample_count, int64_t sample_ms)
{
	OT_ASSERT(sample_count >= 2 && sample_ms >= 1);
	struct ot_throttle *throttle = OT_NEW(struct ot_throttle);
	throttle->shard_count = set->count;
	throttle->sample_count = sample_count;
	throttle->sample_ns = (ot_mono_ns)sample_ms * OT_NS_PER_MS;
	throttle->meters = ot_must_alloc(set->count * sizeof(*throttle->meters));
	for (uint32_t i = 0; i < set->count; i++)
		init_meter(throttle, set, i);
	return throttle;
}

void
ot_throttle_destroy(struct ot_throttle *throttle)
{
	if (throttle == NULL)
		return;
	for (uint32_t i = 0; i < throttle->shard_count; i++) {
		struct meter *meter = &throttle->meters[i];
		ot_timer_cancel(meter->shard->io, &meter->timer);
		ot_free(meter->samples);
		ot_free(meter->told);
		ot_free(meter->words);
	}
	ot_free(throttle->meters);
	ot_free(throttle);
}
