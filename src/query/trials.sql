-- Every trial: factors, counts, rate, latency percentiles and use of resources, in the order of cases.
SELECT
  trial, position, block, app, store, workers, concurrency, target_rps, is_valid, flags,
  failure_stage, failure_reason, failure_log,
  planned, sent, completed, drained, failed, censored, achieved_rps,
  latency_p50_ns, latency_p50_is_bound, latency_p50_high_ns,
  latency_p90_ns, latency_p90_is_bound, latency_p90_high_ns,
  latency_p95_ns, latency_p95_is_bound, latency_p95_high_ns,
  latency_p99_ns, latency_p99_is_bound, latency_p99_high_ns,
  latency_p99_9_ns, latency_p99_9_is_bound, latency_p99_9_high_ns,
  latency_p99_99_ns, latency_p99_99_is_bound, latency_p99_99_high_ns,
  app_cpu_s, store_cpu_s, loader_cpu_s, app_throttled_s,
  app_peak_memory_bytes, store_peak_memory_bytes
FROM trials
ORDER BY app, store, workers, concurrency, target_rps, block, trial
