/* What the generated tables hold beside the messages themselves. */
#ifndef OT_WIRE_TABLES_INT_H
#define OT_WIRE_TABLES_INT_H

#include "wire/api.h"
#include "wire/codec.h"

extern const struct ot_api ot_api_table[OT_API_COUNT];
extern const struct ot_api ot_api_private_table[OT_API_PRIVATE_COUNT];

/* Messages of one log each, ending in NULL; of the coordinators' logs key and value in turn. */
extern const struct ot_msg *const wire_metadata_log_msgs[];
extern const struct ot_msg *const wire_remote_log_metadata_msgs[];
extern const struct ot_msg *const wire_group_log_msgs[];
extern const struct ot_msg *const wire_transaction_log_msgs[];
extern const struct ot_msg *const wire_share_log_msgs[];

#endif
