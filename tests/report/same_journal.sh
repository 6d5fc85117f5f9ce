#!/usr/bin/env bash
# A run that is killed between its last trial and its dataset: its journal, taken to two folders, gives
# the same dataset and the same page in both.
# same_journal.sh PERF_API [arguments of `quick`...]
set -euo pipefail
program=$(realpath "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

trials=$("$program" plan quick --format json "$@" | jq '.trials | length')
mkfifo "$work/told"
"$program" quick --launcher process --results "$work/killed" "$@" 2>"$work/told" >/dev/null &
runner=$!
while IFS= read -r line; do
  case $line in
    *"[$trials/$trials]"*) kill -KILL $runner ;;
    *) echo "$line" ;;
  esac
done <"$work/told"
wait $runner 2>/dev/null || true
journal=$(echo "$work"/killed/journal/*/journal.jsonl)
[ -f "$journal" ] || { echo "the run was not killed before its journal was sealed" >&2; exit 1; }

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
