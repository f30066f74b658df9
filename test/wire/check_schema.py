"""Goal: the schemas say what Kafka's own definitions say.

Method: for every message of the reference (protocol/*.json in the folder that OTTLA_REFERENCE
names) and every version in which it is valid, lists the fields that are on the wire, in order, with
type, nullability, tag, default and key, and compares the list with that of schema/. Where two
files of the reference define the same version, both must agree with the schema. Names of nested
types are ours; everything else must be equal. Skipped without the folder.

    check_schema.py PROJECT_ROOT
"""

import json
import os
import sys

EXIT_SKIPPED = 77
FILES = ("wire-4.3", "wire-3.9-older-versions", "records-4.3", "group-coordinator-log",
         "transaction-log", "share-coordinator-log")
RENAMED = {  # message or field of 3.9 -> what 4.3 calls it
    "ListClientMetricsResourcesRequest": "ListConfigResourcesRequest",
    "ListClientMetricsResourcesResponse": "ListConfigResourcesResponse",
    "ListConfigResourcesResponse.ClientMetricsResources": "ConfigResources",
    "ListConfigResourcesResponse.ConfigResources.Name": "ResourceName",
}
# Keys of collections that 3.9 did not mark yet; no byte depends on them.
KEYLESS_BEFORE = ("ShareFetch", "ShareAcknowledge")
# Advertised beyond what a server accepts, or accepted in fewer versions than are defined, on
# purpose: each with its reason in the schema file.
NOT_ALL_ACCEPTED = {"Produce", "Fetch", "OffsetCommit", "OffsetFetch", "LeaderAndIsr", "StopReplica",
                    "UpdateMetadata", "ControlledShutdown", "ShareGroupHeartbeat",
                    "ShareGroupDescribe", "ShareFetch", "ShareAcknowledge", "InitProducerId"}


def plain_default(field_type, default):
    """One spelling for each default: the reference has strings, numbers and nothing at all."""
    if field_type == "uuid":
        return "zero"
    if default in ("null", "NULL"):
        return "null"
    if field_type == "bool":
        return "true" if str(default).lower() == "true" else "false"
    if field_type in ("string", "bytes", "records", "struct") or field_type.startswith("[]"):
        return ""
    if field_type == "float64":
        return str(float(default or 0))
    return str(int(str(default or 0), 0))


class Reference:
    """One message of the reference."""

    def __init__(self, msgschema, definition):
        self.parse = msgschema.parse_range
        self.definition = definition
        self.name = RENAMED.get(definition["name"], definition["name"])
        self.valid = self.parse(definition["validVersions"])
        self.flexible = self.parse(definition["flexibleVersions"]) if not self.valid.empty() else None
        self.structs = {}
        for struct in definition.get("commonStructs", []):
            self.structs[struct["name"]] = struct["fields"]
        self.collect(definition["fields"])

    def collect(self, fields):
        for field in fields:
            if "fields" in field:
                self.structs[field["type"].removeprefix("[]")] = field["fields"]
                self.collect(field["fields"])
        for struct in self.definition.get("commonStructs", []):
            for field in struct["fields"]:
                if "fields" in field:
                    self.structs[field["type"].removeprefix("[]")] = field["fields"]

    def has(self, field, attribute, version):
        return attribute in field and version in self.parse(field[attribute])

    def layout(self, version, fields=None, path=""):
        rows = []
        for field in self.definition["fields"] if fields is None else fields:
            tagged = self.has(field, "taggedVersions", version)
            if not tagged and not self.has(field, "versions", version):
                continue
            array = "[]" if field["type"].startswith("[]") else ""
            base = field["type"].removeprefix("[]")
            name = RENAMED.get(f"{self.name}{path}.{field['name']}", field["name"])
            inner = None
            if base in self.structs:
                inner = self.layout(version, self.structs[base], f"{path}.{name}")
                base = "struct"
            default = field.get("default", "")
            if default is None:
                default = "null"
            rows.append((name, array + base, self.has(field, "nullableVersions", version),
                         field["tag"] if tagged else None, plain_default(array + base, default),
                         bool(field.get("mapKey")), field.get("flexibleVersions") == "none", inner))
        return sorted_tags(rows)


def sorted_tags(rows):
    """Tagged fields stand behind the others, by tag: their order in a definition means nothing."""
    plain = [row for row in rows if row[3] is None]
    return plain + sorted((row for row in rows if row[3] is not None), key=lambda row: row[3])


