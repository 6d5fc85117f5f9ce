-- The trials that failed, with stage and reason.
SELECT trial, app, store, workers, concurrency, target_rps, block, failure_stage, failure_reason
FROM trials
WHERE failure_stage IS NOT NULL
ORDER BY trial
