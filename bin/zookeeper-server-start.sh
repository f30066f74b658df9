#!/bin/sh
# Scripts of the ZooKeeper era start this first and stop it last. There is nothing to do, so it says
# so and succeeds, whatever the arguments; zookeeper.connect and --zookeeper mean the broker itself.

case ${0##*/} in
*-start.sh) echo "Ottla needs no ZooKeeper: nothing to start. Go on with kafka-server-start.sh." ;;
*) echo "Ottla needs no ZooKeeper: nothing to stop." ;;
esac
