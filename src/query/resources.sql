-- What loader, app and store had used at each moment of each trial.
SELECT * EXCLUDE (dataset)
FROM resources
ORDER BY trial, part, offset_ns
