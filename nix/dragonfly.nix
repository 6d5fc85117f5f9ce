# Dragonfly as its project released it, in the version of the component's image. nixpkgs builds it from
# source, which takes long and may fail (nixpkgs#562910).
{
  lib,
  stdenv,
  autoPatchelfHook,
  fetchurl,
  zlib,
}:
let
  image = (lib.importTOML ../apps/dragonfly/component.toml).image.pull;
  version = lib.head (builtins.match ".*:v([0-9.]+)@.*" image);

  # Two public repositories hold the same hashes of version 1.39.0: cashapp/hermit-packages in
  # dragonfly.hcl, and kuasar-sandbox/accelerator in deploy/dragonfly-v1.39.0.sha256.
  releases = {
    x86_64-linux = {
      program = "dragonfly-x86_64";
      hash = "sha256-gfiM/QCWxVDkFacAyX61v2Btsd9hBswDWE6Hj9eqEmo=";
    };
    aarch64-linux = {
      program = "dragonfly-aarch64";
      hash = "sha256-UqFOiM2L2dCGo6R5S4y05g7+jixh+02eo/FBvNJ5guM=";
    };
  };
  release = releases.${stdenv.hostPlatform.system};
in
stdenv.mkDerivation {
  pname = "dragonflydb";
  inherit version;
  src = fetchurl {
    # The version in the name: an archive of another version is never taken for this one.
    name = "${release.program}-${version}.tar.gz";
    url = "https://github.com/dragonflydb/dragonfly/releases/download/v${version}/${release.program}.tar.gz";
    inherit (release) hash;
  };
  nativeBuildInputs = [ autoPatchelfHook ];
  # Only the libraries that the program loads become references of it.
  buildInputs = [
    stdenv.cc.cc.lib
    zlib
  ];
  dontUnpack = true;
  # The program stays as released, except for the paths of its loader and libraries.
  dontStrip = true;
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    tar --extract --gzip --file=$src --to-stdout ${release.program} >$out/bin/dragonfly
    chmod 755 $out/bin/dragonfly
    runHook postInstall
  '';
  meta = {
    description = "In-memory data store that speaks the protocol of Redis";
    license = lib.licenses.bsl11;
    mainProgram = "dragonfly";
    platforms = lib.attrNames releases;
  };
}
