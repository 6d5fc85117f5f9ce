# `bundle.json` of a set of components: their store paths, digests and identities. The program itself
# makes it, as it does for `make`.
{
  lib,
  runCommand,
  runner,
  images,
}:
components:
let
  folders = lib.mapAttrsToList (name: component: "${component}/${name}") components;
in
runCommand "perf-api-bundle" { } ''
  mkdir $out
  ${lib.getExe runner} bundle --provider nix --images ${images} --output $out/bundle.json \
    ${lib.concatStringsSep " " folders} >$out/id
''
