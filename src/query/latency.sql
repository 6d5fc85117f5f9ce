-- Every bucket, in the order of the file: by trial and latency, if it is as it should be.
SELECT trial, low_ns, high_ns, count, censored, coalesce(served, 0) AS served
FROM latency
