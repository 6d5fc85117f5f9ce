{
  lib,
  component,
  nodeModules,
  nodejs-slim_24,
}:
let
  packages = nodeModules {
    name = "express";
    src = ../../apps/express;
    hash = (lib.importTOML ../node-modules.toml).express;
  };
in
component {
  name = "express";
  named = "node";
  program = lib.getExe nodejs-slim_24;
  install = "cp -r ${packages} $out/express/node_modules";
}
