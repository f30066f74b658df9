/* Headers: what stands between the frame length and the body.
 *
 *   request    header 0: key, version, correlation id (ControlledShutdown 0 only)
 *              header 1: and a nullable client id
 *              header 2: and tagged fields (with flexible bodies; the client id stays plain)
 *   response   header 0: correlation id
 *              header 1: and tagged fields (with flexible bodies, except of ApiVersions)
 *
 * A server must read the header of a request whose version it does not know, to answer with the
 * right correlation id: the flexible header goes with all versions from the first flexible one.
 */
#ifndef OT_WIRE_HEADER_H
#define OT_WIRE_HEADER_H

#include "wire/api.h"
#include "wire/msg_headers.h"

/* Reads the header and leaves the reader at the body. The client id points into the input; the
 * arena is used only when the header has unknown tagged fields. OT_ERR_INVALID_REQUEST for a key
 * that Kafka does not have or a negative version; the version may be one that we do not know: ask
 * ot_api_accepts(). Else the errors of ot_msg_decode(). @owner the arena's   @blocks never */
ot_err ot_request_header_read(struct ot_reader *in, struct ot_arena *arena,
    struct ot_request_header *ret_header, const struct ot_api **ret_api) OT_MUST_USE;

/* @owner the writer's   @blocks never */
ot_err ot_request_header_write(const struct ot_api *api, int16_t version, int32_t correlation_id,
    struct ot_str client_id, struct ot_writer *out) OT_MUST_USE;

/* Writes the header that goes with a response body of that version.
 * @owner the writer's   @blocks never */
ot_err ot_response_header_write(const struct ot_api *api, int16_t version, int32_t correlation_id,
    struct ot_writer *out) OT_MUST_USE;

/* Reads it and leaves the reader at the body. @owner the arena's   @blocks never */
ot_err ot_response_header_read(const struct ot_api *api, int16_t version, struct ot_reader *in,
    struct ot_arena *arena, struct ot_response_header *ret_header) OT_MUST_USE;

#endif
