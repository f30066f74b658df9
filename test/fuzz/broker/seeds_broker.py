#!/usr/bin/python3
"""Writes the seeds of fuzz_broker: requests of every API that is served, with something in each part.

    seeds_broker.py CORPUS_DIR
"""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))
import wire  # noqa: E402

RAW, FRAME, REQUEST, BATCHES, ANOTHER, WAIT = range(6)
SERVED = (0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 44,
          47, 60, 75)
TEXTS = {"Topic": "t", "TopicName": "t", "GroupId": "g", "ProtocolType": "consumer",
         "ProtocolName": "range", "TransactionalId": None, "GroupInstanceId": "i", "Key": "g",
         "RackId": None, "Host": "h", "ResourceName": "t", "MemberId": "m", "Value": "60000"}
NUMBERS = {"Acks": -1, "TimeoutMs": 1000, "timeoutMs": 1000, "MaxWaitMs": 1, "MaxBytes": 10000,
           "PartitionMaxBytes": 10000, "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 100,
           "ReplicaId": -1, "SessionId": 0, "SessionEpoch": -1, "CurrentLeaderEpoch": -1,
           "LastFetchedEpoch": -1, "LogStartOffset": -1, "Timestamp": -1, "LeaderEpoch": 0,
           "NumPartitions": 2, "ReplicationFactor": 1, "ResourceType": 2, "Count": 4,
           "GenerationIdOrMemberEpoch": -1, "CommittedOffset": 3, "RetentionTimeMs": -1,
           "ResponsePartitionLimit": 100, "ProducerId": -1, "ProducerEpoch": -1, "MinBytes": 1}
RECORDS = wire.batch([(b"key", b"value")] * 3, timestamp=1700000000000)


def fill(field, api):
    if field.struct is not None:
        value = {inner.name: fill(inner, api) for inner in field.struct.fields}
    elif field.type == "records":
        value = RECORDS
    elif field.type == "bytes":
        value = b"\0\1" + b"\0\0\0\1\0\1t" + b"\0" * 4
    elif field.type == "uuid":
        value = wire.UUID_ZERO
    elif field.type == "string":
        is_setting = field.name in ("ConfigurationKeys", "Name") and api in (19, 32, 33, 44)
        value = TEXTS.get(field.name, "retention.ms" if is_setting else "t")
    elif field.type == "bool":
        value = False
    elif field.type == "float64":
        value = 1.0
    else:
        value = NUMBERS.get(field.name, 0)
    if field.array:
        return [value]
    return value


def item(kind, data=b"", length=None):
    return struct.pack(">BH", kind, len(data) if length is None else length) + data


def request(key, version, **values):
    api = next(api for api in wire.APIS.values() if api.key == key)
    shape = api.request.body.fields
    filled = {field.name: fill(field, key) for field in shape if version in field.versions}
    filled.update(values)
    if key == 19:
        filled["Topics"][0].update(Name="n", Assignments=[])
    if key == 37:
        filled["Topics"][0].update(Name="t", Assignments=None)
    return item(REQUEST, bytes((key, version)) + wire.encode(api.request.name, version, filled))


SEEDS = {}
for api in wire.APIS.values():
    if api.key not in SERVED:
        continue
    versions = api.request.valid
    for version in {max(versions.low, {0: 3, 1: 4}.get(api.key, 0)), versions.high}:
        SEEDS[f"{api.name}_{version}"] = b"\0" + request(api.key, version)

SEEDS["raw"] = b"\1" + item(RAW, b"GET / HTTP/1.1\r\n\r\n") + item(RAW, b"\x16\x03\1\0\5hello")
SEEDS["frames"] = b"\2" + item(FRAME, struct.pack(">hhih", 18, 99, 1, -1)) + item(
    FRAME, struct.pack(">hhih", 99, 0, 1, -1)) + item(RAW, b"\xff\xff\xff\xff")
SEEDS["batches"] = b"\0" + item(BATCHES, RECORDS) + item(
    BATCHES, wire.batch([b"a"], producer_id=1, producer_epoch=0, sequence=0,
                        timestamp=1700000000000)) + item(
    BATCHES, wire.batch([b"b" * 50], wire.GZIP, timestamp=1700000000000)) + request(1, 12)
SEEDS["group"] = b"\1" + request(11, 2, MemberId="") + item(WAIT, length=20) + request(
    8, 2, GenerationIdOrMemberEpoch=-1, MemberId="") + item(ANOTHER) + request(
    11, 6, MemberId="") + item(WAIT, length=2000) + request(42, 2, GroupsNames=["g"])
SEEDS["delete"] = b"\2" + item(BATCHES, RECORDS) + request(21, 2) + request(
    20, 3, TopicNames=["t"]) + request(19, 5) + request(37, 3)

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / name).write_bytes(content)
