#!/bin/bash
# Formats every C file with clang-format, or with --check says which files are not formatted.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

mode=(-i)
if [ "${1-}" = --check ]; then
	mode=(--dry-run -Werror)
fi

# clang-format stops naming places after one error per file: one line says enough.
folders=()
for folder in include src test bench tools; do
	[ ! -d "$folder" ] || folders+=("$folder")
done
find "${folders[@]}" -name node_modules -prune -o -name '*.[ch]' -print0 |
	xargs -0 -r -P "$(nproc)" -n 25 clang-format --ferror-limit=1 "${mode[@]}" || {
	echo 'format: `make format` mends these' >&2
	exit 1
}
