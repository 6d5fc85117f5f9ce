-- Each second of each trial: what was offered and answered in it, and how fast.
SELECT * EXCLUDE (dataset)
FROM timeline
ORDER BY trial, second
