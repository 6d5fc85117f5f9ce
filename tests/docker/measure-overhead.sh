#!/usr/bin/env bash
# What a run takes beside its trials: a block of real stacks with trials of 20 s, in containers.
# DOCKER_HOST says which daemon.
set -euo pipefail
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export XDG_CACHE_HOME=$results/cache # never the user's
begun=$(date +%s%N)
./perf-api quick --launcher docker --stores redis --concurrency 100,500 --qps 1000,5000,10000,20000 \
  --duration 20s --results "$results" --no-progress
wall=$(($(date +%s%N) - begun))
# Start and stop are once a stack, and stand beside each of its trials.
./perf-api sql --results "$results" "
  WITH stack AS (
    SELECT app, store, workers, block, sum(duration_s) AS load_s, sum(ingest_s) AS ingest_s,
           avg(store_ready_s) AS store_ready_s, avg(app_ready_s) AS app_ready_s,
           avg(seed_s) AS seed_s, avg(warm_up_s) AS warm_up_s, avg(stop_s) AS stop_s
    FROM trials GROUP BY ALL
  ),
  run AS (
    SELECT count(*) AS stacks, sum(load_s) AS load_s, sum(store_ready_s) AS store_ready_s,
           sum(app_ready_s) AS app_ready_s, sum(seed_s) AS seed_s, sum(warm_up_s) AS warm_up_s,
           sum(ingest_s) AS ingest_s, sum(stop_s) AS stop_s, $wall / 1e9 AS wall_s
    FROM stack
  )
  SELECT stacks, load_s, wall_s, 100 * (wall_s - load_s) / load_s AS overhead_percent,
         store_ready_s, app_ready_s, seed_s, warm_up_s, ingest_s, stop_s,
         wall_s - load_s - store_ready_s - app_ready_s - seed_s - warm_up_s - ingest_s - stop_s AS rest_s
  FROM run"
