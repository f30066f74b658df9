"""Kafka's protocol in Python, for tests that must say exactly what goes over the wire.

Messages are encoded and decoded by schema/messages, so every API in every version is here. A message
is a dictionary with Kafka's names of fields; fields left out have their defaults. What is decoded is
a Row: a dictionary whose fields are attributes too. What no well-behaved client would send is made by
hand: `Connection.send_bytes`, and the options of `batch`.
"""

import ctypes
import gzip
import os
import socket
import struct
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "gen"))
import msgschema  # noqa: E402  (found in the folder above)

API_VERSIONS, CONTROLLED_SHUTDOWN = 18, 7
NUMBERS = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i",
           "uint32": ">I", "int64": ">q", "float64": ">d"}
UUID_ZERO = bytes(16)


class Row(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


# ---- schema ----------------------------------------------------------------------------------------

def _load():
    files = msgschema.load(os.path.join(ROOT, "schema"))
    apis = {api.name: api for file in files for api in file.apis}
    messages = {message.name: message for file in files for message in file.messages}
    return apis, messages


APIS, MESSAGES = _load()


def _load_errors():
    with open(os.path.join(ROOT, "schema", "errors.tsv"), encoding="utf-8") as file:
        rows = [line.split("\t") for line in file if not line.startswith("#")]
    return {int(row[0]): row[1] for row in rows[1:]}


ERRORS = _load_errors()


def error_name(code):
    return ERRORS.get(code, f"code {code}")


# ---- encoding --------------------------------------------------------------------------------------

def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value):
    """Zigzag, of 32 and of 64 bits alike."""
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


def _default(field):
    if field.default == "null":
        return None
    if field.array:
        return []
    if field.struct is not None:
        return Row((inner.name, _default(inner)) for inner in field.struct.fields)
    if field.type == "string":
        return field.default or ""
    if field.type == "uuid":
        return UUID_ZERO
    if field.type in ("bytes", "records"):
        return b""
    if field.type == "bool":
        return field.default == "true"
    return float(field.default or 0) if field.type == "float64" else int(field.default or "0", 0)


class Writer:
    def __init__(self, message, version):
        self.message, self.version = message, version
        self.flexible = version in message.flexible

    def length(self, count, plain, flexible):
        """Of a string, bytes or array; None is null."""
        if flexible:
            return uvarint(0 if count is None else count + 1)
        return struct.pack(plain, -1 if count is None else count)

    def value(self, field, value):
        if field.array:
            head = self.length(None if value is None else len(value), ">i", self.flexible)
            if value is None:
                return head
            return head + b"".join(self.element(field, item) for item in value)
        if field.struct is not None and self.version in field.nullable:
            return b"\xff" if value is None else b"\x01" + self.struct(field.struct, value)
        return self.element(field, value)

    def element(self, field, value):
        if field.struct is not None:
            return self.struct(field.struct, value)
        if field.type in NUMBERS:
            return struct.pack(NUMBERS[field.type], value)
        if field.type == "uuid":
            return value
        if field.type == "string":
            data = value.encode() if isinstance(value, str) else value
            flexible = self.flexible and not field.inflexible
            return self.length(None if data is None else len(data), ">h", flexible) + (data or b"")
        head = self.length(None if value is None else len(value), ">i", self.flexible)
        return head + (value or b"")

    def struct(self, shape, values):
        unknown = set(values) - {field.name for field in shape.fields} - {"_tags"}
        assert not unknown, f"{self.message.name} has no {unknown}"
        out, tags = [], dict(values.get("_tags", {}))
        for field in shape.fields:
            if self.version not in field.versions:
                continue
            value = values.get(field.name, _default(field))
            if self.version not in field.tagged:
                out.append(self.value(field, value))
            elif field.name in values:
                tags[field.tag] = self.value(field, value)
        if self.flexible:
            out.append(uvarint(len(tags)))
            for tag, data in sorted(tags.items()):
                out.append(uvarint(tag) + uvarint(len(data)) + data)
        return b"".join(out)


