//! Apps that are a shell script around our own target, and their orphans.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use perf_api::store::JournalContent;
use rustix::process::{Pid, Signal, kill_process};

use super::system::{command, wait_until};

/// A bundle of redis and an app that is a script. In the script `"$0" "$@"` starts the target.
pub struct Wrapped {
    pub dir: tempfile::TempDir,
}

impl Wrapped {
    pub fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("wrapped");
        std::fs::create_dir(&folder).unwrap();
        // This path identifies its processes.
        let target = dir.path().join("target");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_perf-api"), &target).unwrap();
        let text = format!(
            "name = 'wrapped'\nkind = 'app'\ntitle = 'Wrapped'\nsummary = 'A script.'\n\
             [process]\nprogram = 'sh'\nversion = ['-c', 'echo 1']\nmissing = 'get a shell'\n\
             args = ['-c', '''{script}''', '{}', 'target', '--listen', '{{host}}:{{port}}']\n\
             [http]\nready = '/'\nendpoint = '/cached-value'\n",
            target.display()
        );
        std::fs::write(folder.join("component.toml"), text).unwrap();
        let redis = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/redis");
        let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
        make.arg("bundle").arg(&folder).arg(redis).arg("--output");
        let made = make.arg(dir.path().join("bundle.json")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { dir }
    }

    pub fn results(&self) -> PathBuf {
        self.dir.path().join("results")
    }

    /// A run of it.
    pub fn quick(&self, args: &[&str]) -> std::process::Command {
        let mut run = command(env!("CARGO_BIN_EXE_perf-api"));
        run.args(["quick", "--launcher", "process", "--apps", "wrapped", "--stores", "redis"]);
        run.args(args).arg("--bundle").arg(self.dir.path().join("bundle.json"));
        run.arg("--results").arg(self.results());
        run
    }

    /// The processes that belong to it: those whose command line names its folder.
    pub fn processes(&self) -> Vec<i32> {
        let all = procfs::process::all_processes().unwrap().flatten();
        let folder = self.dir.path().to_str().unwrap();
        let is_ours = |process: &procfs::process::Process| {
            let args = process.cmdline().unwrap_or_default();
            args.iter().any(|word| word.contains(folder))
        };
        all.filter(is_ours).map(|process| process.pid).collect()
    }
}

/// A run in the background, killed at the end of the test.
pub struct Background {
    pub runner: Child,
    results: PathBuf,
}

impl Background {
    pub fn start(mut run: std::process::Command, results: &Path) -> Self {
        let stderr = std::fs::File::create(results.with_extension("stderr")).unwrap();
        let runner = run.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Self { runner, results: results.to_owned() }
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.results.with_extension("stderr")).unwrap()
    }

    /// The folder of the journal, once there is one.
    pub fn journal_dir(&self) -> Option<PathBuf> {
        Some(self.results.join("journal").read_dir().ok()?.flatten().next()?.path())
    }

    /// The content of the journal, once there is one.
    pub fn journal(&self) -> Option<JournalContent> {
        JournalContent::read(&self.journal_dir()?.join("journal.jsonl")).ok()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.runner.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until a condition holds; fails at once when the run ends before.
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        wait_until(what, || {
            let ended = self.runner.try_wait().unwrap();
            assert!(ended.is_none(), "waited for {what}: {ended:?}: {}", self.stderr());
            holds(self)
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}
