/* Error values: one type for all fallible functions.
 *
 * Codes from -1 to 999 are Kafka's own (schema/errors.tsv) and go on the wire as they are. Codes
 * from 1000 up are ours, for what happens inside a process; ot_err_to_wire() says which of
 * Kafka's codes a peer sees for each of them.
 */
#ifndef OT_BASE_ERR_H
#define OT_BASE_ERR_H

#include "base/defs.h"
#include "base/err_gen.h"

/* The protocol's spelling without prefix, "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_ERROR_n" never occurs:
 * a number that is in no table gives "UNKNOWN_SERVER_ERROR". Static memory. @owner any thread */
const char *ot_err_name(ot_err err);

/* One sentence in English that says what the code means. Static memory. @owner any thread */
const char *ot_err_message(ot_err err);

/* Whether a client may try the same request again. @owner any thread */
bool ot_err_is_retriable(ot_err err);

/* The code that a peer sees; internal codes become Kafka's nearest. @owner any thread */
int16_t ot_err_to_wire(ot_err err);

/* The value for a code off the wire; codes that no table knows become OT_ERR_UNKNOWN_SERVER_ERROR.
 * @owner any thread */
ot_err ot_err_from_wire(int16_t code) OT_MUST_USE;

/* The value for an errno of the host: ENOSPC and EDQUOT are OT_ERR_NO_SPACE, ENOENT is
 * OT_ERR_NOT_FOUND, EEXIST is OT_ERR_EXISTS, ENOMEM is OT_ERR_NO_MEMORY, EMFILE and ENFILE are
 * OT_ERR_NO_FILES, all else OT_ERR_IO.
 * @owner any thread */
ot_err ot_err_from_errno(int number) OT_MUST_USE;

#endif
