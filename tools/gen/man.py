"""Writes the man pages from the program's own help: man.py OTTLA FOLDER VERSION.

`ottla help` gives an introduction and one line per tool, indented by two blanks: name, then summary.
`ottla TOOL --help` gives a description and a table with the columns Option and Description, as
Kafka's tools do; help of another form goes into the page as it stands. Each tool gets the pages
ottla-TOOL(1) and, for the name of its launcher, kafka-TOOL.sh(1).
"""

import os
import re
import subprocess
import sys


def help_of(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def escape(text):
    """Text as roff reads it: backslashes and hyphens mean themselves, no line is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def parse_tools(text):
    """The introduction and the (name, summary) rows of `ottla help`."""
    row = re.compile(r"  ([a-z][a-z0-9-]*)  +(\S.*)")
    intro, rows = [], []
    for line in text.splitlines():
        match = row.fullmatch(line)
        if match:
            rows.append(match.groups())
        elif not rows:
            intro.append(line)
    return "\n".join(intro).strip(), rows


def parse_options(text):
    """The description above the table of options and its (option, description) rows, or None."""
    lines = text.splitlines()
    heads = [index for index, line in enumerate(lines) if re.match(r"Option +Description *$", line)]
    if not heads:
        return None
    head = heads[0]
    column = lines[head].index("Description")
    rows = []
    for line in lines[head + 1:]:
        if re.fullmatch(r"[- ]*", line):
            continue
        left, right = line[:column].strip(), line[column:].strip()
        if line.startswith("-"):
            rows.append([left, right])
        elif rows:
            rows[-1] = [f"{rows[-1][0]} {left}".strip(), f"{rows[-1][1]} {right}".strip()]
    return "\n".join(lines[:head]).strip(), rows


def page(name, summary, version, sections):
    parts = [f'.TH "{name.upper()}" 1 "" "Ottla {version}" "Ottla"', ".SH NAME",
             f"{escape(name)} \\- {escape(summary)}"]
    for title, body in sections:
        if body:
            parts += [f".SH {title}", body]
    return "\n".join(parts) + "\n"


def paragraphs(text):
    return "\n.PP\n".join(escape(part) for part in re.split(r"\n\s*\n", text) if part.strip())


def definitions(rows):
    return "\n".join(f".TP\n.B {escape(left)}\n{escape(right)}" for left, right in rows)


def tool_page(name, summary, text, version):
    parsed = parse_options(text)
    if parsed is None:
        body = [("HELP", f".nf\n{escape(text.rstrip())}\n.fi")]
    else:
        body = [("DESCRIPTION", paragraphs(parsed[0])), ("OPTIONS", definitions(parsed[1]))]
    synopsis = f".B ottla {escape(name)}\n[\\fIoption\\fR ...]\n.br\n" \
               f".B kafka\\-{escape(name)}.sh\n[\\fIoption\\fR ...]"
    if name == "server":
        synopsis = ".B ottla server\n.I server.properties\n[\\fB\\-\\-override\\fR " \
                   "\\fIproperty\\fR=\\fIvalue\\fR] ..."
    return page(f"ottla-{name}", summary, version,
                [("SYNOPSIS", synopsis), *body, ("SEE ALSO", ".BR ottla (1)")])


def main_page(intro, tools, version):
    return page("ottla", "event streaming that speaks Kafka's protocol", version, [
        ("SYNOPSIS", ".B ottla\n.I tool\n[\\fIoption\\fR ...]"),
        ("DESCRIPTION", paragraphs(intro)),
        ("TOOLS", definitions(tools)),
        ("SEE ALSO", ",\n".join(f".BR {escape('ottla-' + name)} (1)" for name, _ in tools)),
    ])


def main():
    ottla, folder, version = sys.argv[1:]
    intro, tools = parse_tools(help_of(ottla, "help"))
    if not tools:
        sys.exit("man.py: `ottla help` lists no tools")

    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)

    write("ottla.1", main_page(intro, tools, version))
    for name, summary in tools:
        write(f"ottla-{name}.1", tool_page(name, summary, help_of(ottla, name, "--help"), version))
        if name != "server":
            write(f"kafka-{name}.sh.1", f".so man1/ottla-{name}.1\n")


if __name__ == "__main__":
    main()
