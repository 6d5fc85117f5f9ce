#!/usr/bin/env bash
# Opens a page in Chromium: so many drawn charts at least, no console message, no request to a host.
# browser.sh PAGE CHARTS [PICTURE]
set -euo pipefail
report=$(realpath "$1")
wanted=$2
picture=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

open_page() { # further flags
  timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync \
    --user-data-dir="$work/profile" --virtual-time-budget=10000 \
    --enable-logging=stderr "$@" "file://$report" 2>>"$work/log"
}

open_page --dump-dom >"$work/dom.html"
open_page --window-size=1440,2200 --screenshot="${picture:=$work/report.png}" >/dev/null

fail() { echo "report: $1" >&2; grep CONSOLE "$work/log" >&2 || true; exit 1; }
charts=$(grep -o 'class="plot-container' "$work/dom.html" | wc -l || true)
[ "$charts" -ge "$wanted" ] || fail "$charts of $wanted charts are drawn"
points=$(grep -oE '<path class="point"|<g class="point"' "$work/dom.html" | wc -l || true)
[ "$points" -ge "$wanted" ] || fail "the charts have $points points"
! grep -q CONSOLE "$work/log" || fail "the console has messages"
# Plotly's script holds links of maps that are not drawn here; the page itself must name no host.
python3 - "$work/dom.html" <<'END' || fail "it names another host"
import re, sys
page = re.sub(r"<script[^>]*>.*?</script>", "", open(sys.argv[1]).read(), flags=re.S)
hosts = re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"|url\(["\']?https?:[^)]*', page)
sys.exit(f"names {hosts}" if hosts else 0)
END
[ -s "$picture" ] || fail "no screenshot"
echo "$(basename "$report"): $charts charts, $points points, a quiet console"