def own_layout(struct, version):
    rows = []
    for field in struct.fields:
        if version not in field.versions:
            continue
        field_type = ("[]" if field.array else "") + ("struct" if field.struct else field.type)
        inner = own_layout(field.struct, version) if field.struct else None
        rows.append((field.name, field_type, version in field.nullable,
                     field.tag if version in field.tagged else None,
                     plain_default(field_type, field.default or ""), field.key, field.inflexible,
                     inner))
    return sorted_tags(rows)


def without_keys(rows):
    return [row[:5] + row[6:7] + (without_keys(row[7]) if row[7] else None,) for row in rows]


def differences(wanted, found, path):
    if [row[0] for row in wanted] != [row[0] for row in found]:
        return [f"{path}: fields {[r[0] for r in wanted]}, here {[r[0] for r in found]}"]
    lines = []
    for theirs, ours in zip(wanted, found):
        if theirs[:-1] != ours[:-1]:
            lines.append(f"{path}.{theirs[0]}: {theirs[:-1]}, here {ours[:-1]}")
        elif theirs[-1] or ours[-1]:
            lines += differences(theirs[-1] or [], ours[-1] or [], f"{path}.{theirs[0]}")
    return lines


def check_message(reference, message, is_older):
    lines = []
    for version in range(reference.valid.low, reference.valid.high + 1):
        if version not in message.valid:
            lines.append(f"{message.name} {version}: not valid here")
            continue
        if (version in reference.flexible) != (version in message.flexible):
            lines.append(f"{message.name} {version}: flexible differs")
        wanted, found = reference.layout(version), own_layout(message.body, version)
        if is_older and message.name.startswith(KEYLESS_BEFORE):
            wanted, found = without_keys(wanted), without_keys(found)
        lines += differences(wanted, found, f"{message.name} {version}")
    return lines


def check_api(reference, api, union):
    """Key, listeners, stability; the ranges that are served."""
    lines = []
    definition = reference.definition
    if definition["apiKey"] != api.key:
        lines.append(f"{api.name}: key {definition['apiKey']}, here {api.key}")
    if not reference.valid.empty() and set(definition["listeners"]) != set(api.listeners):
        lines.append(f"{api.name}: listeners {definition['listeners']}, here {api.listeners}")
    if definition.get("latestVersionUnstable") and reference.valid.high not in api.unstable:
        lines.append(f"{api.name}: version {reference.valid.high} is unstable")
    valid = api.request.valid
    if (valid.low, valid.high) != union:
        lines.append(f"{api.name}: valid {valid}, the reference has {union[0]}-{union[1]}")
    everything = (api.accepted.low, api.accepted.high) == union
    if not everything and api.name not in NOT_ALL_ACCEPTED:
        lines.append(f"{api.name}: accepts {api.accepted} of {valid}")
    return lines


def load_reference(msgschema, folder):
    found = []
    for name in FILES:
        with open(os.path.join(folder, "protocol", name + ".json"), encoding="utf-8") as file:
            found += [(name, Reference(msgschema, item)) for item in json.load(file)]
    return found


def main():
    root, folder = sys.argv[1], os.environ.get("OTTLA_REFERENCE", "")
    if not os.path.isdir(os.path.join(folder, "protocol")):
        print("skipped: OTTLA_REFERENCE names no folder with protocol/*.json")
        sys.exit(EXIT_SKIPPED)
    sys.path.insert(0, os.path.join(root, "tools/gen"))
    import msgschema  # beside the generator, which reads the same files

    files = msgschema.load(os.path.join(root, "schema"))
    messages = {m.name: m for file in files for m in file.messages}
    apis = {api.key: api for file in files for api in file.apis}
    lines, unions, checked = [], {}, 0
    references = load_reference(msgschema, folder)
    for name, reference in references:
        if reference.name not in messages:
            lines.append(f"{reference.name}: in no schema")
            continue
        if reference.valid.empty():
            continue
        is_older = name == "wire-3.9-older-versions"
        lines += check_message(reference, messages[reference.name], is_older)
        checked += 1
        low, high = unions.get(reference.name, (reference.valid.low, reference.valid.high))
        unions[reference.name] = (min(low, reference.valid.low), max(high, reference.valid.high))
    for name, reference in references:
        if name == "wire-4.3" and reference.definition["type"] == "request":
            api = apis.get(reference.definition["apiKey"])
            lines += check_api(reference, api, unions[reference.name]) if api else [
                f"{reference.name}: no API"]
    print("\n".join(lines))
    print(f"{checked} definitions compared, {len(lines)} differences")
    sys.exit(1 if lines or not checked else 0)


main()
