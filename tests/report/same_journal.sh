#!/usr/bin/env bash
# A run that is killed between its last trial and its dataset: its journal, taken to two folders, gives
# the same dataset and the same page in both.
# same_journal.sh PERF_API [arguments of `quick`...]
set -euo pipefail
program=$(realpath "$1")
shift
if [ -f bundle.json ]; then export PERF_API_BUNDLE=$PWD/bundle.json; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache # never the user's

trials=$("$program" plan quick --format json "$@" | jq '.trials | length')
mkfifo "$work/told"
killed() { # a run, at the line that tells its last trial; gives whether its journal was left
  rm -rf "$work/killed"
  "$program" quick --launcher process --results "$work/killed" "$@" 2>"$work/told" >/dev/null &
  local runner=$! line
  while IFS= read -r line; do
    echo "$line"
    case $line in *"[$trials of $trials]"*) kill -KILL $runner 2>/dev/null || true ;; esac
  done <"$work/told"
  wait $runner 2>/dev/null || true
  ls "$work"/killed/journal/*/journal.jsonl >/dev/null 2>&1
}
# Nothing holds a run between its last trial and its dataset: where the kill comes late, it is tried again.
killed "$@" || killed "$@" || killed "$@" || { echo "three runs were sealed before they were killed" >&2; exit 1; }

for place in "$work/one" "$work/two/of another depth"; do
  mkdir -p "$place"
  cp -r "$work/killed/journal" "$place"
  (
    cd "$place"
    "$program" resume --results . >/dev/null
    "$program" report --results . --output page.html >/dev/null
    id=$("$program" results list --results . --format json | jq -r '.[0].dataset')
    echo "dataset $id, page $(sha256sum <page.html | cut -d' ' -f1)"
  )
done | tee "$work/hashes"
[ "$(wc -l <"$work/hashes")" = 2 ] && [ "$(sort -u "$work/hashes" | wc -l)" = 1 ] ||
  { echo "one journal gave two datasets or two pages" >&2; exit 1; }
