//! Apps that break their contract: each failure names the request, the answer, and the expected answer.

use std::path::{Path, PathBuf};

use super::system::{command, take_turn};

/// A folder with a misbehaving app and the bundle that pins it beside Redis.
struct App {
    dir: tempfile::TempDir,
}

impl App {
    /// An app that runs `program` with the arguments of `misbehaving.py`; `more` is added to its
    /// component.toml.
    fn new(program: &str, first_args: &str, mode: &str, n: &str, more: &str) -> Self {
        let app = Self { dir: tempfile::tempdir().unwrap() };
        let folder = app.folder();
        std::fs::create_dir(&folder).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(root.join("tests/real/misbehaving.py"), folder.join("server.py")).unwrap();
        app.write("app/version", "1.0\n");
        app.write("app/package-version", "1.0\n");
        let toml = format!(
            r#"
name = "app"
kind = "app"
title = "App"
summary = "An app that misbehaves."
[process]
program = "{program}"
args = [{first_args}"--mode", "{mode}", "--n", "{n}", "--host", "{{host}}", "--port", "{{port}}"]
version = [{first_args}"--version"]
missing = "install python3"
[http]
ready = "/healthz"
about = "/about"
endpoint = "/cached-value"
{more}
"#
        );
        app.write("app/component.toml", &toml);
        let spec = "name = \"case\"\nrepetitions = 1\nduration = \"1s\"\nwarm_up = \"1s\"\nseed = 1\n[factors]\napps = [\"app\"]\nstores = [\"redis\"]\nworkers = [1]\nconcurrency = [4]\nqps = [5]\n";
        app.write("case.toml", spec);
        app
    }

