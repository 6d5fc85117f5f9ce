# Sourced with a folder: a clean clone, the stub with this machine's tools, and what calls Nix.
root=$PWD
mkdir -p "$1"
work=$(cd "$1" && pwd)
clone=$work/clone
system=$(uname -m)-linux

step() { printf '\n== %s (%d s)\n' "$*" $SECONDS; }
fails() { # expected text, command...
  local expected=$1 output
  shift
  if output=$("$@" 2>&1); then echo "this should have failed: $*" >&2; return 1; fi
  grep -qF -- "$expected" <<<"$output" || { printf '%s\nexpected "%s" in this output\n' "$output" "$expected" >&2; return 1; }
}

[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "note: uncommitted changes are not tested" >&2
rm -rf "$clone"
git clone --quiet "$root" "$clone"

# Builds see this, and nothing else of this machine but what a standard environment has.
stdenv_programs="awk basename bash bunzip2 bzip2 cat cc chmod chown cmp comm cp cut date diff dirname du env expr
  false file find g++ gcc grep gzip head id install ld ldd ln ls make md5sum mkdir mkfifo mktemp mv nproc od patch
  printf pwd ar as ranlib strip nm objcopy objdump
  readlink realpath rm rmdir sed seq sh sha256sum sleep sort split stat tail tar tee test touch tr true uname
  uniq wc xargs xz"
rm -rf "$work/stdenv"
mkdir -p "$work/stdenv"
for program in $stdenv_programs; do
  if found=$(command -v "$program"); then ln -s "$(readlink -f "$found")" "$work/stdenv/$program"; fi
done
# Programs that manage versions stand before the real ones.
host_path=$PATH
if toolchain=$(rustup which cargo 2>/dev/null); then host_path=$(dirname "$toolchain"):$host_path; fi
host_path=$CARGO_TARGET_DIR/tools/bin:$(dirname "$(python3 -c 'import sys; print(sys.executable)')"):$host_path
{
  export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
  export NPM_CONFIG_USERCONFIG=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc}
  printf 'HOST_PATH=%q\nSTDENV=%q\nexport CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=%q\n' \
    "$host_path" "$work/stdenv" "$work/target"
  export -p | grep -E '^declare -x (CARGO_HOME|RUSTUP_HOME|NPM_CONFIG_|PIP_|SSL_|NODE_EXTRA_)' || true
} >"$work/host.env"
rm -rf "$work/nixpkgs"
cp -r tests/nix/stub "$work/nixpkgs"
mkdir "$work/nixpkgs/requirements"
for name in fastapi valkey; do cp "apps/$name/requirements.txt" "$work/nixpkgs/requirements/$name.txt"; done
versions=$(PATH=$host_path; node --version; redis-server --version; python3 --version; cargo --version)
cat >"$work/nixpkgs/host.nix" <<NIX
{
  environment = "$work/host.env";
  versions = ''$versions'';
  requirements = ./requirements;
}
NIX
# Only the crates that were built already, and nothing of this checkout: cargo distinguishes checkouts by
# file times, and tests contain the path of their folder.
rm -rf "$work/target"
mkdir "$work/target"
if [ -d "$CARGO_TARGET_DIR/release" ]; then
  cp -al "$CARGO_TARGET_DIR/release" "$work/target"
  rm -f "$work/target/release/perf-api"
  targets=$(cargo metadata --no-deps --format-version 1 | jq -r '.packages[].targets[] | select(.kind != ["custom-build"]) | .name')
  for target in $targets perf_api libperf_api; do
    find "$work/target/release" -name "$target[.-]*" -prune -exec rm -rf {} +
  done
fi
# Their builds have no network.
(cd "$clone" && cargo fetch --locked --quiet)

export NIX_CONFIG="experimental-features = nix-command flakes
sandbox = false
substitute = false
build-users-group =
warn-dirty = false"
override=(--override-input nixpkgs "path:$work/nixpkgs" --no-write-lock-file)

# As a user types it, with the stub in nixpkgs' place.
flake_run() { # app, --, arguments...
  local app=$1
  shift
  nix run "$app" "${override[@]}" "$@"
}

# One part of a tree, see parts.nix.
part_of() { # tree, command of Nix, arguments...
  local tree=$1 command=$2
  shift 2
  nix "$command" --impure --file "$root/tests/nix/parts.nix" --argstr tree "$tree" --argstr stub "$work/nixpkgs" "$@"
}

# What npm got as certificates, kept by a program in its place.
keeps_certificates() { # content that is expected, that of the bundled file, NIX_SSL_CERT_FILE
  rm -rf "$work/certificates"
  mkdir "$work/certificates"
  echo "$1" >"$work/certificates/file"
  NIX_SSL_CERT_FILE=$3 part_of "$clone" build certificates --no-link \
    --argstr bundled "$2" --argstr hash "$(nix hash path "$work/certificates")"
}

# A fault in a copy of the flake has to be found: when it is evaluated, or when `images` is built.
planted() { # file, text, its replacement, the expected message, the output that fails
  local flake=$work/planted
  rm -rf "$flake"
  cp -r "$clone" "$flake"
  sed -i "s|$2|$3|" "$flake/$1"
  ! git -C "$flake" diff --quiet || { echo "\`$2\` is not in $1" >&2; return 1; }
  case $5 in
    images) fails "$4" nix build "$flake#images" "${override[@]}" --no-link --print-build-logs ;;
    *) fails "$4" nix eval --json "$flake#$5.$system" --apply 'builtins.mapAttrs (_: one: one.drvPath)' "${override[@]}" ;;
  esac
  echo "found: $4"
}
