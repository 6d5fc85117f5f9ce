//! All datasets in a browser: pages, questions, a run as it goes on, and who may ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use perf_api::plan::Overrides;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::env::TestEnv;
use super::journal::unsealed;
use super::run::dataset;

/// A small matrix on numbers that are made up.
const SMALL: [&str; 9] = [
    "quick",
    "--fake",
    "--fixed-clock",
    "--no-progress",
    "--repetitions",
    "2",
    "--stores",
    "redis",
    "--seed",
];
/// What takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn measured(env: &TestEnv, seed: &str) -> String {
    dataset(&env.good(&[&SMALL[..], &[seed]].concat()))
}

/// The program, serving.
struct Server {
    child: Child,
    /// `127.0.0.1:PORT`
    host: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Server {
    fn start(env: &TestEnv) -> Self {
        Self::start_with(env, &[], &[])
    }

    fn start_with(env: &TestEnv, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut child = env.start(&args, variables);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line
            .strip_prefix("serving results at http://")
            .and_then(|rest| rest.strip_suffix("/ – Ctrl-C ends it\n").map(str::to_owned));
        Self { host: host.expect("it tells where it serves"), child }
    }

    fn send(&self, request: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    /// Asks with exactly these headers.
    fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let mut text = String::new();
        self.send(&format!(
            "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .read_to_string(&mut text)
        .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[("Host", &self.host)], "")
    }

    fn post(&self, question: &Value) -> Answer {
        let headers = [("Host", self.host.as_str()), ("Content-Type", "application/json")];
        self.ask("POST /sql", &headers, &question.to_string())
    }

    /// The answer to a query over all datasets.
    fn sql(&self, query: &str) -> Value {
        let answer = self.post(&json!({ "query": query, "dataset": null }));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Why a query is not answered.
    fn refused(&self, query: &str) -> String {
        let answer = self.post(&json!({ "query": query }));
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        let output: Value = serde_json::from_str(&answer.body).unwrap();
        output["error"].as_str().unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

/// Events of the live view.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(server: &Server) -> Self {
        let host = &server.host;
        Self(server.send(&format!("GET /live/events HTTP/1.1\r\nHost: {host}\r\n\r\n")))
    }

    /// The first event from here on of which something is true.
    fn until(&mut self, is_true: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the events ended");
            let Some(data) = line.trim_end().strip_prefix("data: ") else { continue };
            let view = serde_json::from_str(data).unwrap();
            if is_true(&view) {
                return view;
            }
        }
    }
}

#[test]
fn datasets_are_listed_shown_and_compared_as_the_command_line_does() {
    let env = TestEnv::new();
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    env.good(&["results", "tag", &before, "tagged"]);
    let server = Server::start(&env);
    let list = server.get("/");
    assert_eq!(list.status, 200);
    assert!(list.body.contains("tagged") && list.body.contains("FastAPI and Express on Redis"));
    for id in [&before, &after] {
        assert!(list.body.contains(&format!("href=\"/dataset/{id}\"")), "{}", list.body);
    }
    // Two of one spec are chosen, and never one for both sides.
    let chosen = |side: &str| {
        let checked: Vec<&str> =
            list.body.split("<input").filter(|one| one.contains(" checked>")).collect();
        assert_eq!(checked.len(), 2, "{}", list.body);
        let own = checked.iter().find(|one| one.contains(&format!("name=\"{side}\""))).unwrap();
        own.split("value=\"").nth(1).unwrap()[..64].to_owned()
    };
    assert_ne!(chosen("before"), chosen("after"));

    env.good(&["report", &before, "-o", "cli.html"]);
    let report = String::from_utf8(env.read("cli.html")).unwrap();
    for name in [before.as_str(), &before[..8], "tagged", "tagged"] {
        let page = server.get(&format!("/dataset/{name}"));
        assert_eq!((page.status, page.body == report), (200, true), "{name}");
        assert!(page.head.contains("content-security-policy: frame-ancestors 'none'\r\n"));
    }
    assert_eq!(server.get("/dataset/latest~1").status, 200);

    for (margin, query) in [("5%", ""), ("10%", "&margin=10%25")] {
        env.good(&["report", "--compare", &before, &after, "--margin", margin, "-o", "cli.html"]);
        let page = server.get(&format!("/compare?before={before}&after={after}{query}"));
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.body, String::from_utf8(env.read("cli.html")).unwrap(), "{margin}");
    }
}

#[test]
fn a_page_that_cannot_be_shown_gives_the_message_of_the_command_line() {
    let env = TestEnv::new();
    let id = measured(&env, "1");
    let server = Server::start(&env);
    let output = env.transcript(&["report", "ffffff"]);
    let page = server.get("/dataset/ffffff");
    assert_eq!(page.status, 404);
    let (error, hint) = output.split_once("error: ").unwrap().1.split_once("\nhint: ").unwrap();
    let error = error.replace("[DIR]", env.path("").display().to_string().trim_end_matches('/'));
    let text = page.body.replace("<code>", "`").replace("</code>", "`");
    assert!(text.contains(&error) && text.contains(hint.trim()), "{error} {hint}: {text}");

    let hostile = server.get("/dataset/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert_eq!(hostile.status, 404);
    assert!(hostile.body.contains("alert(1)") && !hostile.body.contains("<script>"));
    assert_eq!(server.get("/dataset/..%2F..%2Fetc%2Fpasswd").status, 404);
    assert_eq!(server.get("/dataset/").status, 404);
    assert_eq!(server.get("/nothing").status, 404);
    for (query, expected) in [
        ("", "expected two datasets"),
        (&*format!("?before={id}"), "expected two datasets"),
        (&*format!("?before={id}&after={id}"), "is compared with itself"),
        (&*format!("?before={id}&after={id}&margin=lots"), "a share is written"),
    ] {
        let page = server.get(&format!("/compare{query}"));
        assert_eq!(page.status, 400, "{query}");
        assert!(page.body.contains(expected), "{query}: {}", page.body);
    }
    assert_eq!(server.get(&format!("/compare?before={id}&after=ffffff")).status, 404);
    assert_eq!(server.ask("DELETE /", &[("Host", &server.host)], "").status, 405);
}

#[test]
fn a_suspicious_comparison_is_made_when_somebody_insists() {
    let env = TestEnv::new();
    let before = measured(&env, "1");
    let longer = dataset(&env.good(&[&SMALL[..], &["1", "--duration", "5s"]].concat()));
    let server = Server::start(&env);
    let path = format!("/compare?before={before}&after={longer}");
    let page = server.get(&path);
    assert_eq!(page.status, 409);
    for expected in [
        "more differs than the components under test",
        "spec: duration: 4s before, 5s after",
        "name=\"force\" value=\"1\"",
        "Compare anyway",
        &before,
        &longer,
    ] {
        assert!(page.body.contains(expected), "{expected}: {}", page.body);
    }
    let forced = server.get(&format!("{path}&margin=5%25&force=1"));
    assert_eq!(forced.status, 200);
    env.good(&["report", "--compare", &before, &longer, "--force", "-o", "cli.html"]);
    assert_eq!(forced.body, String::from_utf8(env.read("cli.html")).unwrap());
    assert!(forced.body.contains("Suspicious differences were accepted"));
}

#[test]
fn a_damaged_dataset_is_listed_with_its_condition() {
    let env = TestEnv::new();
    let (whole, damaged) = (measured(&env, "1"), measured(&env, "2"));
    let manifest = format!("results/{damaged}/manifest.json");
    let text = String::from_utf8(env.read(&manifest)).unwrap();
    env.write(&manifest, &text.replace("\"seed\":2", "\"seed\":3"));
    let server = Server::start(&env);
    let list = server.get("/");
    let rows: Vec<&str> = list.body.split("<tr>").filter(|row| row.contains(&damaged)).collect();
    assert_eq!(rows.len(), 1, "{}", list.body);
    assert!(rows[0].contains("corrupt") && rows[0].contains("its hash is not the dataset"));
    assert!(!rows[0].contains("radio") && list.body.contains(&whole));
    let page = server.get(&format!("/dataset/{damaged}"));
    assert_eq!(page.status, 422);
    assert!(page.body.contains("results pull"), "{}", page.body);
    // What is asked of the whole one alone is answered.
    assert!(server.refused("select count(*) from trials").contains("corrupt"));
    let one = server.post(&json!({ "query": "select count(*) from trials", "dataset": whole }));
    assert_eq!(one.status, 200, "{}", one.body);
}

#[test]
fn what_stands_in_a_dataset_is_text_and_no_markup() {
    let env = TestEnv::new();
    let hostile = "</code><script>alert(1)</script>\\\"'&";
    let bundle = String::from_utf8(env.read("bundle.json")).unwrap();
    env.write("bundle.json", &bundle.replace("\"FastAPI\"", &format!("\"{hostile}\"")));
    measured(&env, "1");
    let server = Server::start(&env);
    let list = server.get("/");
    assert!(list.body.contains("alert(1)") && !list.body.contains("<script"), "{}", list.body);
    // In the console a text is a text: the page makes nodes of it and no markup.
    let answer = server.sql("select '<img src=x onerror=alert(1)>' as \"<b>\"");
    assert_eq!(answer["rows"], json!([["<img src=x onerror=alert(1)>"]]));
    assert_eq!(answer["columns"][0]["name"], "<b>");
    for page in ["/sql", "/live"] {
        let page = server.get(page).body;
        let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        for way in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
            assert!(!script.contains(way), "{way}");
        }
    }
}

#[test]
fn questions_are_answered_with_every_digit() {
    let env = TestEnv::new();
    let (first, second) = (measured(&env, "1"), measured(&env, "2"));
    let server = Server::start(&env);
    let answer = server.sql("select 9007199254740993 as big, cast(null as varchar) as nothing, null as untyped, 0.1 as share, true as yes, started from datasets limit 1");
    let row = &answer["rows"][0];
    assert_eq!(
        row,
        &json!(["9007199254740993", null, null, "0.1", "true", "2026-01-01T00:00:00Z"])
    );
    assert_eq!(answer["columns"][0], json!({ "name": "big", "type": "Int64" }));
    assert_eq!(answer["is_cut"], false);
    assert!(answer["took_ms"].is_u64());
    let count = |dataset: Value| {
        let question = json!({ "query": "select count(distinct dataset), count(*) from trials", "dataset": dataset });
        let answer: Value = serde_json::from_str(&server.post(&question).body).unwrap();
        answer["rows"][0].clone()
    };
    assert_eq!(count(Value::Null), json!(["2", "8"]));
    assert_eq!(count(json!(first)), json!(["1", "4"]));
    assert_eq!(count(json!(second[..8])), json!(["1", "4"]));
    assert!(
        server
            .post(&json!({ "query": "select 1", "dataset": "ffffff" }))
            .body
            .contains("no dataset is called")
    );

    let whole = server.sql("select * from generate_series(1, 10000)");
    assert_eq!(
        (whole["rows"].as_array().unwrap().len(), &whole["is_cut"]),
        (10_000, &json!(false))
    );
    let cut = server.sql("select * from generate_series(1, 10001)");
    assert_eq!((cut["rows"].as_array().unwrap().len(), &cut["is_cut"]), (10_000, &json!(true)));
    let wide = server.sql("select repeat('x', 100000) from generate_series(1, 1000)");
    assert_eq!(wide["is_cut"], true, "some 32 MiB are enough");

    let page = server.get("/sql").body;
    assert!(page.contains(&format!("<option value=\"{first}\">")) && page.contains("hist_merge"));
    let example = page.split_once("\">SELECT").unwrap().1.split_once("</textarea>").unwrap().0;
    let example = server.sql(&format!("SELECT{example}"));
    assert_eq!(example["columns"].as_array().unwrap().len(), 10);
    assert_ne!(example["rows"], json!([]));
}

#[test]
fn nothing_is_written_or_read_but_datasets() {
    let env = TestEnv::new();
    let id = measured(&env, "1");
    let parquet = env.path(&format!("results/{id}/trials.parquet")).display().to_string();
    let server = Server::start(&env);
    for query in [
        "insert into trials select * from trials",
        "delete from trials",
        "copy trials to 'x.csv'",
        "explain analyze copy trials to 'x.csv'",
        "create external table x stored as csv location '/etc/passwd'",
        "create table x as select 1",
        "drop table trials",
        "set datafusion.execution.batch_size = 1",
    ] {
        let output = server.refused(query);
        assert!(output.starts_with("queries are read-only"), "{query}: {output}");
    }
    for query in [
        format!("select * from '{parquet}'"),
        format!("select * from read_parquet('{parquet}')"),
        "select * from read_csv('/etc/passwd')".to_owned(),
        "select * from '/etc/passwd'".to_owned(),
    ] {
        let output = server.refused(&query);
        assert!(output.contains("not found"), "{query}: {output}");
    }
    assert!(server.refused("select 1; select 2").contains("expected one statement"));
    assert!(server.refused("").contains("the query is empty"));
    assert!(server.refused("selec 1").contains("Expected: an SQL statement"));
    assert!(!env.path("x.csv").exists());
}

#[test]
fn no_question_takes_the_server_with_it() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start(&env);
    std::thread::scope(|scope| {
        // Joins do not look up from their work, and two are all that are answered at once.
        let long = [1, 2].map(|_| {
            scope.spawn(|| server.refused("select count(*) from generate_series(1, 100000000) a, generate_series(1, 100000000) b where a.value < -b.value"))
        });
        let waiting = scope.spawn(|| server.sql("select 1"));
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.get("/dataset/latest").status, 200);
        for output in long {
            assert_eq!(output.join().unwrap(), "the query took longer than 10 s and was stopped");
        }
        assert_eq!(waiting.join().unwrap()["rows"], json!([["1"]]));
    });
    let memory = server.refused(
        "select value, repeat('x', 10000) from generate_series(1, 2000000000) order by value desc",
    );
    // On a busy host the time limit may come first.
    let limits = ["Memory Exhausted", "the query was stopped after 10 s"];
    assert!(limits.iter().any(|limit| memory.contains(limit)), "{memory}");
    // Each sum is a step into the depth of the stack.
    let deep = server.refused(&format!("select 1{}", " + 1".repeat(12_000)));
    assert!(deep.contains("the query was stopped"), "{deep}");
    let vast = server.refused("select repeat('x', 2147483647) from generate_series(1, 8)");
    assert!(!vast.is_empty());
    assert_eq!(server.sql("select 1")["rows"], json!([["1"]]));
}

