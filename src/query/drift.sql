-- How far each trial's median latency is from its case's own, in the order of execution: what drifts
-- with the host over the run is seen here, and whom it favoured.
WITH medians AS (
  SELECT
    position, app, store, workers, concurrency, target_rps,
    CAST(latency_p50_ns AS DOUBLE) AS p50,
    avg(ln(CAST(latency_p50_ns AS DOUBLE))) OVER (
      PARTITION BY app, store, workers, concurrency, target_rps
    ) AS mean_log,
    count(*) OVER (
      PARTITION BY app, store, workers, concurrency, target_rps
    ) AS repetitions
  FROM trials
  WHERE is_valid AND NOT latency_p50_is_bound AND latency_p50_ns > 0
)
SELECT position, app, store, workers, concurrency, target_rps, exp(ln(p50) - mean_log) AS ratio
FROM medians
WHERE repetitions > 1
ORDER BY position
