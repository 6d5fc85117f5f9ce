# What a package-lock.json names, as npm installs it: a derivation whose output is known by its hash.
#
# The lock files name no host, so that nixpkgs' own helpers, which want addresses, have nothing to fetch.
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
  # npm's notes on the installation name where the packages came from.
  installPhase = ''
    runHook preInstall
    rm -f node_modules/.package-lock.json
    mv node_modules $out
    runHook postInstall
  '';
  # A script with the path of a shell in it would be another one.
  dontFixup = true;
  # They include NIX_SSL_CERT_FILE.
  impureEnvVars = lib.fetchers.proxyImpureEnvVars;
  outputHashMode = "recursive";
  outputHash = hash;
}
