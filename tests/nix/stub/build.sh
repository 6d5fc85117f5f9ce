# What every derivation of the stub runs: the phases of nixpkgs' stdenv, with the machine's own tools.
set -euo pipefail
# Says where they are: HOST_PATH for what wraps a tool, STDENV for what every build may use.
source "$hostEnvironment"
export PATH=$STDENV HOME=/homeless-shelter
umask 022

substituteInPlace() {
  local file=$1
  shift
  while [ $# -gt 0 ]; do
    [ "$1" = --replace-fail ] || { echo "substituteInPlace: no flag $1 in the stub" >&2; exit 1; }
    local text
    text=$(<"$file")
    [[ $text == *"$2"* ]] || { echo "substituteInPlace: \`$2\` is not in $file" >&2; exit 1; }
    printf '%s\n' "${text//"$2"/"$3"}" >"$file"
    shift 3
  done
}

runHook() { local hook=${!1:-}; eval "$hook"; }

for input in ${nativeBuildInputs:-}; do
  export PATH=$input/bin:$PATH
  if [ -f "$input/nix-support/setup-hook" ]; then source "$input/nix-support/setup-hook"; fi
done

if [ -n "${buildCommand:-}" ]; then
  eval "$buildCommand"
else
  if [ -z "${dontUnpack:-}" ]; then
    cp -r "$src" source
    chmod -R u+w source
    cd source
  fi
  runHook preConfigure
  eval "${buildPhase:-}"
  eval "$installPhase"
fi