#[test]
fn only_this_machines_own_pages_are_answered() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start(&env);
    let with_host = |host: &str| server.ask("GET /", &[("Host", host)], "").status;
    // Whatever the port: `ssh -L 9000:…` makes it another one.
    for host in ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", "127.0.0.1", "localhost"] {
        assert_eq!(with_host(host), 200, "{host}");
    }
    for host in ["evil.example:8321", "evil.example", "localhost.evil.example", "10.0.0.1"] {
        assert_eq!(with_host(host), 403, "{host}");
    }
    let output = server.ask("GET /", &[], "");
    assert!(
        output.status == 403 && output.body.contains("expects one `Host` header"),
        "{output:?}"
    );
    let output = server.ask("GET /", &[("Host", "lab.example.org:80")], "");
    assert!(
        output.body.contains("`perf-api serve --allow-host lab.example.org` allows it"),
        "{output:?}"
    );

    let own = format!("http://{}", server.host);
    let json = ("Content-Type", "application/json");
    let asked = |headers: &[(&str, &str)]| {
        let host = ("Host", server.host.as_str());
        let headers = [&[host], headers].concat();
        server.ask("POST /sql", &headers, r#"{"query":"select 1"}"#).status
    };
    assert_eq!(asked(&[json]), 200);
    assert_eq!(asked(&[json, ("Origin", &own), ("Sec-Fetch-Site", "same-origin")]), 200);
    assert_eq!(asked(&[("Content-Type", "application/json; charset=utf-8")]), 200);
    assert_eq!(asked(&[json, ("Origin", "http://evil.example")]), 403);
    assert_eq!(asked(&[json, ("Origin", "null")]), 403);
    assert_eq!(asked(&[json, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(asked(&[("Content-Type", "text/plain")]), 415);
    assert_eq!(asked(&[("Content-Type", "application/x-www-form-urlencoded")]), 415);
    assert_eq!(asked(&[]), 415);
    let foreign = [("Host", server.host.as_str()), ("Origin", "http://evil.example")];
    assert_eq!(server.ask("GET /", &foreign, "").status, 403);
    assert_eq!(server.post(&json!({ "query": "x".repeat(65 << 10) })).status, 413);
    assert_eq!(server.post(&json!({ "query": "select 1", "more": 1 })).status, 400);
}

#[test]
fn a_page_behind_another_port_may_ask_and_post() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start(&env);
    let asked = |origin: &str| {
        let json = ("Content-Type", "application/json");
        let own = [("Host", "localhost:9000"), ("Sec-Fetch-Site", "same-origin"), json];
        let headers = [&own[..], &[("Origin", origin)]].concat();
        server.ask("POST /sql", &headers, r#"{"query":"select 1"}"#).status
    };
    assert_eq!(asked("http://localhost:9000"), 200);
    // A page of another server on this machine.
    assert_eq!(asked("http://localhost:3000"), 403);
    assert_eq!(asked("http://evil.example:9000"), 403);
}

#[test]
fn an_allowed_host_is_answered_and_no_other() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start_with(&env, &["--allow-host", "lab.example.org"], &[]);
    let with_host = |host: &str| server.ask("GET /", &[("Host", host)], "").status;
    assert_eq!(with_host("lab.example.org:8443"), 200);
    assert_eq!(with_host("localhost:1"), 200);
    assert_eq!(with_host("evil.example"), 403);
    let output = env.transcript(&["serve", "--allow-host", "http://lab"]);
    assert!(output.starts_with("exit 2") && output.contains("without scheme and port"), "{output}");
}

#[test]
fn every_answer_tells_the_browser_to_be_careful() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start(&env);
    let question = server.post(&json!({ "query": "select 1" }));
    let foreign = server.ask("GET /", &[("Host", "evil.example")], "");
    let pages =
        ["/", "/sql", "/live", "/nothing", "/dataset/latest", "/dataset/ffffff", "/compare"];
    let mut answers: Vec<Answer> = pages.iter().map(|path| server.get(path)).collect();
    answers.extend([question, foreign]);
    for answer in &answers {
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert_eq!(answer.head.matches(header).count(), 1, "{header}: {}", answer.head);
        }
        let policy = answer.head.split("content-security-policy: ").nth(1).unwrap();
        let policy = policy.lines().next().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    // A script that is not the page's own does not run, and the page's own does.
    let page = server.ask("GET /sql", &[("Host", &server.host)], "");
    let script = page.body.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(script);
    let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
    assert!(page.head.contains(&format!("script-src 'sha256-{}'", hash.to_ascii_lowercase())));
}

#[test]
fn a_run_is_seen_from_its_first_trial_to_its_dataset() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("results")).unwrap();
    let server = Server::start(&env);
    assert!(!server.get("/").body.contains("href=\"/live\">See"));
    let mut events = Events::of(&server);
    let none = events.until(|_| true);
    assert_eq!((&none["state"], &none["trials"]), (&json!("none"), &json!([])));

    // Made elsewhere, then written line by line, as a run does.
    let elsewhere = TestEnv::new();
    let overrides = Overrides {
        stores: Some(vec!["redis".to_owned()]),
        qps: Some(vec!["1000".to_owned(), "20000".to_owned()]),
        repetitions: Some("3".to_owned()),
        ..Overrides::default()
    };
    let whole = std::fs::read(unsealed(&elsewhere, "quick", &overrides)).unwrap();
    let ends: Vec<usize> = whole
        .split_inclusive(|&byte| byte == b'\n')
        .scan(0, |end, line| {
            *end += line.len();
            Some((*end, line))
        })
        .filter(|(_, line)| line[17..].starts_with(b"{\"trial\":"))
        .map(|(end, _)| end)
        .collect();
    assert_eq!(ends.len(), 12);
    let folder = env.path("results/journal/20260101-000000-0");
    std::fs::create_dir_all(&folder).unwrap();
    let journal = folder.join("journal.jsonl");
    let is_done = |count: usize| move |view: &Value| view["done"] == count;
    // The last line is torn: it is not there yet.
    std::fs::write(&journal, &whole[..ends[1] + 40]).unwrap();
    let view = events.until(|view| view["state"] == "running");
    assert_eq!(view["done"], 2);
    assert_eq!(view["total"], 12);
    assert_eq!(view["summary"], "2 of 12 trials done, 0 failed, 0 flagged.");
    assert_eq!(view["what"], "FastAPI and Express on Redis");
    assert_eq!(
        (&view["spec"], &view["started_ms"]),
        (&json!("quick"), &json!(1_767_225_600_000_u64))
    );
    let trial = &view["trials"][0];
    assert!(trial["case"].as_str().unwrap().contains(" on redis, "), "{trial}");
    assert!(trial["rate"].as_str().unwrap().ends_with("/s"), "{trial}");
    std::fs::write(&journal, &whole[..ends[8]]).unwrap();
    let view = events.until(is_done(9));
    let p95s: Vec<&str> =
        view["trials"].as_array().unwrap().iter().map(|one| one["p95"].as_str().unwrap()).collect();
    assert!(
        p95s.iter().any(|p95| p95.starts_with("> ")),
        "a lower bound is shown as one: {p95s:?}"
    );
    assert!(server.get("/").body.contains("A run is unfinished"));
    // Somebody who comes later sees the same.
    assert_eq!(Events::of(&server).until(|_| true)["done"], 9);

    let id = dataset(&env.good(&["resume", "--fake", "--fixed-clock", "--no-progress"]));
    let view = events.until(|view| view["state"] == "sealed");
    assert_eq!(view["dataset"], id);
    assert!(view["summary"].as_str().unwrap().contains("12 trials"), "{view}");
    assert_eq!(server.get(&format!("/dataset/{id}")).status, 200);

    // What was removed is no dataset; what begins later is picked up.
    let next = env.path("results/journal/20260102-000000-0");
    std::fs::create_dir(&next).unwrap();
    std::fs::write(next.join("journal.jsonl"), &whole[..ends[0]]).unwrap();
    events.until(|view| view["state"] == "running" && view["run"] == "20260102-000000-0");
    std::fs::write(
        next.join("journal.jsonl"),
        [&whole[..ends[0]], b"damage\n", &whole[ends[0]..]].concat(),
    )
    .unwrap();
    let view = events.until(|view| view["state"] == "damaged");
    assert!(view["note"].as_str().unwrap().contains("is damaged at line"), "{view}");
    std::fs::remove_dir_all(&next).unwrap();
    events.until(|view| view["state"] != "damaged");
}

