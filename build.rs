//! How the program is linked, and what it embeds.

/// `make` installs it before it builds.
const PLOTLY: &str =
    "src/report/plotly/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PLOTLY}");
    if !std::path::Path::new(PLOTLY).is_file() {
        println!("cargo::error={PLOTLY} is missing: `make perf-api` installs it with npm");
    }
    // 6 MB of relocations become 0.1 MB. Asked of the linker alone, so nothing is built anew.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
