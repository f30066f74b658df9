"""Rules that look at one file. Each yields (line, symbol, message); the symbol is what an exception
names, the message says what to do instead."""

import re

import banned

RULES = {}


def rule(name):
    def add(function):
        RULES[name] = function
        return function
    return add


def is_code(source):
    """Product code, as opposed to tests and benchmarks."""
    return source.top in ("src", "include")


# ---- sizes -----------------------------------------------------------------------------------

COLUMNS_MAX, FUNCTION_LINES_MAX, FILE_LINES_MAX, NESTING_MAX = 100, 70, 1200, 3


@rule("columns")
def check_columns(source):
    for number, line in enumerate(source.lines, 1):
        if len(line) + 7 * line.count("\t") > COLUMNS_MAX < len(line.expandtabs(8)):
            yield number, None, (f"{len(line.expandtabs(8))} columns, at most {COLUMNS_MAX}: "
                                 "break the line (`make format` does it for code)")


@rule("file-size")
def check_file_size(source):
    count = len(source.lines) - 1
    if count > FILE_LINES_MAX:
        yield count, None, f"{count} lines, at most {FILE_LINES_MAX}: split it by what it owns"


@rule("function-size")
def check_function_size(source):
    for function in source.functions():
        count = source.line(function.last) - source.line(function.first) - 1
        if count > FUNCTION_LINES_MAX:
            yield function.line, function.name, (
                f"{function.name}() has {count} lines, at most {FUNCTION_LINES_MAX}: "
                "branch in the parent, move straight work into helpers")


class Nesting:
    """Depth of control statements, braces or not; `else if` goes on at its `if`'s depth."""

    def __init__(self, source, function):
        self.tokens, self.kinds, self.pairs = source.tokens, source.kinds, source.pairs
        self.deepest, self.place = 0, function.first
        self.block(function.first, 0)

    def block(self, brace, depth):
        end = self.pairs[brace]
        index = brace + 1
        while index < end:
            index = self.statement(index, depth, end)
        return end + 1

    def note(self, index, depth):
        if depth > self.deepest:
            self.deepest, self.place = depth, index

    def body(self, index, depth, end):
        self.note(index, depth)
        if index < end and self.tokens[index] == "{":
            return self.block(index, depth)
        return self.statement(index, depth, end)

    def after_parentheses(self, index):
        return self.pairs.get(index, index) + 1

    def statement(self, index, depth, end):
        """Walks over one statement at `depth`; returns the place after it."""
        if index >= end:
            return end
        token = self.tokens[index]
        if token == "{":
            return self.body(index, depth + 1, end)
        if token == "if":
            index = self.body(self.after_parentheses(index + 1), depth + 1, end)
            if index < end and self.tokens[index] == "else":
                is_chain = self.tokens[index + 1] == "if"
                step = self.statement if is_chain else self.body
                index = step(index + 1, depth if is_chain else depth + 1, end)
            return index
        if token in ("for", "while", "switch"):
            return self.body(self.after_parentheses(index + 1), depth + 1, end)
        if token == "do":
            index = self.body(index + 1, depth + 1, end)
            return self.to_semicolon(index, end)
        if token in ("case", "default"):
            while index < end and self.tokens[index] != ":":
                index += 1
            return self.labelled(index + 1, depth, end)
        if self.kinds[index] == "word" and self.tokens[index + 1] == ":":
            return self.labelled(index + 2, depth, end)
        if self.kinds[index] == "word" and self.tokens[index + 1] == "(":
            after = self.after_parentheses(index + 1)
            if after < end and (self.tokens[after] == "{" or token.isupper()
                    and self.kinds[after] == "word"):
                return self.body(after, depth + 1, end)  # a loop macro
        return self.to_semicolon(index, end)

    def labelled(self, index, depth, end):
        """What follows a label: a block there only groups, and counts for nothing."""
        if index < end and self.tokens[index] == "{":
            return self.block(index, depth)
        return index

    def to_semicolon(self, index, end):
        while index < end and self.tokens[index] != ";":
            index = self.pairs.get(index, index) + 1
        return index + 1


@rule("nesting")
def check_nesting(source):
    for function in source.functions():
        nesting = Nesting(source, function)
        if nesting.deepest > NESTING_MAX:
            yield source.line(nesting.place), function.name, (
                f"{function.name}() nests {nesting.deepest} deep, at most {NESTING_MAX}: "
                "return early, or move the inner part into a function")


