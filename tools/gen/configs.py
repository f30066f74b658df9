"""Makes C tables and reference pages of schema/configs.

configs.py --c SCHEMA_DIR HEADER SOURCE   writes the tables (the build does this)
configs.py --doc                          writes doc/reference/*-settings.md
configs.py --check                        exits with 1 when a page is not what --doc would write
configs.py --unused                       lists broker settings that claim an effect and that no
                                          code acts on

The format of the schema is told at the top of schema/configs/broker.conf.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = "BOOLEAN STRING INT SHORT LONG DOUBLE LIST CLASS PASSWORD".split()
UPDATES = {"read-only": "READ_ONLY", "per-broker": "PER_BROKER", "cluster-wide": "CLUSTER_WIDE"}
IMPORTANCES = ("high", "medium", "low")


CLIENTS = ("producer", "consumer", "admin")


class Key:
    def __init__(self, where, columns, section, is_client):
        self.where = where
        self.name, self.type, self.default, self.valid, self.importance = columns[:5]
        self.update, self.rdkafka = "cluster-wide", None
        if is_client:
            self.rdkafka = columns[5]
        elif len(columns) > 5:
            self.update = columns[5]
        self.section = section
        self.since = self.until = self.inert = None
        self.is_internal = self.is_own = self.is_dynamic_only = False
        self.synonyms = []
        self.doc = ""

    def symbol(self, prefix):
        return prefix + re.sub(r"[^A-Z0-9]", "_", self.name.upper())


class Table:
    def __init__(self, path, is_client=False):
        self.path = path
        self.is_client = is_client
        self.keys = []
        self.whys = {}
        self.read()
        self.by_name = {key.name: key for key in self.keys}

    def fail(self, number, text):
        sys.exit(f"{self.path}:{number}: {text}")

    def take_over(self, shared):
        """Adds the keys of another table that this one does not have itself."""
        self.keys += [key for key in shared.keys if key.name not in self.by_name]
        self.by_name = {key.name: key for key in self.keys}

    def read(self):
        section = key = None
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("## "):
                section = line[3:]
            elif line.startswith("#") or not line.strip():
                continue
            elif line.startswith("why "):
                _, name, reason = line.split(None, 2)
                self.whys[name] = reason
            elif not line.startswith(" "):
                key = self.read_header(number, line, section)
            else:
                self.read_detail(number, line.strip(), key)

    def read_header(self, number, line, section):
        columns = [column.strip() for column in line.split(" | ")]
        if len(columns) not in ((6,) if self.is_client else (5, 6)):
            self.fail(number, "a key has another number of columns")
        key = Key(f"{self.path.name}:{number}", columns, section, self.is_client)
        if key.type not in TYPES or key.importance not in IMPORTANCES or key.update not in UPDATES:
            self.fail(number, f"type, importance or update mode of {key.name} is unknown")
        if any(other.name == key.name for other in self.keys):
            self.fail(number, f"{key.name} stands twice")
        self.keys.append(key)
        return key

    def read_detail(self, number, text, key):
        if key is None:
            self.fail(number, "text before the first key")
        if text.startswith("@ "):
            for attribute in text[2:].split(", "):
                self.read_attribute(number, attribute.split(), key)
        elif text.startswith("= "):
            for word in text[2:].split():
                name, _, factor = word.partition("*")
                key.synonyms.append((name, int(factor or 1)))
        else:
            key.doc = f"{key.doc} {text}".strip()

    def read_attribute(self, number, words, key):
        name, value = words[0], words[1] if len(words) > 1 else None
        if name in ("since", "until", "inert") and value:
            setattr(key, name, value)
        elif name in ("internal", "own", "dynamic-only") and value is None:
            setattr(key, "is_" + name.replace("-", "_"), True)
        else:
            self.fail(number, f"unknown attribute: {' '.join(words)}")


class Schema:
    def __init__(self, directory):
        self.broker = Table(directory / "broker.conf")
        self.topic = Table(directory / "topic.conf")
        for table in (self.broker, self.topic):
            for key in table.keys:
                self.check(key)
        self.clients = {}
        for kind in CLIENTS:
            self.clients[kind] = Table(directory / f"{kind}.conf", is_client=True)
            self.clients[kind].take_over(Table(directory / "client.conf", is_client=True))

    def check(self, key):
        if key.inert and key.inert not in self.broker.whys:
            sys.exit(f"{key.where}: no reason is called {key.inert}")
        if not key.doc.endswith("."):
            sys.exit(f"{key.where}: {key.name} needs whole sentences")
        for name, _ in key.synonyms:
            if name not in self.broker.by_name:
                sys.exit(f"{key.where}: {name} is no broker setting")

    def why(self, key):
        return self.broker.whys[key.inert] if key.inert else None


# --- C


def c_text(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rule_of(key):
    """Rule, least, most and choices of a column of valid values."""
    valid = key.valid
    words = valid.split()
    if valid == "any":
        return "ANY", None, None, None
    if valid.startswith(">="):
        return "RANGE", valid[2:], None, None
    span = re.fullmatch(r"(-?[\d.]+?)\.\.(-?[\d.]+)( or -1)?", valid)
    if span:
        return "RANGE_OR_MINUS_ONE" if span[3] else "RANGE", span[1], span[2], None
    for word, rule in (("in", "ONE_OF"), ("nocase", "ONE_OF_NOCASE"), ("list", "LIST_OF")):
        if words[0] == word:
            return rule, None, None, words[1:]
    if valid in ("nonnull", "nonempty", "replica-list", "version"):
        name = {"nonnull": "NON_NULL", "nonempty": "NON_EMPTY"}.get(valid)
        return name or valid.upper().replace("-", "_"), None, None, None
    sys.exit(f"{key.where}: cannot read the valid values: {valid}")


def c_default(key):
    if key.default == "null":
        return "NULL"
    return c_text("" if key.default == '""' else key.default)


def write_header(out, schema):
    out.write("/* Generated from schema/configs. */\n")
    out.write("#ifndef OT_CONFIG_CONFIG_GEN_H\n#define OT_CONFIG_CONFIG_GEN_H\n")
    for table, prefix, name in (
        (schema.broker, "OT_BROKER_", "ot_broker_key"),
        (schema.topic, "OT_TOPIC_", "ot_topic_key"),
    ):
        out.write(f"\nenum {name} {{\n")
        for key in table.keys:
            out.write(f"\t{key.symbol(prefix)},\n")
        out.write(f"\t{prefix}KEY_COUNT,\n}};\n")
    out.write("\n#endif\n")


def write_lists(out, table, prefix):
    for key in table.keys:
        symbol = key.symbol(prefix).lower()
        choices = rule_of(key)[3]
        if choices:
            items = ", ".join(c_text(choice) for choice in choices)
            out.write(f"static const char *const {symbol}_choices[] = {{{items}, NULL}};\n")
        if key.synonyms:
            items = ", ".join(
                f"{{{Key.symbol(NAMES[name], 'OT_BROKER_')}, {factor}}}"
                for name, factor in key.synonyms
            )
            out.write(f"static const struct ot_config_synonym {symbol}_synonyms[] = {{{items}}};\n")


NAMES = {}


def write_table(out, schema, table, prefix, symbol):
    write_lists(out, table, prefix)
    out.write(f"\nstatic const struct ot_config_def {symbol}_defs[] = {{\n")
    for key in table.keys:
        rule, least, most, choices = rule_of(key)
        lower = key.symbol(prefix).lower()
        why = schema.why(key)
        fields = [
            f".name = {c_text(key.name)}",
            f".type = OT_CONFIG_{key.type}",
            f".default_text = {c_default(key)}",
            f".rule = OT_RULE_{rule}",
            f".least = {least or '-OT_RULE_NO_BOUND'}",
            f".most = {most or 'OT_RULE_NO_BOUND'}",
            f".update = OT_UPDATE_{UPDATES[key.update]}",
            f".is_internal = {str(key.is_internal).lower()}",
            f".is_dynamic_only = {str(key.is_dynamic_only).lower()}",
            f".doc = {c_text(key.doc)}",
        ]
        if key.rdkafka is not None:
            name, _, divisor = key.rdkafka.partition("/")
            name = {"=": key.name, "-": ""}.get(name, name)
            fields.append(f".rdkafka = {c_text(name)}")
            fields.append(f".rdkafka_divisor = {divisor or 1}")
        if choices:
            fields.append(f".choices = {lower}_choices")
        if key.synonyms:
            fields.append(f".synonyms = {lower}_synonyms")
            fields.append(f".synonym_count = {len(key.synonyms)}")
        if why:
            fields.append(f".inert = {c_text(why)}")
        out.write("\t{" + ",\n\t ".join(fields) + "},\n")
    out.write("};\n\n")
    order = sorted(range(len(table.keys)), key=lambda i: table.keys[i].name.encode())
    out.write(f"static const uint16_t {symbol}_by_name[] = {{")
    for place, index in enumerate(order):
        out.write(("\n\t" if place % 16 == 0 else " ") + f"{index},")
    out.write("\n};\n\n")
    out.write(
        f"const struct ot_config_table ot_{symbol}_table = {{\n"
        f"\t{symbol}_defs, {symbol}_by_name, {len(table.keys)}}};\n"
    )


def write_source(out, schema):
    NAMES.update(schema.broker.by_name)
    out.write("/* Generated from schema/configs. */\n")
    out.write('#include "config/def.h"\n\n#include <stddef.h>\n\n')
    write_table(out, schema, schema.broker, "OT_BROKER_", "broker")
    out.write("\n")
    write_table(out, schema, schema.topic, "OT_TOPIC_", "topic")
    for kind, table in schema.clients.items():
        out.write("\n")
        write_table(out, schema, table, f"OT_{kind.upper()}_", kind)


# --- reference pages

VALID_WORDS = {
    "any": "",
    "nonnull": "anything but null",
    "nonempty": "not empty",
    "replica-list": "`*` or partition:broker pairs",
    "version": "a release of Kafka",
}


def valid_text(key):
    rule, least, most, choices = rule_of(key)
    if choices:
        text = ", ".join(f"`{choice}`" for choice in choices)
        return {"LIST_OF": f"any of {text}"}.get(rule, text)
    if rule == "RANGE" and most is None:
        return f"{least} and more"
    if rule.startswith("RANGE"):
        return f"{least} to {most}" + (", or -1" if "MINUS" in rule else "")
    return VALID_WORDS[key.valid]


def releases_text(key):
    if key.is_own:
        return "Ottla's own"
    if key.since and key.until:
        return f"Kafka {key.since} to {key.until}"
    if key.since:
        return f"Kafka {key.since} and later"
    return f"Kafka until {key.until}" if key.until else ""


def default_text(key):
    if key.default == "null":
        return "none"
    return "empty" if key.default == '""' else f"`{key.default}`"


def write_key(out, schema, key, with_update):
    out.append(f'### <a id="{key.name}"></a>{key.name}\n')
    out.append(key.doc + "\n")
    facts = [f"type {key.type.lower()}", f"default {default_text(key)}"]
    if valid_text(key):
        facts.append(f"valid: {valid_text(key)}")
    facts.append(f"importance {key.importance}")
    if with_update:
        facts.append(f"update {key.update}")
    if releases_text(key):
        facts.append(releases_text(key))
    if key.type == "PASSWORD":
        facts.append("never shown")
    if key.is_internal:
        facts.append("internal")
    bullets = ["; ".join(facts)]
    if key.synonyms:
        names = ", then ".join(
            f"`{name}`" + (f" (× {factor})" if factor != 1 else "") for name, factor in key.synonyms
        )
        bullets.append(f"when it is not set: {names}")
    why = schema.why(key)
    if why:
        bullets.append(f"no effect: {why}")
    out.append("".join(f"- {bullet}\n" for bullet in bullets))


PAGES = {
    "broker": (
        "broker-settings.md",
        "Broker settings",
        """Settings of `ottla server`, from the property file and from `--override key=value`. A setting