#[test]
fn trials_that_failed_are_seen_with_their_reason() {
    let env = TestEnv::new();
    let path = unsealed(&env, "quick", &Overrides::default());
    let text = std::fs::read_to_string(&path).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let trial = rest.lines().find(|line| line[17..].starts_with("{\"trial\":")).unwrap();
    let mut failed: Value = serde_json::from_str(&trial[17..]).unwrap();
    failed["trial"]["outcome"] =
        json!({ "failed": { "stage": "launch", "reason": "<b>no</b> port", "log_tail": [] } });
    let json = failed.to_string();
    let checksum = &super::run::hash(json.as_bytes())[..16];
    std::fs::write(&path, format!("{header}\n{checksum} {json}\n")).unwrap();
    let server = Server::start(&env);
    let view = Events::of(&server).until(|_| true);
    assert_eq!(
        view["summary"].as_str().unwrap().split(" trials done, ").nth(1),
        Some("1 failed, 0 flagged.")
    );
    assert_eq!(view["trials"][0]["notes"], "failed at launch: <b>no</b> port");
    assert_eq!(view["trials"][0]["is_failed"], true);
}

#[test]
fn a_signal_ends_the_server_during_requests() {
    let env = TestEnv::new();
    measured(&env, "1");
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start(&env);
        let mut events = Events::of(&server);
        events.until(|_| true);
        let (host, question) = (
            &server.host,
            r#"{"query":"select count(*) from generate_series(1, 100000000) a, generate_series(1, 100000000) b"}"#,
        );
        let _asked = server.send(&format!(
            "POST /sql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{question}",
            question.len()
        ));
        server.signal(signal);
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert!(TcpStream::connect(&server.host).is_err());
        let mut output = String::new();
        server.child.stderr.as_mut().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, "");
    }
}