# ---- macros ----------------------------------------------------------------------------------

HIDDEN = re.compile(r"\b(return|goto)\b")


@rule("macro-name")
def check_macro_name(source):
    if not is_code(source):
        return
    for line, name, _ in source.defines:
        if name != name.upper():
            yield line, name, f"macro {name}: macros are UPPERCASE, so that a reader sees them"


@rule("macro-flow")
def check_macro_flow(source):
    for line, name, body in source.defines:
        hidden = HIDDEN.search(body)
        if hidden:
            yield line, name, (f"macro {name} hides a `{hidden.group()}`: "
                               "control flow stands where it happens")


# ---- headers ---------------------------------------------------------------------------------

@rule("guard")
def check_guard(source):
    if not source.is_header or not is_code(source):
        return
    parts = source.path.split("/")[1:]
    if source.top == "include":
        parts = parts[1:]
    wanted = "OT_" + re.sub(r"\W", "_", "_".join(parts)).upper()
    if wanted not in [name for _, name, _ in source.defines[:1]]:
        yield 1, None, f"the include guard is named after the path: {wanted}"


@rule("own-header")
def check_own_header(source):
    """The first include is the module's own header, which so never relies on another before it."""
    if source.room is None or source.is_header:
        return
    own = [name for _, name, quoted in source.includes
           if quoted and name.startswith(source.room + "/")]
    if not own:
        return
    stems = [name.split("/")[-1][:-2].removesuffix("_int") for name in own]
    mine = [name for name, stem in zip(own, stems)
            if source.stem == stem or source.stem.startswith(stem + "_")]
    line, first, _ = source.includes[0]
    if first not in (mine or own):
        yield line, None, f"include \"{(mine or own)[0]}\" first: a file's own header leads"


@rule("internal-header")
def check_internal_header(source):
    for line, name, quoted in source.includes:
        if not quoted or not name.endswith("_int.h"):
            continue
        room = name.split("/")[0]
        # The simulator puts brokers together as src/broker/server.c does.
        is_test_of_room = source.top == "test" and (
            f"/{room}/" in source.path or source.path.startswith("test/sim/"))
        if room != source.room and not is_test_of_room:
            yield line, name, (f"{name} belongs to src/{room} alone: include its public header, "
                               "and widen that one if it lacks something")


OWNER = "@owner"


@rule("owner")
def check_owner(source):
    """Who may call it stands at every exported prototype, at its group, or at the file's top."""
    if not source.is_header or source.is_internal or not is_code(source):
        return
    if OWNER in source.head:
        return
    for one in source.declarations:
        if one.kind != "prototype" or one.is_static:
            continue
        line = source.line(one.first)
        over = source.comment_over(line)
        if over is None or OWNER not in over.text and OWNER not in source.comment_at(line):
            yield one.line, one.name, (f"{one.name}() needs a comment with ownership, errors and "
                                       f"{OWNER} (one comment may cover a group without blank lines)")


@rule("must-use")
def check_must_use(source):
    if not source.is_header or not is_code(source):
        return
    for one in source.declarations:
        if one.kind == "prototype" and not one.is_static and "ot_err" in one.words:
            before = one.words[:one.words.index(one.name)]
            if before[-1] == "ot_err" and "OT_MUST_USE" not in one.words:
                yield one.line, one.name, f"{one.name}() returns ot_err: mark it OT_MUST_USE"


@rule("dropped-error")
def check_dropped_error(source):
    """A call of a static function that returns ot_err, as a statement of its own."""
    if not is_code(source):
        return
    fallible = {one.name for one in source.functions()
                if "ot_err" in one.words and one.words[one.words.index(one.name) - 1] == "ot_err"}
    for index in calls(source, fallible):
        ends = source.tokens[source.pairs[index + 1] + 1] == ";"
        if ends and source.tokens[index - 1] in (";", "{", "}", "else", "do"):
            name = source.tokens[index]
            yield source.line(index), name, f"the ot_err of {name}() is dropped: handle or return it"


# ---- visibility ------------------------------------------------------------------------------

def internal_prefixes(source):
    stem = source.stem.removesuffix("_int")
    return tuple(dict.fromkeys([f"{source.room}_", f"{stem}_", f"{stem.split('_')[0]}_"]))


