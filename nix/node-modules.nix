# The packages of a package-lock.json, installed by npm: a derivation with a fixed output hash.
#
# The lock files name no host, and the helpers of nixpkgs need addresses.
# `tools/node-modules-hash` writes the hashes, and `make nix-test` compares each with its lock file.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  cacert,
}:
{
  name,
  src,
  hash,
}:
stdenvNoCC.mkDerivation {
  name = "${name}-node-modules";
  src = lib.fileset.toSource {
    root = src;
    fileset = lib.fileset.unions [
      (src + "/package.json")
      (src + "/package-lock.json")
    ];
  };
  nativeBuildInputs = [ nodejs_24 ];
  dontConfigure = true;
  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR NODE_EXTRA_CA_CERTS=${cacert}/etc/ssl/certs/ca-bundle.crt
    # The certificates of a proxy between this machine and the registry. stdenv sets the variable to a
    # file that does not exist when the caller does not set it.
    if [ -r "''${NIX_SSL_CERT_FILE:-}" ]; then
      NODE_EXTRA_CA_CERTS=$NIX_SSL_CERT_FILE
    fi
    npm ci --ignore-scripts --omit=dev --no-audit --no-fund
    runHook postBuild
  '';
  # npm's record of the installation contains the source of packages.
  installPhase = ''
    runHook preInstall
    rm -f node_modules/.package-lock.json
    mv node_modules $out
    runHook postInstall
  '';
  # No path of a shell in scripts: it would change the hash.
  dontFixup = true;
  # They include NIX_SSL_CERT_FILE.
  impureEnvVars = lib.fetchers.proxyImpureEnvVars;
  outputHashMode = "recursive";
  outputHash = hash;
}
