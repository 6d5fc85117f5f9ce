-- Every trial with all its columns, in the order of cases.
SELECT * EXCLUDE (dataset)
FROM trials
ORDER BY app, store, workers, concurrency, target_rps, block, trial
