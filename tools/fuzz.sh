#!/bin/bash
# Runs the fuzz targets for a while: [TARGET=name] [FUZZ_SECONDS=60] tools/fuzz.sh
#
# What a target learns stays in build-fuzz/corpus; an input that fails it lands in build-fuzz/found
# with the command that tries it again. Such an input belongs into test/fuzz/corpus with its fix.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

seconds=${FUZZ_SECONDS:-60}
wanted=${TARGET:-}
failed=()
count=0

tools/build.sh build-fuzz --quiet
mkdir -p build-fuzz/found
for seeds in test/fuzz/corpus/*/*/; do
	name=${seeds#test/fuzz/corpus/}
	name=${name%/}
	target=fuzz_${name/\//_}
	case $wanted in
	'' | "$name" | "$target" | "${name#*/}") ;;
	*) continue ;;
	esac
	count=$((count + 1))
	echo "fuzz: $name for $seconds s"
	mkdir -p "build-fuzz/corpus/$name"
	before=$(find build-fuzz/found -type f | wc -l)
	if ! "build-fuzz/test/fuzz/$target" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=2048 -verbosity=0 \
		-artifact_prefix="build-fuzz/found/$target-" \
		"build-fuzz/corpus/$name" "$seeds"; then
		failed+=("$name")
		[ "$(find build-fuzz/found -type f | wc -l)" -eq "$before" ] ||
			echo "fuzz: again with: build-fuzz/test/fuzz/$target build-fuzz/found/$target-*"
	fi
done
if [ "$count" -eq 0 ]; then
	echo "fuzz: no target is named '$wanted'" >&2
	exit 1
fi
echo "$((count - ${#failed[@]})) passed, ${#failed[@]} failed${failed:+: ${failed[*]}}"
[ ${#failed[@]} -eq 0 ]
