# The image by its digest, and as a process too where nixpkgs has built Dragonfly, which takes long.
{
  component,
  dragonflydb,
}:
component {
  name = "dragonfly";
  named = "dragonfly";
  program = if dragonflydb == null then "dragonfly" else "${dragonflydb}/bin/dragonfly";
  install =
    if dragonflydb == null then
      ''
        sed -i 's|^missing = .*|missing = "measure in containers (`--launcher docker`), or build it: `nix build .#bundle-with-dragonfly`, and name the file in it with `--bundle`"|' $out/dragonfly/component.toml
      ''
    else
      "";
}