#[test]
fn an_impossible_address_is_refused_with_a_hint() {
    let env = TestEnv::new();
    measured(&env, "1");
    let server = Server::start(&env);
    let taken = env.transcript(&["serve", "--listen", &server.host]);
    insta::assert_snapshot!(taken.replace(&server.host, "[TAKEN]"));
    insta::assert_snapshot!(env.steps(&[
        &["serve", "--listen", "0.0.0.0:8321"],
        &["serve", "--listen", "[::]:0"],
        &["serve", "--listen", "192.0.2.1:80"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--listen", "127.0.0.1:0", "--results", "nowhere"],
    ]));
}

#[test]
fn the_browser_is_opened_where_there_is_one() {
    let env = TestEnv::new();
    measured(&env, "1");
    std::fs::create_dir(env.path("bin")).unwrap();
    // What opens writes into a pipe, from which is read until it has.
    env.shell("mkfifo opened && printf '#!/bin/sh\\necho \"$1\" > opened\\n' > bin/xdg-open && chmod +x bin/xdg-open");
    let path = format!("{}:/usr/bin:/bin", env.path("bin").display());
    let server = Server::start_with(&env, &["--open"], &[("PATH", &path)]);
    assert_eq!(
        std::fs::read_to_string(env.path("opened")).unwrap(),
        format!("http://{}/\n", server.host)
    );

    let empty = env.path("results").display().to_string();
    let mut server = Server::start_with(&env, &["--open"], &[("PATH", &empty)]);
    assert_eq!(server.get("/").status, 200, "it serves all the same");
    server.signal(Signal::TERM);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let mut output = String::new();
    server.child.stderr.as_mut().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.contains("cannot start `xdg-open`"), "{output}");
}