whose update mode is *per-broker* can be changed while a broker runs, for that broker;
*cluster-wide* ones for one or for all. Security settings, and limits of connections, may bear
the prefix `listener.name.NAME.` to hold for one listener only. All settings of Kafka 0.11 to
today are read; those without effect here say why.""",
    ),
    "client": (
        "client-settings.md",
        "Client settings",
        """Settings in the property files of clients, as tools take them with `--producer.config`,
`--consumer.config` and `--command-config`. Those of Java's clients are read; the last column names
the property of librdkafka that does the work, `rules` where several settings give it, and nothing
where there is no such thing: then the setting is read and has no effect. Properties that only
librdkafka has are passed on to it as they are.""",
    ),
    "topic": (
        "topic-settings.md",
        "Topic settings",
        """Settings of single topics, from the time of their creation or later, with `kafka-configs.sh`. What a
topic does not set comes from the broker settings that are named.""",
    ),
}


def rdkafka_text(key):
    name, _, divisor = key.rdkafka.partition("/")
    if name == "*":
        return "rules"
    if name == "-":
        return ""
    return f"`{key.name if name == '=' else name}`" + (f" (÷ {divisor})" if divisor else "")


def client_page(schema, out):
    for kind, table in schema.clients.items():
        out.append(f"## {kind.capitalize()}\n")
        rows = ["| setting | type | default | valid | releases | librdkafka |",
                "|---|---|---|---|---|---|"]
        for key in sorted(table.keys, key=lambda key: key.name):
            cells = [f"`{key.name}`", key.type.lower(), default_text(key), valid_text(key),
                     releases_text(key), rdkafka_text(key)]
            rows.append("| " + " | ".join(cells) + " |")
        out.append("\n".join(rows) + "\n")


def page(schema, kind):
    _, title, lead = PAGES[kind]
    out = [f"# {title}\n", lead + "\n", "Made by `tools/gen/configs.py` of `schema/configs`.\n"]
    if kind == "client":
        client_page(schema, out)
        return "\n".join(out)
    table = getattr(schema, kind)
    section = None
    for key in table.keys:
        if key.section != section:
            section = key.section
            out.append(f"## {section}\n")
        write_key(out, schema, key, kind == "broker")
    return "\n".join(out)


def pages(schema):
    for kind, (name, _, _) in PAGES.items():
        yield ROOT / "doc" / "reference" / name, page(schema, kind)


def words_of_code():
    """All symbols of broker settings that code acts on: what only checks them does not count."""
    words = set()
    config = ROOT / "src" / "config"
    for path in (ROOT / "src").rglob("*.[ch]"):
        if path.parent == config and path.name != "derive.c":
            continue
        words |= set(re.findall(r"OT_BROKER_[A-Z0-9_]+", path.read_text(encoding="utf-8")))
    return words


def unused(schema):
    """A setting has an effect when code names it, or when one that has takes its value from it."""
    words = words_of_code()
    for key in schema.topic.keys:
        words |= {schema.broker.by_name[name].symbol("OT_BROKER_") for name, _ in key.synonyms}
    for key in schema.broker.keys:
        if key.symbol("OT_BROKER_") in words:
            words |= {schema.broker.by_name[name].symbol("OT_BROKER_") for name, _ in key.synonyms}
    for key in schema.broker.keys:
        if not key.inert and key.symbol("OT_BROKER_") not in words:
            yield key


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "--c" and len(sys.argv) == 5:
        schema = Schema(pathlib.Path(sys.argv[2]))
        with open(sys.argv[3], "w", encoding="utf-8") as out:
            write_header(out, schema)
        with open(sys.argv[4], "w", encoding="utf-8") as out:
            write_source(out, schema)
    elif mode == "--unused" and len(sys.argv) == 2:
        for key in unused(Schema(ROOT / "schema" / "configs")):
            print(f"{key.where}: {key.name}")
    elif mode in ("--doc", "--check") and len(sys.argv) == 2:
        stale = False
        for path, text in pages(Schema(ROOT / "schema" / "configs")):
            if mode == "--doc":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path.relative_to(ROOT)} is stale: run tools/gen/configs.py --doc")
                stale = True
        sys.exit(stale)
    else:
        sys.exit(__doc__)


main()
