-- Rows of trials that were not measured, or that are not there.
WITH measured AS (SELECT trial FROM trials WHERE failure_stage IS NULL)
SELECT trial FROM latency WHERE trial NOT IN (SELECT trial FROM measured)
UNION ALL
SELECT trial FROM timeline WHERE trial NOT IN (SELECT trial FROM measured)
UNION ALL
SELECT trial FROM resources WHERE trial NOT IN (SELECT trial FROM measured)
LIMIT 1
