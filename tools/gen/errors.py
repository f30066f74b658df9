"""Writes the error table in C from schema/errors.tsv: errors.py TSV HEADER."""

import csv
import sys


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def check(rows):
    codes, names = set(), set()
    for row in rows:
        if row["code"] in codes or row["name"] in names:
            sys.exit(f"schema/errors.tsv: code {row['code']} or name {row['name']} stands twice")
        codes.add(row["code"])
        names.add(row["name"])
    known = {row["name"] for row in rows}
    for row in rows:
        if row["wire"] not in known:
            sys.exit(f"schema/errors.tsv: {row['name']} maps to {row['wire']}, which is no name here")


def symbol(name):
    return "OT_OK" if name == "NONE" else f"OT_ERR_{name}"


def main():
    source, header = sys.argv[1:]
    rows = read_rows(source)
    check(rows)
    with open(header, "w", encoding="utf-8") as out:
        out.write("/* Generated from schema/errors.tsv. */\n")
        out.write("#ifndef OT_BASE_ERR_GEN_H\n#define OT_BASE_ERR_GEN_H\n\n")
        out.write("typedef enum ot_err {\n")
        for row in rows:
            out.write(f"\t{symbol(row['name'])} = {row['code']},\n")
        out.write("} ot_err;\n\n#define OT_ERR_TABLE(ROW) \\\n")
        for row in rows:
            retriable = row["retriable"]
            message = row["message"].replace('"', '\\"')
            out.write(
                f'\tROW({symbol(row["name"])}, "{row["name"]}", {retriable}, '
                f'{symbol(row["wire"])}, "{message}") \\\n'
            )
        out.write("\n#endif\n")


main()
