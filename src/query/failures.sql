-- The trials that failed, with stage, reason and the last lines of their logs.
SELECT trial, app, store, workers, concurrency, target_rps, block, failure_stage, failure_reason, failure_log
FROM trials
WHERE failure_stage IS NOT NULL
ORDER BY trial
