#!/bin/bash
# Configures a build folder the first time, then builds it: tools/build.sh FOLDER [NINJA ARGUMENT...]
#
# The folder's name says what it is for; this is the one place that knows how each is configured.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

folder=${1:?usage: tools/build.sh FOLDER [NINJA ARGUMENT...]}
shift

compiler=gcc
options=()
case $folder in
build) ;;
build-clang) compiler=clang ;;
build-san)
	# Sanitized code trips warnings about values that its own checks make look unset.
	options=(-Dbuildtype=debugoptimized -Dplain_alloc=true -Dwerror=false
		'-Db_sanitize=address,undefined')
	;;
build-tsan)
	options=(-Dbuildtype=debugoptimized -Dplain_alloc=true -Dwerror=false -Db_sanitize=thread)
	;;
build-cover) options=(-Dbuildtype=debug -Db_coverage=true -Dwerror=false) ;;
build-fuzz)
	compiler=clang
	options=(-Dbuildtype=debugoptimized -Dplain_alloc=true -Dwerror=false -Dfuzz=true
		'-Db_sanitize=address,undefined' -Db_lundef=false)
	;;
*)
	echo "tools/build.sh: no build folder is named $folder" >&2
	exit 1
	;;
esac

if [ ! -f "$folder/build.ninja" ]; then
	mkdir -p "$folder"
	CC="ccache $compiler" meson setup "$folder" "${options[@]}" >"$folder/setup.txt" 2>&1 || {
		cat "$folder/setup.txt" >&2
		exit 1
	}
fi
exec ninja -C "$folder" "$@"
