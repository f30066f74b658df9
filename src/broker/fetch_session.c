#include "broker/fetch_session_int.h"

#include <string.h>

#include "base/map.h"

enum {
	SESSION_PART_KEY_BYTES_MAX = 16 + 4 + 255,
	SESSION_EVICTION_MS = 120 * 1000, /* as Kafka's min.incremental.fetch.session.eviction.ms */
};

struct fetch_session_part {
	struct fetch_part_state state;
	struct ot_list link;
	UT_hash_handle hh;
	uint32_t key_bytes;
	char key[]; /* partition, topic id, name; state.topic points into it */
};

struct session_entry {
	struct fetch_session session;
	UT_hash_handle hh;
};

struct fetch_sessions {
	uint32_t shard_index;
	uint32_t shard_count;
	uint32_t count_max;
	uint32_t count;
	struct session_entry *by_id;
	struct ot_list by_use;
};

struct fetch_sessions *
fetch_sessions_create(uint32_t shard_index, uint32_t shard_count, uint32_t count_max)
{
	struct fetch_sessions *sessions = OT_NEW(struct fetch_sessions);
	sessions->shard_index = shard_index;
	sessions->shard_count = shard_count;
	sessions->count_max = count_max;
	ot_list_init(&sessions->by_use);
	return sessions;
}

void
fetch_sessions_destroy(struct fetch_sessions *sessions)
{
	if (sessions == NULL)
		return;
	struct session_entry *entry, *next;
	HASH_ITER(hh, sessions->by_id, entry, next)
		fetch_session_remove(sessions, &entry->session);
	ot_free(sessions);
}

struct fetch_session *
fetch_session_find(struct fetch_sessions *sessions, int32_t id)
{
	struct session_entry *entry;
	HASH_FIND_INT(sessions->by_id, &id, entry);
	return entry != NULL ? &entry->session : NULL;
}

static bool
is_older(ot_mono_ns time, ot_mono_ns now)
{
	return now - time >= SESSION_EVICTION_MS * (ot_mono_ns)OT_NS_PER_MS;
}

/* Whether `session`, which is in use, may be taken for a new one. Clients leave followers alone; a
 * follower need not wait until a client has had its time. */
static bool
may_be_taken(const struct fetch_session *session, const struct fetch_session_args *args,
    ot_mono_ns now)
{
	bool is_worth_more = session->part_count < args->part_count;
	if (session->is_replica)
		return args->is_replica && is_worth_more && is_older(session->created, now);
	return args->is_replica || (is_worth_more && is_older(session->created, now));
}

/* Whether `a` gives way before `b`: clients before followers, then the smaller one. */
static bool
is_less_worth(const struct fetch_session *a, const struct fetch_session *b)
{
	return a->is_replica != b->is_replica ? b->is_replica : a->part_count < b->part_count;
}

/* Who gives way: one that nobody has used for long, else the one that is worth least. NULL: nobody.
 */
static struct fetch_session *
find_evictable(struct fetch_sessions *sessions, const struct fetch_session_args *args,
    ot_mono_ns now)
{
	struct fetch_session *found = NULL;
	OT_LIST_FOREACH(link, &sessions->by_use) {
		struct fetch_session *session = OT_CONTAINER_OF(link, struct fetch_session, link);
		if (is_older(session->used, now))
			return session;
		if (may_be_taken(session, args, now) &&
		    (found == NULL || is_less_worth(session, found)))
			found = session;
	}
	return found;
}

static bool
make_room(struct fetch_sessions *sessions, const struct fetch_session_args *args, ot_mono_ns now)
{
	if (sessions->count < sessions->count_max)
		return true;
	struct fetch_session *evictable = find_evictable(sessions, args, now);
	if (evictable == NULL)
		return false;
	fetch_session_remove(sessions, evictable);
	return true;
}

/* Positive, unused, and of this shard. */
static int32_t
pick_id(struct fetch_sessions *sessions, struct ot_io *io)
{
	for (;;) {
		uint32_t random = (uint32_t)ot_io_random_u64(io) & INT32_MAX;
		uint32_t id = random - random % sessions->shard_count + sessions->shard_index;
		if (id > 0 && id <= INT32_MAX && fetch_session_find(sessions, (int32_t)id) == NULL)
			return (int32_t)id;
	}
}

struct fetch_session *
fetch_session_create(struct fetch_sessions *sessions, struct ot_io *io,
    const struct fetch_session_args *args)
{
	ot_mono_ns now = ot_io_now(io);
	if (!make_room(sessions, args, now))
		return NULL;
	struct session_entry *entry = OT_NEW(struct session_entry);
	entry->session.id = pick_id(sessions, io);
	entry->session.epoch = FETCH_EPOCH_INITIAL + 1;
	entry->session.by_id = args->by_id;
	entry->session.is_replica = args->is_replica;
	entry->session.created = entry->session.used = now;
	ot_list_init(&entry->session.parts);
	ot_list_push_back(&sessions->by_use, &entry->session.link);
	HASH_ADD_INT(sessions->by_id, session.id, entry);
	sessions->count++;
	return &entry->session;
}

