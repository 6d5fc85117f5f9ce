# What the program is built, linted and tested with. Components that `make setup` takes from PyPI bring
# programs for the usual Linux, which NixOS does not run: there, measure with `nix run`.
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
