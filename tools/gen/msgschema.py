"""Reads schema/messages/*.msg and schema/records/*.msg; schema/README.md describes the format."""

import os
import re
import sys

VERSION_MAX = 32767
KINDS = ("api", "header", "record", "key", "value", "data")
PROPERTIES = ("listeners", "valid", "flexible", "accepted", "advertised", "unstable", "type")
LISTENERS = ("broker", "controller")
WIRE_BYTES = {
    "bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8,
    "float64": 8, "uuid": 16, "string": 1, "bytes": 1, "records": 1,
}


class Range:
    """Inclusive; none is (0, -1)."""

    def __init__(self, low=0, high=-1):
        self.low, self.high = low, high

    def __contains__(self, version):
        return self.low <= version <= self.high

    def covers(self, other):
        return other.empty() or (self.low <= other.low and other.high <= self.high)

    def cut(self, other):
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Range(low, high) if low <= high else Range()

    def empty(self):
        return self.low > self.high

    def __str__(self):
        if self.empty():
            return "none"
        if self.high == VERSION_MAX:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


class Field:
    def __init__(self):
        self.name = self.type = self.default = None
        self.array = self.key = self.inflexible = False
        self.tag = None
        self.versions = self.nullable = self.tagged = Range()
        self.struct = None  # of the element when it is a struct


class Struct:
    """A nested type, or the body of a message (name None)."""

    def __init__(self, name):
        self.name, self.fields = name, []


class Message:
    def __init__(self, kind, name):
        self.kind, self.name = kind, name
        self.type = -1  # API key, record type
        self.valid = self.flexible = Range()
        self.structs = []  # nested ones, inner before outer
        self.body = None


class Api:
    def __init__(self, name, key):
        self.name, self.key = name, key
        self.listeners = []
        self.accepted = self.advertised = self.unstable = None
        self.request = self.response = None


class File:
    def __init__(self, path):
        self.path = path
        self.stem = os.path.splitext(os.path.basename(path))[0]
        self.about, self.apis, self.messages = [], [], []


def parse_range(text):
    if text == "none":
        return Range()
    match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
    if not match:
        raise ValueError(f"'{text}' is not a version range (like 3, 3-7, 3+ or none)")
    low = int(match[1])
    high = VERSION_MAX if match[2] else int(match[3]) if match[3] else low
    if low > high:
        raise ValueError(f"the range {text} is upside down")
    return Range(low, high)


class Parser:
    def __init__(self, path):
        self.file = File(path)
        self.number = 0
        self.message = self.api = None
        self.properties = {}
        self.stack = []  # [(depth, Struct)] of the structs that a deeper line may belong to

    def fail(self, text):
        sys.exit(f"{self.file.path}:{self.number}: {text}")

    def parse(self):
        with open(self.file.path, encoding="utf-8") as lines:
            for self.number, line in enumerate(lines, 1):
                text = line.rstrip()
                if text.lstrip().startswith("#") or not text:
                    if not self.properties and self.message is None and text:
                        self.file.about.append(text[1:].strip())
                    continue
                try:
                    self.line(len(text) - len(text.lstrip("\t")), text.split("#")[0].split())
                except ValueError as error:
                    self.fail(error)
        self.finish_api()
        return self.file

    def line(self, depth, words):
        if depth == 0:
            self.top(words)
        elif self.message is None:
            self.property(words)
        elif words[0] == "struct" and depth == 1 and len(words) == 2:
            struct = self.new_struct(words[1])
            self.stack = [(1, self.message.body), (2, struct)]
        else:
            self.field(depth, words)

    def top(self, words):
        if words[0] in KINDS:
            self.finish_api()
            self.message, self.properties = None, {"kind": words[0], "name": words[1]}
            if words[0] == "api":
                self.api = Api(words[1], int(words[2]))
        elif words[0] in ("request", "response") and self.api:
            self.start(Message(words[0], self.api.name + words[0].capitalize()))
            setattr(self.api, words[0], self.message)
            self.message.type = self.api.key
        elif words == ["fields"] and self.properties and not self.api:
            self.start(Message(self.properties["kind"], self.properties["name"]))
            self.message.type = int(self.properties.get("type", -1))
        else:
            raise ValueError(f"'{words[0]}' does not begin anything here")

    def property(self, words):
        if words[0] not in PROPERTIES or words[0] in self.properties:
            raise ValueError(f"'{words[0]}' is no property, or stands twice")
        self.properties[words[0]] = " ".join(words[1:])

    def start(self, message):
        for needed in ("valid", "flexible"):
            if needed not in self.properties:
                raise ValueError(f"{message.name} has no line '{needed}'")
        message.valid = parse_range(self.properties["valid"])
        message.flexible = parse_range(self.properties["flexible"]).cut(message.valid)
        message.body = Struct(None)
        self.message = message
        self.file.messages.append(message)
        self.stack = [(1, message.body)]

    def finish_api(self):
        api, given = self.api, self.properties
        if api is None:
            return
        self.api = None
        if api.request is None or api.response is None:
            self.fail(f"{api.name} lacks its request or its response")
        valid = api.request.valid
        api.unstable = parse_range(given.get("unstable", "none"))
        stable = valid if api.unstable.empty() else Range(valid.low, api.unstable.low - 1)
        api.accepted = parse_range(given["accepted"]) if "accepted" in given else stable
        api.advertised = (
            parse_range(given["advertised"]) if "advertised" in given else api.accepted)
        api.listeners = [name for name in given.get("listeners", "").split() if name != "none"]
        if not valid.covers(api.accepted) or not api.advertised.covers(api.accepted):
            self.fail(f"{api.name}: accepted lies outside of valid or advertised")
        if any(name not in LISTENERS for name in api.listeners):
            self.fail(f"{api.name}: a listener is none of {LISTENERS}")
        self.file.apis.append(api)

    def new_struct(self, name):
        if any(struct.name == name for struct in self.message.structs):
            raise ValueError(f"struct {name} stands twice in {self.message.name}")
        struct = Struct(name)
        self.message.structs.append(struct)
        return struct

    def find_struct(self, name):
        for struct in self.message.structs:
            if struct.name == name:
                return struct
        return None

    def field(self, depth, words):
        while self.stack and self.stack[-1][0] > depth:
            self.stack.pop()
        if self.stack and self.stack[-1][0] == depth:
            parent = self.stack[-1][1]
        else:
            parent = self.open_struct(depth)
        field = self.parse_field(words)
        if any(other.name == field.name for other in parent.fields):
            raise ValueError(f"field {field.name} stands twice")
        parent.fields.append(field)

    def open_struct(self, depth):
        """The first line below a field of a struct type that is not known yet: its fields."""
        if not self.stack or self.stack[-1][0] != depth - 1 or not self.stack[-1][1].fields:
            raise ValueError("wrong indentation")
        field = self.stack[-1][1].fields[-1]
        if not field.type[0].isupper() or field.struct is not None:
            raise ValueError(f"{field.name} has no room for fields")
        field.struct = self.new_struct(field.type)
        self.stack.append((depth, field.struct))
        return field.struct

    def parse_field(self, words):
        if len(words) < 3:
            raise ValueError("a field is: name, type, versions, attributes")
        field = Field()
        field.name, field.type = words[0], words[1]
        field.array = field.type.startswith("[]")
        field.type = field.type.removeprefix("[]")
        if field.type not in WIRE_BYTES and not field.type[0].isupper():
            raise ValueError(f"unknown type {field.type}")
        field.struct = self.find_struct(field.type)
        field.versions = parse_range(words[2]).cut(self.message.valid)
        for text in " ".join(words[3:]).split(","):
            if text.strip():
                self.attribute(field, text.split())
        return field

    def attribute(self, field, words):
        name, values = words[0], words[1:]
        given = (parse_range(values[-1]) if values and name != "default" else field.versions)
        if name == "null":
            field.nullable = given.cut(field.versions)
        elif name == "tag" and values:
            given = parse_range(values[1]) if len(values) > 1 else field.versions
            field.tag, field.tagged = int(values[0]), given.cut(field.versions)
        elif name == "default" and len(values) == 1:
            field.default = values[0]
        elif name == "key" and not values:
            field.key = True
        elif name == "inflexible" and not values:
            field.inflexible = True
        else:
            raise ValueError(f"'{' '.join(words)}' is no attribute")


