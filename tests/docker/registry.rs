//! Images that are pulled by digest, from a registry on the loopback address.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

use bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures::StreamExt;

use crate::engine::{Engine, dataset};
use crate::system::{bundle, bundle_path, command, component, wait_until};

/// Docker takes a registry on the loopback address without TLS.
const REGISTRY: &str = "127.0.0.1:5017";

/// Debian's `docker-registry`, until it is dropped.
struct Registry {
    server: Child,
    _dir: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {REGISTRY}\n",
            dir.path().display()
        );
        let path = dir.path().join("config.yml");
        std::fs::write(&path, settings).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut server = command("docker-registry");
        server.arg("serve").arg(&path).stdin(Stdio::null());
        server.stdout(log.try_clone().unwrap()).stderr(log);
        let server = server.spawn().expect("`make docker-test` installs docker-registry");
        wait_until("the registry", || std::net::TcpStream::connect(REGISTRY).is_ok());
        Self { server, _dir: dir }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill().and_then(|()| self.server.wait().map(drop));
    }
}

/// Pushes the image of a store; gives its digest.
fn push(engine: &Engine, image: &str) -> String {
    let name = format!("{REGISTRY}/redis");
    engine.runtime.block_on(async {
        let tag = TagImageOptionsBuilder::new().repo(&name).tag("test").build();
        engine.docker.tag_image(image, Some(tag)).await.unwrap();
        let options = PushImageOptionsBuilder::new().tag("test").build();
        let mut progress = std::pin::pin!(engine.docker.push_image(&name, Some(options), None));
        while let Some(step) = progress.next().await {
            step.unwrap();
        }
        let seen = engine.docker.inspect_image(image).await.unwrap();
        let digests = seen.repo_digests.unwrap();
        let own = digests.iter().find_map(|one| one.strip_prefix(&format!("{name}@")));
        own.expect("a pushed image has a digest").to_owned()
    })
}

/// A bundle of express and a store that is pulled; gives its path.
fn bundle_with(dir: &Path, pull: &str) -> std::path::PathBuf {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps");
    let store = dir.join("redis");
    std::fs::create_dir_all(&store).unwrap();
    let text = std::fs::read_to_string(apps.join("redis/component.toml")).unwrap();
    let old = text.lines().find(|line| line.starts_with("pull =")).unwrap();
    std::fs::write(store.join("component.toml"), text.replace(old, &format!("pull = \"{pull}\"")))
        .unwrap();
    // The image of express, and no other.
    let images = dir.join("images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::copy(apps.join("../images/express.json"), images.join("express.json")).unwrap();
    let path = dir.join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(apps.join("express")).arg(&store).arg("--images").arg(&images);
    assert!(make.arg("--output").arg(&path).status().unwrap().success());
    path
}

pub fn quick(results: &Path, bundle: &Path) -> (Option<i32>, String) {
    let mut run = command(env!("CARGO_BIN_EXE_perf-api"));
    run.args(["quick", "--launcher", "docker", "--apps", "express", "--stores", "redis"]);
    run.args(["--qps", "100", "--duration", "1s", "--bundle"]).arg(bundle);
    let output = run.arg("--results").arg(results).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_image_is_pulled_by_its_digest_and_another_is_refused() {
    let engine = Engine::new();
    let _registry = Registry::start();
    let image = component(&bundle(), "redis").container.unwrap().image;
    // The daemon has it: a run of the bundle at hand loads it.
    let loaded = tempfile::tempdir().unwrap();
    let (code, stderr) = quick(loaded.path(), &bundle_path());
    assert_eq!(code, Some(0), "{stderr}");
    let digest = push(&engine, &image.reference);
    engine.remove_image(&image);

    let results = tempfile::tempdir().unwrap();
    let pull = format!("{REGISTRY}/redis:test@{digest}");
    let (code, stderr) = quick(results.path(), &bundle_with(results.path(), &pull));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains(&format!("pulled the image {pull}")), "{stderr}");
    let manifest = dataset(results.path());
    let components = manifest["bundle"]["components"].as_array().unwrap();
    let own = components.iter().find(|one| one["name"] == "redis").unwrap();
    assert_eq!(own["facts"]["image"], pull.as_str());
    println!("{stderr}");

    // The same name with a digest that nothing has.
    let results = tempfile::tempdir().unwrap();
    let wrong = format!("{REGISTRY}/redis:test@sha256:{}", "0".repeat(64));
    let (code, stderr) = quick(results.path(), &bundle_with(results.path(), &wrong));
    assert_eq!(code, Some(1), "{stderr}");
    // The messages of Docker's own puller and of containerd.
    let refusals = ["manifest for", "failed to resolve reference"];
    let is_reported = |refusal| stderr.contains(&format!("cannot be pulled: {refusal}"));
    assert!(refusals.into_iter().any(is_reported), "{stderr}");
    assert!(engine.nothing_is_left());
    println!("{stderr}");
}
