/* Thin calls of the stores. */
#include "cluster/kv.h"

#include "base/panic.h"

void
ot_kv_txn(struct ot_kv *kv, struct ot_kv_txn *txn)
{
	OT_ASSERT(txn->then_count <= OT_KV_OPS_MAX && txn->otherwise_count <= OT_KV_OPS_MAX);
	kv->ops->txn(kv, txn);
}

void
ot_kv_lease(struct ot_kv *kv, struct ot_kv_lease *lease)
{
	kv->ops->lease(kv, lease);
}

void
ot_kv_chore(struct ot_kv *kv, struct ot_kv_chore *chore)
{
	kv->ops->chore(kv, chore);
}

void
ot_kv_watch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	kv->ops->watch(kv, watch);
}

void
ot_kv_unwatch(struct ot_kv *kv, struct ot_kv_watch *watch)
{
	kv->ops->unwatch(kv, watch);
}

void
ot_kv_destroy(struct ot_kv *kv)
{
	if (kv != NULL)
		kv->ops->destroy(kv);
}