def check_struct(message, struct, fail):
    tags = [field.tag for field in struct.fields if field.tag is not None]
    if tags != sorted(set(tags)):
        fail(f"{message.name}: tags must rise in the order of the fields")
    for field in struct.fields:
        place = f"{message.name}.{field.name}"
        if field.type[0].isupper() and field.struct is None:
            fail(f"{place}: no struct {field.type}")
        if field.tag is not None and not message.flexible.covers(field.tagged):
            fail(f"{place}: tagged in a version that is not flexible")
        if field.default == "null" and field.nullable.empty():
            fail(f"{place}: null is the default but never allowed")
        by_pointer = field.struct and not field.array and not field.nullable.empty()
        if by_pointer and field.default != "null":
            fail(f"{place}: a nullable struct must have the default null")


def wire_bytes_min(message, struct, version):
    """The fewest bytes that the struct can take at that version."""
    flexible = version in message.flexible
    total = 1 if flexible else 0
    for field in struct.fields:
        if version not in field.versions or version in field.tagged:
            continue
        if field.array:
            total += 1 if flexible else 4
        elif field.struct:
            may_be_null = version in field.nullable
            total += 1 if may_be_null else wire_bytes_min(message, field.struct, version)
        elif field.type == "string":
            total += 1 if flexible and not field.inflexible else 2
        elif field.type in ("bytes", "records"):
            total += 1 if flexible else 4
        else:
            total += WIRE_BYTES[field.type]
    return total


def element_versions(message, struct):
    """The versions at which a field of this struct type is there."""
    found = set()
    for owner in [message.body] + message.structs:
        for field in owner.fields:
            if field.struct is struct:
                found.update(v for v in range(message.valid.low, message.valid.high + 1)
                             if v in field.versions)
    return found


def check(files):
    def fail(text):
        sys.exit(f"schema: {text}")

    names, keys = set(), set()
    for file in files:
        for api in file.apis:
            if api.key in keys:
                fail(f"API key {api.key} stands twice")
            keys.add(api.key)
        for message in file.messages:
            if message.name in names:
                fail(f"message {message.name} stands twice")
            names.add(message.name)
            for struct in message.structs + [message.body]:
                check_struct(message, struct, fail)


def schema_paths(schema_dir):
    paths = []
    for folder in ("messages", "records"):
        root = os.path.join(schema_dir, folder)
        paths += sorted(os.path.join(root, n) for n in os.listdir(root) if n.endswith(".msg"))
    return paths


def load(schema_dir):
    files = [Parser(path).parse() for path in schema_paths(schema_dir)]
    check(files)
    return files
