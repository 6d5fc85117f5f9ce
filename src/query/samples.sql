-- What each trial tells a comparison, in the order of cases and blocks.
SELECT
  app, store, workers, concurrency, target_rps, block, is_valid, flags, failure_reason,
  coalesce(planned, 0) AS planned,
  achieved_rps AS rate,
  CAST(latency_p50_ns AS DOUBLE) AS p50,
  coalesce(latency_p50_is_bound, false) AS p50_is_bound,
  CAST(latency_p95_ns AS DOUBLE) AS p95,
  coalesce(latency_p95_is_bound, false) AS p95_is_bound,
  CAST(latency_p99_ns AS DOUBLE) AS p99,
  coalesce(latency_p99_is_bound, false) AS p99_is_bound,
  CAST(latency_p99_9_ns AS DOUBLE) AS "p99.9",
  coalesce(latency_p99_9_is_bound, false) AS "p99.9_is_bound",
  CAST(failed AS DOUBLE) / CAST(planned AS DOUBLE) AS errors,
  app_cpu_s / (completed - coalesce(drained, 0)) * 1000 AS app_cpu,
  store_cpu_s / (completed - coalesce(drained, 0)) * 1000 AS store_cpu,
  CAST(app_peak_memory_bytes AS DOUBLE) AS app_memory,
  CAST(store_peak_memory_bytes AS DOUBLE) AS store_memory
FROM trials
ORDER BY app, store, workers, concurrency, target_rps, block
