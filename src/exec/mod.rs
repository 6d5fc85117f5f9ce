//! Child processes: the only place that starts one, and the one that makes sure it ends.
//!
//! Ground layer. A [`Child`] leads a process group of its own, is pinned to its CPUs, writes to a
//! log file, and is ended with everything it started: by [`Child::stop`], by `Drop` when a run
//! unwinds, by the kernel when the runner dies (`PR_SET_PDEATHSIG`), and by [`sweep`] at the
//! next start for what slipped through all three. (A program that writes over its environment, as
//! Redis does to set its title, cannot be found by [`sweep`]; the kernel ends it all the same.)
//!
//! Start children from the main thread: the death signal is bound to the thread that forks.

mod owner;
mod usage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use procfs::process::Process;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdout;

pub use owner::Owner;
pub use usage::{ProcessGroup, Usage, sample_usage};

use crate::clock::Stopwatch;
use crate::units::CpuSet;

/// What goes wrong with a child process.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The program could not be started.
    #[error("cannot start `{program}`")]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("`{program}` failed ({status}): {last}")]
    Failed {
        /// What was started.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last line that it complained with.
        last: String,
    },
    /// The log file could not be made.
    #[error("cannot write the log {path}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process group outlived SIGKILL.
    #[error("process group {group} of `{program}` is still there after SIGKILL")]
    Immortal {
        /// The leader's program.
        program: PathBuf,
        /// The group's id.
        group: i32,
    },
    /// The operating system refused.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// What to start, and how.
#[derive(Debug)]
pub struct ChildSpec {
    /// The executable's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment beyond `PATH`, `HOME` and `LANG`.
    pub env: BTreeMap<String, String>,
    /// Its working folder.
    pub dir: PathBuf,
    /// The CPUs it may use.
    pub cpus: CpuSet,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A running child process and everything it started.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    program: PathBuf,
    group: Pid,
    log: PathBuf,
}

/// The environment variable by which [`sweep`] knows what a runner started: `<pid>:<start>`.
const OWNER_VARIABLE: &str = "PERF_API_RUNNER";

impl Child {
    /// Starts a child: pinned, in its own process group, bound to the life of this process.
    ///
    /// # Errors
    /// When the log cannot be written or our own executable cannot be run again.
    pub fn spawn(spec: &ChildSpec) -> Result<Self, ExecError> {
        let own_log_error = |source| ExecError::Log { path: spec.log.clone(), source };
        let log = File::create(&spec.log).map_err(own_log_error)?;
        let log_too = log.try_clone().map_err(own_log_error)?;
        let spawn_error = |source| ExecError::Spawn { program: spec.program.clone(), source };
        let mut command = command(&own_program().map_err(spawn_error)?);
        command
            .args(["pin", "--cpus", &spec.cpus.to_string(), "--parent"])
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(&spec.program)
            .args(&spec.args)
            .env_clear()
            .envs(inherited_environment())
            .envs(&spec.env)
            .env(OWNER_VARIABLE, owner_mark().map_err(spawn_error)?)
            .current_dir(&spec.dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too);
        let inner = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_error)?;
        let group = inner
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .expect("a child that was not awaited has a pid");
        STARTED.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        Ok(Self { inner, program: spec.program.clone(), group, log: spec.log.clone() })
    }

    /// Waits until the leader ends by itself.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub async fn wait(&mut self) -> Result<ExitStatus, ExecError> {
        let tell = |source| ExecError::System { action: "wait for a child", source };
        self.inner.wait().await.map_err(tell)
    }

    /// How the leader ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.inner.try_wait().ok().flatten()
    }

    /// The process group that holds the child and what it started.
    #[must_use]
    pub fn group(&self) -> ProcessGroup {
        ProcessGroup(self.group)
    }

    /// The last `count` lines that it wrote.
    #[must_use]
    pub fn log_tail(&self, count: usize) -> Vec<String> {
        log_tail(&self.log, count)
    }

    /// Ends the child and everything in its group: SIGTERM, and SIGKILL after `grace`.
    ///
    /// # Errors
    /// When a process of the group is still there after SIGKILL.
    pub async fn stop(mut self, grace: Duration) -> Result<(), ExecError> {
        signal_group(self.group, Signal::TERM);
        if !self.gone_within(grace).await {
            signal_group(self.group, Signal::KILL);
            if !self.gone_within(KILL_GRACE).await {
                let group = self.group.as_raw_nonzero().get();
                return Err(ExecError::Immortal { program: self.program.clone(), group });
            }
        }
        Ok(())
    }

    async fn gone_within(&mut self, span: Duration) -> bool {
        let watch = Stopwatch::start();
        // The leader must be reaped, or its group never empties.
        let _ = tokio::time::timeout(span, self.inner.wait()).await;
        while group_exists(self.group) {
            if watch.elapsed() >= span {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        signal_group(self.group, Signal::KILL);
    }
}

/// How long SIGKILL may take to be carried out.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How often a condition without an event of its own is looked at.
const POLL: Duration = Duration::from_millis(5);

fn signal_group(group: Pid, signal: Signal) {
    // A group that is gone already is what was wanted.
    let _ = rustix::process::kill_process_group(group, signal);
}

fn group_exists(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group).is_ok()
}

