"""Reads one C file into the facts that the rules ask for: tokens, includes, macros, comments,
functions with their bodies, declarations. No compiler is needed, and nothing is preprocessed: the
project's own style (one declaration per statement, no functions made by macros) makes that enough.
"""

import bisect
import re

TOKEN = re.compile(r"""
    (?P<comment> /\*.*?\*/ | //[^\n]* )
  | (?P<directive> ^[ \t]*\#(?:/\*.*?\*/ | \\\n | [^\n])* )
  | (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<number> \.?\d(?:[\w.])* )
  | (?P<mark> -> | [^\s\w] )
""", re.VERBOSE | re.MULTILINE | re.DOTALL)

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"\s*#\s*define\s+(\w+)(\([^)]*\))?(.*)", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
WORD = re.compile(r"[A-Za-z_]\w*")
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')

# Words before a parenthesis that are no function's name.
ATTRIBUTES = {"__attribute__", "_Alignas", "_Static_assert", "_Atomic", "OT_PRINTF", "__declspec"}
OPEN = frozenset("([{")
CLOSE = frozenset(")]}")


class Comment:
    def __init__(self, start, end, text, leads):
        self.start, self.end, self.text = start, end, text
        self.leads = leads  # nothing but blanks before it on its line


class Declaration:
    """A declaration at file scope. kind: function (with a body), prototype, variable, type."""

    def __init__(self, kind, name, line, first, last, words):
        self.kind, self.name, self.line = kind, name, line
        self.first, self.last = first, last  # token range; of a function: its body, braces included
        self.words = words  # of the declaration without the body

    @property
    def is_static(self):
        return "static" in self.words


