//! Built-in specs with a bundle of one's own, without the reference components.

use serde_json::Value;

use super::env::TestEnv;

/// A place with a bundle of two apps and a store that are not the reference's.
fn own_bundle() -> TestEnv {
    let env = TestEnv::new();
    for app in ["cart", "shop"] {
        component(
            &env,
            &format!("name = \"{app}\"\nkind = \"app\""),
            "[http]\nready = \"/healthz\"\nabout = \"/about\"\nendpoint = \"/cached-value\"\n",
        );
    }
    let info = "[store]\ninfo_has = [\"redis_version\"]\ninfo_lacks = []\n";
    component(&env, "name = \"keydb\"\nkind = \"store\"", info);
    env.good(&["bundle", "cart", "shop", "keydb"]);
    env
}

fn component(env: &TestEnv, head: &str, rest: &str) {
    let name = head.split('"').nth(1).unwrap();
    std::fs::create_dir(env.path(name)).unwrap();
    let process = "[process]\nprogram = \"no-such-program\"\nargs = [\"{port}\"]\nversion = [\"--version\"]\nmissing = \"get it\"\n";
    env.write(
        &format!("{name}/component.toml"),
        &format!("{head}\ntitle = \"{name}\"\nsummary = \"A fixture.\"\n\n{process}\n{rest}"),
    );
}

#[test]
fn every_built_in_spec_measures_the_apps_and_stores_that_the_bundle_has() {
    let env = own_bundle();
    let fake = ["--fake", "--fixed-clock", "--no-progress"];
    let commands: [&[&str]; 4] = [
        &["quick"],
        &["calibrate", "--repetitions", "2"],
        &["capacity", "--slo", "p99<50ms", "--qps", "1000,1500"],
        &["ab", "bundle.json", "bundle.json", "--repetitions", "2"],
    ];
    for command in commands {
        let output = env.transcript(&[command, &fake].concat());
        assert!(output.starts_with("exit 0"), "{command:?}: {output}");
        let shown: Value =
            serde_json::from_str(&env.good(&["results", "show", "--format", "json"])).unwrap();
        let experiment = &shown["experiment"];
        assert_eq!(experiment["apps"], serde_json::json!(["cart", "shop"]), "{command:?}");
        assert_eq!(experiment["stores"], serde_json::json!(["keydb"]), "{command:?}");
    }
    let output = env.transcript(&["plan", "ab"]);
    let said =
        "the bundle lacks app express of ab.toml (built in); using all that it has: cart, shop";
    assert!(output.contains(said), "{output}");
}

#[test]
fn what_is_asked_for_is_not_replaced() {
    let env = own_bundle();
    let output = env.transcript(&["quick", "--fake", "--no-progress", "--apps", "express"]);
    assert!(
        output.contains("--apps: `express` is not one of the bundle's apps: cart, shop"),
        "{output}"
    );
    let output = env.transcript(&["quick", "--fake", "--no-progress", "--apps", "shop"]);
    assert!(output.starts_with("exit 0") && !output.contains("express"), "{output}");
}

#[test]
fn a_store_s_folder_that_is_not_measured_is_refused_with_its_own_option() {
    let env = own_bundle();
    let info = "[store]\ninfo_has = [\"redis_version\"]\ninfo_lacks = []\n";
    component(&env, "name = \"cache\"\nkind = \"store\"", info);
    env.good(&["bundle", "cart", "shop", "keydb", "cache"]);
    let output = env.transcript(&["ab", "cache", "cache", "--fake", "--stores", "keydb"]);
    assert!(output.contains("hint: `--stores cache` measures it"), "{output}");
    assert!(!output.contains("--apps"), "{output}");
}
