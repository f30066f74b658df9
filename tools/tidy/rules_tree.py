"""Rules that look at the whole tree. Each yields (path, line, symbol, message)."""

import os
import re

RULES = {}


def rule(name):
    def add(function):
        RULES[name] = function
        return function
    return add


# ---- layers ----------------------------------------------------------------------------------

class Layers:
    """tools/layers.txt: `room NAME: purpose`, then `edge FROM -> TO: reason`; arrows point up."""

    LINE = re.compile(r"room (\w+): (\S.*)|edge (\w+) -> (\w+): (\S.*)")

    def __init__(self, path, text):
        self.path, self.rooms, self.edges, self.problems = path, {}, set(), []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self.add(number, line)

    def add(self, number, line):
        match = self.LINE.fullmatch(line)
        if not match:
            self.problems.append((number, "a line is `room NAME: purpose` or "
                                          "`edge FROM -> TO: reason`"))
            return
        room, _, source, target, _ = match.groups()
        if room:
            self.rooms[room] = len(self.rooms)
            return
        for name in (source, target):
            if name not in self.rooms:
                self.problems.append((number, f"no room is named {name} above this line"))
                return
        if self.rooms[target] >= self.rooms[source]:
            self.problems.append((number, f"{target} stands below {source}: arrows point one way, "
                                          "up this file"))
        if (source, target) in self.edges:
            self.problems.append((number, f"{source} -> {target} stands here twice"))
        self.edges.add((source, target))


@rule("layers")
def check_layers(tree):
    layers = tree.layers
    for line, message in layers.problems:
        yield layers.path, line, None, message
    for source in tree.sources:
        if source.room is None:
            continue
        if source.room not in layers.rooms:
            yield source.path, 1, None, (f"room {source.room} is not in {layers.path}: add it in "
                                         "the order of the arrows, with its purpose")
            continue
        for line, name, quoted in source.includes:
            target = name.split("/")[0]
            if not quoted or target == source.room or "/" not in name:
                continue
            if (source.room, target) not in layers.edges:
                yield source.path, line, name, (
                    f"{source.room} may not include {target}: move what both need to a room above "
                    f"them, pass it in, or add the edge with its reason to {layers.path}")


@rule("include-form")
def check_include_form(tree):
    for source in tree.sources:
        if source.room is None:
            continue
        for line, name, quoted in source.includes:
            if quoted and "/" not in name:
                yield source.path, line, name, f'name the room: "{source.room}/{name}"'


@rule("readme")
def check_readme(tree):
    for room in sorted({source.room for source in tree.sources if source.room}):
        if not os.path.exists(os.path.join(tree.root, "src", room, "README.md")):
            yield f"src/{room}/README.md", 1, None, (
                "each room says its purpose, invariants, owner thread, on-disk format and crash "
                "argument in a README.md")


# ---- declarations ----------------------------------------------------------------------------

def shared_prototypes(tree):
    """Prototypes in headers of src/ and include/: name -> (source, declaration)."""
    found = {}
    for source in tree.sources:
        if source.is_header and source.top in ("src", "include"):
            for one in source.declarations:
                if one.kind == "prototype" and not one.is_static:
                    found.setdefault(one.name, (source, one))
    return found


@rule("undeclared")
def check_undeclared(tree):
    declared = shared_prototypes(tree)
    for source in tree.sources:
        if source.room is None or source.is_header:
            continue
        for one in source.functions():
            if not one.is_static and one.name not in declared and one.name != "main":
                yield source.path, one.line, one.name, (
                    f"{one.name}() is in no header: make it static, or declare it (ot_ in a public "
                    f"header, {source.room}_ in an _int.h)")


@rule("dead-declaration")
def check_dead_declaration(tree):
    defined = {one.name: source.path for source in tree.sources for one in source.functions()}
    for name, (header, one) in shared_prototypes(tree).items():
        if name in tree.generated_words:
            continue
        if name not in defined:
            yield header.path, one.line, name, f"{name}() is defined nowhere: remove it"
            continue
        users = {source.path for source in tree.sources if name in source.words}
        if users <= {header.path, defined[name]} and name not in header.macro_words:
            yield header.path, one.line, name, (f"{name}() is used by nobody outside its file: make "
                                                "it static, or remove it")


MAGIC = re.compile(r"\b(\w+_MAGIC)\s*(?:=\s*)?(0x[0-9a-fA-F]+)")


@rule("magic")
def check_magic(tree):
    owners = {}
    for source in tree.sources:
        if "_MAGIC" not in source.text or source.top != "src":
            continue
        for match in MAGIC.finditer(source.text):
            name, value = match.group(1), int(match.group(2), 16)
            if value < 0x10000:
                continue  # a format's own version number, not an object's magic word
            other = owners.setdefault(value, name)
            if other != name:
                yield source.path, source.line_of(match.start()), name, (
                    f"{name} has the value of {other}: each kind of object has its own")


# ---- texts -----------------------------------------------------------------------------------

TODO = re.compile(r"\bTODO\b(?! ?\(?#\d+)")
NEVER = re.compile(r"\b(" + "|".join(["FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
# Absolute paths that belong to one person's machine.
MACHINE = re.compile(r"(?<![\w.$}~*-])/(home|root|work|Users|mnt|scratch)/\w[\w.-]*")


@rule("todo")
def check_todo(tree):
    for path, lines in tree.texts():
        for number, line in enumerate(lines, 1):
            if "TODO" in line and TODO.search(line):
                yield path, number, None, "a TODO names its issue: TODO(#12)"
            never = NEVER.search(line)
            if never:
                yield path, number, None, f"{never.group()} cannot stay: mend it, or open an issue"


@rule("machine-path")
def check_machine_path(tree):
    for path, lines in tree.texts():
        for number, line in enumerate(lines, 1):
            found = MACHINE.search(line) if "/" in line else None
            if found:
                yield path, number, None, (f"{found.group()} is a path of one machine: name it "
                                           "relative to the project or by a setting")


@rule("lock-file")
def check_lock_file(tree):
    for path, lines in tree.texts():
        if os.path.basename(path) != "package-lock.json":
            continue
        for number, line in enumerate(lines, 1):
            if '"resolved"' in line or "://" in line:
                yield path, number, None, ("a lock file names versions and digests, no registry: set "
                                           "omit-lockfile-registry-resolved in .npmrc, write it anew")
                break