def encode(name, version, values):
    """A message's body. `_tags` in any struct's values adds tagged fields: {tag: bytes}."""
    message = MESSAGES[name]
    return Writer(message, version).struct(message.body, values)


# ---- decoding --------------------------------------------------------------------------------------

class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        assert 0 <= count <= len(self.data) - self.at, f"{count} bytes wanted at {self.at}"
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, pattern):
        return struct.unpack(pattern, self.take(struct.calcsize(pattern)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def varint(self):
        value = self.uvarint()
        return value >> 1 if value & 1 == 0 else -((value + 1) >> 1)

    def length(self, plain, flexible):
        count = self.uvarint() - 1 if flexible else self.number(plain)
        return None if count < 0 else count


class MessageReader(Reader):
    def __init__(self, message, version, data, at=0):
        super().__init__(data, at)
        self.message, self.version = message, version
        self.flexible = version in message.flexible

    def value(self, field):
        if field.array:
            count = self.length(">i", self.flexible)
            return None if count is None else [self.element(field) for _ in range(count)]
        if field.struct is not None and self.version in field.nullable:
            return self.struct(field.struct) if self.number(">b") >= 0 else None
        return self.element(field)

    def element(self, field):
        if field.struct is not None:
            return self.struct(field.struct)
        if field.type in NUMBERS:
            return self.number(NUMBERS[field.type])
        if field.type == "uuid":
            return self.take(16)
        is_string = field.type == "string"
        flexible = self.flexible and not field.inflexible
        count = self.length(">h" if is_string else ">i", flexible)
        if count is None:
            return None
        data = self.take(count)
        return data.decode() if is_string else data

    def struct(self, shape):
        row = Row()
        for field in shape.fields:
            is_here = self.version in field.versions and self.version not in field.tagged
            row[field.name] = self.value(field) if is_here else _default(field)
        if self.flexible:
            tagged = {field.tag: field for field in shape.fields if self.version in field.tagged}
            for _ in range(self.uvarint()):
                tag, size = self.uvarint(), self.uvarint()
                end = self.at + size
                if tag in tagged:
                    row[tagged[tag].name] = self.value(tagged[tag])
                    assert self.at == end, f"tag {tag} is {self.at - end} bytes off"
                else:
                    row.setdefault("_tags", {})[tag] = self.take(size)
        return row


def decode(name, version, data, at=0):
    """The message whose body begins at `at`; it must end where the data ends."""
    reader = MessageReader(MESSAGES[name], version, data, at)
    row = reader.struct(MESSAGES[name].body)
    assert reader.at == len(data), f"{name} {version}: {len(data) - reader.at} bytes left over"
    return row


# ---- connections -----------------------------------------------------------------------------------

class Closed(Exception):
    """The server closed the connection."""


def request_bytes(api_name, version, values, correlation, client_id="wire"):
    """Header and body, without the length."""
    api = APIS[api_name]
    if api.key == CONTROLLED_SHUTDOWN and version == 0:
        header = 0
    else:
        header = 2 if version in api.request.flexible else 1
    return encode("RequestHeader", header, {
        "RequestApiKey": api.key, "RequestApiVersion": version, "CorrelationId": correlation,
        "ClientId": client_id}) + encode(api.request.name, version, values)


def frame(data):
    return struct.pack(">i", len(data)) + data


class Connection:
    """One connection. `call` sends a request and returns its answer; `send` and `receive` are its
    halves, for pipelining."""

    def __init__(self, address, timeout=20, client_id="wire"):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id = client_id
        self.next_correlation = 1
        self.pending = []  # (correlation id, API, version), oldest first

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, api_name, version, expect_answer=True, **values):
        correlation = self.next_correlation
        self.next_correlation += 1
        if expect_answer:
            self.pending.append((correlation, APIS[api_name], version))
        self.send_bytes(frame(request_bytes(api_name, version, values, correlation,
                                            self.client_id)))
        return correlation

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive_bytes(self, count):
        parts, have = [], 0
        while have < count:
            try:
                part = self.socket.recv(min(count - have, 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def receive_frame(self):
        return self.receive_bytes(struct.unpack(">i", self.receive_bytes(4))[0])

    def receive(self):
        """The answer to the oldest request that has none; its correlation id must be the one."""
        data = self.receive_frame()
        correlation, api, version = self.pending.pop(0)
        assert struct.unpack_from(">i", data)[0] == correlation, "answers are out of order"
        at = 4
        if version in api.response.flexible and api.key != API_VERSIONS:
            assert data[4] == 0, "tagged fields in a response's header"
            at = 5
        return decode(api.response.name, version, data, at)

    def call(self, api_name, version, **values):
        self.send(api_name, version, **values)
        return self.receive()

    def is_closed(self, timeout=10):
        """Waits until the server closes; False if it sent something instead or went on."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


# ---- record batches --------------------------------------------------------------------------------

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


_isal = ctypes.CDLL("libisal.so.2")
_isal.crc32_iscsi.restype = ctypes.c_uint32


def crc32c(data):
    return _isal.crc32_iscsi(data, ctypes.c_int(len(data)), ctypes.c_uint32(0xFFFFFFFF)) ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value that the algorithm is published with


def _compress_by(library, bound_name, function_name, data, *last):
    code = ctypes.CDLL(library)
    bound, function = getattr(code, bound_name), getattr(code, function_name)
    bound.restype = function.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(bound(ctypes.c_size_t(len(data)), *last[:1]))
    size = function(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), *last)
    return room.raw[:size]


def compress(data, codec):
    if codec == GZIP:
        return gzip.compress(data)
    if codec == LZ4:
        return _compress_by("liblz4.so.1", "LZ4F_compressFrameBound", "LZ4F_compressFrame", data,
                            None)
    if codec == ZSTD:
        return _compress_by("libzstd.so.1", "ZSTD_compressBound", "ZSTD_compress", data,
                            ctypes.c_int(3))
    if codec == SNAPPY:  # one raw block
        code = ctypes.CDLL("libsnappy.so.1")
        code.snappy_max_compressed_length.restype = ctypes.c_size_t
        size = ctypes.c_size_t(code.snappy_max_compressed_length(ctypes.c_size_t(len(data))))
        room = ctypes.create_string_buffer(size.value)
        assert code.snappy_compress(data, ctypes.c_size_t(len(data)), room, ctypes.byref(size)) == 0
        return room.raw[:size.value]
    return data


def record(value, key=None, headers=(), offset_delta=0, timestamp_delta=0):
    def blob(data):
        return varint(-1) if data is None else varint(len(data)) + data

    body = (b"\0" + varint(timestamp_delta) + varint(offset_delta) + blob(key) + blob(value) +
            varint(len(headers)))
    for name, content in headers:
        body += varint(len(name)) + name + blob(content)
    return varint(len(body)) + body


def batch(values, codec=NONE, *, base_offset=0, producer_id=-1, producer_epoch=-1, sequence=-1,
          timestamp=None, max_timestamp=None, count=None, last_delta=None, attributes=0, magic=2,
          crc=None, payload=None, leader_epoch=-1):
    """A batch of values, or of (key, value) pairs. `payload` stands for the records as they lie on
    the wire, `count`, `last_delta`, `magic` and `crc` can lie."""
    if payload is None:
        pairs = [item if isinstance(item, tuple) else (None, item) for item in values]
        records = b"".join(record(value, key, offset_delta=i)
                           for i, (key, value) in enumerate(pairs))
        payload = compress(records, codec)
    count = len(values) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    max_timestamp = timestamp if max_timestamp is None else max_timestamp
    tail = struct.pack(">hiqqqhii", attributes | codec, last_delta, timestamp, max_timestamp,
                       producer_id, producer_epoch, sequence, count) + payload
    crc = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base_offset, len(tail) + 9, leader_epoch, magic, crc) + tail


def parse_batches(data):
    """The whole batches in fetched bytes; records of compressed ones are left alone, but for gzip."""
    found, at = [], 0
    while len(data) - at >= 61:
        base, length, epoch, magic, crc = struct.unpack_from(">qiibI", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        assert magic == 2
        assert crc == crc32c(data[at + 21:end]), f"CRC of the batch at offset {base}"
        fields = struct.unpack_from(">hiqqqhii", data, at + 21)
        found.append(Row(zip(
            ("attributes", "last_delta", "first_timestamp", "max_timestamp", "producer_id",
             "producer_epoch", "sequence", "count"), fields)))
        found[-1].update(base_offset=base, leader_epoch=epoch, codec=fields[0] & 7,
                         payload=data[at + 61:end], bytes=data[at:end])
        at = end
    return found


def parse_records(row):
    """Of one parsed batch: rows with offset, timestamp, key, value, headers."""
    payload = gzip.decompress(row.payload) if row.codec == GZIP else row.payload
    assert row.codec in (NONE, GZIP)
    reader, found = Reader(payload), []

    def blob():
        count = reader.varint()
        return None if count < 0 else reader.take(count)

    for _ in range(row.count):
        end = reader.varint() + reader.at
        reader.take(1)
        time_delta, offset_delta = reader.varint(), reader.varint()
        key, value = blob(), blob()
        headers = [(blob(), blob()) for _ in range(reader.varint())]
        assert reader.at == end
        found.append(Row(offset=row.base_offset + offset_delta,
                         timestamp=row.first_timestamp + time_delta, key=key, value=value,
                         headers=headers))
    assert reader.at == len(payload)
    return found


# ---- everyday requests -----------------------------------------------------------------------------

def produce(connection, topic, partition, records, *, version=9, acks=-1, timeout_ms=10000):
    """Produces to one partition; returns its row of the answer (None with acks=0)."""
    connection.send("Produce", version, expect_answer=acks != 0, Acks=acks, TimeoutMs=timeout_ms,
                    TopicData=[{"Name": topic, "PartitionData": [
                        {"Index": partition, "Records": records}]}])
    if acks == 0:
        return None
    return connection.receive().Responses[0].PartitionResponses[0]


def fetch(connection, topic, partition, offset, *, version=11, max_bytes=1 << 20, wait_ms=0,
          min_bytes=1, **more):
    """Fetches from one partition; returns its row of the answer."""
    answer = connection.call(
        "Fetch", version, MaxWaitMs=wait_ms, MinBytes=min_bytes, MaxBytes=max_bytes,
        Topics=[{"Topic": topic, "Partitions": [
            {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": max_bytes, **more}]}])
    assert answer.ErrorCode == 0, error_name(answer.ErrorCode)
    return answer.Responses[0].Partitions[0]


def fetch_all(connection, topic, partition, offset=0):
    """All records from an offset to the high watermark."""
    found = []
    while True:
        row = fetch(connection, topic, partition, offset, max_bytes=1 << 22)
        assert row.ErrorCode == 0, error_name(row.ErrorCode)
        for parsed in parse_batches(row.Records or b""):
            found += [item for item in parse_records(parsed) if item.offset >= offset]
        if offset >= row.HighWatermark or not row.Records:
            return found
        offset = found[-1].offset + 1 if found else offset


def create_topic(connection, name, partitions=1, configs=None, version=5):
    """Creates a topic; returns its row of the answer."""
    return connection.call("CreateTopics", version, timeoutMs=10000, Topics=[{
        "Name": name, "NumPartitions": partitions, "ReplicationFactor": 1,
        "Configs": [{"Name": key, "Value": str(value)}
                    for key, value in (configs or {}).items()]}]).Topics[0]
