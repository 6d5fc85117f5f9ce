-- Each trial, with what its parts were seen to use, and what its seconds add up to.
WITH seen AS (
  SELECT
    trial,
    max(cpu_ns) FILTER (WHERE part = 'loader') AS seen_loader_ns,
    max(cpu_ns) FILTER (WHERE part = 'app') AS seen_app_ns,
    max(cpu_ns) FILTER (WHERE part = 'store') AS seen_store_ns,
    max(memory_bytes) FILTER (WHERE part = 'loader') AS seen_loader_memory,
    max(memory_bytes) FILTER (WHERE part = 'app') AS seen_app_memory,
    max(memory_bytes) FILTER (WHERE part = 'store') AS seen_store_memory,
    max(throttled_ns) FILTER (WHERE part = 'app') AS seen_app_throttled,
    max(throttled_ns) FILTER (WHERE part = 'store') AS seen_store_throttled
  FROM resources
  GROUP BY trial
),
seconds AS (
  SELECT trial, sum(completed) AS seen_completed
  FROM timeline
  GROUP BY trial
)
SELECT trials.*, seen.* EXCLUDE (trial), seconds.* EXCLUDE (trial)
FROM trials
LEFT JOIN seen ON seen.trial = trials.trial
LEFT JOIN seconds ON seconds.trial = trials.trial
ORDER BY trials.trial
