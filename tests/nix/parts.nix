# Parts of the flake in `tree`, each made of the stub's packages, for test.sh.
{
  tree,
  stub,
  # Of `certificates`: what the bundled file holds, and the hash of what is kept.
  bundled ? "",
  hash ? "",
}:
let
  packages = import stub { system = builtins.currentSystem; };
  inherit (packages) lib runCommand;
  call = file: lib.callPackageWith (packages // parts) "${tree}/nix/${file}";

  parts = {
    component = call "component.nix" { };
    express = call "components/express.nix" { };
    fastapi = call "components/fastapi.nix" { };
    nodeModules = call "node-modules.nix" { };
    runner = call "runner.nix" { };
  };

  equal =
    name: actual: expected:
    if actual == expected then
      name
    else
      throw "${name} is ${builtins.toJSON actual}, and not ${builtins.toJSON expected}";
in
{
  inherit (parts) express fastapi;

  plotly = parts.nodeModules {
    name = "plotly";
    src = /. + "${tree}/src/report/plotly";
    hash = (lib.importTOML "${tree}/nix/node-modules.toml").plotly;
  };
  # What build.rs finds.
  embeddedPlotly = parts.runner.overrideAttrs (_: {
    buildPhase = "";
    installPhase = "cp -r src/report/plotly/node_modules $out";
  });

  # npm is a program that keeps the certificates it is given.
  certificates =
    call "node-modules.nix"
      {
        cacert = runCommand "cacert" { } ''
          mkdir -p $out/etc/ssl/certs
          echo ${lib.escapeShellArg bundled} >$out/etc/ssl/certs/ca-bundle.crt
        '';
        nodejs_24 = runCommand "npm" { } ''
          mkdir -p $out/bin
          printf '#!/bin/sh\nmkdir node_modules\ncp "$NODE_EXTRA_CA_CERTS" node_modules/file\n' >$out/bin/npm
          chmod 755 $out/bin/npm
        '';
      }
      {
        name = "certificates";
        src = /. + "${tree}/apps/express";
        inherit hash;
      };

  # systemd reads `%%` as `%` in all settings, and `$$` as `$` in commands alone.
  service =
    let
      machine = import "${stub}/modules.nix" {
        inherit lib;
        pkgs = packages;
      };
      module = import "${tree}/nix/module.nix" {
        ${packages.stdenv.hostPlatform.system}.default = packages.jq;
      };
      service =
        (machine {
          imports = [ module ];
          services.perf-api = {
            enable = true;
            spec = "quick";
            extraArgs = [
              "--results=/var/lib/perf-api/100% of $HOME"
              ''"quoted" \ ;''
            ];
            results = "s3://bucket/a%20b$c";
            environmentFile = "/run/100%$x";
          };
        }).systemd.services.perf-api;
    in
    [
      (equal "ExecStart" service.serviceConfig.ExecStart
        ''"${lib.getExe packages.jq}" "run" "--no-progress" "quick" "--results=/var/lib/perf-api/100%% of $$HOME" "\"quoted\" \\ ;"''
      )
      (equal "PERF_API_RESULTS" service.environment.PERF_API_RESULTS "s3://bucket/a%%20b$c")
      (equal "EnvironmentFile" service.serviceConfig.EnvironmentFile [ "/run/100%%$x" ])
    ];
}
