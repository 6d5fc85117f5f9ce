//! Both apps give the same answers: for a hit, a miss, a dead store, and an unknown path.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use perf_api::launch::{HttpAnswer, get, seed};
use perf_api::model::stored_value;
use perf_api::model::{Component, KEY, fill};

use super::system::{bundle, command, component, take_turn, wait_until};

/// A component that runs, ended with its whole process group.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(component: &Component, store: Option<SocketAddr>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut values = BTreeMap::from([
            ("host", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("workers", "1".to_owned()),
            ("connections", "10".to_owned()),
            ("key", KEY.to_owned()),
            ("cpus", "1".to_owned()),
            ("memory_mib", "512".to_owned()),
        ]);
        if let Some(store) = store {
            values.insert("store_host", store.ip().to_string());
            values.insert("store_port", store.port().to_string());
        }
        let filled = |text: &String| fill(text, |name| values.get(name).cloned()).unwrap();
        let template = component.process.as_ref().unwrap();
        let child = command(&template.program)
            .args(template.args.iter().map(filled))
            .envs(template.env.iter().map(|(name, text)| (name, filled(text))))
            .current_dir(&template.dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    fn get(&self, path: &str) -> Result<HttpAnswer, String> {
        runtime().block_on(get(self.address, path))
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).map_or(0, |answer| answer.status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn delete_key(store: SocketAddr) {
    let client = redis::Client::open(format!("redis://{store}")).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("DEL").arg(KEY).exec(&mut connection).unwrap();
}

/// What an app answers in each situation.
fn answers(app: &str) -> BTreeMap<&'static str, HttpAnswer> {
    let bundle = bundle();
    let store = Server::start(&component(&bundle, "redis"), None);
    wait_until("the store", || runtime().block_on(seed(store.address, KEY)).is_ok());
    let server = Server::start(&component(&bundle, app), Some(store.address));
    wait_until("the app", || server.status("/healthz") == 200);
    let mut answers = BTreeMap::new();
    answers.insert("ready", server.get("/healthz").unwrap());
    answers.insert("hit", server.get("/cached-value").unwrap());
    answers.insert("no such path", server.get("/nothing").unwrap());
    delete_key(store.address);
    answers.insert("miss", server.get("/cached-value").unwrap());
    drop(store);
    wait_until("the app to notice", || server.status("/healthz") == 503);
    answers.insert("dead store, not ready", server.get("/healthz").unwrap());
    answers.insert("dead store", server.get("/cached-value").unwrap());
    answers
}

#[test]
fn both_apps_answer_alike_byte_for_byte() {
    let _turn = take_turn();
    let fastapi = answers("fastapi");
    assert_eq!(fastapi, answers("express"));
    let outcomes: Vec<String> = fastapi
        .iter()
        .filter(|(_, answer)| answer.body.len() < 200)
        .map(|(what, answer)| {
            let body = String::from_utf8_lossy(&answer.body);
            format!(
                "{what}: {} {} {body}",
                answer.status,
                answer.content_type.as_deref().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            r#"dead store: 503 application/json {"error":"store_unavailable"}"#,
            r#"dead store, not ready: 503 application/json {"error":"store_unavailable"}"#,
            r#"miss: 404 application/json {"error":"not_found"}"#,
            r#"no such path: 404 application/json {"error":"not_found"}"#,
            r#"ready: 200 application/json {"status":"ok"}"#,
        ]
    );
    let hit = &fastapi["hit"];
    assert_eq!((hit.status, hit.content_type.as_deref()), (200, Some("application/octet-stream")));
    assert_eq!(hit.body, stored_value());
}

#[test]
fn both_apps_say_what_they_are() {
    let _turn = take_turn();
    let bundle = bundle();
    let store = Server::start(&component(&bundle, "redis"), None);
    for app in ["fastapi", "express"] {
        let server = Server::start(&component(&bundle, app), Some(store.address));
        wait_until("the app", || server.status("/healthz") == 200);
        let about: BTreeMap<String, String> =
            serde_json::from_slice(&server.get("/about").unwrap().body).unwrap();
        for field in ["runtime", "framework", "server", "store_client", "workers"] {
            assert!(
                about.get(field).is_some_and(|value| !value.is_empty()),
                "{app}: no {field} in {about:?}"
            );
        }
    }
}
