//! The built-in loader without enough file descriptors.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// Answers every request. Returns the URL.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                while let Ok(1..) = stream.read(&mut [0; 4096]) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").unwrap();
                }
            });
        }
    });
    format!("http://{address}/")
}

/// Offers 1,000 requests on 100,000 connections from a process with limits on memory and descriptors.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn offer(dir: &Path, pool: &str, max_open_files: u32) -> Output {
    let load = json!({
        "url": server(),
        "schedule": {
            "rate": 2000, "duration": 500_000_000, "arrivals": "even", "seed": 0,
        },
        "connections": { "limit": 100_000, "pool": pool, "is_kept_alive": true },
        "expected": { "status": 200, "length": 4, "body": null },
        "drain_limit": 20_000_000_000_u64,
        "cpus": "",
        "pacing": "sleep",
    });
    std::fs::write(dir.join("load.json"), load.to_string()).unwrap();
    let script = format!(
        "ulimit -v 2000000; ulimit -n {max_open_files}; exec \"$0\" built-in-loader load.json out.json"
    );
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_perf-api"));
    shell.env_clear().current_dir(dir).output().unwrap()
}

#[test]
fn connections_beyond_the_limit_of_open_files_are_failed_requests() {
    let dir = tempfile::tempdir().unwrap();
    for pool in ["fixed", "open"] {
        let output = offer(dir.path(), pool, 60);
        assert!(output.status.success(), "{pool}: {output:?}");
        let measured: Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("out.json")).unwrap()).unwrap();
        let counts = &measured["counts"];
        let count = |value: &Value| value.as_u64().unwrap();
        let failed = counts["failed"].as_object().unwrap();
        let refused = failed.get("cannot connect: too many open files").map_or(0, count);
        assert_eq!(count(&counts["planned"]), 1000, "{pool}");
        let [completed, unfinished] = [&counts["completed"], &counts["censored"]].map(count);
        assert_eq!(completed + refused + unfinished, 1000, "{pool}: {counts}");
        assert!(completed > 0 && count(&measured["opened"]["count"]) < 60, "{pool}: {measured}");
        assert!(refused > 0 || pool == "open", "{pool}: {counts}");
    }
}

#[test]
fn a_loader_that_cannot_open_its_own_files_ends_with_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = offer(dir.path(), "fixed", 5);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = "error: cannot start the runtime of a loader thread: too many open files";
    assert!(!output.status.success() && stderr.starts_with(expected), "{stderr}");
}
