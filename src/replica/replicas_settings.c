/* What a partition needs of its topic's settings, and of the broker's. */
#include "replica/replicas_int.h"

static enum ot_compression
codec_of(enum ot_compression_setting setting)
{
	switch (setting) {
	case OT_COMPRESS_GZIP:
		return OT_COMPRESSION_GZIP;
	case OT_COMPRESS_SNAPPY:
		return OT_COMPRESSION_SNAPPY;
	case OT_COMPRESS_LZ4:
		return OT_COMPRESSION_LZ4;
	case OT_COMPRESS_ZSTD:
		return OT_COMPRESSION_ZSTD;
	default:
		return OT_COMPRESSION_NONE;
	}
}

static int32_t
level_of(const struct ot_topic_settings *topic)
{
	switch (topic->compression_type) {
	case OT_COMPRESS_GZIP:
		return topic->compression_gzip_level;
	case OT_COMPRESS_LZ4:
		return topic->compression_lz4_level;
	case OT_COMPRESS_ZSTD:
		return topic->compression_zstd_level;
	default:
		return OT_COMPRESSION_LEVEL_DEFAULT;
	}
}

struct ot_part_settings
replicas_settings(const struct ot_image *image, const struct ot_topic_image *topic)
{
	const struct ot_settings *broker = ot_image_settings(image);
	const struct ot_topic_settings *from = ot_image_topic_settings(image, topic);
	return (struct ot_part_settings){
		.log = {
			.segment_ms = from->segment_ms,
			.segment_jitter_ms = from->segment_jitter_ms,
			.retention_bytes = from->retention_bytes,
			.retention_ms = from->retention_ms,
			.file_delete_delay_ms = from->file_delete_delay_ms,
			.producer_id_expiration_ms =
			    ot_settings_number(broker, OT_BROKER_PRODUCER_ID_EXPIRATION_MS),
			.segment_bytes = from->segment_bytes,
			.segment_index_bytes = from->segment_index_bytes,
			.index_interval_bytes = from->index_interval_bytes,
			.is_deleting = from->cleanup_delete,
			.is_compacted = from->cleanup_compact,
		},
		.flush_messages = from->flush_messages,
		.flush_ms = from->flush_ms,
		.timestamp_before_ms = from->timestamp_before_max_ms,
		.timestamp_after_ms = from->timestamp_after_max_ms,
		.message_bytes_max = from->max_message_bytes,
		.compression_level = level_of(from),
		.min_insync_replicas = (int16_t)OT_MIN(from->min_insync_replicas, INT16_MAX),
		.timestamp_type = from->timestamp_type == OT_TIMESTAMP_LOG_APPEND_TIME
		    ? OT_LOG_APPEND_TIME
		    : OT_CREATE_TIME,
		.replica_lag_ms =
		    ot_settings_number(broker, OT_BROKER_REPLICA_LAG_TIME_MAX_MS),
		.compression = codec_of(from->compression_type),
		.is_codec_kept = from->compression_type == OT_COMPRESS_AS_PRODUCER,
		.is_compacted = from->cleanup_compact,
	};
}
