#!/usr/bin/env bash
# Tests the flake on a machine that cannot reach nixpkgs, with the stand-in in tests/nix/stub.
#
# usage: tests/nix/test.sh FOLDER
# It needs Nix and root (builds are not sandboxed: they use this machine's tools), and DOCKER_HOST.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/nix/world.sh "$1"
export XDG_CACHE_HOME=$work/cache # never the user's

step "the lock file, and that reading it without a network does not change it"
tools/lint-locks
cd "$clone"
nix flake metadata --json >"$work/metadata.json"
jq --exit-status '.locks.nodes.nixpkgs.locked | .rev == "'"$(jq -r .nodes.nixpkgs.locked.rev flake.lock)"'" and .type == "github"' "$work/metadata.json" >/dev/null
git diff --exit-code
(cd "$root" && tools/node-modules-hash --check)

step "all outputs"
nix flake show "${override[@]}"

step "every output of both systems is evaluated, and every check is built"
nix flake check "${override[@]}"
git diff --exit-code

step "every package"
for package in fastapi express redis valkey runner images bundle default; do
  nix build ".#$package" "${override[@]}" --out-link "$work/$package"
done
nix build .#devShells."$system".default "${override[@]}" --no-link
# The stub's Dragonfly is a script.
nix build .#bundle-with-dragonfly "${override[@]}" --out-link "$work/bundle-with-dragonfly"
version=$(sed -n 's/^pull = .*:v\([0-9.]*\)@.*/\1/p' apps/dragonfly/component.toml)
program=$(jq --raw-output '.components[] | select(.name == "dragonfly") | .process.program' "$work/bundle-with-dragonfly/bundle.json")
[ "$("$program")" = "dragonfly-$(uname -m)-$version.tar.gz of the stub" ]
# Built once more, it is the same.
nix build .#bundle "${override[@]}" --no-link --rebuild
nix build .#images "${override[@]}" --no-link --rebuild

step "the service: no argument or variable is expanded by systemd"
part_of "$clone" eval --json service

step "packages of npm: certificates of NIX_SSL_CERT_FILE where it can be read"
unique=$(date +%s%N)
echo "own $unique" >"$work/own.crt"
keeps_certificates "own $unique" "bundled $unique" "$work/own.crt"
keeps_certificates "bundled, unset $unique" "bundled, unset $unique" ""
keeps_certificates "bundled, missing $unique" "bundled, missing $unique" /no-cert-file.crt

step "files that make has installed in the tree change nothing"
rm -rf "$work/installed"
cp -r "$clone" "$work/installed"
for folder in apps/express/node_modules apps/fastapi/.venv apps/fastapi/__pycache__ src/report/plotly/node_modules; do
  mkdir "$work/installed/$folder"
  echo stale >"$work/installed/$folder/stale"
done
for component in express fastapi; do
  diff <(part_of "$clone" eval --raw $component.outPath) <(part_of "$work/installed" eval --raw $component.outPath)
done
part_of "$clone" build plotly --out-link "$work/plotly"
part_of "$work/installed" build embeddedPlotly --out-link "$work/embedded-plotly"
diff --recursive "$work/plotly" "$work/embedded-plotly"

step "the same code pins for Nix and for make: facts of the same kinds, and other ids"
jq --exit-status '.provider == "nix"' "$work/bundle/bundle.json" >/dev/null
jq -r '.components[] | "\(.name) \(.facts | keys | join(", "))"' "$work/bundle/bundle.json"
ours=$(jq -r '.components[] | select(.name == "redis") | .facts | keys | map(select(endswith("store path") | not))' "$root/bundle.json")
theirs=$(jq -r '.components[] | select(.name == "redis") | .facts | keys | map(select(endswith("store path") | not))' "$work/bundle/bundle.json")
[ "$ours" = "$theirs" ] || { echo "facts of redis: $ours by make, $theirs by Nix" >&2; exit 1; }
[ "$(cat "$work/bundle/id")" != "$(jq -r .id "$root/bundle.json")" ]
for name in express fastapi redis valkey; do
  jq --exit-status --arg name $name '.components[] | select(.name == $name) | .facts | [.["store path"], .["program\u0027s store path"]] | all(startswith("/nix/store/"))' "$work/bundle/bundle.json" >/dev/null
