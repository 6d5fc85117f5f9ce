# The apps of `nix run`: the program with its bundle. Datasets go to `results/` in the current folder.
{
  lib,
  runCommandLocal,
  makeBinaryWrapper,
  runner,
  bundle,
}:
let
  perf-api =
    runCommandLocal "perf-api"
      {
        nativeBuildInputs = [ makeBinaryWrapper ];
        meta = {
          inherit (runner.meta) description mainProgram;
        };
      }
      ''
        makeWrapper ${lib.getExe runner} $out/bin/perf-api \
          --set-default PERF_API_BUNDLE ${bundle}/bundle.json
      '';

  command =
    name:
    runCommandLocal "perf-api-${name}" { nativeBuildInputs = [ makeBinaryWrapper ]; } ''
      makeWrapper ${lib.getExe perf-api} $out/bin/perf-api-${name} --add-flags ${name}
    '';

  app = description: program: {
    type = "app";
    inherit program;
    meta = { inherit description; };
  };

  commands = {
    quick = "Measure every app on every store once, in about half a minute";
    full = "Measure the reference matrix: 960 trials, about 6 hours";
    report = "Show a dataset as one HTML file, or compare two";
    plan = "Show what a run would do: matrix, placement and time";
    doctor = "Tell what of this host can disturb a measurement, and what to do about it";
    results = "List, check, name, copy and remove datasets";
  };
in
{
  inherit perf-api;
  apps =
    lib.mapAttrs (name: description: app description "${command name}/bin/perf-api-${name}") commands
    // {
      default = app "Measure, report, compare: every command of perf-api" (lib.getExe perf-api);
    };
}
