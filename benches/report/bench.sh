#!/usr/bin/env bash
# Compares building and opening our report with a script that does what the replaced system did.
# bench.sh PERF_API_BINARY [WORK_DIR]
# Prints a Markdown table; what it does meanwhile goes to stderr. A failing step ends it.
set -euo pipefail
export LC_ALL=C

usage="usage: bench.sh PERF_API_BINARY [WORK_DIR]"
program=$(realpath -e "${1:?$usage}")
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
work=$(realpath -m "${2:-$root/target/report-bench}")
times=5

say() { echo "report-bench: $*" >&2; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ratio() { awk -v ours="$1" -v reference="$2" 'BEGIN { printf "%.2f", reference / ours }'; }

# Wall time of a command in ms.
wall_ms() {
  local start=${EPOCHREALTIME/./} end
  "$@" >/dev/null
  end=${EPOCHREALTIME/./}
  echo $(((end - start + 500) / 1000))
}

install() {
  local installed=$work/installed
  if ! cat "$here"/requirements*.txt | cmp --silent - "$installed"; then
    say "installs pandas and plotly into $work"
    rm -rf "$work/venv" "$work/pyarrow" "$installed"
    python3 -m venv "$work/venv"
    local pip=("$work/venv/bin/pip" install --quiet --require-hashes --no-deps --only-binary=:all:)
    "${pip[@]}" -r "$here/requirements.txt"
    # Outside the environment: pandas would load it for the reference too, which does not need it.
    "${pip[@]}" --target "$work/pyarrow" -r "$here/requirements-files.txt"
    cat "$here"/requirements*.txt >"$installed"
  fi
  if ! cmp --silent "$here/package-lock.json" "$here/node_modules/.installed"; then
    say "installs playwright-core"
    (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund >&2)
    cp "$here/package-lock.json" "$here/node_modules/.installed"
  fi
}

# One size: its number of trials, and the flags of `perf-api full` that give it.
compare() {
  local trials=$1
  shift
  local folder=$work/$trials
  rm -rf "$folder"
  mkdir -p "$folder/reference"

  say "$trials trials: makes the dataset"
  # The bundle is found from the root of the repository.
  (cd "$root" && "$program" full --fake --fixed-clock --allow-missing --allow-shared-cpus --no-progress \
    --results "$folder/results" "$@" >/dev/null 2>"$folder/run.log") ||
    { cat "$folder/run.log" >&2; say "the run failed"; return 1; }
  local manifests=("$folder"/results/*/manifest.json)
  local dataset
  dataset=$(basename "$(dirname "${manifests[0]}")")
  PYTHONPATH=$work/pyarrow "$work/venv/bin/python" "$here/oha_files.py" \
    "$folder/results/$dataset" "$folder/oha"
  local files
  files=$(find "$folder/oha" -name '*.json' | wc -l)
  [ "$files" -eq "$trials" ] || { say "$files files for $trials trials"; return 1; }

  say "$trials trials: builds both pages"
  local ours=("$program" report "$dataset" --results "$folder/results" --output "$folder/ours.html")
  local reference=("$work/venv/bin/python" "$here/reference.py" "$folder/oha" "$folder/reference")
  # Once before: what is read the first time comes from the disk.
  "${ours[@]}" >/dev/null
  "${reference[@]}"
  # By turns, so that what disturbs the machine for a while disturbs both.
  for _ in $(seq "$times"); do
    wall_ms "${ours[@]}" >>"$folder/ours.ms"
    wall_ms "${reference[@]}" >>"$folder/reference.ms"
  done

  say "$trials trials: opens both pages"
  node "$here/open_page.mjs" --times "$times" \
    ours="$folder/ours.html" reference="$folder/reference/report.html" >"$folder/opened.json"
  row "$trials" "$folder"
}

row() {
  local trials=$1 folder=$2 build_ours build_reference size_ours size_reference
  build_ours=$(median <"$folder/ours.ms")
  build_reference=$(median <"$folder/reference.ms")
  size_ours=$(stat --format %s "$folder/ours.html")
  size_reference=$(stat --format %s "$folder/reference/report.html")
  opened() { jq --raw-output "select(.kind == \"$1\") | .$2" "$folder/opened.json"; }
  local open_ours open_reference
  open_ours=$(opened ours interactive_ms)
  open_reference=$(opened reference interactive_ms)
  echo "| $trials" \
    "| $build_ours ms | $build_reference ms | $(ratio "$build_ours" "$build_reference")" \
    "| $size_ours B | $size_reference B | $(ratio "$size_ours" "$size_reference")" \
    "| $open_ours ms | $open_reference ms | $(ratio "$open_ours" "$open_reference")" \
    "| $(opened ours charts) | $(opened reference charts) |" >>"$work/table.md"
  echo "- $trials trials: every chart in view is drawn after $(opened ours in_view_ms) ms (ours)" \
    "and $(opened reference in_view_ms) ms (reference); our mark is at $(opened ours mark_ms) ms." >>"$work/notes.md"
}

mkdir -p "$work"
rm -f "$work/table.md" "$work/notes.md"
install
compare 4 --workers 1 --concurrency 100 --qps 1000 --repetitions 1
compare 192 --repetitions 1
compare 960

versions="$("$program" --version), $("$work/venv/bin/python" --version)"
versions+=$(sed -nE 's/^(pandas|plotly)==([^ ]+).*/, \1 \2/p' "$here/requirements.txt" | tr -d '\n')
versions+=", $(chromium --version 2>/dev/null | xargs)"
cat <<END
| trials | build ours | build reference | ratio | size ours | size reference | ratio | interactive ours | interactive reference | ratio | charts ours | charts reference |
|-------:|-----------:|----------------:|------:|----------:|---------------:|------:|-----------------:|----------------------:|------:|------------:|-----------------:|
$(cat "$work/table.md")

A ratio is the reference's figure over ours: above 1, ours is better. Times are medians of $times.

$(cat "$work/notes.md")

$versions, $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg).
END
