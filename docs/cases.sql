-- The figures of each case, as a report has them: rate, latency and CPU time over its repetitions.
-- A report computes them from trials.sql and latency.sql; a test compares them with these.
-- Percentiles are those of the merged distributions, never averages. The figures are those of the
-- valid trials; a case that has none shows those that were measured, and is not ranked.
WITH judged AS (
  SELECT
    *,
    bool_or(is_valid) OVER (
      PARTITION BY app, store, workers, concurrency, target_rps
    ) AS is_ranked
  FROM trials
),
used AS (
  SELECT
    *,
    completed - coalesce(drained, 0) AS completed_in_window,
    failure_stage IS NULL AND (is_valid OR NOT is_ranked) AS is_used
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
percentiles AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    hist_quantile(0.5, latencies) AS p50_ns,
    hist_quantile_low(0.5, latencies) AS p50_at_least_ns,
    hist_quantile(0.9, latencies) AS p90_ns,
    hist_quantile_low(0.9, latencies) AS p90_at_least_ns,
    hist_quantile(0.95, latencies) AS p95_ns,
    hist_quantile_low(0.95, latencies) AS p95_at_least_ns,
    hist_quantile(0.99, latencies) AS p99_ns,
    hist_quantile_low(0.99, latencies) AS p99_at_least_ns,
    hist_quantile(0.999, latencies) AS p99_9_ns,
    hist_quantile_low(0.999, latencies) AS p99_9_at_least_ns,
    hist_quantile(0.9999, latencies) AS p99_99_ns,
    hist_quantile_low(0.9999, latencies) AS p99_99_at_least_ns
  FROM merged
),
figures AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    count(*) AS trials,
    count(*) FILTER (WHERE is_valid) AS valid,
    avg(achieved_rps) FILTER (WHERE is_used) AS achieved_rps_mean,
    stddev(achieved_rps) FILTER (WHERE is_used) AS achieved_rps_stddev,
    avg(app_cpu_s / completed_in_window * 1000) FILTER (WHERE is_used AND completed_in_window > 0)
      AS app_cpu_s_per_thousand,
    avg(store_cpu_s / completed_in_window * 1000) FILTER (WHERE is_used AND completed_in_window > 0)
      AS store_cpu_s_per_thousand,
    sum(planned) FILTER (WHERE is_used) AS planned,
    sum(completed) FILTER (WHERE is_used) AS completed,
    sum(failed) FILTER (WHERE is_used) AS failed,
    sum(censored) FILTER (WHERE is_used) AS censored
  FROM used
  GROUP BY app, store, workers, concurrency, target_rps
)
SELECT
  figures.*,
  percentiles.* EXCLUDE (app, store, workers, concurrency, target_rps)
FROM figures
LEFT JOIN percentiles ON
  figures.app = percentiles.app
  AND figures.store = percentiles.store
  AND figures.workers = percentiles.workers
  AND figures.concurrency = percentiles.concurrency
  AND figures.target_rps = percentiles.target_rps
ORDER BY figures.app, figures.store, figures.workers, figures.concurrency, figures.target_rps
