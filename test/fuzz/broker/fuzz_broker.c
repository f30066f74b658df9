/* Goal: whatever frames a client sends, a whole broker goes on: another client is answered, before
 * and after a restart, and gets back what it has produced. Nothing that a request leaves behind,
 * in a log, a group or the metadata, keeps the broker from starting again.
 *
 * Method: a broker on a simulated machine. The first byte says how it stops; the rest is a list of
 * items, each a kind, a length of two bytes, and as many bytes: raw bytes, a frame, a request of a
 * given API with a right header, or record batches with right lengths and CRCs. A connection that
 * was closed is opened anew for the next item. */
#include "../../unit/broker/rig.h"

#include "base/crc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
	STOP_KILLED = 0x01,
	STOP_POWER_LOST = 0x02,

	ITEM_HEAD_BYTES = 3,
	ITEMS_MAX = 16,
	KIND_RAW = 0,
	KIND_FRAME = 1,
	KIND_REQUEST = 2, /* API key and version, a byte each, and the body */
	KIND_BATCHES = 3,
	KIND_ANOTHER = 4, /* from now on the other connection is used */
	KIND_WAIT = 5,    /* ten milliseconds for each unit of the length */
	KINDS = 6,
	WAIT_MS_MAX = 60 * 1000,
	LINKS = 2,
};

struct attack {
	struct rig rig;
	struct link links[LINKS];
	unsigned next;
};

static void
make_right(uint8_t *data, size_t bytes)
{
	while (bytes >= OT_BATCH_HEADER_BYTES) {
		/* One byte decides where the batch ends. */
		size_t wanted = OT_BATCH_HEADER_BYTES + data[OT_BATCH_LENGTH_AT + 3];
		size_t batch_bytes = wanted + OT_BATCH_HEADER_BYTES > bytes ? bytes : wanted;
		ot_put_u32(data + OT_BATCH_LENGTH_AT,
		    (uint32_t)(batch_bytes - OT_BATCH_PREFIX_BYTES));
		data[OT_BATCH_MAGIC_AT] = OT_MAGIC_V2;
		ot_put_u32(data + OT_BATCH_CRC_AT, ot_crc32c(0, data + OT_BATCH_ATTRIBUTES_AT,
						       batch_bytes - OT_BATCH_ATTRIBUTES_AT));
		data += batch_bytes;
		bytes -= batch_bytes;
	}
}

static void
send_batches(struct link *link, const uint8_t *data, size_t bytes)
{
	struct ot_produce_request request;
	struct ot_produce_request_topic topic;
	struct ot_produce_request_partition partition;
	uint8_t *copy = ot_must_alloc(bytes + 1);
	memcpy(copy, data, bytes);
	make_right(copy, bytes);
	ot_produce_request_init(&request);
	ot_produce_request_topic_init(&topic);
	ot_produce_request_partition_init(&partition);
	partition.records = (struct ot_records){ .data = copy, .len = (int32_t)bytes };
	topic.name = OT_STR_LIT("t");
	topic.partition_data = &partition;
	topic.partition_data_count = 1;
	request.acks = -1;
	request.topic_data = &topic;
	request.topic_data_count = 1;
	link_send(link, ot_api_find(0), RIG_PRODUCE_VERSION, &request);
	ot_free(copy);
}

static void
send_frame(struct link *link, const struct ot_api *api, int16_t version, const uint8_t *data,
    size_t bytes)
{
	struct ot_writer *out = &link->out;
	size_t place = out->bytes;
	ot_write_i32(out, 0);
	if (api != NULL)
		OT_ASSERT(ot_request_header_write(api, version, ++link->correlation_id,
			      OT_STR_LIT("x"), out) == OT_OK);
	ot_write_raw(out, data, bytes);
	ot_write_i32_at(out, place, (int32_t)(out->bytes - place - 4));
	ot_stream_want(link->stream, true, true);
}

static void
send_request(struct link *link, const uint8_t *data, size_t bytes)
{
	const struct ot_api *api = bytes >= 2 ? ot_api_find(data[0]) : NULL;
	if (api != NULL && ot_api_accepts(api, data[1], false))
		send_frame(link, api, data[1], data + 2, bytes - 2);
}

