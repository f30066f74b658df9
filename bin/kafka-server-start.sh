#!/bin/sh
# Starts a broker: kafka-server-start.sh [-daemon] server.properties [--override property=value]*
#
# With -daemon it runs in the background and writes to $LOG_DIR/kafkaServer.out; LOG_DIR is logs/ in
# the tree, /var/log/ottla when installed.

usage()
{
	echo "USAGE: $0 [-daemon] server.properties [--override property=value]*"
	exit 1
}

[ $# -ge 1 ] || usage
here=$(dirname "$(readlink -f "$0")")
EXTRA_ARGS=${EXTRA_ARGS-'-name kafkaServer'}
if [ "$1" = -daemon ]; then
	EXTRA_ARGS="-daemon $EXTRA_ARGS"
	shift
	[ $# -ge 1 ] || usage
fi
# shellcheck disable=SC2086 # several options in one variable, as people set it
exec "$here/kafka-run-class.sh" $EXTRA_ARGS kafka.Kafka "$@"
