-- Every bucket of every trial, in the order of the file: by trial and latency.
SELECT * EXCLUDE (dataset)
FROM latency
