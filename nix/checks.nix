# The checks of `nix flake check`. Tests that need real servers, Docker or a browser are in `make ci`; the
# virtual machine has the smoke run, as processes and in containers.
{
  lib,
  runCommandLocal,
  cargo,
  cargo-deny,
  clippy,
  git,
  nixfmt,
  python3,
  rustfmt,
  util-linux,
  runner,
  images,
  bundle,
  vm-test,
}:
let
  tree = ../.;

  # The whole tree with the locked crates beside it, as the runner is built.
  withCrates =
    name: packages: script:
    runner.overrideAttrs (old: {
      pname = "perf-api-${name}";
      src = tree;
      nativeBuildInputs = old.nativeBuildInputs ++ packages;
      buildPhase = script;
      installPhase = "touch $out";
    });

  # Only the tree.
  onTree =
    name: packages: script:
    runCommandLocal "perf-api-${name}" { nativeBuildInputs = packages; } ''
      cd ${tree}
      ${script}
      touch $out
    '';
in
# Nested: `callPackage` adds override functions to the result, which are not checks.
{
  checks = {
    inherit runner images bundle;

    # Builders may not mount; `make unit-test` runs the test that does.
    tests = withCrates "tests" [ git python3 util-linux ] ''
      cargo test --release --frozen --lib --test cli --test deps --test stats --test tidy -- \
        --skip what_to_do_on_a_disk_without_room
    '';

    clippy = withCrates "clippy" [ clippy ] ''
      cargo clippy --release --frozen --all-targets -- --deny warnings
      cargo clippy --release --frozen --test docker -- --deny warnings
    '';

    deny = withCrates "deny" [ cargo-deny ] ''
      export HOME=$TMPDIR
      cargo deny --offline check bans licenses sources
    '';

    format =
      onTree "format"
        [
          cargo
          nixfmt
          rustfmt
        ]
        ''
          HOME=$TMPDIR cargo fmt --check
          nixfmt --check flake.nix $(find nix tests/nix -name '*.nix')
        '';

    locks = onTree "locks" [ python3 ] "python3 tools/lint-locks";

    vm = vm-test;
  };
}
