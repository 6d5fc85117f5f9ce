# A component as `perf-api bundle` wants it: a folder of its name. The program that its component.toml
# names becomes a path of the store, so that nothing is looked up when it runs.
{
  lib,
  runCommandLocal,
}:
{
  name,
  # The program as component.toml names it, and what it is here.
  named,
  program,
  # What else is done to the folder, a line of shell.
  install ? "",
}:
let
  folder = ../apps + "/${name}";
  # A flake of `path:` contains what `make` has installed. It is not part of the component, and its store
  # path must not depend on it.
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
