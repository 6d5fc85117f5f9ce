# The program with its load generator. It has no run-time dependencies and no components.
{
  lib,
  rustPlatform,
  nodeModules,
}:
let
  plotly = nodeModules {
    name = "plotly";
    src = ../src/report/plotly;
    hash = (lib.importTOML ./node-modules.toml).plotly;
  };
in
rustPlatform.buildRustPackage {
  pname = "perf-api";
  inherit ((lib.importTOML ../Cargo.toml).package) version;
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../askama.toml
      ../build.rs
      ../src
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  # build.rs embeds it in the program. A `path:` flake contains the files that `make` has installed there.
  preConfigure = ''
    rm -rf src/report/plotly/node_modules
    cp -rT ${plotly} src/report/plotly/node_modules
  '';
  # `checks.tests` runs the tests, so that a build for measuring is faster.
  doCheck = false;
  meta = {
    description = "A reproducible benchmark appliance for HTTP APIs";
    license = lib.licenses.mit;
    mainProgram = "perf-api";
    platforms = lib.platforms.linux;
  };
}
