//! Child processes: the only module that starts one, and makes sure that it ends.
//!
//! Foundation layer. A component runs below a supervisor, which is this program once more
//! ([`supervise`]): in a process group of its own, pinned to its CPUs, with a log of bounded size. It
//! ends together with all its descendants, in any session or process group: by [`Child::stop`], by `Drop`
//! when a run unwinds, and by the supervisor when the runner has died. [`sweep`] kills the orphans that
//! remain when the supervisors were killed too. It finds processes by their environment, so it misses a
//! program that overwrites its own environment, as Redis does to set its title.

mod listening;
mod log;
mod owner;
mod supervisor;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use procfs::process::Process;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdout;

pub use listening::listening_in_namespace_of;
pub use log::{BoundedLog, MAX_LINE_BYTES, log_tail};
pub use owner::Owner;
pub use supervisor::{Supervised, supervise};
pub use tree::{ProcessTree, Usage, sample_usage};

use crate::clock::Stopwatch;
use crate::units::CpuSet;

/// A failure to start, run or end a child process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program could not be started.
    #[error("cannot start `{program}`")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("`{program}` failed ({status}): {last}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last line of its standard error.
        last: String,
    },
    /// The log file could not be created.
    #[error("cannot write the log {path}")]
    Log {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A process of a component survived SIGKILL.
    #[error("a process of `{program}` still runs {} s after SIGKILL", KILL_LIMIT.as_secs())]
    NotKilled {
        /// The component's program.
        program: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {action}")]
    System {
        /// The action, as in "cannot …".
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// A program to start, with its environment.
#[derive(Debug)]
pub struct ChildSpec {
    /// The executable's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment beyond `PATH`, `HOME` and `LC_ALL`.
    pub env: BTreeMap<String, String>,
    /// Its working directory.
    pub dir: PathBuf,
    /// The CPUs it may use.
    pub cpus: CpuSet,
    /// The file for its output.
    pub log: PathBuf,
}

/// A running component: the supervisor, the process that it started, and all descendants.
#[derive(Debug)]
pub struct Child {
    supervisor: tokio::process::Child,
    /// The supervisor's standard input. When it closes, the component is killed.
    control: File,
    program: PathBuf,
    tree: ProcessTree,
    log: PathBuf,
}

/// The environment variable that holds the [`Owner`] mark of the runner.
const OWNER_VARIABLE: &str = "PERF_API_RUNNER";

impl Child {
    /// Starts a component: pinned, in its own process group, killed when this process ends.
    ///
    /// # Errors
    /// When the log cannot be written, or when this executable cannot be started again.
    pub fn spawn(spec: &ChildSpec) -> Result<Self, ProcessError> {
        let log_error = |source| ProcessError::Log { path: spec.log.clone(), source };
        // The supervisor has another working directory.
        let log = std::path::absolute(&spec.log).map_err(log_error)?;
        File::create(&log).map_err(log_error)?;
        let own_errors = File::options().append(true).open(&log).map_err(log_error)?;
        let spawn_error = |source| ProcessError::Spawn { program: spec.program.clone(), source };
        let mut command = bare_command(&own_program().map_err(spawn_error)?);
        command
            .args(["supervise", "--cpus", &spec.cpus.to_string(), "--log"])
            .arg(&log)
            .arg("--")
            .arg(&spec.program)
            .args(&spec.args)
            .env_clear()
            .envs(inherited_environment())
            .env(LOCALE.0, LOCALE.1)
            .envs(&spec.env)
            .env(OWNER_VARIABLE, this_owner()?.to_string())
            .current_dir(&spec.dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(own_errors);
        let mut supervisor = tokio::process::Command::from(command).spawn().map_err(spawn_error)?;
        let pid = supervisor.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.expect("a child that was not awaited has a pid");
        remember(pid);
        let control = supervisor.stdin.take().expect("its standard input is a pipe");
        let control = File::from(control.into_owned_fd().map_err(spawn_error)?);
        Ok(Self { supervisor, control, program: spec.program.clone(), tree: ProcessTree(pid), log })
    }

    /// Waits until the component ends on its own.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        let failed = |source| ProcessError::System { action: "wait for a child", source };
        self.supervisor.wait().await.map_err(failed)
    }

    /// The exit status of the component's first process, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().ok().flatten()
    }

    /// The component's processes.
    #[must_use]
    pub fn tree(&self) -> ProcessTree {
        self.tree
    }

    /// The last `count` lines of its log.
    #[must_use]
    pub fn log_tail(&self, count: usize) -> Vec<String> {
        log_tail(&self.log, count)
    }

    /// Ends all processes of the component: SIGTERM, then SIGKILL after `grace`.
    ///
    /// # Errors
    /// When one of them survives SIGKILL.
    pub async fn stop(self, grace: Duration) -> Result<(), ProcessError> {
        let Self { mut supervisor, mut control, program, .. } = self;
        // The write fails when the supervisor has ended already.
        let _ = control.write_all(&[supervisor::TERMINATE]);
        if tokio::time::timeout(grace, supervisor.wait()).await.is_ok() {
            return Ok(());
        }
        drop(control);
        let killed = tokio::time::timeout(KILL_LIMIT, supervisor.wait()).await;
        killed.map(drop).map_err(|_| ProcessError::NotKilled { program })
    }
}

/// The time that SIGKILL may take.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// The polling interval for conditions without an event.
const POLL: Duration = Duration::from_millis(5);

fn refused(action: &'static str) -> impl Fn(rustix::io::Errno) -> ProcessError {
    move |errno| ProcessError::System { action, source: errno.into() }
}

/// A free loopback address, to pass to a child that listens.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The arguments of the hidden command `pin`.
#[derive(Debug)]
pub struct Pin {
    /// The pid of the supervisor. This process is killed when the supervisor ends.
    pub parent: u32,
    /// The program to execute.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Replaces this process by another program, which is killed when the supervisor ends. Returns only on
/// failure.
#[must_use]
pub fn become_pinned(pin: &Pin) -> ProcessError {
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if let Err(errno) = bound {
        return refused("ask for the parent's death signal")(errno);
    }
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(pin.parent) {
        let source = io::Error::other("it ended before its child started");
        return ProcessError::System { action: "follow the supervisor", source };
    }
    let source = bare_command(Path::new(&pin.program)).args(&pin.args).exec();
    ProcessError::Spawn { program: PathBuf::from(&pin.program), source }
}

/// Kills the orphans of runners in this PID namespace that have ended. Returns their pids.
///
/// # Errors
/// When `/proc` does not describe this process.
pub fn sweep() -> Result<Vec<i32>, ProcessError> {
    let own = this_owner()?;
    Ok(kill_marked(|mark| own.is_gone(mark)))
}

/// Kills every process that this process started, and waits until all have ended.
///
/// It is called after an interrupted run was dropped. The supervisors are then ending their components.
///
/// # Errors
/// When a process survives SIGKILL.
pub async fn end_all() -> Result<(), ProcessError> {
    let own = this_owner()?.to_string();
    let watch = Stopwatch::start();
    // Supervised processes first: without their supervisor not all of them can be found.
    while end_supervised() || !kill_marked(|mark| mark == own).is_empty() {
        if watch.elapsed() > KILL_LIMIT {
            let source = io::Error::other("a process survived SIGKILL");
            return Err(ProcessError::System { action: "end all started processes", source });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The supervisors that were started and not reaped yet.
static SUPERVISORS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Adds a supervisor, and removes those that were reaped, since their pids may be reused.
fn remember(supervisor: Pid) {
    let state = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let mut supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
    supervisors.retain(|&pid| rustix::process::waitid(WaitId::Pid(pid), state).is_ok());
    supervisors.push(supervisor);
}

/// Kills all components and reaps the supervisors that have ended. Returns whether any still runs.
fn end_supervised() -> bool {
    let mut supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
    supervisors.retain(|&pid| {
        let is_running =
            matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(None));
        if is_running {
            ProcessTree(pid).signal(Signal::KILL);
        }
        is_running
    });
    !supervisors.is_empty()
}

/// Kills the processes whose owner mark matches. Returns their pids.
fn kill_marked(matches: impl Fn(&str) -> bool) -> Vec<i32> {
    let mut killed = Vec::new();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        // The environment of another user's process cannot be read; such a process is not ours.
        let Ok(environment) = process.environ() else { continue };
        let Some(mark) = environment.get(&OsString::from(OWNER_VARIABLE)) else { continue };
        if mark.to_str().is_some_and(&matches)
            && let Some(pid) = Pid::from_raw(process.pid)
            && rustix::process::kill_process(pid, Signal::KILL).is_ok()
        {
            killed.push(process.pid);
        }
    }
    killed
}

fn this_owner() -> Result<Owner, ProcessError> {
    Owner::this()
        .map_err(|source| ProcessError::System { action: "read our own /proc entry", source })
}

/// Lines of standard error that are shown when a program fails.
const MAX_STDERR_LINES: usize = 20;

/// How long a program may take to print its version.
const FIRST_LINE_LIMIT: Duration = Duration::from_secs(30);

/// The first line that a program prints when it is called with `args`, such as its version, without colour
/// codes. It runs in the environment of a [`Child`].
///
/// # Errors
/// When it cannot be started, fails (with its standard error), or takes longer than half a minute.
pub fn first_line(
    program: &Path,
    args: &[String],
    env: &BTreeMap<String, String>,
    dir: &Path,
) -> io::Result<String> {
    // A full pipe would block it; a file does not.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = bare_command(program);
    command.args(args).env_clear().envs(inherited_environment());
    command.env(LOCALE.0, LOCALE.1).envs(env);
    command.current_dir(dir).stdin(Stdio::null());
    let mut child = command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn()?;
    let watch = Stopwatch::start();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if watch.elapsed() >= FIRST_LINE_LIMIT {
            child.kill().and_then(|()| child.wait())?;
            let seconds = FIRST_LINE_LIMIT.as_secs();
            return Err(io::Error::other(format!("it did not end within {seconds} s")));
        }
        std::thread::sleep(POLL);
    };
    let text = |file: &mut File| -> io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(MAX_VERSION_BYTES).read_to_end(&mut bytes)?;
        Ok(console::strip_ansi_codes(&String::from_utf8_lossy(&bytes)).into_owned())
    };
    match status.success() {
        true => Ok(text(&mut stdout)?.lines().next().unwrap_or_default().trim().to_owned()),
        false => {
            let lines =
                log::last_lines(text(&mut stderr)?.trim().as_bytes(), MAX_STDERR_LINES, true);
            Err(io::Error::other(format!("{status}: {}", lines.join("\n"))))
        }
    }
}

/// Longer output is not a version.
const MAX_VERSION_BYTES: u64 = 64 << 10;

/// Starts a detached program, such as a browser. It outlives this process and does not receive its
/// signals.
///
/// # Errors
/// When it cannot be started.
pub fn start_detached(program: &Path, argument: &str) -> Result<(), ProcessError> {
    let mut command = bare_command(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.process_group(0).spawn();
    let mut child =
        started.map_err(|source| ProcessError::Spawn { program: program.to_owned(), source })?;
    // Without a wait it would stay a zombie until this process ends.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Runs this executable again with `input` on its standard input, and returns its output. The child is
/// killed when the future is dropped.
///
/// # Errors
/// When it cannot be started or awaited.
pub async fn run_self(args: &[&str], input: &[u8]) -> Result<Output, ProcessError> {
    let failed = |source| ProcessError::Spawn { program: PathBuf::from("perf-api"), source };
    let mut command = command(&own_program().map_err(failed)?);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ends before it has read everything reports why in its output.
        let _ = stdin.write_all(input).await;
    }
    let failed = |source| ProcessError::System { action: "wait for a child", source };
    child.wait_with_output().await.map_err(failed)
}

/// A program whose standard output is read, such as one that writes an archive. It is killed on drop.
#[derive(Debug)]
pub struct Writer {
    inner: tokio::process::Child,
    program: PathBuf,
    stderr: File,
}

impl Writer {
    /// Starts a program without arguments. Returns it with its standard output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path) -> Result<(Self, ChildStdout), ProcessError> {
        let failed = |source| ProcessError::Spawn { program: program.to_owned(), source };
        // A full pipe would block it; a file does not.
        let stderr = tempfile::tempfile().map_err(failed)?;
        let writer = stderr.try_clone().map_err(failed)?;
        let mut command = command(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
        let command = &mut tokio::process::Command::from(command);
        let mut inner = command.kill_on_drop(true).spawn().map_err(failed)?;
        let output = inner.stdout.take().expect("its output was asked for");
        Ok((Self { inner, program: program.to_owned(), stderr }, output))
    }

    /// Waits for its end, after all its output was read.
    ///
    /// # Errors
    /// When it failed, with the last line of its standard error.
    pub async fn finish(mut self) -> Result<(), ProcessError> {
        let failed = |source| ProcessError::System { action: "wait for a child", source };
        let status = self.inner.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        self.stderr.rewind().map_err(failed)?;
        self.stderr.read_to_end(&mut text).map_err(failed)?;
        let last = log::last_lines(text.trim_ascii(), 1, true).concat();
        Err(ProcessError::Failed { program: self.program.clone(), status, last })
    }
}

/// Limits the address space of this process. An allocation beyond it fails.
///
/// # Errors
/// When the limit cannot be set.
pub fn limit_memory(bytes: u64) -> Result<(), ProcessError> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::As, limit)
        .map_err(|errno| ProcessError::System { action: "limit the memory", source: errno.into() })
}

/// The path of this executable, even after its file was replaced by a newer build.
///
/// # Errors
/// When the operating system does not report it.
pub fn own_program() -> io::Result<PathBuf> {
    // The link leads to the running file even when its name was removed.
    let link = Path::new("/proc/self/exe");
    if link.exists() { Ok(link.to_owned()) } else { std::env::current_exe() }
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does.
#[must_use]
pub fn ignores_hangup() -> bool {
    let status = Process::myself().and_then(|own| own.status());
    // Bit n - 1 stands for signal n, and SIGHUP is 1.
    status.is_ok_and(|status| status.sigign & 1 == 1)
}

/// The locale of every child, so that messages, collation and encoding do not depend on the caller's
/// locale.
const LOCALE: (&str, &str) = ("LC_ALL", "C.UTF-8");

fn inherited_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = ["PATH", "HOME"].into_iter();
    kept.filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// A command in the caller's environment, except for the locale.
fn command(program: &Path) -> std::process::Command {
    let mut command = bare_command(program);
    command.env_remove("LANG").env_remove("LANGUAGE").env(LOCALE.0, LOCALE.1);
    command
}

#[expect(clippy::disallowed_methods, reason = "this is the one wrapper")]
fn bare_command(program: &Path) -> std::process::Command {
    std::process::Command::new(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a supervisor was reaped its pid may be given to any process.
    #[test]
    fn a_pid_of_another_process_is_dropped_and_not_awaited() {
        let other = rustix::process::getppid().unwrap();
        remember(other);
        assert!(!end_supervised());
        rustix::process::test_kill_process(other).unwrap();
        remember(other);
        let mut child = bare_command(Path::new("sleep")).arg("600").spawn().unwrap();
        let running = Pid::from_child(&child);
        remember(running);
        assert_eq!(*SUPERVISORS.lock().unwrap(), [running]);
        // A supervisor ends with its last descendant; this process is not a supervisor.
        child.kill().unwrap();
        let watch = Stopwatch::start();
        while end_supervised() {
            assert!(watch.elapsed() < Duration::from_secs(60));
        }
        child.wait().unwrap_err();
    }
}
