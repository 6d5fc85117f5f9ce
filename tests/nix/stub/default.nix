# The packages and functions of nixpkgs that the flake uses, made of the machine's own tools.
{
  system,
  config ? { },
}:
let
  host = import ./host.nix;
  lib = import ./lib.nix;
  mkDerivation = import ./mk-derivation.nix {
    inherit host system;
    allowUnfree = config.allowUnfreePredicate or (_: false);
  };

  runCommand =
    name: environment: script:
    mkDerivation (
      environment
      // {
        inherit name;
        buildCommand = script;
      }
    );

  # Links to programs of the machine.
  tool =
    name: programs:
    mkDerivation {
      pname = name;
      version = "of-the-host";
      meta.mainProgram = builtins.head programs;
      buildCommand = ''
        mkdir -p $out/bin
        for program in ${toString programs}; do
          found=$(PATH=$HOST_PATH; command -v $program) || { echo "this machine has no $program" >&2; exit 1; }
          ln -s "$found" $out/bin/$program
        done
      '';
    };

  # A program of the machine with its libraries, so that it runs in a container too.
  movable =
    name: program: find:
    mkDerivation {
      pname = name;
      version = "of-the-host";
      meta.mainProgram = program;
      buildCommand = ''
        source ${./move.sh}
        ${find}
        move "$found" ${program}
      '';
    };

  ofHost = program: "found=$(PATH=$HOST_PATH; command -v ${program})";

  buildRustPackage =
    {
      pname,
      version,
      src,
      cargoLock,
      nativeBuildInputs ? [ ],
      preConfigure ? "",
      doCheck ? true,
      meta ? { },
    }:
    assert cargoLock ? lockFile;
    mkDerivation {
      inherit
        pname
        version
        src
        preConfigure
        doCheck
        meta
        ;
      nativeBuildInputs = nativeBuildInputs ++ [
        packages.cargo
        packages.rustc
      ];
      buildPhase = "cargo build --release --frozen";
      installPhase = ''
        mkdir -p $out/bin
        cp $CARGO_TARGET_DIR/release/${pname} $out/bin/
      '';
    };

  isHash = text: builtins.match "sha256-[A-Za-z0-9+/]{43}=" text != null;

  modules = import ./modules.nix {
    inherit lib;
    pkgs = packages;
  };

  packages = {
    inherit lib runCommand;
    runCommandLocal = runCommand;
    rustPlatform = {
      inherit buildRustPackage;
    };
    stdenv = {
      inherit mkDerivation;
      cc.cc.lib = runCommand "cc-lib" { } "mkdir $out";
      hostPlatform = {
        inherit system;
      };
    };
    stdenvNoCC = {
      inherit mkDerivation;
    };
    dockerTools.streamLayeredImage = import ./image.nix { inherit lib runCommand system; };

    # It patches no program here: there is only a script to patch.
    autoPatchelfHook = runCommand "auto-patchelf-hook" { } "mkdir $out";
    cacert = runCommand "cacert" { } ''
      mkdir -p $out/etc/ssl/certs
      ln -s /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt
    '';
    cargo = tool "cargo" [ "cargo" ];
    cargo-deny = tool "cargo-deny" [ "cargo-deny" ];
    clippy = tool "clippy" [
      "cargo-clippy"
      "clippy-driver"
    ];
    # Nothing is downloaded: the archive holds a script by the name of the archive.
    fetchurl =
      {
        name,
        url,
        hash,
      }:
      assert isHash hash;
      runCommand name { } ''
        program=$(basename ${url} .tar.gz)
        printf '#!/bin/sh\necho "${name} of the stub"\n' >$program
        chmod 755 $program
        tar --create --gzip --file=$out $program
      '';
    git = tool "git" [ "git" ];
    gnumake = tool "gnumake" [ "make" ];
    jq = tool "jq" [ "jq" ];
    nixfmt = tool "nixfmt" [ "nixfmt" ];
    nixfmt-tree = tool "nixfmt-tree" [ "nixfmt" ];
    rustc = tool "rustc" [ "rustc" ];
    rustfmt = tool "rustfmt" [
      "rustfmt"
      "cargo-fmt"
    ];
    util-linux = tool "util-linux" [ "taskset" ];
    zlib = runCommand "zlib" { } "mkdir $out";

    makeBinaryWrapper = runCommand "make-binary-wrapper" { } ''
      mkdir -p $out/nix-support
      cp ${./make-wrapper.sh} $out/nix-support/setup-hook
    '';

    nodejs_24 = tool "nodejs" [
      "node"
      "npm"
    ];
    nodejs-slim_24 = movable "nodejs-slim" "node" (ofHost "node");
    redis = movable "redis" "redis-server" (ofHost "redis-server");
    valkey = movable "valkey" "valkey-server" ''
      wheels ${host.requirements}/valkey.txt $TMPDIR/wheels
      found=$(echo $TMPDIR/wheels/*/bin/valkey-server)
    '';
    python3 = packages.python313;
    python313 =
      let
        python = mkDerivation {
          pname = "python3";
          version = "of-the-host";
          buildCommand = ''
            source ${./move.sh}
            move_python
          '';
          passthru.withPackages =
            choose:
            let
              environment = mkDerivation {
                name = "python3-env";
                # Each by a name that nixpkgs has; which versions, says the lock file.
                buildCommand = ''
                  : ${toString (choose (import ./python-packages.nix))}
                  source ${./move.sh}
                  python_environment ${python} ${host.requirements}/fastapi.txt
                '';
                passthru.interpreter = "${environment}/bin/python3";
              };
            in
            environment;
        };
      in
      python;

    mkShell =
      { packages }:
      mkDerivation {
        name = "shell";
        nativeBuildInputs = packages;
        buildCommand = "mkdir $out";
      };

    testers.runNixOSTest =
      {
        name,
        nodes,
        testScript,
      }:
      let
        settings = builtins.toJSON (builtins.mapAttrs (_: module: modules module) nodes);
      in
      runCommand "vm-test-run-${name}" { } ''
        echo "not run: a virtual machine is for the real nixpkgs; its configuration was evaluated:" | tee $out
        echo ${lib.escapeShellArg settings} >>$out
        echo ${lib.escapeShellArg testScript} >>$out
      '';
  };
in
packages
