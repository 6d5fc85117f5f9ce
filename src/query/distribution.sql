-- The latencies of each case over its valid trials, bucket by bucket.
SELECT
  app, store, workers, concurrency, target_rps, low_ns, high_ns,
  sum(count) AS count,
  sum(latency.censored) AS censored
FROM latency
JOIN trials ON latency.trial = trials.trial
WHERE is_valid
GROUP BY app, store, workers, concurrency, target_rps, low_ns, high_ns
ORDER BY low_ns, app, store, workers, concurrency, target_rps