static void
send_item(struct attack *attack, uint8_t kind, const uint8_t *data, size_t bytes)
{
	struct link *link = &attack->links[attack->next % LINKS];
	if (link->stream != NULL && link->has_ended)
		link_close(link);
	if (link->stream == NULL)
		link_open(&attack->rig, link);
	if (kind == KIND_RAW) {
		ot_write_raw(&link->out, data, bytes);
		ot_stream_want(link->stream, true, true);
	} else if (kind == KIND_FRAME) {
		send_frame(link, NULL, 0, data, bytes);
	} else if (kind == KIND_REQUEST) {
		send_request(link, data, bytes);
	} else if (kind == KIND_BATCHES) {
		send_batches(link, data, bytes);
	}
}

static void
run_attack(struct attack *attack, const uint8_t *data, size_t bytes)
{
	for (int i = 0; i < ITEMS_MAX && bytes >= ITEM_HEAD_BYTES; i++) {
		uint8_t kind = data[0] % KINDS;
		size_t length = ot_get_u16(data + 1);
		data += ITEM_HEAD_BYTES;
		bytes -= ITEM_HEAD_BYTES;
		if (kind == KIND_ANOTHER) {
			attack->next++;
		} else if (kind == KIND_WAIT) {
			ot_sim_world_run_for_ms(attack->rig.world,
			    OT_MIN(length * 10, (size_t)WAIT_MS_MAX));
		} else {
			length = OT_MIN(length, bytes);
			send_item(attack, kind, data, length);
			ot_sim_world_run_for_ms(attack->rig.world, 20);
			data += length;
			bytes -= length;
		}
	}
}

static void
end_attack(struct attack *attack)
{
	for (int i = 0; i < LINKS; i++) {
		if (attack->links[i].stream != NULL)
			link_close(&attack->links[i]);
	}
	ot_sim_world_run_for_ms(attack->rig.world, 100);
}

/* Another client makes a topic of its own, writes there and reads it back. What the attack may have
 * set for the whole broker (the largest message, say) may refuse it, but it is answered. */
static void
check_service(struct rig *rig, const char *topic, int64_t *ret_offset)
{
	struct link link;
	struct fetched fetched;
	*ret_offset = -1;
	link_open(rig, &link);
	int16_t code = link_create_topic(&link, topic, 1, "retention.ms", "-1");
	if (code == OT_OK)
		code = link_produce(&link, topic, 0, -1, "kept", ret_offset);
	OT_ASSERT(code >= 0 && !link.has_ended);
	if (code == OT_OK) {
		link_fetch(&link, topic, 0, *ret_offset, 0, &fetched);
		OT_ASSERT(fetched.code == OT_OK);
		OT_ASSERT(strcmp((const char *)fetched.values.data, "kept;") == 0);
		fetched_fini(&fetched);
	} else {
		*ret_offset = -1;
	}
	link_close(&link);
}

static void
check_kept(struct rig *rig, const char *topic, int64_t offset)
{
	struct link link;
	struct fetched fetched;
	link_open(rig, &link);
	link_fetch(&link, topic, 0, offset, 0, &fetched);
	OT_ASSERT(fetched.code == OT_OK);
	OT_ASSERT(strcmp((const char *)fetched.values.data, "kept;") == 0);
	fetched_fini(&fetched);
	link_close(&link);
}

static void
restart(struct rig *rig, uint8_t how)
{
	if ((how & (STOP_KILLED | STOP_POWER_LOST)) == 0) {
		rig_stop(rig);
	} else {
		bool is_killed = (how & STOP_KILLED) != 0;
		ot_sim_host_crash(rig->host, is_killed ? OT_SIM_KILLED : OT_SIM_POWER_LOST);
		ot_sim_host_restart(rig->host);
	}
	rig_start(rig);
	/* After a crash a partition is served once its log is recovered. */
	ot_sim_world_run_for_ms(rig->world, 5000);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct attack *attack = OT_NEW(struct attack);
	struct rig *rig = &attack->rig;
	struct link link;
	int64_t offset = -1, after = -1;
	if (bytes > 0) {
		rig_init(rig, 1, "");
		rig_start(rig);
		link_open(rig, &link);
		OT_ASSERT(link_create_topic(&link, "t", 2, NULL, NULL) == OT_OK);
		link_close(&link);
		run_attack(attack, data + 1, bytes - 1);
		check_service(rig, "after.the.attack", &offset);
		end_attack(attack);
		restart(rig, data[0]);
		/* What was not flushed may be gone with the power. */
		if (offset >= 0 && (data[0] & STOP_POWER_LOST) == 0)
			check_kept(rig, "after.the.attack", offset);
		check_service(rig, "after.the.restart", &after);
		OT_ASSERT(offset < 0 || after >= 0);
		rig_fini(rig);
	}
	ot_free(attack);
	return 0;
}
