#!/usr/bin/env bash
# The page of a dataset made on two days, in three time zones and with one and two threads: one hash.
# same_bytes.sh PERF_API DATASET
set -euo pipefail
program=$1
dataset=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_page() { # settings
  env "$@" "$program" report "$dataset" --output "$work/page.html" >/dev/null
  sha256sum <"$work/page.html" | cut -d' ' -f1
}
{
  make_page TZ=UTC TOKIO_WORKER_THREADS=1
  make_page TZ=Asia/Kathmandu TOKIO_WORKER_THREADS=2 LANG=de_DE.UTF-8
  make_page TZ=America/Anchorage taskset -c 0
  make_page faketime '2031-02-03 04:05:06'
} | tee "$work/hashes"
[ "$(sort -u "$work/hashes" | wc -l)" = 1 ] || { echo "the pages differ" >&2; exit 1; }
[ "$(wc -l <"$work/hashes")" = 4 ]
