-- How many trials carry which set of flags.
SELECT flags, count(*) AS trials
FROM trials
WHERE flags <> ''
GROUP BY flags
ORDER BY flags