done

step "nix run .#quick, twice: real servers, as processes"
flake_run .#quick -- --launcher process --stores redis,valkey
flake_run .#quick -- --launcher process --stores redis,valkey
step "nix run .#report -- --compare A B"
read -r before after < <(flake_run .#results -- list --format json | jq -r '[.[] | select(.spec == "quick") | .dataset] | "\(.[1]) \(.[0])"')
flake_run .#report -- --compare "${before:0:12}" "${after:0:12}"
flake_run .#report -- latest --format json | jq --exit-status --arg id "$(cat "$work/bundle/id")" '.. | select(. == $id)' >/dev/null
grep -q "all components, pinned by nix" results/report.html
grep -q "$(jq -r '.components[] | select(.name == "redis") | .facts["store path"]' "$work/bundle/bundle.json")" results/report.html

step "the other commands"
flake_run .#plan -- full --format json | jq --exit-status '.trials | length == 960' >/dev/null
flake_run .#doctor >/dev/null
flake_run .#default -- results verify --all
fails "is missing" flake_run .#full -- --launcher process

step "a component of one's own beside those of Nix"
rm -rf "$work/mine"
cp -r "$root/apps/express" "$work/mine"
sed -i 's/^name = "express"/name = "mine"/' "$work/mine/component.toml"
flake_run .#default -- bundle "$work/redis/redis" "$work/mine" --output "$work/mine.json"
flake_run .#quick -- --launcher process --bundle "$work/mine.json" --apps mine --stores redis

step "no lookup at run time: no variables, and an empty PATH"
env -i PATH=/nowhere "$work/default/bin/perf-api" quick --launcher process --stores redis --no-progress --results "$work/elsewhere"

step "one journal, two folders"
"$root/tests/report/same_journal.sh" "$work/default/bin/perf-api" --stores redis

step "the images, in containers"
flake_run .#quick -- --launcher docker --stores redis,valkey

step "the commands of the README"
while read -r command; do
  echo "\$ $command"
  case $command in
    # Done above; in containers Dragonfly would be asked of a registry.
    "nix flake check" | "nix run .#full") continue ;;
    # Two are compared.
    "nix run .#quick") flake_run .#quick ;;
  esac
  read -ra args <<<"$command"
  "${args[@]:0:3}" "${override[@]}" "${args[@]:3}"
done < <(sed -n '/^## With Nix/,/^## Measure/p' "$root/README.md" | sed -n 's/ *# .*//; /^nix /p')

step "the same by a newer Nix"
"$root/tools/newer-nix" "$work/newer-nix"
newer=$work/newer-nix/nix
"$newer" flake metadata >/dev/null
"$newer" flake check --all-systems --no-build "${override[@]}"
[ "$("$newer" build .#default --print-out-paths --no-link "${override[@]}")" = "$(readlink "$work/default")" ]
"$newer" run .#results "${override[@]}" -- list
git diff --exit-code

step "what the stub finds"
planted nix/shell.nix redis reddis 'no package `reddis`' devShells
planted nix/components/fastapi.nix packages.uvloop packages.uvlop "attribute 'uvlop' missing" packages
planted nix/runner.nix 'doCheck =' 'doChek =' "unexpected argument 'doChek'" packages
planted nix/images.nix extraCommands extraCommand "unexpected argument 'extraCommand'" packages
planted nix/node-modules.nix 'dontFixup =' 'dontFixUp =' 'no argument `dontFixUp`' packages
planted nix/runner.nix '\.\./askama.toml' '../askma.toml' "not there" packages
planted nix/module.nix StateDirectory StateDir 'serviceConfig.StateDir` does not exist' checks
planted nix/module.nix escapeSystemdExecArgs escapeSystemdArgs "attribute 'escapeSystemdArgs' missing" checks
planted nix/vm-test.nix memorySize memory 'virtualisation.memory` does not exist' checks
planted nix/images.nix 'nativeBuildInputs = \[ jq \];' '' "jq: command not found" images
planted nix/component.nix 'named}"' 'nmed}"' "undefined variable 'nmed'" packages

echo "the flake: what can be checked without nixpkgs holds ($(nix --version))"
