# Completion for ottla and the kafka-*.sh launchers. Tools and options come from the program's own
# help, so they are those of the version that is installed.

_ottla_tools()
{
	"$1" help 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9-]*\)  .*/\1/p'
}

# The commands of a tool that has some, for the word behind its name.
_ottla_commands()
{
	"$@" --help 2>/dev/null </dev/null |
		sed -n '/^Command /,/^$/s/^\([a-z][a-z0-9-]*\)  .*/\1/p'
}

# Options stand at the begin of a line of help, all their names before what they take.
_ottla_options()
{
	"$@" --help 2>&1 </dev/null |
		grep -oE -- '^(\* )?(-[a-zA-Z], )*--[a-z][a-z0-9.-]*(, --[a-z][a-z0-9.-]*)*' |
		grep -oE -- '--[a-z][a-z0-9.-]*' | sort -u
}

_ottla()
{
	local command=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]}
	local tool=("$command")
	local first=1 commands

	COMPREPLY=()
	if [ "${command##*/}" = ottla ]; then
		if [ "$COMP_CWORD" -eq 1 ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_ottla_tools "$command")" -- "$word")
			return
		fi
		tool+=("${COMP_WORDS[1]}")
		first=2
	fi
	commands=$(_ottla_commands "${tool[@]}")
	if [ -n "$commands" ] && [ "$COMP_CWORD" -eq $first ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
		return
	elif [ -n "$commands" ]; then
		tool+=("${COMP_WORDS[first]}")
	fi
	case $word in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$(_ottla_options "${tool[@]}")" -- "$word")
		return
		;;
	esac
	case $before in
	--bootstrap-server | --broker-list | --bootstrap-servers)
		mapfile -t COMPREPLY < <(compgen -W 'localhost:9092' -- "$word")
		;;
	--zookeeper) mapfile -t COMPREPLY < <(compgen -W 'localhost:2181' -- "$word") ;;
	*) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	esac
}

complete -o filenames -F _ottla ottla kafka-{broker-api-versions,cluster,configs}.sh \
	kafka-{console-consumer,console-producer,consumer-groups,consumer-perf-test}.sh \
	kafka-{delete-records,dump-log,e2e-latency,get-offsets,leader-election,log-dirs}.sh \
	kafka-{metadata-quorum,preferred-replica-election,producer-perf-test}.sh \
	kafka-{reassign-partitions,replica-verification,storage,topics,server-start}.sh
