//! A place of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A temporary folder with the fixture bundle, and the program to run in it.
pub struct TestEnv {
    dir: tempfile::TempDir,
}

impl TestEnv {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle.json");
        std::fs::copy(fixture, dir.path().join("bundle.json")).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs the program with a cleared environment.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    pub fn output(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_perf-api"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .output()
            .unwrap()
    }

    /// Starts the program with a cleared environment, and these variables.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    pub fn start(&self, args: &[&str], variables: &[(&str, &str)]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_perf-api"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Exit code, output and errors of several calls as one text.
    pub fn steps(&self, steps: &[&[&str]]) -> String {
        let output = steps
            .iter()
            .map(|args| format!("$ perf-api {}\n{}", args.join(" "), self.transcript(args)));
        output.collect::<Vec<_>>().join("\n")
    }

    /// Runs a line of shell; exit code, output and errors as one text.
    #[expect(clippy::disallowed_methods, reason = "limits are set by the shell")]
    pub fn shell(&self, line: &str) -> String {
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).current_dir(self.dir.path());
        self.as_text(&shell.env("XDG_CACHE_HOME", self.path("cache")).output().unwrap())
    }

    /// Exit code, output and errors as one text.
    pub fn transcript(&self, args: &[&str]) -> String {
        self.as_text(&self.output(args))
    }

    fn as_text(&self, output: &Output) -> String {
        let code = output.status.code().map_or("a signal".to_owned(), |code| code.to_string());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let output = format!(
            "exit {code}\n--- stdout\n{}--- stderr\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        output
            .replace(&self.dir.path().display().to_string(), "[DIR]")
            .replace(env!("CARGO_MANIFEST_DIR"), "[REPOSITORY]")
    }

    /// Runs the program, which must succeed; gives its output.
    pub fn good(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
