/* Inside the room: the life of brokers as other files see it. All: @owner control   @blocks never
 */
#ifndef OT_CLUSTER_BROKERS_INT_H
#define OT_CLUSTER_BROKERS_INT_H

#include "cluster/operation_int.h"

/* Fences a broker whose session is over. */
void brokers_fence_silent(struct ot_controller *controller, int32_t broker_id);

/* Whether a broker other than that one is active. */
bool brokers_have_other_active(const struct ot_image *image, int32_t id);

#endif
