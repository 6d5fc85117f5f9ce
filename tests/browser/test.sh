#!/usr/bin/env bash
# Makes the pages that are tested, of computed datasets and of the example, and tests them in Chromium.
# test.sh PERF_API_BINARY
set -euo pipefail

PERF_API=$(realpath -e "${1:?usage: test.sh PERF_API_BINARY}")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here/../.."

compute() { # RESULTS OPTIONS…: a dataset without any app
  "$PERF_API" quick --fake --fixed-clock --allow-missing --allow-shared-cpus --no-progress --results "$@" >&2
}
page() { # NAME OPTIONS…
  "$PERF_API" report "${@:2}" --output "$work/$1.html" >&2
}

page example example
compute "$work/full" --workers 1,2,4 --concurrency 100,500,1000,2000 --qps 1000,5000,10000,20000 --repetitions 5
page full --results "$work/full"
for seed in 1 2; do
  compute "$work/two" --qps 1000,4000 --workers 1,2 --repetitions 5 --seed "$seed"
done
page comparison --compare latest~1 latest --force --format html --results "$work/two"
compute "$work/hostile" --qps 1000,8000 --workers 1,2 --repetitions 2
harmless=$(cd "$work/hostile" && echo ????????????????????????????????????????????????????????????????)
hostile=$(python3 "$here/hostile.py" "$PERF_API" "$work/hostile")
page hostile "$hostile" --results "$work/hostile"
page hostile-comparison --compare "$harmless" "$hostile" --force --format html --results "$work/hostile"

export PERF_API
export PERF_API_PAGE="$work/example.html" PERF_API_FULL_PAGE="$work/full.html"
export PERF_API_HOSTILE_PAGE="$work/hostile.html" PERF_API_COMPARISON="$work/comparison.html"
export PERF_API_HOSTILE_COMPARISON="$work/hostile-comparison.html"
cd "$here"
node --test --test-concurrency=1 "${@:2}"
