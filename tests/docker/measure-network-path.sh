#!/usr/bin/env bash
# The cost of a published port, compared with the container's own address: the same app under the same
# loads, interleaved. DOCKER_HOST names the daemon.
set -euo pipefail
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export XDG_CACHE_HOME=$results/cache # never the user's
for seed in 1 2 3; do
  for path in "" --publish; do
    ./perf-api quick --launcher docker $path --apps express --stores redis --qps 1000,20000 \
      --duration 5s --seed "$seed" --results "$results" --no-progress >/dev/null 2>&1
  done
done
./perf-api sql --results "$results" "
  WITH trial AS (
    SELECT target_rps, flags LIKE '%path_published%' AS published, achieved_rps,
           latency_p50_ns / 1e6 AS p50_ms, latency_p99_ns / 1e6 AS p99_ms
    FROM trials
  ),
  path AS (
    SELECT target_rps, published, median(achieved_rps) AS rps, median(p50_ms) AS p50_ms,
           median(p99_ms) AS p99_ms
    FROM trial GROUP BY ALL
  )
  SELECT own.target_rps, own.rps AS own_rps, port.rps AS port_rps, port.rps / own.rps AS rps_ratio,
         own.p50_ms AS own_p50_ms, port.p50_ms / own.p50_ms AS p50_ratio,
         own.p99_ms AS own_p99_ms, port.p99_ms / own.p99_ms AS p99_ratio
  FROM path AS own JOIN path AS port ON own.target_rps = port.target_rps
  WHERE NOT own.published AND port.published
  ORDER BY own.target_rps"
