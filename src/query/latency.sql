-- Every bucket, in the order of trials and latency.
SELECT trial, low_ns, high_ns, count, censored
FROM latency
ORDER BY trial, low_ns
