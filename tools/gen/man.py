"""Writes the man pages from the program's own help: man.py OTTLA FOLDER VERSION.

`ottla help` begins with an introduction, and `ottla help --format json` tells all about every tool: its
purpose, its options, its commands with theirs. Each tool gets the pages ottla-TOOL(1) and, for the name
of its launcher, kafka-TOOL.sh(1).
"""

import json
import os
import re
import subprocess
import sys


def help_of(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def escape(text):
    """Text as roff reads it: backslashes and hyphens mean themselves, no line is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


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


def option_rows(command):
    """(usage, description) of each option, with its default behind it."""
    for option in command["options"]:
        text = option["description"]
        if "default" in option:
            text += f" (default: {option['default']})"
        if option.get("required"):
            text += " Must be given."
        yield option["usage"].removeprefix("* "), text


def command_section(command):
    return f"{escape(command['purpose'])}\n{definitions(option_rows(command))}"


def tool_page(tool, version):
    name = tool["name"]
    words = "command" if tool["commands"] else tool.get("rest", "")
    forms = [f"ottla {name}"] + ([] if name == "server" else [f"kafka-{name}.sh"])
    synopsis = "\n.br\n".join(f".B {escape(form)}\n{escape(f'{words} '.lstrip())}[\\fIoption\\fR ...]"
                             for form in forms)
    sections = [("SYNOPSIS", synopsis), ("DESCRIPTION", paragraphs(tool["purpose"]))]
    if tool["commands"]:
        sections += [(f"COMMAND {command['name'].upper()}", command_section(command))
                     for command in tool["commands"]]
    else:
        sections.append(("OPTIONS", definitions(option_rows(tool))))
    status = "0 when all that was asked was done, 1 otherwise."
    return page(f"ottla-{name}", tool["summary"], version,
                [*sections, ("EXIT STATUS", status), ("SEE ALSO", ".BR ottla (1)")])


def main_page(intro, tools, version):
    return page("ottla", "event streaming that speaks Kafka's protocol", version, [
        ("SYNOPSIS", ".B ottla\n.I tool\n[\\fIoption\\fR ...]"),
        ("DESCRIPTION", paragraphs(intro)),
        ("TOOLS", definitions(tools)),
        ("SEE ALSO", ",\n".join(f".BR {escape('ottla-' + name)} (1)" for name, _ in tools)),
    ])


def main():
    ottla, folder, version = sys.argv[1:]
    tools = json.loads(help_of(ottla, "help", "--format", "json"))
    intro = re.split(r"(?m)^  \w", help_of(ottla, "help"))[0]
    if not tools:
        sys.exit("man.py: `ottla help` lists no tools")

    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)

    write("ottla.1", main_page(intro, [(tool["name"], tool["summary"]) for tool in tools], version))
    for tool in tools:
        name = tool["name"]
        write(f"ottla-{name}.1", tool_page(tool, version))
        if name != "server":
            write(f"kafka-{name}.sh.1", f".so man1/ottla-{name}.1\n")


if __name__ == "__main__":
    main()
