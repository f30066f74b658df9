#!/bin/sh
# Stops brokers of this machine: all of them, or those of one role, or the one with an id (KIP-979).
#
#   kafka-server-stop.sh [--process-role=ROLE] [--node-id=ID]
#
# It sends $SIGNAL (default TERM, on which a broker flushes its logs and ends) and does not wait. A
# node id takes precedence over a role. Both are read from the arguments and the property file that
# each process was started with; without process.roles it is `broker,controller`.

SIGNAL=${SIGNAL:-TERM}
PROC=${PROC:-/proc}
wanted_role=
wanted_id=

usage()
{
	echo "USAGE: $0 [--process-role=ROLE] [--node-id=ID]" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--process-role=*) wanted_role=${1#*=} ;;
	--node-id=*) wanted_id=${1#*=} ;;
	--process-role | --node-id)
		[ $# -gt 1 ] || usage
		[ "$1" = --node-id ] && wanted_id=$2 || wanted_role=$2
		shift
		;;
	*) usage ;;
	esac
	shift
done

# Prints the ids of the processes that run `ottla server`.
server_pids()
{
	for folder in "$PROC"/[0-9]*; do
		comm=
		{ read -r comm <"$folder/comm"; } 2>/dev/null
		[ "$comm" = ottla ] || continue
		case $(tr '\0' '\n' 2>/dev/null <"$folder/cmdline" | sed -n 2p) in
		server) echo "${folder##*/}" ;;
		esac
	done
}

# setting PID KEY...: what the first of the keys says, in the arguments or else in the property file.
setting()
{
	folder=$PROC/$1
	shift
	file=$(tr '\0' '\n' <"$folder/cmdline" | sed -n 3p)
	case $file in
	/*) ;;
	*) file=$folder/cwd/$file ;;
	esac
	for key in "$@"; do
		value=$(
			{
				tr -d '\r' <"$file"
				echo
				tr '\0' '\n' <"$folder/cmdline" | sed -n '/^--override$/{n;p;}'
			} 2>/dev/null |
				sed -n "s/^[[:space:]]*$(echo "$key" | sed 's/\./\\./g')[[:space:]]*[=:][[:space:]]*//p" |
				tail -n 1 | tr -d '[:space:]'
		)
		if [ -n "$value" ]; then
			echo "$value"
			return
		fi
	done
}

is_wanted()
{
	if [ -n "$wanted_id" ]; then
		[ "$(setting "$1" node.id broker.id)" = "$wanted_id" ]
	elif [ -n "$wanted_role" ]; then
		roles=$(setting "$1" process.roles)
		[ "$roles" != controller,broker ] || roles=broker,controller
		[ "${roles:-broker,controller}" = "$wanted_role" ]
	fi
}

pids=
for pid in $(server_pids); do
	! is_wanted "$pid" || pids="$pids $pid"
done
if [ -z "$pids" ]; then
	echo "No kafka server to stop"
	exit 1
fi
# shellcheck disable=SC2086 # a list of numbers
kill -s "$SIGNAL" $pids
