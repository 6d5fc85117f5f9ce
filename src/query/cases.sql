-- Each case over its repetitions: mean and standard deviation of the achieved rate, and the p95 of
-- the merged distributions (percentiles are never averaged).
--
-- The p95 lies between two ends: with every cut-off request put at what it had waited, and with
-- every one put at infinity. Where the two differ by more than 1 %, the lower one is a bound.
WITH ranked AS (
  SELECT
    *,
    is_valid AND completed + censored > 0 AS has_latency
  FROM trials
),
buckets AS (
  SELECT
    app, store, workers, concurrency, target_rps, low_ns, high_ns,
    sum(latency.count) AS answered,
    sum(latency.count + latency.censored) AS seen
  FROM latency
  JOIN ranked ON latency.trial = ranked.trial
  WHERE has_latency
  GROUP BY app, store, workers, concurrency, target_rps, low_ns, high_ns
),
cumulative AS (
  SELECT
    *,
    sum(answered) OVER upwards AS answered_up_to,
    sum(seen) OVER upwards AS seen_up_to,
    ceil(0.95 * sum(seen) OVER whole) AS rank
  FROM buckets
  WINDOW
    whole AS (PARTITION BY app, store, workers, concurrency, target_rps),
    upwards AS (PARTITION BY app, store, workers, concurrency, target_rps ORDER BY low_ns)
),
ends AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    min(CASE WHEN seen_up_to >= rank THEN low_ns END) AS bound_ns,
    min(CASE WHEN seen_up_to >= rank THEN high_ns END) AS lowest_ns,
    min(CASE WHEN answered_up_to >= rank THEN high_ns END) AS highest_ns
  FROM cumulative
  GROUP BY app, store, workers, concurrency, target_rps
),
p95 AS (
  SELECT
    app, store, workers, concurrency, target_rps,
    coalesce(highest_ns <= 1.01 * lowest_ns, false) AS is_number,
    CASE WHEN highest_ns <= 1.01 * lowest_ns THEN lowest_ns ELSE bound_ns END AS p95_ns
  FROM ends
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
  max(p95_ns) AS p95_ns,
  NOT coalesce(bool_and(is_number), true) AS p95_is_bound,
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
