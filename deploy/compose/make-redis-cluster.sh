#!/bin/sh
# Joins the six nodes to a cluster, once; started again it sees that they are one.
set -eu
nodes="10.77.0.11 10.77.0.12 10.77.0.13 10.77.0.14 10.77.0.15 10.77.0.16"
for node in $nodes; do until [ "$(redis-cli -h "$node" ping)" = PONG ]; do sleep 0.2; done; done
if ! redis-cli -h 10.77.0.11 cluster info | grep -q cluster_state:ok; then
  # shellcheck disable=SC2046
  redis-cli --cluster create $(printf '%s:6379 ' $nodes) --cluster-replicas 1 --cluster-yes
fi
until redis-cli -h 10.77.0.11 cluster info | grep -q cluster_state:ok; do sleep 0.2; done
