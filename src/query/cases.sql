-- Each case over its repetitions: mean and standard deviation of the achieved rate, and the p95 of
-- the merged distributions (percentiles are never averaged). The figures are those of the valid
-- trials; a case that has none shows those that were measured, and is not ranked.
WITH judged AS (
  SELECT
    *,
    bool_or(is_valid) OVER (
      PARTITION BY app, store, workers, concurrency, target_rps
    ) AS is_ranked
  FROM trials
),
used AS (
  SELECT *, failure_stage IS NULL AND (is_valid OR NOT is_ranked) AS is_used
  FROM judged
),
merged AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    hist_merge(low_ns, high_ns, count, latency.censored) AS latencies
  FROM used
  JOIN latency ON latency.trial = used.trial
  WHERE is_used
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
  used.app,
  used.store,
  used.workers,
  used.concurrency,
  used.target_rps,
  count(*) AS trials,
  count(*) FILTER (WHERE is_valid) AS valid,
  avg(achieved_rps) FILTER (WHERE is_used) AS achieved_rps_mean,
  stddev(achieved_rps) FILTER (WHERE is_used) AS achieved_rps_stddev,
  max(coalesce(number_ns, low_ns)) AS p95_ns,
  count(low_ns) > 0 AND count(number_ns) = 0 AS p95_is_bound,
  stddev(CAST(latency_p95_ns AS DOUBLE)) FILTER (WHERE is_used) AS p95_stddev_ns,
  sum(planned) FILTER (WHERE is_used) AS planned,
  sum(completed) FILTER (WHERE is_used) AS completed,
  sum(failed) FILTER (WHERE is_used) AS failed,
  sum(censored) FILTER (WHERE is_used) AS censored
FROM used
LEFT JOIN p95 ON
  used.app = p95.app
  AND used.store = p95.store
  AND used.workers = p95.workers
  AND used.concurrency = p95.concurrency
  AND used.target_rps = p95.target_rps
GROUP BY used.app, used.store, used.workers, used.concurrency, used.target_rps
ORDER BY app, store, workers, concurrency, target_rps
