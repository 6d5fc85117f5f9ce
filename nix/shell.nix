# The tools for building, linting and testing. Components that `make setup` takes from PyPI contain binaries
# that do not run on NixOS: measure with `nix run` there.
{
  mkShell,
  cargo,
  clippy,
  git,
  gnumake,
  jq,
  nodejs_24,
  python313,
  redis,
  rustc,
  rustfmt,
  util-linux,
}:
mkShell {
  packages = [
    cargo
    clippy
    git
    gnumake
    jq
    nodejs_24
    python313
    redis
    rustc
    rustfmt
    util-linux
  ];
}
