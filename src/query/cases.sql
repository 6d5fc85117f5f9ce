-- Each case over its repetitions: mean and standard deviation of the achieved rate, and the p95 of
-- the merged distributions (percentiles are never averaged).
WITH merged AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    hist_merge(low_ns, high_ns, count, latency.censored) AS latencies
  FROM trials
  JOIN latency ON latency.trial = trials.trial
  WHERE is_valid
  GROUP BY app, store, workers, concurrency, target_rps
),
p95 AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    hist_quantile(0.95, latencies) AS number_ns,
    hist_quantile_low(0.95, latencies) AS low_ns
  FROM merged
)
SELECT
  trials.app,
  trials.store,
  trials.workers,
  trials.concurrency,
  trials.target_rps,
  count(*) AS trials,
  count(*) FILTER (WHERE is_valid) AS valid,
  avg(achieved_rps) FILTER (WHERE is_valid) AS achieved_rps_mean,
  stddev(achieved_rps) FILTER (WHERE is_valid) AS achieved_rps_stddev,
  max(coalesce(number_ns, low_ns)) AS p95_ns,
  count(low_ns) > 0 AND count(number_ns) = 0 AS p95_is_bound,
  stddev(CAST(latency_p95_ns AS DOUBLE)) FILTER (WHERE is_valid) AS p95_stddev_ns,
  sum(planned) FILTER (WHERE is_valid) AS planned,
  sum(completed) FILTER (WHERE is_valid) AS completed,
  sum(failed) FILTER (WHERE is_valid) AS failed,
  sum(censored) FILTER (WHERE is_valid) AS censored
FROM trials
LEFT JOIN p95 ON
  trials.app = p95.app
  AND trials.store = p95.store
  AND trials.workers = p95.workers
  AND trials.concurrency = p95.concurrency
  AND trials.target_rps = p95.target_rps
GROUP BY trials.app, trials.store, trials.workers, trials.concurrency, trials.target_rps
ORDER BY app, store, workers, concurrency, target_rps
