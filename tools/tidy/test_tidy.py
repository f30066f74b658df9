"""Tests of tidy: for each rule a sample that breaks it and one that does not.

Method: each test writes a small tree into a temporary folder and asks for the findings there. The
trees start from ROOM, which no rule complains about, so that a test shows its own subject only.
"""

import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rules_file  # noqa: E402
import rules_tree  # noqa: E402
import tidy  # noqa: E402

HEADER = """\
/* Things. @owner any thread */
#ifndef OT_LOG_THING_H
#define OT_LOG_THING_H
%s
#endif
"""

ROOM = {
    "tools/layers.txt": "room base: leaves\nroom log: logs\nedge log -> base: it needs leaves\n",
    "src/log/README.md": "# log\n",
    "src/base/README.md": "# base\n",
}


def findings(files):
    """The findings in ROOM with `files` (path -> text) as (rule, path, line) tuples."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**ROOM, **files}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        return [(name, path, line) for path, line, name, _, _ in tidy.check(root)]


class RuleTest(unittest.TestCase):
    tested = set()

    def bad(self, rule, files, path=None, line=None):
        """The rule complains, once, at the place; no other rule does."""
        self.tested.add(rule)
        found = findings(files)
        self.assertEqual([name for name, _, _ in found], [rule])
        if path is not None:
            self.assertEqual(found[0][1], path)
        if line is not None:
            self.assertEqual(found[0][2], line)

    def good(self, files):
        self.assertEqual(findings(files), [])

    def bad_c(self, rule, text, line=None):
        self.bad(rule, {"src/log/thing.c": text}, "src/log/thing.c", line)

    def good_c(self, text):
        self.good({"src/log/thing.c": text})

    def bad_h(self, rule, text, line=None):
        self.bad(rule, {"src/log/thing.h": HEADER % text}, "src/log/thing.h", line)

    def good_h(self, text):
        self.good({"src/log/thing.h": HEADER % text})


class Sizes(RuleTest):
    def test_columns(self):
        self.bad_c("columns", "/* " + "x" * 99 + " */\n", 1)
        self.bad_c("columns", "\t" * 8 + "/* " + "x" * 40 + " */\n", 1)
        self.good_c("/* " + "x" * 94 + " */\n")

    def test_file_size(self):
        self.bad_c("file-size", "/* line */\n" * 1201, 1201)
        self.good_c("/* line */\n" * 1200)

    def test_function_size(self):
        body = "static void\nlong_one(void)\n{\n%s}\n"
        self.bad_c("function-size", body % ("\tstep();\n" * 71), 2)
        self.good_c(body % ("\tstep();\n" * 70))

    def test_nesting_counts_statements_with_and_without_braces(self):
        body = "static void\nf(int a)\n{\n%s}\n"
        self.bad_c("nesting", body % "if (a)\nfor (;;)\nwhile (a)\nif (a)\na = 1;\n", 8)
        self.bad_c("nesting", body % "if (a) {\nfor (;;) {\ndo {\nswitch (a) {\n}\n} while (a);\n}\n}\n")
        self.good_c(body % "if (a)\nfor (;;)\nwhile (a)\na = 1;\n")

    def test_nesting_takes_else_if_as_one_level(self):
        chain = "if (a) {\n} else if (a) {\n} else if (a) {\n} else if (a) {\n} else {\n a = 1;\n}\n"
        self.good_c("static void\nf(int a)\n{\nfor (;;) {\nwhile (a) {\n" + chain + "}\n}\n}\n")

    def test_nesting_knows_loop_macros_and_labels(self):
        body = "static void\nf(int a)\n{\n%s}\n"
        self.bad_c("nesting", body % "if (a) if (a) if (a) OT_LIST_FOREACH(x, y) { a = 1; }\n")
        self.good_c(body % "switch (a) {\ncase 1: {\nif (a)\nfor (;;)\na = 1;\nbreak;\n}\n}\n")
        self.good_c(body % "struct x x = { .a = { .b = { .c = { .d = 1 } } } };\nuse(x);\n")


class Macros(RuleTest):
    def test_macro_name(self):
        self.bad_c("macro-name", "#define twice(x) ((x) * 2)\n", 1)
        self.good_c("#define TWICE(x) ((x) * 2)\n")
        self.good({"test/unit/test.h": "#define assert_ok(x) assert_true(x)\n"})

    def test_macro_flow(self):
        self.bad_c("macro-flow", "#define TRY(x) \\\n\tif (x) \\\n\t\treturn 1\n", 1)
        self.bad_c("macro-flow", "#define TRY(x) if (x) goto out\n", 1)
        self.good_c('#define SAY(x) say("return " x) /* never a return */\n')

    def test_macro_prefix(self):
        self.bad_h("macro-prefix", "#define THING_COUNT 1", 4)
        self.good_h("#define OT_THING_COUNT 1")


class Headers(RuleTest):
    def test_guard(self):
        text = "/* @owner any thread */\n#ifndef %s\n#define %s\n#endif\n"
        self.bad("guard", {"src/log/thing.h": text % ("OT_LOG_THIN_H", "OT_LOG_THIN_H")})
        self.good({"src/log/thing.h": text % ("OT_LOG_THING_H", "OT_LOG_THING_H")})

    def test_own_header_leads(self):
        header = {"src/log/thing.h": HEADER % ""}
        self.bad("own-header", {**header, "src/log/thing.c":
                 '#include <string.h>\n\n#include "log/thing.h"\n'}, "src/log/thing.c", 1)
        self.bad("own-header", {**header, "src/log/thing_roll.c":
                 '#include <string.h>\n\n#include "log/thing.h"\n'}, "src/log/thing_roll.c", 1)
        self.good({**header, "src/log/thing.c": '#include "log/thing.h"\n\n#include <string.h>\n'})

    def test_internal_header_stays_in_its_room(self):
        header = {"src/base/list_int.h": "#ifndef OT_BASE_LIST_INT_H\n#define OT_BASE_LIST_INT_H\n"
                                         "#endif\n"}
        include = '#include "base/list_int.h"\n'
        self.bad("internal-header", {**header, "src/log/thing.c": include}, "src/log/thing.c", 1)
        self.bad("internal-header", {**header, "test/unit/log/test_thing.c": include})
        self.good({**header, "src/base/list.c": include})
        self.good({**header, "test/unit/base/test_list.c": include})

    def test_owner(self):
        head = "/* Things. */\n#ifndef OT_LOG_THING_H\n#define OT_LOG_THING_H\n%s\n#endif\n"
        users = {"src/log/thing.c": '#include "log/thing.h"\n'
                                    "void\not_a(int x)\n{\n}\nvoid\not_b(void)\n{\n}\n",
                 "test/unit/log/test_thing.c": "static void f(void) { ot_a(1); ot_b(); }\n"}

        def tree(text):
            return {**users, "src/log/thing.h": head % text}

        self.bad("owner", tree("/* Does. @owner x */\nvoid ot_a(int x);\n\nvoid ot_b(void);\n"),
                 "src/log/thing.h", 7)
        self.bad("owner", tree("/* Does. */\nvoid ot_a(int x);\n/* @owner x */\nvoid ot_b(void);\n"),
                 "src/log/thing.h", 5)
        self.good(tree("/* Does. @owner x */\nvoid ot_a(int x); /* so */\nvoid ot_b(void);\n"))
        self.good({**users, "src/log/thing.h": (HEADER % "void ot_a(int x);\n\nvoid ot_b(void);\n")})

    def test_must_use(self):
        users = {"src/log/thing.c": '#include "log/thing.h"\not_err\not_a(int x)\n{\n}\n',
                 "test/unit/log/test_thing.c": "static void f(void) { ot_a(1); }\n"}
        self.bad("must-use", {**users, "src/log/thing.h": HEADER % "ot_err ot_a(int x);"})
        self.good({**users, "src/log/thing.h": HEADER % "ot_err ot_a(int x) OT_MUST_USE;"})
        self.good({**users, "src/log/thing.h": HEADER % "OT_MUST_USE ot_err ot_a(int x);"})

    def test_dropped_error(self):
        body = "static ot_err\ntry_it(void)\n{\n}\n\nstatic void\nf(int a)\n{\n%s}\n"
        self.bad_c("dropped-error", body % "\ttry_it();\n", 9)
        self.bad_c("dropped-error", body % "\tif (a)\n\t\ta = 1;\n\telse\n\t\ttry_it();\n", 12)
        self.good_c(body % "\tot_err err = try_it();\n\tif (try_it() != 0)\n\t\ta = 1;\n")
        self.good_c(body % "\treturn a ? 1 : try_it();\n")
        self.good_c(body % "\t(void)try_it();\n")


class Visibility(RuleTest):
    def test_prefix(self):
        self.bad("prefix", {
            "src/log/thing.h": HEADER % "void thing_a(void);",
            "src/log/thing.c": '#include "log/thing.h"\nvoid\nthing_a(void)\n{\n}\n',
            "test/unit/log/test_thing.c": "static void f(void) { thing_a(); }\n"},
            "src/log/thing.h", 4)
        self.bad_h("prefix", "struct thing { int a; };", 4)
        self.bad_h("prefix", "typedef void on_thing(int a);", 4)
        self.bad_h("prefix", "extern const int thing_count;", 4)
        self.bad_c("prefix", "static void\not_thing(void)\n{\n}\n", 2)
        self.good_h("struct ot_thing { int a; };\ntypedef void ot_on_thing(int a);\n"
                    "typedef void (*ot_thing_cb)(void *);\nextern const struct ot_thing ot_things[2];\n"
                    "struct ot_other;\nenum { OT_THING_A, OT_THING_B };\n")

    def test_prefix_inside_a_room(self):
        head = "#ifndef OT_LOG_ROLL_INT_H\n#define OT_LOG_ROLL_INT_H\n%s\n#endif\n"
        users = {"src/log/a.c": '#include "log/roll_int.h"\nvoid\n%s(void)\n{\n}\n',
                 "src/log/b.c": '#include "log/roll_int.h"\nstatic void\nuse(void)\n{\n\t%s();\n}\n'}

        def tree(name):
            files = {path: text % name for path, text in users.items()}
            return {**files, "src/log/roll_int.h": head % f"void {name}(void);"}

        self.bad("prefix", tree("make"), "src/log/roll_int.h", 3)
        self.good({**tree("log_make"), "src/log/other_int.h": "#ifndef OT_LOG_OTHER_INT_H\n"
                   "#define OT_LOG_OTHER_INT_H\nstruct roll_made;\nstruct other { int a; };\n"
                   "struct log { int a; };\n#endif\n"})
        self.good(tree("log_make"))
        self.good(tree("roll_make"))

    def test_undeclared(self):
        self.bad_c("undeclared", "void\nlog_thing(void)\n{\n}\n", 2)
        self.good_c("static void\nthing(void)\n{\n}\n\nint\nmain(void)\n{\n}\n")

    def test_dead_declaration(self):
        header = {"src/log/thing.h": HEADER % "void ot_a(void);"}
        body = {"src/log/thing.c": '#include "log/thing.h"\nvoid\not_a(void)\n{\n}\n'}
        self.bad("dead-declaration", header, "src/log/thing.h", 4)
        self.bad("dead-declaration", {**header, **body}, "src/log/thing.h", 4)
        self.good({**header, **body, "src/log/b.c": "static void\nb(void)\n{\n\tot_a();\n}\n"})
        self.good({**header, **body, "tools/gen/make.py": "print('ot_a();')\n"})
        self.good({**body, "src/log/thing.h":
                   HEADER % "void ot_a(void);\n#define OT_A() ot_a()"})


class Calls(RuleTest):
    def test_banned_call(self):
        body = "static void\nf(void)\n{\n\t%s;\n}\n"
        self.bad_c("banned-call", body % "strcpy(a, b)", 4)
        self.bad_c("banned-call", body % "x = malloc(1)", 4)
        self.bad_c("banned-call", body % 'printf("x")', 4)
        self.bad_c("banned-call", body % "return time(NULL)", 4)
        self.bad_c("banned-call", body % "fsync(fd)", 4)
        self.bad_c("banned-call", "#define DROP(x) free(x)\n", 1)
        self.good_c(body % "ops->read(file, 1)")
        self.good_c(body % "ops.close(file)")
        self.good_c(body % 'say("call free() now") /* or free(x) */')
        self.good_c("struct thing { int (*read)(int); int (*free)(void *x); };\n")

    def test_banned_call_by_place(self):
        body = "static void\nf(void)\n{\n\t%s;\n}\n"
        room = {"tools/layers.txt": "room base: x\nroom io: x\nroom log: x\nroom cli: x\n",
                "src/io/README.md": "x", "src/cli/README.md": "x"}
        self.good({**room, "src/io/host.c": body % "fsync(fd)"})
        self.good({**room, "src/cli/topics.c": body % 'printf("x")'})
        self.good({**room, "src/base/alloc.c": body % "free(x)"})
        self.good({**room, "test/unit/log/test_x.c": body % 'free(x); printf("x"); fsync(1)'})
        self.bad("banned-call", {**room, "test/unit/log/test_x.c": body % "strcat(a, b)"})

    def test_banned_include(self):
        self.bad_c("banned-include", "#include <unistd.h>\n", 1)
        self.bad_c("banned-include", "#include <stdatomic.h>\n", 1)
        self.good_c("#include <string.h>\n#include <sys/uio.h>\n")

    def test_sync(self):
        self.bad_c("sync", "static void\nf(void)\n{\n\tatomic_fetch_add(&x, 1);\n}\n", 4)
        self.bad_c("sync", "static void\nf(void)\n{\n\tpthread_mutex_lock(&x);\n}\n", 4)
        self.good({"src/base/thing.c": "static void\nf(void)\n{\n\tatomic_fetch_add(&x, 1);\n}\n"})

    def test_field_tag(self):
        path = "src/base/thing.c"
        self.bad("field-tag", {path: "struct a { int b; /* [mine] */ };\n"}, path, 1)
        self.bad("field-tag", {path: "struct a {\n\t_Atomic int b; /* how many */\n};\n"}, path, 2)
        self.good({path: "struct a {\n\t_Atomic int b; /* [atomic] how many */\n"
                         "\tint c; /* [owner: the home shard] */\n\tint d; /* [lock:x] */\n};\n"})


class Tree(RuleTest):
    def test_layers(self):
        base = {"src/base/list.h": "/* @owner x */\n#ifndef OT_BASE_LIST_H\n#define OT_BASE_LIST_H\n"
                                   "#endif\n"}
        self.good({**base, "src/log/a.c": '#include "base/list.h"\n'})
        log = {"src/log/thing.h": HEADER % ""}
        self.bad("layers", {**log, "src/base/a.c": '#include "log/thing.h"\n'}, "src/base/a.c", 1)
        self.bad("layers", {"src/new/a.c": "", "src/new/README.md": "x"}, "src/new/a.c", 1)

    def test_layers_file(self):
        path = "tools/layers.txt"
        self.bad("layers", {path: "room base: x\nroom log: x\nedge base -> log: why\n"}, path, 3)
        self.bad("layers", {path: "room base: x\nroom log: x\nedge log -> base\n"}, path, 3)
        self.bad("layers", {path: "room base: x\nedge log -> base: why\n"}, path, 2)
        self.bad("layers", {path: "room base: x\nroom log: x\nedge log -> base: why\n"
                                  "edge log -> base: why\n"}, path, 4)

    def test_include_form(self):
        self.bad("include-form", {"src/log/thing.h": HEADER % "",
                                  "src/log/a.c": '#include "thing.h"\n'}, "src/log/a.c", 1)

    def test_readme(self):
        layers = ROOM["tools/layers.txt"] + "room wire: x\n"
        files = {"tools/layers.txt": layers, "src/wire/a.c": ""}
        self.bad("readme", files, "src/wire/README.md")
        self.good({**files, "src/wire/README.md": "# wire\n"})

    def test_magic(self):
        self.bad("magic", {"src/log/a.c": "enum { A_MAGIC = 0x12345678 };\n",
                           "src/log/b.c": "#define B_MAGIC 0x12345678\n"}, "src/log/b.c", 1)
        self.good({"src/log/a.c": "enum { A_MAGIC = 0x12345678, V_MAGIC = 0x2 };\n",
                   "src/log/b.c": "#define B_MAGIC 0x12345679\nenum { W_MAGIC = 0x2 };\n"})

    def test_todo(self):
        self.bad_c("todo", "/* TODO: later */\n", 1)
        self.bad_c("todo", "/* FIXME */\n", 1)
        self.bad("todo", {"doc/a.md": "text\nXXX\n"}, "doc/a.md", 2)
        self.good_c("/* TODO(#12): later. TODO #13: too. METHODOLOGY */\n")

    def test_machine_path(self):
        self.bad_c("machine-path", '/* see /home/someone/notes */\n', 1)
        self.bad("machine-path", {"tools/a.sh": "cd /root/x\n"}, "tools/a.sh", 1)
        self.good_c("/* /etc/ottla and ~/home/x and $PREFIX/home/x */\n")

    def test_lock_file(self):
        path = "test/system/node/package-lock.json"
        self.bad("lock-file", {path: '{\n"resolved": "https://host/a.tgz"\n}\n'}, path, 2)
        self.good({path: '{\n"version": "1", "integrity": "sha512-x"\n}\n'})

    def test_exceptions(self):
        path = "tools/tidy/exceptions.txt"
        code = {"src/log/thing.c": "#define twice(x) 2\n#define thrice(x) 3\n"}
        self.bad("macro-name", {**code, path: "at most 1\nmacro-name src/log/thing.c:twice why\n"},
                 "src/log/thing.c", 2)
        self.good({**code, path: "at most 1\nmacro-name src/log/thing.c why\n"})
        self.good({**code, path: "at most 1\nmacro-name src/ why\n"})
        self.bad("exceptions", {path: "at most 1\ntodo src/log/gone.c why\n"}, path, 2)
        self.bad("exceptions", {**code, path: "at most 0\nmacro-name src/log/thing.c why\n"}, path)
        self.bad("exceptions", {**code, path: "at most 2\nmacro-name src/log/thing.c why\n"}, path)
        self.bad("exceptions", {path: "at most 0\nnonsense\n"}, path, 2)


class Whole(unittest.TestCase):
    def test_every_rule_has_a_bad_sample(self):
        """Goal: no rule without a test. The other classes ran first (Whole sorts last)."""
        rules = set(rules_file.RULES) | set(rules_tree.RULES)
        self.assertEqual(rules - RuleTest.tested, set())

    def test_speed(self):
        """Goal: a tree of 100,000 lines takes under three seconds on two cores; the limit here is
        loose, for machines that do other things meanwhile."""
        function = ("/* Why. */\nstatic int\nname_%d(struct ot_thing *thing, int number)\n{\n"
                    "\tif (thing->field > number && number != 0)\n\t\treturn call(thing, number);\n"
                    "\tfor (int i = 0; i < number; i++)\n\t\tthing->list[i] = other(i, \"text\");\n"
                    "\treturn 0;\n}\n")
        text = "".join(function % i for i in range(100))
        start = time.monotonic()
        self.assertEqual(findings({f"src/log/f{i}.c": text for i in range(100)}), [])
        self.assertLess(time.monotonic() - start, 20)


if __name__ == "__main__":
    unittest.main()
