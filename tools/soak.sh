#!/bin/bash
# Runs the long tests until SOAK_SECONDS=3600 are over: simulated clusters of seeds that nobody has
# tried, real clusters under faults, kills of a single broker. PART=sim|faults|kills|load runs one of
# them alone. The first failure ends it, with the command that tries it again.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

seconds=${SOAK_SECONDS:-3600}
wanted=${PART:-sim faults kills load}
end=$((SECONDS + seconds))
parts=0
for _ in $wanted; do parts=$((parts + 1)); done
share=$((seconds / parts))

pytest() {
	/usr/bin/python3 -m pytest -q -p no:cacheprovider -x "$@"
}

soak_sim() {
	local first until=$((SECONDS + share))
	first=$(($(date +%s) % 1000000 * 1000000))
	tools/build.sh build --quiet test/sim/sim
	while [ "$SECONDS" -lt "$until" ]; do
		echo "soak: simulated clusters, seeds $first-$((first + 999))"
		build/test/sim/sim --seeds="$first-$((first + 999))"
		first=$((first + 1000))
	done
}

soak_faults() {
	echo "soak: real clusters under faults"
	OTTLA_FAULT_SECONDS=$share pytest test/system/test_fault_mix.py
}

soak_kills() {
	local until=$((SECONDS + share))
	while [ "$SECONDS" -lt "$until" ]; do
		echo "soak: 100 kills of a broker"
		OTTLA_KILLS=100 pytest test/system/test_kill.py
	done
}

soak_load() {
	echo "soak: steady load, memory by quarter"
	SOAK=$share ONLY=soak bench/run.py
}

tools/deps.sh build check test
tools/build.sh build --quiet ottla bench/load bench/probe
export OTTLA="$PWD/build/ottla"
for part in $wanted; do
	case $part in
	sim | faults | kills | load) "soak_$part" ;;
	*)
		echo "soak: no part is named '$part'; there are sim, faults, kills and load" >&2
		exit 1
		;;
	esac
done
echo "soak: nothing failed in $((seconds - (end - SECONDS))) s"