class Source:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        parts = path.split("/")
        self.top = parts[0]
        self.room = parts[1] if self.top == "src" and len(parts) > 2 else None
        self.name = parts[-1]
        self.stem = self.name.rsplit(".", 1)[0]
        self.is_header = path.endswith(".h")
        self.is_internal = path.endswith("_int.h")
        self.macro_words = set()  # used in macros, and in a header's inline functions
        self.tokens, self.kinds, self.offsets = [], [], []
        self.comments, self.includes, self.defines, self.words = [], [], [], set()
        self.scan()
        self.pairs = self.pair_brackets()
        self.declarations = list(self.parse())

    def line_of(self, offset):
        return bisect.bisect_right(self.starts, offset)

    def line(self, index):
        return self.line_of(self.offsets[index])

    def scan(self):
        for match in TOKEN.finditer(self.text):
            kind, text, offset = match.lastgroup, match.group(), match.start()
            if kind == "comment":
                self.add_comment(text, offset)
            elif kind == "directive":
                self.add_directive(text, offset)
            else:
                if kind == "word":
                    self.words.add(text)
                self.tokens.append(text)
                self.kinds.append(kind)
                self.offsets.append(offset)

    def add_comment(self, text, offset):
        start = self.line_of(offset)
        leads = not self.text[self.starts[start - 1]:offset].strip()
        self.comments.append(Comment(start, start + text.count("\n"), text, leads))

    def add_directive(self, text, offset):
        line = self.line_of(offset)
        include = INCLUDE.match(text)
        if include:
            self.includes.append((line, include.group(2), include.group(1) == '"'))
            return
        for comment in COMMENT.finditer(text):
            self.add_comment(comment.group(), offset + comment.start())
        code = COMMENT.sub(" ", text)
        define = DEFINE.match(code)
        if define:
            self.defines.append((line, define.group(1), STRING.sub('""', define.group(3))))
            self.macro_words.update(WORD.findall(define.group(3)))
        self.words.update(WORD.findall(code))

    def pair_brackets(self):
        """For each opening bracket the place of its closing one, or of the last token."""
        open_places = []
        pairs = {}
        for place, token in enumerate(self.tokens):
            if token in OPEN:
                open_places.append(place)
            elif token in CLOSE and open_places:
                pairs[open_places.pop()] = place
        for place in open_places:
            pairs[place] = len(self.tokens) - 1
        return pairs

    def closing(self, index):
        return self.pairs[index]

    def parse(self):
        """Splits the tokens into declarations at file scope."""
        tokens = self.tokens
        start = index = 0
        while index < len(tokens):
            token = tokens[index]
            if token == "{":
                end = self.closing(index)
                if index > start and self.is_function_head(start, index):
                    words = tokens[start:index]
                    name, place = self.name_before_parameters(start, index)
                    yield Declaration("function", name, self.line(place), index, end, words)
                    start = end + 1
                index = end + 1
            elif token in OPEN:
                index = self.closing(index) + 1
            elif token == ";":
                if index > start:
                    yield self.declaration(start, index)
                start = index = index + 1
            else:
                index += 1

    def is_function_head(self, start, brace):
        name, _ = self.name_before_parameters(start, brace)
        return name is not None and self.tokens[brace - 1] == ")"

    def name_before_parameters(self, start, end):
        """The word before the first parenthesis that is not an attribute's, and its place."""
        index = start
        while index < end:
            token = self.tokens[index]
            if token == "(":
                before = self.tokens[index - 1] if index > start else ""
                if before not in ATTRIBUTES:
                    is_name = index > start and self.kinds[index - 1] == "word"
                    is_pointer = self.tokens[index + 1] == "*"
                    return (before, index - 1) if is_name and not is_pointer else (None, index)
                index = self.closing(index)
            elif token == "=":
                break
            index += 1
        return None, start

    def declaration(self, start, end):
        words = self.tokens[start:end]
        line = self.line(start)
        if words[0] == "typedef":
            return Declaration("type", self.typedef_name(start, end), line, start, end, words)
        if words[0] == "_Static_assert":
            return Declaration("assertion", None, line, start, end, words)
        name, place = self.name_before_parameters(start, end)
        if name is not None:
            return Declaration("prototype", name, self.line(place), start, end, words)
        for index, word in enumerate(words):
            if word in ("struct", "union", "enum"):
                if index + 1 < len(words) and words[index + 1] == "{":
                    return Declaration("type", None, line, start, end, words)
                if words[index + 2:index + 3] == ["{"] or index + 2 == len(words):
                    return Declaration("type", words[index + 1], line, start, end, words)
                break
        return Declaration("variable", self.variable_name(start, end), line, start, end, words)

    def typedef_name(self, start, end):
        """typedef int x; typedef void x(int); typedef void (*x)(int)."""
        index = start
        while index < end:
            if self.tokens[index] == "(":
                if self.tokens[index + 1] == "*":
                    return self.tokens[index + 2]
                return self.tokens[index - 1]
            if self.tokens[index] == "{":
                index = self.closing(index)
            index += 1
        return self.tokens[end - 1]

    def variable_name(self, start, end):
        name = None
        index = start
        while index < end:
            token = self.tokens[index]
            if token == "=" or token == "[" and name is not None:
                break
            if token == "(" and self.tokens[index + 1] == "*":
                return next((word for word, kind in zip(self.tokens[index:end],
                    self.kinds[index:end]) if kind == "word"), None)
            if token in OPEN:
                index = self.closing(index)
            elif self.kinds[index] == "word":
                name = token
            index += 1
        return name

    def forget_tokens(self):
        """Drops what only the rules of one file need; the facts travel between processes then."""
        for function in self.functions():
            if self.is_header:
                self.macro_words.update(self.tokens[function.first:function.last])
        self.tokens = self.kinds = self.offsets = self.pairs = None
        self.comments = []

    def functions(self):
        return [one for one in self.declarations if one.kind == "function"]

    def comment_over(self, line):
        """The leading comment that covers the declaration at `line`: no blank line between."""
        found = None
        for comment in self.comments:
            if comment.end >= line:
                break
            if comment.leads:
                found = comment
        if found is None:
            return None
        between = self.lines[found.end:line - 1]
        return found if all(text.strip() for text in between) else None

    def comment_at(self, line):
        """The text of all comments that touch a line."""
        return " ".join(one.text for one in self.comments if one.start <= line <= one.end)

    @property
    def head(self):
        """The comment at the top of the file, or an empty text."""
        if self.comments and self.comments[0].start == 1:
            return self.comments[0].text
        return ""
