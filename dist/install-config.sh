#!/bin/sh
# Installs config/*.properties into the folder given, with data below /var/lib/ottla instead of
# Kafka's default below /tmp. A file that is there already stays as it is, and the new one goes
# beside it as NAME.new.
set -eu
to=$DESTDIR$1
from=$MESON_SOURCE_ROOT/config

mkdir -p "$to"
for file in "$from"/*.properties; do
	[ -e "$file" ] || continue
	name=${file##*/}
	if [ -e "$to/$name" ]; then
		name=$name.new
	fi
	sed 's|^\(log\.dirs\?\)=/tmp/kafka-logs|\1=/var/lib/ottla|' "$file" >"$to/$name"
	chmod 644 "$to/$name"
done