@rule("prefix")
def check_prefix(source):
    """ot_ between rooms, room_ (or the header's stem) inside one, bare names for static."""
    if source.room is None:
        return
    for one in source.declarations:
        if one.name is None or one.kind not in ("prototype", "function", "variable", "type"):
            continue
        if source.is_header and not source.is_internal:
            if not one.name.startswith("ot_"):
                yield one.line, one.name, (f"{one.name} is visible to every room: name it ot_..., or "
                                           f"the header {source.stem}_int.h if only src/"
                                           f"{source.room} needs it")
        elif source.is_internal:
            prefixes = internal_prefixes(source)
            is_announced = one.kind == "type" and "{" not in one.words
            if not (one.name + "_").startswith(("ot_",) + prefixes) and not is_announced:
                yield one.line, one.name, (f"{one.name} is visible in src/{source.room}: begin it "
                                           f"with {' or '.join(prefixes)}")
        elif one.is_static and one.kind in ("function", "prototype", "variable"):
            if one.name.startswith("ot_"):
                yield one.line, one.name, f"{one.name} is static: ot_ is for what others may call"


@rule("macro-prefix")
def check_macro_prefix(source):
    if source.room is None or not source.is_header or source.is_internal:
        return
    for line, name, _ in source.defines:
        if not name.startswith("OT_") and name == name.upper():
            yield line, name, f"macro {name} is visible to every room: name it OT_..."


# ---- calls -----------------------------------------------------------------------------------

def calls(source, names):
    """Places inside function bodies where one of `names` is called, not as a member."""
    tokens = source.tokens
    if source.words.isdisjoint(names):
        return
    for function in source.functions():
        for index in range(function.first, function.last):
            if tokens[index] in names and tokens[index + 1] == "(" \
                    and tokens[index - 1] not in (".", "->"):
                yield index


@rule("banned-call")
def check_banned_call(source):
    table = banned.calls_for(source.path)
    for index in calls(source, table.keys()):
        name = source.tokens[index]
        yield source.line(index), name, f"{name}(): {table[name]}"
    for line, _, body in source.defines:
        for match in re.finditer(r"(?<![\w.>])([a-z_]\w*)\s*\(", body):
            if match.group(1) in table:
                yield line, match.group(1), f"{match.group(1)}(): {table[match.group(1)]}"


@rule("banned-include")
def check_banned_include(source):
    table = banned.includes_for(source.path)
    for line, name, quoted in source.includes:
        if not quoted and name in table:
            yield line, name, f"<{name}>: {table[name]}"


SYNC_ROOMS = ("base", "shard", "io")
SYNC = re.compile(r"^(_Atomic|_Thread_local|thread_local|atomic_\w+|memory_order_\w+|__atomic_\w+|"
                  r"__sync_\w+|pthread_(mutex|cond|rwlock|spin|barrier)\w*|"
                  r"uv_(mutex|cond|rwlock|sem|barrier)_\w+|mtx_\w+|cnd_\w+)$")


@rule("sync")
def check_sync(source):
    if source.room is None or source.room in SYNC_ROOMS:
        return
    if not any(SYNC.match(word) for word in source.words):
        return
    for index, token in enumerate(source.tokens):
        if SYNC.match(token):
            yield source.line(index), token, (f"{token}: atomics and locks live in src/base, "
                                              "src/shard and src/io; send the owner a message")


FIELD_TAG = re.compile(r"/\*\s*\[([a-z][\w': ]*)\]")
FIELD_TAGS = re.compile(r"owner(: .+)?|control|const|atomic|lock:\w+")


@rule("field-tag")
def check_field_tag(source):
    if source.room is None:
        return
    for comment in source.comments:
        tag = FIELD_TAG.match(comment.text)
        if tag and not FIELD_TAGS.fullmatch(tag.group(1)):
            yield comment.start, None, (f"[{tag.group(1)}] is no tag: [owner], [owner: which], "
                                        "[control], [const], [atomic] or [lock:name]")
    if "_Atomic" not in source.words:
        return
    for index, token in enumerate(source.tokens):
        if token == "_Atomic":
            line = source.line(index)
            over = source.comment_over(line)
            texts = source.comment_at(line) + (over.text if over else "")
            if "[atomic]" not in texts:
                yield line, None, "an _Atomic field carries the tag [atomic] in its comment"
