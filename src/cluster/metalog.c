/* Thin calls of the engines. */
#include "cluster/metalog.h"

#include "base/panic.h"

void
ot_metalog_start(struct ot_metalog *log, const struct ot_metalog_events *events, void *arg)
{
	log->ops->start(log, events, arg);
}

void
ot_metalog_append(struct ot_metalog *log, struct ot_metalog_append *append)
{
	OT_ASSERT(append->records.count > 0 && !append->records.failed);
	log->ops->append(log, append);
}

void
ot_metalog_put_snapshot(struct ot_metalog *log, struct ot_metalog_snapshot *snapshot)
{
	log->ops->put_snapshot(log, snapshot);
}

uint64_t
ot_metalog_bytes_since_snapshot(const struct ot_metalog *log)
{
	return log->ops->bytes_since_snapshot(log);
}

void
ot_metalog_close(struct ot_metalog *log, void (*on_closed)(void *arg), void *arg)
{
	log->ops->close(log, on_closed, arg);
}
