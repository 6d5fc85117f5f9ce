#!/usr/bin/env bash
# A slowed Express is told from Express in the right cases, and Express is not told from itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export XDG_CACHE_HOME=$results/cache # never the user's

echo "express against express with 1 ms on one request in ten:"
code=0
"$program" ab apps/express tests/ab/express --allow-shared-cpus --no-progress --results "$results" \
    --metrics p50,p95,p99,app_cpu --fail-on regressed || code=$?
[ "$code" = 4 ] || { echo "the slow one was not found: exit code $code" >&2; exit 1; }
latest=$("$program" results list --results "$results" --format json)
pair=$(jq -r '[.[].dataset] | reverse | join(" ")' <<<"$latest")
echo "$pair" | grep -q ' ' || { echo "there are not two datasets: $pair" >&2; exit 1; }

echo "express against express:"
"$program" ab apps/express apps/express --allow-shared-cpus --no-progress --results "$results/same" \
    --metrics p50,p95,p99,app_cpu --fail-on regressed,improved
