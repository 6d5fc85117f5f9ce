# The image by its digest, and as a process too where its release is downloaded.
{
  lib,
  component,
  dragonflydb,
}:
component {
  name = "dragonfly";
  named = "dragonfly";
  program = if dragonflydb == null then "dragonfly" else lib.getExe dragonflydb;
  install =
    if dragonflydb == null then
      ''
        sed -i 's|^missing = .*|missing = "measure in containers (`--launcher docker`), or download its release: `nix build .#bundle-with-dragonfly`, and name the file in it with `--bundle`"|' $out/dragonfly/component.toml
      ''
    else
      "";
}
