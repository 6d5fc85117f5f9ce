-- The figures of each valid trial, by load level, for the noise between repetitions.
SELECT
  app, store, workers, concurrency, target_rps,
  achieved_rps,
  CASE WHEN NOT latency_p50_is_bound THEN CAST(latency_p50_ns AS DOUBLE) END AS p50,
  CASE WHEN NOT latency_p95_is_bound THEN CAST(latency_p95_ns AS DOUBLE) END AS p95,
  CASE WHEN NOT latency_p99_is_bound THEN CAST(latency_p99_ns AS DOUBLE) END AS p99,
  app_cpu_s / completed AS app_cpu,
  store_cpu_s / completed AS store_cpu
FROM trials
WHERE is_valid
ORDER BY app, store, workers, concurrency, target_rps, block
