//! Images as archives, or as programs that write an archive, as Nix keeps them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bollard::query_parameters::TagImageOptionsBuilder;

use crate::engine::Engine;
use crate::registry::quick;
use crate::system::{bundle, bundle_path, command, component};

/// A bundle of express and of redis, whose image a script of this text writes; gives its path.
fn bundle_with(dir: &Path, script: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = dir.join("stream");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let images = dir.join("images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::copy(root.join("images/express.json"), images.join("express.json")).unwrap();
    let mut image: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("images/redis.json")).unwrap()).unwrap();
    image["archive"] = serde_json::Value::Null;
    image["stream"] = program.display().to_string().into();
    std::fs::write(images.join("redis.json"), image.to_string()).unwrap();
    let path = dir.join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(root.join("apps/express")).arg(root.join("apps/redis"));
    make.arg("--images").arg(&images).arg("--output").arg(&path);
    assert!(make.status().unwrap().success());
    path
}

#[test]
fn an_image_is_loaded_from_the_program_that_writes_it_and_a_failing_one_is_reported() {
    let engine = Engine::new();
    let [redis, express] =
        ["redis", "express"].map(|name| component(&bundle(), name).container.unwrap().image);
    let archive = redis.archive.as_ref().unwrap().display().to_string();
    let other = express.archive.unwrap().display().to_string();
    let attempts = [
        (
            format!("echo to the log >&2\ncat {archive}"),
            0,
            format!("loaded the image {}", redis.reference),
        ),
        (
            "echo no space left >&2\nexit 3".to_owned(),
            1,
            "failed (exit status: 3): no space left".to_owned(),
        ),
        (
            format!("head -c 100000 {archive}\necho torn >&2\nexit 4"),
            1,
            "failed (exit status: 4): torn".to_owned(),
        ),
        (format!("cat {other}"), 1, "the archive has another image than the pinned one".to_owned()),
    ];
    for (script, code, expected) in attempts {
        engine.remove_image(&redis);
        let dir = tempfile::tempdir().unwrap();
        let (ended, stderr) = quick(dir.path(), &bundle_with(dir.path(), &script));
        assert_eq!(ended, Some(code), "{script}: {stderr}");
        assert!(stderr.contains(&expected), "{script}: {stderr}");
        assert!(code == 0 || stderr.contains("build the bundle again"), "{stderr}");
    }
    assert!(engine.nothing_is_left());
}

#[test]
fn another_image_with_the_name_of_a_pinned_one_is_not_used() {
    let engine = Engine::new();
    let [redis, express] =
        ["redis", "express"].map(|name| component(&bundle(), name).container.unwrap().image);
    let loaded = tempfile::tempdir().unwrap();
    let (ended, stderr) = quick(loaded.path(), &bundle_path());
    assert_eq!(ended, Some(0), "{stderr}");

    engine.remove_image(&redis);
    let (name, tag) = redis.reference.rsplit_once(':').unwrap();
    let options = TagImageOptionsBuilder::new().repo(name).tag(tag).build();
    let tagged = engine.docker.tag_image(&express.reference, Some(options));
    engine.runtime.block_on(tagged).unwrap();
    assert_eq!(engine.image(&redis.reference), engine.image(&express.reference));

    let results = tempfile::tempdir().unwrap();
    let (ended, stderr) = quick(results.path(), &bundle_path());
    assert_eq!(ended, Some(0), "{stderr}");
    assert!(stderr.contains(&format!("loaded the image {}", redis.reference)), "{stderr}");
    let loaded = engine.image(&redis.reference);
    assert!(loaded.is_some());
    assert_ne!(loaded, engine.image(&express.reference));
}
