#!/bin/sh
# Starts a tool of ottla under the names that people and scripts know.
#
# Each kafka-NAME.sh is a symlink to this file and becomes `ottla NAME`. Under its own name it takes
# a class of Kafka's, old or new, as Kafka's script does:
#
#   kafka-run-class.sh [-daemon] [-name SERVICE] [-loggc] CLASS [ARGUMENT...]
#
# -daemon runs it in the background with its output in $LOG_DIR/SERVICE.out. $OTTLA names another
# program than the one beside this script.

name=${0##*/}
here=${0%/*}
[ "$here" != "$0" ] || here=.

die()
{
	echo "$name: $*" >&2
	exit 1
}

# In the tree the program lies in build/, installed it lies beside this script. A link from
# elsewhere is followed first; $PATH is the last resort.
find_ottla()
{
	if [ -n "$OTTLA" ]; then
		logs=logs
		return
	fi
	if [ -L "$0" ] && [ ! -e "$here/kafka-run-class.sh" ]; then
		here=$(readlink -f "$0")
		here=${here%/*}
	fi
	if [ -e "$here/../meson.build" ]; then
		OTTLA=$here/../build/ottla
		logs=$here/../logs
		[ -x "$OTTLA" ] || die "build/ottla is not there yet: run \`make\` in ${here%/bin}"
	elif [ -x "$here/ottla" ]; then
		OTTLA=$here/ottla
		logs=/var/log/ottla
	else
		OTTLA=$(command -v ottla) || die "no program ottla beside this script or on the PATH"
		logs=/var/log/ottla
	fi
}

# Prints the tool that does what a class of Kafka's did; packages changed over the years.
tool_of_class()
{
	case $1 in
	kafka.* | org.apache.kafka.*) ;;
	*) return 1 ;;
	esac
	case ${1##*.} in
	Kafka) echo server ;;
	TopicCommand) echo topics ;;
	ConsoleProducer) echo console-producer ;;
	ConsoleConsumer) echo console-consumer ;;
	ConsumerGroupCommand) echo consumer-groups ;;
	ConfigCommand) echo configs ;;
	GetOffsetShell) echo get-offsets ;;
	DeleteRecordsCommand) echo delete-records ;;
	LeaderElectionCommand) echo leader-election ;;
	LogDirsCommand) echo log-dirs ;;
	MetadataQuorumCommand) echo metadata-quorum ;;
	PreferredReplicaLeaderElectionCommand) echo preferred-replica-election ;;
	ReassignPartitionsCommand) echo reassign-partitions ;;
	ReplicaVerificationTool) echo replica-verification ;;
	DumpLogSegments) echo dump-log ;;
	BrokerApiVersionsCommand) echo broker-api-versions ;;
	ClusterTool) echo cluster ;;
	StorageTool) echo storage ;;
	ProducerPerformance) echo producer-perf-test ;;
	ConsumerPerformance) echo consumer-perf-test ;;
	EndToEndLatency) echo e2e-latency ;;
	*) return 1 ;;
	esac
}

# Runs the program in the background. A server that ends at once, because of its settings or its
# port, is reported here: nobody would look into the file.
run_daemon()
{
	mkdir -p "$LOG_DIR" || die "cannot make the folder $LOG_DIR (LOG_DIR names another)"
	output=$LOG_DIR/$service.out
	nohup "$OTTLA" "$tool" "$@" >"$output" 2>&1 </dev/null &
	sleep 0.2
	if ! kill -0 $! 2>/dev/null; then
		wait $!
		status=$?
		cat "$output" >&2
		[ $status -eq 0 ] || exit $status
	fi
}

if [ "$name" != kafka-run-class.sh ]; then
	find_ottla
	tool=${name#kafka-}
	exec "$OTTLA" "${tool%.sh}" "$@"
fi

daemon=no
service=ottla
while [ $# -gt 0 ]; do
	case $1 in
	-name)
		service=$2
		shift 2
		;;
	-daemon)
		daemon=yes
		shift
		;;
	-loggc) shift ;;
	*) break ;;
	esac
done
if [ $# -lt 1 ]; then
	echo "USAGE: $0 [-daemon] [-name servicename] [-loggc] classname [opts]"
	exit 1
fi
tool=$(tool_of_class "$1") || die "no tool does what the class $1 did; \`ottla help\` lists them"
shift
find_ottla
: "${LOG_DIR:=$logs}"
if [ $daemon = yes ]; then
	run_daemon "$@"
else
	exec "$OTTLA" "$tool" "$@"
fi
