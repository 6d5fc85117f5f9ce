# A machine that measures at night: a spec on a timer, with datasets in one folder.
packages:
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  options = config.services.perf-api;
  # systemd expands `%` in every setting of a unit; `escapeSystemdExecArgs` escapes it in commands.
  escapeSpecifiers = lib.replaceStrings [ "%" ] [ "%%" ];
in
{
  options.services.perf-api = {
    enable = lib.mkEnableOption "measurements by perf-api on a timer";

    package = lib.mkOption {
      type = lib.types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = "perf-api with the bundle of its flake";
      description = "The program, with the bundle that it measures.";
    };

    spec = lib.mkOption {
      type = lib.types.either lib.types.path (
        lib.types.enum [
          "quick"
          "full"
        ]
      );
      default = "full";
      description = "What to measure: `quick`, `full`, or a spec file.";
    };

    extraArgs = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [
        "--allow-shared-cpus"
        "--launcher=process"
      ];
      description = "More arguments of `perf-api run`.";
    };

    startAt = lib.mkOption {
      type = lib.types.str;
      default = "*-*-* 01:00:00";
      description = "When to measure, in the format of {manpage}`systemd.time(7)`.";
    };

    results = lib.mkOption {
      type = lib.types.str;
      default = "/var/lib/perf-api/results";
      example = "s3://benchmarks/nightly";
      description = "Where datasets are kept: a folder below `/var/lib/perf-api`, or a place in an object store.";
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "A file of variables, such as the credentials of an object store.";
    };
  };

  config = lib.mkIf options.enable {
    assertions = [
      {
        assertion =
          lib.hasPrefix "/var/lib/perf-api/" options.results || lib.hasInfix "://" options.results;
        message = "services.perf-api.results is a folder below /var/lib/perf-api, or a place in an object store";
      }
    ];

    virtualisation.docker.enable = lib.mkDefault true;

    systemd.services.perf-api = {
      description = "Measure HTTP APIs with perf-api";
      wants = [ "network-online.target" ];
      after = [
        "docker.service"
        "network-online.target"
      ];
      inherit (options) startAt;
      # A new configuration of the machine must not start a run.
      restartIfChanged = false;
      environment = {
        HOME = "/var/lib/perf-api";
        PERF_API_RESULTS = escapeSpecifiers options.results;
      };
      serviceConfig = {
        Type = "oneshot";
        ExecStart = utils.escapeSystemdExecArgs (
          [
            (lib.getExe options.package)
            "run"
            "--no-progress"
            "${options.spec}"
          ]
          ++ options.extraArgs
        );
        EnvironmentFile = lib.optional (options.environmentFile != null) (
          escapeSpecifiers (toString options.environmentFile)
        );
        StateDirectory = "perf-api";
        WorkingDirectory = "/var/lib/perf-api";
        # It stops its processes, and prints how to resume.
        KillMode = "mixed";
        TimeoutStopSec = 60;
        LimitNOFILE = 65536;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
      };
    };
  };
}
