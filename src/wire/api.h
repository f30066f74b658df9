/* The table of APIs: which request and response belong to a key, in which versions. */
#ifndef OT_WIRE_API_H
#define OT_WIRE_API_H

#include "wire/api_gen.h"
#include "wire/codec.h"

enum ot_api_listener {
	OT_API_LISTENER_BROKER = 1,
	OT_API_LISTENER_CONTROLLER = 2,
};

struct ot_api {
	int16_t key;
	const char *name; /* "Produce" */
	const struct ot_msg *request;
	const struct ot_msg *response;

	/* Three ranges, each in the next: what a server answers in earnest, what it lists in
	 * ApiVersions (some clients read more out of the list than it says, see the schemas), and,
	 * in request->valid, what the codec can decode. */
	struct ot_versions accepted;
	struct ot_versions advertised;
	struct ot_versions unstable; /* served only with unstable.api.versions.enable */
	uint8_t listeners;           /* enum ot_api_listener */
};

/* The API, be it of Kafka's or our own (from OT_API_PRIVATE_FIRST), or NULL. Static memory.
 * @owner any thread */
const struct ot_api *ot_api_find(int16_t key);

/* By name, in any case of letters, "Produce"; NULL when there is none. @owner any thread */
const struct ot_api *ot_api_find_name(struct ot_str name);

/* Whether a server answers a request of that version. @owner any thread */
bool ot_api_accepts(const struct ot_api *api, int16_t version, bool with_unstable);

/* Header versions that go with a version of the body (see wire/header.h). @owner any thread */
int16_t ot_api_request_header_version(const struct ot_api *api, int16_t version);
int16_t ot_api_response_header_version(const struct ot_api *api, int16_t version);

/* All messages, ending in NULL: for tools and tests. */
extern const struct ot_msg *const ot_msg_all[];

/* The message of that name, "FetchResponse"; NULL when there is none. @owner any thread */
const struct ot_msg *ot_msg_find_name(struct ot_str name);

#endif
