# `makeWrapper`: a program that starts another with variables and arguments.
makeWrapper() { # program, wrapper, flags
  local program=$1 wrapper=$2 variables= words=
  shift 2
  while [ $# -gt 0 ]; do
    case $1 in
      --set-default)
        variables+="export $2=\${$2-$(printf %q "$3")}"$'\n'
        shift 3
        ;;
      --add-flags)
        words+=" $2"
        shift 2
        ;;
      *) echo "makeWrapper: no flag $1 in the stub" >&2; return 1 ;;
    esac
  done
  mkdir -p "$(dirname "$wrapper")"
  printf '#!/bin/bash\n%sexec %q%s "$@"\n' "$variables" "$program" "$words" >"$wrapper"
  chmod 755 "$wrapper"
}
