-- What loader, app and store had used at each moment of each trial.
SELECT trial, part, offset_ns, cpu_ns, memory_bytes, throttled_ns
FROM resources
ORDER BY trial, part, offset_ns
