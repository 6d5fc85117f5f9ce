# The program, with the load generator in it. It needs nothing at run time, and brings no component.
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
  # build.rs embeds it in the program. A flake of `path:` contains what `make` has installed there.
  preConfigure = ''
    rm -rf src/report/plotly/node_modules
    cp -rT ${plotly} src/report/plotly/node_modules
  '';
  # `checks.tests` runs the tests: who wants to measure need not wait for them.
  doCheck = false;
  meta = {
    description = "A reproducible benchmark appliance for HTTP APIs";
    license = lib.licenses.mit;
    mainProgram = "perf-api";
    platforms = lib.platforms.linux;
  };
}
