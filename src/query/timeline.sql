-- Each second of each trial: what was offered and answered in it, and how fast.
SELECT
  trial, second, planned, completed, failed,
  latency_p50_ns, latency_p95_ns, latency_p99_ns, latency_max_ns
FROM timeline
ORDER BY trial, second
