# What `make` needs to set up, measure and test.
{
  mkShell,
  cargo,
  clippy,
  gnumake,
  jq,
  nodejs_24,
  python313,
  redis,
  rustc,
  rustfmt,
}:
mkShell {
  packages = [
    cargo
    clippy
    gnumake
    jq
    nodejs_24
    python313
    redis
    rustc
    rustfmt
  ];
}
