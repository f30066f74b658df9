#!/usr/bin/python3
"""Writes the seeds of fuzz_metadata: records of the metadata log, each behind a uint16 length.

    seeds_metadata.py CORPUS_DIR
"""
import pathlib
import struct
import sys


def uvarint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value):
    return b"\0" if value is None else uvarint(len(value) + 1) + value.encode()


def ids(*values):
    return uvarint(len(values) + 1) + b"".join(struct.pack(">i", value) for value in values)


def uuid(number):
    return bytes(15) + bytes([number])


def uuids(*numbers):
    return uvarint(len(numbers) + 1) + b"".join(uuid(number) for number in numbers)


def tagged(**fields):
    items = sorted((int(tag[1:]), value) for tag, value in fields.items())
    return uvarint(len(items)) + b"".join(
        uvarint(tag) + uvarint(len(value)) + value for tag, value in items
    )


def record(kind, version, *body):
    framed = b"\1" + uvarint(kind) + uvarint(version) + b"".join(body)
    return struct.pack(">H", len(framed)) + framed


def i8(value):
    return struct.pack(">b", value)


def i16(value):
    return struct.pack(">h", value)


def i32(value):
    return struct.pack(">i", value)


def i64(value):
    return struct.pack(">q", value)


def level(name, value):
    return record(12, 0, text(name), i16(value), tagged())


def topic(name, number):
    return record(2, 0, text(name), uuid(number), tagged())


def partition(number, index, replicas=(1, 2, 3), leader=1):
    return record(3, 2, i32(index), uuid(number), ids(*replicas), ids(*replicas), ids(), ids(),
                  i32(leader), i32(0), i32(0), uuids(*replicas), tagged(t1=ids(2), t2=ids(3)))


def change(number, index, **fields):
    return record(5, 2, i32(index), uuid(number), tagged(**fields))


def setting(kind, resource, name, value):
    return record(4, 0, i8(kind), text(resource), text(name), text(value), tagged())


def broker(number, epoch):
    endpoint = text("PLAINTEXT") + text("localhost") + struct.pack(">Hh", 9092, 0) + tagged()
    feature = text("metadata.version") + i16(7) + i16(30) + tagged()
    return record(0, 4, i32(number), b"\0", uuid(number), i64(epoch), uvarint(2) + endpoint,
                  uvarint(2) + feature, text("rack"), b"\1", b"\0", tagged(t0=uuids(9)))


SEEDS = {
    "topics": level("metadata.version", 30) + topic("a.b", 1) + partition(1, 0) + partition(1, 1)
    + change(1, 0, t0=ids(2), t1=i32(2)) + topic("c", 2) + partition(2, 0)
    + record(9, 0, uuid(1), tagged()) + record(28, 0, text("c"), tagged())
    + record(28, 0, text(""), tagged()),
    "settings": level("metadata.version", 30) + topic("t", 1) + partition(1, 0)
    + setting(2, "t", "retention.ms", "5") + setting(4, "", "log.retention.ms", "7")
    + setting(2, "t", "retention.ms", None) + setting(4, "-1", "log.retention.ms", "x"),
    "brokers": level("metadata.version", 30) + broker(1, 5) + broker(2, 6)
    + record(17, 3, i32(1), i64(5), tagged(t0=i8(-1), t1=i8(1), t2=uuids(8)))
    + record(1, 0, i32(2), i64(6), tagged()) + record(7, 0, i32(1), i64(5), tagged()),
    "kept": level("metadata.version", 30)
    + record(18, 0, uuid(1), i8(2), text("t"), i8(3), text("User:a"), text("*"), i8(3), i8(3),
             tagged())
    + record(19, 0, uuid(1), tagged())
    + record(11, 0, text("alice"), i8(1), text("s"), text("k"), text("v"), i32(4096), tagged())
    + record(22, 0, text("alice"), i8(1), tagged())
    + record(14, 0, uvarint(2) + text("user") + text(None) + tagged(), text("k"),
             struct.pack(">d", 1.5), b"\0", tagged())
    + record(15, 0, i32(1), i64(5), i64(2000), tagged()),
    "transaction": level("metadata.version", 30) + record(23, 0, tagged()) + topic("a", 1)
    + partition(1, 0) + record(25, 0, tagged()) + record(23, 0, tagged()) + topic("b", 2)
    + partition(2, 0) + record(24, 0, tagged()) + record(20, 0, tagged()),
    "wrong": partition(1, 0) + topic("a", 1) + topic("a", 2) + topic("b", 1)
    + partition(1, 5) + change(1, 1, t1=i32(1)) + partition(1, 0, replicas=(), leader=-1)
    + partition(1, 0, leader=7) + record(120, 0) + record(12, 0, text("metadata.version"), i16(99),
                                                          tagged()),
}

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / name).write_bytes(content)
