/* How a shard takes up a newer image. */
#include "broker/broker_int.h"

#include "base/alloc.h"
#include "broker/groups_int.h"

struct adoption {
	void (*done)(void *arg);
	void *arg;
};

static void
partitions_are_open(void *arg)
{
	struct adoption *adoption = arg;
	adoption->done(adoption->arg);
	ot_free(adoption);
}

void
broker_shard_adopt(struct broker_shard *self, struct ot_image *image, void (*done)(void *arg),
    void *arg)
{
	OT_ON_SHARD(self->shard);
	struct adoption *adoption = OT_NEW(struct adoption);
	struct ot_image *before = self->image;
	adoption->done = done;
	adoption->arg = arg;
	self->image = image;
	if (self->is_closing) {
		/* Nothing is opened or closed by images any more. */
		partitions_are_open(adoption);
	} else {
		ot_fetchers_adopt(self->fetchers, image);
		ot_replicas_apply(self->replicas, before, image, partitions_are_open, adoption);
		broker_groups_adopt(self->groups, before, image);
	}
	ot_image_unref(before);
}
