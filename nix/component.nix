# A component for `perf-api bundle`: a folder with its name. The program in component.toml becomes a path in
# the Nix store, so that no lookup on PATH happens at run time.
{
  lib,
  runCommandLocal,
}:
{
  name,
  # The program in component.toml, and its replacement.
  named,
  program,
  # Further changes of the folder, as shell commands.
  install ? "",
}:
let
  folder = ../apps + "/${name}";
  # A `path:` flake contains the files that `make` has installed. The component's store path must not
  # depend on them.
  installed = map (part: lib.fileset.maybeMissing (folder + "/${part}")) [
    ".venv"
    "__pycache__"
    "node_modules"
  ];
  source = lib.fileset.toSource {
    root = folder;
    fileset = lib.fileset.difference folder (lib.fileset.unions installed);
  };
in
runCommandLocal "perf-api-${name}" { } ''
  mkdir $out
  cp -r ${source} $out/${name}
  chmod -R u+w $out/${name}
  substituteInPlace $out/${name}/component.toml --replace-fail ${lib.escapeShellArg ''program = "${named}"''} ${lib.escapeShellArg ''program = "${program}"''}
  ${install}
''