static void
remove_part(struct fetch_session *session, struct fetch_session_part *part)
{
	HASH_DEL(session->by_key, part);
	ot_list_remove(&part->link);
	session->part_count--;
	ot_free(part);
}

void
fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session)
{
	struct session_entry *entry = OT_CONTAINER_OF(session, struct session_entry, session);
	struct fetch_session_part *part, *next;
	HASH_ITER(hh, session->by_key, part, next)
		remove_part(session, part);
	ot_list_remove(&session->link);
	HASH_DEL(sessions->by_id, entry);
	sessions->count--;
	ot_free(entry);
}

void
fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session, ot_mono_ns now)
{
	session->used = now;
	ot_list_remove(&session->link);
	ot_list_push_back(&sessions->by_use, &session->link);
}

/* Partition, topic id and name; gives the key's bytes. Names are at most 249 bytes, longer ones are
 * cut and will not be found as topics anyway. */
static uint32_t
make_key(char key[SESSION_PART_KEY_BYTES_MAX], struct ot_str topic, const struct ot_uuid *topic_id,
    int32_t partition)
{
	uint32_t name_bytes = topic.len > 0 ? (uint32_t)OT_MIN(topic.len, 255) : 0;
	memcpy(key, &partition, 4);
	memcpy(key + 4, topic_id->bytes, 16);
	if (name_bytes > 0)
		memcpy(key + 20, topic.data, name_bytes);
	return 20 + name_bytes;
}

static struct fetch_session_part *
add_part(struct fetch_session *session, const char *key, uint32_t key_bytes,
    const struct ot_uuid *topic_id)
{
	struct fetch_session_part *part = ot_must_alloc(sizeof(*part) + key_bytes);
	memcpy(part->key, key, key_bytes);
	part->key_bytes = key_bytes;
	part->state.topic = (struct ot_str){ part->key + 20, (int32_t)key_bytes - 20 };
	part->state.topic_id = *topic_id;
	part->state.high_watermark = -1;
	part->state.log_start_offset = -1;
	HASH_ADD_KEYPTR(hh, session->by_key, part->key, key_bytes, part);
	ot_list_push_back(&session->parts, &part->link);
	session->part_count++;
	return part;
}

static void
update_part(struct fetch_session *session, struct ot_str topic, const struct ot_uuid *topic_id,
    const struct ot_fetch_request_partition *wanted)
{
	char key[SESSION_PART_KEY_BYTES_MAX];
	uint32_t key_bytes = make_key(key, topic, topic_id, wanted->partition);
	struct fetch_session_part *part;
	HASH_FIND(hh, session->by_key, key, key_bytes, part);
	if (part == NULL)
		part = add_part(session, key, key_bytes, topic_id);
	part->state.wanted = *wanted;
	part->state.wanted.unknown_tags = NULL; /* they are the request's memory */
}

static void
forget_part(struct fetch_session *session, struct ot_str topic, const struct ot_uuid *topic_id,
    int32_t partition)
{
	char key[SESSION_PART_KEY_BYTES_MAX];
	uint32_t key_bytes = make_key(key, topic, topic_id, partition);
	struct fetch_session_part *part;
	HASH_FIND(hh, session->by_key, key, key_bytes, part);
	if (part != NULL)
		remove_part(session, part);
}

void
fetch_session_update(struct fetch_session *session, const struct ot_fetch_request *body)
{
	for (int32_t i = 0; i < body->topics_count; i++) {
		const struct ot_fetch_request_topic *topic = &body->topics[i];
		for (int32_t j = 0; j < topic->partitions_count; j++)
			update_part(session, topic->topic, &topic->topic_id, &topic->partitions[j]);
	}
	for (int32_t i = 0; i < body->forgotten_topics_data_count; i++) {
		const struct ot_fetch_request_forgotten_topic *topic =
		    &body->forgotten_topics_data[i];
		for (int32_t j = 0; j < topic->partitions_count; j++)
			forget_part(session, topic->topic, &topic->topic_id, topic->partitions[j]);
	}
}

const struct fetch_part_state *
fetch_session_part_state(struct ot_list *link)
{
	return &OT_CONTAINER_OF(link, struct fetch_session_part, link)->state;
}

void
fetch_session_note(struct fetch_session *session, const struct fetch_part_state *told,
    bool has_records)
{
	char key[SESSION_PART_KEY_BYTES_MAX];
	uint32_t key_bytes = make_key(key, told->topic, &told->topic_id, told->wanted.partition);
	struct fetch_session_part *part;
	HASH_FIND(hh, session->by_key, key, key_bytes, part);
	if (part == NULL)
		return;
	part->state.high_watermark = told->high_watermark;
	part->state.log_start_offset = told->log_start_offset;
	part->state.error_code = told->error_code;
	if (!has_records)
		return;
	ot_list_remove(&part->link);
	ot_list_push_back(&session->parts, &part->link);
}