    fn python(mode: &str, n: &str, more: &str) -> Self {
        Self::new("python3", "\"server.py\", ", mode, n, more)
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.dir.path().join(path), text).unwrap();
    }

    /// Pins the app as it is now.
    fn pin(&self) {
        self.pin_with(&[]);
    }

    fn pin_with(&self, variables: &[(&str, &str)]) {
        let redis = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/redis");
        let mut pin = command(env!("CARGO_BIN_EXE_perf-api"));
        pin.arg("bundle").arg(redis).arg(self.folder()).arg("--output").arg(self.bundle());
        let output = pin.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle.json")
    }

    /// Measures it, with variables of the environment; gives the exit code and standard error.
    fn run(&self, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut run = command(env!("CARGO_BIN_EXE_perf-api"));
        run.arg("run").arg(self.dir.path().join("case.toml")).arg("--bundle").arg(self.bundle());
        run.args(["--allow-shared-cpus", "--launcher", "process", "--results"]);
        run.arg(self.dir.path().join("results")).envs(variables.iter().copied());
        let output = run.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn a_broken_contract_is_named_with_the_answer() {
    let _turn = take_turn();
    let cases = [
        (
            "redirect",
            "0",
            "failed at seed: app `app`: GET /cached-value answered with status 302, Location `/cached-value/`, no body; expected status 200 and the 1024 stored bytes from `http.endpoint`",
        ),
        ("gzip", "0", "answered with status 200, Content-Encoding `gzip`, "),
        ("gzip", "0", r" bytes: \x1f\x8b"),
        ("status", "203", "answered with status 203, Content-Type `text/x-value`, 1024 bytes: "),
        (
            "list",
            "0",
            r#"GET /about answered with status 200, Content-Type `application/json`, 17 bytes: ["Framework 1.0"]; expected status 200 and a flat JSON object from `http.about`"#,
        ),
        (
            "unhealthy",
            "503",
            "was not ready within 10s (`limits.ready` in its component.toml): GET /healthz at 127.0.0.1:",
        ),
        (
            "unhealthy",
            "503",
            r#"answered with status 503, Content-Type `application/json`, 22 bytes: {"state":\n"\u{1b}[31mdown"}; expected status 200 from `http.ready`; it listens on 127.0.0.1:"#,
        ),
        ("late", "3600", "Connection refused"),
        ("late", "3600", "it was not seen to listen on any address"),
        ("elsewhere", "0", "it listens on 127.0.0.1:"),
        ("elsewhere", "0", " instead of 127.0.0.1:"),
        ("ends", "0", "app `app` ended before it was ready (exit status: 1): no configuration"),
    ];
    let mut last = String::new();
    for (index, (mode, n, expected)) in cases.into_iter().enumerate() {
        if index == 0 || cases[index - 1].0 != mode {
            // Long enough for a busy host to start an app that has to listen or to answer.
            let limit = if mode == "late" { "1s" } else { "10s" };
            let app = App::python(mode, n, &format!("[limits]\nready = \"{limit}\""));
            app.pin();
            let (code, stderr) = app.run(&[]);
            assert_eq!(code, Some(3), "{mode}: {stderr}");
            last = stderr;
        }
        assert!(last.contains(expected), "{mode}: {expected}: {last}");
        let is_noise = |line: &str| line.contains("failed at") && line.contains("CTRL+C");
        assert!(!last.lines().any(is_noise), "a line of the log is not the reason: {last}");
    }
}

#[test]
fn an_app_may_take_as_long_as_the_contract_allows() {
    let _turn = take_turn();
    let app = App::python("slow", "2.5", "");
    app.pin();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(0), "{stderr}");
    let app = App::python("slow", "2.5", "[limits]\nanswer = \"1s\"");
    app.pin();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    let expected = "was not answered within 1s (`limits.answer` in its component.toml)";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn a_program_with_another_version_in_the_environment_of_a_run_is_refused() {
    let _turn = take_turn();
    let app = App::new("./shim", "", "ok", "0", "");
    let write_shim = |version: &str| {
        let shim = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then {version}; exit; fi\nexec python3 server.py \"$@\"\n"
        );
        app.write("app/shim", &shim);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(app.folder().join("shim"), mode).unwrap();
    };
    // It chooses by a variable of the caller, which never reaches a component.
    write_shim("echo Python ${CHOICE-3.9.18}");
    app.pin_with(&[("CHOICE", "3.11.2")]);
    let pinned = std::fs::read_to_string(app.bundle()).unwrap();
    assert!(pinned.contains("\"version\": \"Python 3.9.18\""), "{pinned}");
    let (code, stderr) = app.run(&[("CHOICE", "3.11.2")]);
    assert_eq!(code, Some(0), "{stderr}");

    // It chooses by a file outside of the component's folder.
    write_shim("cat ../choice");
    app.write("choice", "Python 3.11.2\n");
    app.pin();
    app.write("choice", "Python 3.9.18\n");
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    let expected = "`app` is not what the bundle pinned: its version in the environment of a run is `Python 3.9.18`: expected `Python 3.11.2`";
    assert!(stderr.contains(expected), "{stderr}");

    // It changes its mind between the check and the start.
    write_shim("head -n 1 ../choice; sed -i 1d ../choice");
    app.write("choice", "Python 3.11.2\nPython 3.11.2\nPython 3.9.18\n");
    app.pin();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    let expected = "failed at launch: app `app` is not what the bundle pinned: its version in the environment of this run is `Python 3.9.18`: expected `Python 3.11.2`";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn packages_that_were_replaced_are_refused_and_so_is_an_app_that_says_another_version() {
    let _turn = take_turn();
    let app = App::python("ok", "0", "about_version = \"framework\"");
    let packages = app.folder().join(".venv/lib/python3.11/site-packages/framework");
    std::fs::create_dir_all(&packages).unwrap();
    std::fs::write(packages.join("__init__.py"), "1").unwrap();
    app.pin();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(0), "{stderr}");
    std::fs::write(packages.join("__init__.py"), "2").unwrap();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("`app` is not what the bundle pinned: installed .venv"), "{stderr}");

    app.write("app/package-version", "9.9.9\n");
    app.pin();
    let (code, stderr) = app.run(&[]);
    assert_eq!(code, Some(3), "{stderr}");
    let expected = "app `app` is not what the bundle pinned: `framework` of GET /about is `Framework 9.9.9`: expected version `1.0`";
    assert!(stderr.contains(expected), "{stderr}");
}
