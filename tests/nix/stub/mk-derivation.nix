# `stdenv.mkDerivation`, which takes the attributes that the flake uses and refuses any other.
{
  host,
  system,
  # Says of a derivation whose licence is not free whether it may be used.
  allowUnfree,
}:
let
  known = [
    "buildCommand"
    "buildInputs"
    "buildPhase"
    "doCheck"
    "dontConfigure"
    "dontFixup"
    "dontStrip"
    "dontUnpack"
    "exportReferencesGraph"
    "impureEnvVars"
    "installPhase"
    "meta"
    "name"
    "nativeBuildInputs"
    "outputHash"
    "outputHashMode"
    "passthru"
    "pname"
    "preConfigure"
    "src"
    "version"
  ];
  # What a builder has no use for.
  told = [
    "meta"
    "passthru"
    "pname"
    "version"
  ];
  make =
    arguments:
    let
      unknown = builtins.attrNames (removeAttrs arguments known);
      name = arguments.name or "${arguments.pname}-${arguments.version}";
      isFree = arguments.meta.license.free or true;
      built = derivation (
        {
          inherit name system;
          builder = "/bin/bash";
          args = [ ./build.sh ];
          hostEnvironment = host.environment;
          hostVersions = host.versions;
        }
        // removeAttrs arguments told
      );
    in
    if unknown != [ ] then
      throw "mkDerivation of ${name} has no argument `${builtins.head unknown}`"
    else if !isFree && !allowUnfree arguments then
      throw "${name} is unfree"
    else
      built
      // (arguments.passthru or { })
      // {
        inherit name;
        meta = arguments.meta or { };
        overrideAttrs = change: make (arguments // change arguments);
      }
      // (if arguments ? pname then { inherit (arguments) pname version; } else { });
in
make
