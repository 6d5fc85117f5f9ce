{
  description = "A reproducible benchmark appliance for HTTP APIs";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      partsOf =
        system:
        let
          pkgs = import nixpkgs {
            inherit system;
            # Dragonfly is under the Business Source License; only `dragonfly` and `bundle-with-dragonfly` download it.
            config.allowUnfreePredicate = package: lib.getName package == "dragonflydb";
          };
          # The arguments of a file in nix/ are packages of nixpkgs, and parts.
          call = lib.callPackageWith (pkgs // parts);
          parts = {
            nodeModules = call ./nix/node-modules.nix { };
            runner = call ./nix/runner.nix { };
            component = call ./nix/component.nix { };
            components = {
              express = call ./nix/components/express.nix { };
              fastapi = call ./nix/components/fastapi.nix { };
              redis = call ./nix/components/redis.nix { };
              valkey = call ./nix/components/valkey.nix { };
              dragonfly = call ./nix/components/dragonfly.nix { dragonflydb = null; };
            };
            dragonflydb = call ./nix/dragonfly.nix { };
            dragonfly = call ./nix/components/dragonfly.nix { };
            images = call ./nix/images.nix { };
            makeBundle = call ./nix/bundle.nix { };
            bundle = parts.makeBundle parts.components;
            bundle-with-dragonfly = parts.makeBundle (parts.components // { inherit (parts) dragonfly; });
            appliance = call ./nix/apps.nix { };
            module = self.nixosModules.default;
            vm-test = call ./nix/vm-test.nix { };
            inherit (call ./nix/checks.nix { }) checks;
            shell = call ./nix/shell.nix { };
            formatter = pkgs.nixfmt-tree;
          };
        in
        parts;

      eachSystem =
        select: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: select (partsOf system));
    in
    {
      packages = eachSystem (
        parts:
        parts.components
        // {
          default = parts.appliance.perf-api;
          inherit (parts)
            runner
            dragonfly
            images
            bundle
            bundle-with-dragonfly
            ;
        }
      );
      apps = eachSystem (parts: parts.appliance.apps);
      checks = eachSystem (parts: parts.checks);
      devShells = eachSystem (parts: {
        default = parts.shell;
      });
      formatter = eachSystem (parts: parts.formatter);
      nixosModules.default = {
        _file = ./nix/module.nix;
        key = "perf-api";
        imports = [ (import ./nix/module.nix self.packages) ];
      };
    };
}