/// A loopback address that nothing listens on, for a child that has to be told one.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// What the hidden command `pin` is told.
#[derive(Debug)]
pub struct Pin {
    /// The CPUs to stay on.
    pub cpus: CpuSet,
    /// The runner: when it is gone, so are we.
    pub parent: u32,
    /// The program to become.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Becomes another program, pinned to CPUs and bound to the runner's life. Returns only on failure.
#[must_use]
pub fn become_pinned(pin: &Pin) -> ExecError {
    let refused =
        |action| move |errno: rustix::io::Errno| ExecError::System { action, source: errno.into() };
    let mut cpus = rustix::thread::CpuSet::new();
    pin.cpus.iter().for_each(|cpu| cpus.set(cpu));
    let bound = rustix::thread::sched_setaffinity(None, &cpus)
        .map_err(refused("pin to the CPUs"))
        .and_then(|()| {
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
                .map_err(refused("ask for the parent's death signal"))
        });
    if let Err(error) = bound {
        return error;
    }
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(pin.parent) {
        let source = io::Error::other("it ended before its child began");
        return ExecError::System { action: "follow the runner", source };
    }
    let source = command(Path::new(&pin.program)).args(&pin.args).exec();
    ExecError::Spawn { program: PathBuf::from(&pin.program), source }
}

/// Ends the processes that dead runners left behind; gives their pids.
#[must_use]
pub fn sweep() -> Vec<i32> {
    end_marked(owner_is_gone)
}

/// Ends everything that this process started and that is still there, and waits until it is gone.
///
/// For the moment after an interrupted run was dropped: `Drop` sends the signals, this makes sure.
///
/// # Errors
/// When something is still there after the time that SIGKILL may take.
pub async fn end_all() -> Result<(), ExecError> {
    let wrap = |source| ExecError::System { action: "end what was started", source };
    let own = owner_mark().map_err(wrap)?;
    let watch = Stopwatch::start();
    // What was ended must be reaped too, or it stays in the table of processes until we are gone; and
    // what is about to end has no environment any more, but still its group.
    while !end_marked(|mark| mark == own).is_empty() || has_children() || has_group_members() {
        if watch.elapsed() > KILL_GRACE {
            return Err(wrap(io::Error::other("a process outlived SIGKILL")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The process groups that were ever started.
static STARTED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Whether a process of a group that was started has not ended.
fn has_group_members() -> bool {
    let started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = |group: i32| Pid::from_raw(group).is_some_and(|group| started.contains(&group));
    let stats = procfs::process::all_processes().into_iter().flatten().flatten();
    let mut stats = stats.filter_map(|process| process.stat().ok());
    stats.any(|stat| is_ours(stat.pgrp) && !matches!(stat.state, 'Z' | 'X'))
}

/// Reaps the children that ended; tells whether there are others.
fn has_children() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn end_marked(is_due: impl Fn(&str) -> bool) -> Vec<i32> {
    let mut ended = Vec::new();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        // Another user's environment cannot be read, and another user's process is not ours.
        let Ok(environment) = process.environ() else { continue };
        let Some(mark) = environment.get(&OsString::from(OWNER_VARIABLE)) else { continue };
        if mark.to_str().is_some_and(&is_due)
            && let Some(pid) = Pid::from_raw(process.pid)
            && rustix::process::kill_process(pid, Signal::KILL).is_ok()
        {
            ended.push(process.pid);
        }
    }
    ended
}

/// This process's mark: its pid and its start time, which together are never used twice.
fn owner_mark() -> io::Result<String> {
    let own = Process::myself().and_then(|own| own.stat());
    let stat = own.map_err(io::Error::other)?;
    Ok(format!("{}:{}", stat.pid, stat.starttime))
}

fn owner_is_gone(mark: &str) -> bool {
    let Some((pid, start)) = mark.split_once(':') else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse(), start.parse::<u64>()) else { return false };
    let stat = Process::new(pid).and_then(|owner| owner.stat());
    !stat.is_ok_and(|stat| stat.starttime == start && stat.state != 'Z')
}

/// What a program prints on its first line of output when asked `args`, such as its version.
///
/// # Errors
/// When it cannot be started, or ends with an error (then with what it wrote).
pub fn first_line(program: &Path, args: &[String], dir: &Path) -> io::Result<String> {
    let output = command(program).args(args).current_dir(dir).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("{}: {text}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Starts a program of the person's own, such as a browser, and leaves it alone: it outlives us, and
/// an interruption of ours is none of its.
///
/// # Errors
/// When it cannot be started.
pub fn start_and_leave(program: &Path, argument: &str) -> Result<(), ExecError> {
    let mut command = command(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.process_group(0).spawn();
    let mut child =
        started.map_err(|source| ExecError::Spawn { program: program.to_owned(), source })?;
    // Somebody has to ask how it ended, or it stays in the table of processes until we are gone.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Runs this very program once more, with something on its standard input, and gives what it wrote.
/// It is ended when nobody waits for it any more.
///
/// # Errors
/// When it cannot be started, or its end cannot be told.
pub async fn run_self(args: &[&str], input: &[u8]) -> Result<Output, ExecError> {
    let failed = |source| ExecError::Spawn { program: PathBuf::from("perf-api"), source };
    let mut command = command(&own_program().map_err(failed)?);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended before it read everything tells why by how it ended.
        let _ = stdin.write_all(input).await;
    }
    let tell = |source| ExecError::System { action: "wait for a child", source };
    child.wait_with_output().await.map_err(tell)
}

/// A program that was started for what it writes, such as an archive. It is ended when this is dropped.
#[derive(Debug)]
pub struct Writer {
    inner: tokio::process::Child,
    program: PathBuf,
    complaints: File,
}

impl Writer {
    /// Starts a program without arguments; gives it and its output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path) -> Result<(Self, ChildStdout), ExecError> {
        let failed = |source| ExecError::Spawn { program: program.to_owned(), source };
        // A pipe that nobody empties would stop it.
        let complaints = tempfile::tempfile().map_err(failed)?;
        let stderr = complaints.try_clone().map_err(failed)?;
        let mut command = command(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let command = &mut tokio::process::Command::from(command);
        let mut inner = command.kill_on_drop(true).spawn().map_err(failed)?;
        let output = inner.stdout.take().expect("its output was asked for");
        Ok((Self { inner, program: program.to_owned(), complaints }, output))
    }

    /// Waits for its end, when all that it wrote was read.
    ///
    /// # Errors
    /// When it failed, with the last line that it complained with.
    pub async fn finish(mut self) -> Result<(), ExecError> {
        let tell = |source| ExecError::System { action: "wait for a child", source };
        let status = self.inner.wait().await.map_err(tell)?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        self.complaints.rewind().map_err(tell)?;
        self.complaints.read_to_end(&mut text).map_err(tell)?;
        let text = String::from_utf8_lossy(&text);
        let last = text.trim().lines().last().unwrap_or_default().to_owned();
        Err(ExecError::Failed { program: self.program.clone(), status, last })
    }
}

/// Lets this process have so many bytes of addresses and no more: what asks for more is ended.
///
/// # Errors
/// When the operating system refuses.
pub fn limit_memory(bytes: u64) -> Result<(), ExecError> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::As, limit)
        .map_err(|errno| ExecError::System { action: "limit the memory", source: errno.into() })
}

/// The path of this very executable, even after its file was replaced by a newer build.
///
/// # Errors
/// When the operating system cannot tell.
pub fn own_program() -> io::Result<PathBuf> {
    // The link leads to the file that runs, even where its name has gone.
    let link = Path::new("/proc/self/exe");
    if link.exists() { Ok(link.to_owned()) } else { std::env::current_exe() }
}

/// The last `count` lines of a log file; nothing when it cannot be read.
#[must_use]
pub fn log_tail(path: &Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|&line| line.to_owned()).collect()
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does.
#[must_use]
pub fn ignores_hangup() -> bool {
    let status = Process::myself().and_then(|own| own.status());
    // Bit n - 1 stands for signal n, and SIGHUP is 1.
    status.is_ok_and(|status| status.sigign & 1 == 1)
}

fn inherited_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = ["PATH", "HOME", "LANG"].into_iter();
    kept.filter_map(|name| Some((name, std::env::var_os(name)?)))
}

#[expect(clippy::disallowed_methods, reason = "this is the one wrapper")]
fn command(program: &Path) -> std::process::Command {
    std::process::Command::new(program)
}
