#!/bin/sh
# Joins the six nodes to a cluster, once; started again it sees that they are one.
set -eu
nodes="10.77.0.11 10.77.0.12 10.77.0.13 10.77.0.14 10.77.0.15 10.77.0.16"
for node in $nodes; do until [ "$(redis-cli -h "$node" ping)" = PONG ]; do sleep 0.2; done; done
says() { redis-cli -h 10.77.0.11 cluster info | tr -d '\r' | grep -qx "$1"; }
# Not by cluster_state: nodes that have just started again are not ok for some seconds, and are a cluster all the same.
if says cluster_slots_assigned:0; then
  # shellcheck disable=SC2046
  redis-cli --cluster create $(printf '%s:6379 ' $nodes) --cluster-replicas 1 --cluster-yes
fi
until says cluster_slots_assigned:16384 && says cluster_state:ok; do sleep 0.2; done
