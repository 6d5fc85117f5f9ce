//! The process between the runner and a component: the hidden command `supervise`.
//!
//! It starts the component and stays as its parent. As a subreaper it inherits every process below the
//! component that loses its own parent, so it knows when the last of them has ended. Its standard input is
//! a pipe from the runner: the byte [`TERMINATE`] sends SIGTERM to all of them. When the pipe closes (the
//! runner closed it, or has ended) they are killed. The supervisor copies their output into a log of
//! bounded size, so that no component blocks on the runner.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};

use super::log::BoundedLog;
use super::tree::ProcessTree;
use super::{POLL, ProcessError, bare_command, own_program, refused};
use crate::units::CpuSet;

/// A component to start and supervise.
#[derive(Debug)]
pub struct Supervised {
    /// The CPUs that the component stays on.
    pub cpus: CpuSet,
    /// Where its output goes.
    pub log: PathBuf,
    /// The component's program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// The byte that requests SIGTERM for all processes of a component.
pub(super) const TERMINATE: u8 = b't';
/// The pause of the output copier after a small read, so that a component that writes many lines does not
/// wake it for each one.
const COPY_PAUSE: Duration = Duration::from_millis(5);
/// The time limit for copying the last output.
const COPY_LIMIT: Duration = Duration::from_secs(1);

/// Starts a component and waits until all its processes have ended.
///
/// A component ends with its last process. When its first process fails, the others are killed at once.
/// Returns the first process's exit code; when a signal ended that process, the same signal ends this
/// process.
///
/// # Errors
/// When the component cannot be started.
pub fn supervise(supervised: &Supervised) -> Result<u8, ProcessError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(refused("become a subreaper"))?;
    // This thread stays on the runner's CPUs, off the component's.
    let (output, copied) = copy_output(&supervised.log)?;
    pin_to(&supervised.cpus)?;
    let leader = start(supervised, output)?;
    std::thread::spawn(read_commands);
    let status = wait_for_all(leader)?;
    // Copying ends with the last process that holds the pipe, which may be outside the component.
    let _ = copied.recv_timeout(COPY_LIMIT);
    Ok(status.map_or(1, exit_like))
}

/// Copies a pipe into a log. The channel closes when everything was copied.
fn copy_output(log: &Path) -> Result<(io::PipeWriter, mpsc::Receiver<()>), ProcessError> {
    let failed = |source| ProcessError::Log { path: log.to_owned(), source };
    let (output, input) = io::pipe().map_err(failed)?;
    let mut log = BoundedLog::create(log).map_err(failed)?;
    let (copying, copied) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        copy(output, &mut log);
        drop(copying);
    });
    Ok((input, copied))
}

fn copy(mut output: PipeReader, log: &mut BoundedLog) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                log.append(&buffer[..count]);
                if count < buffer.len() / 2 {
                    std::thread::sleep(COPY_PAUSE);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn pin_to(cpus: &CpuSet) -> Result<(), ProcessError> {
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(cpu));
    rustix::thread::sched_setaffinity(None, &set).map_err(refused("pin to the CPUs"))
}

/// Starts the component through the command `pin`, so that its first process is killed with this one.
fn start(supervised: &Supervised, output: io::PipeWriter) -> Result<Pid, ProcessError> {
    let failed = |source| ProcessError::Spawn { program: (&supervised.program).into(), source };
    let errors = output.try_clone().map_err(failed)?;
    let leader = bare_command(&own_program().map_err(failed)?)
        .args(["pin", "--parent"])
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(&supervised.program)
        .args(&supervised.args)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    Ok(Pid::from_child(&leader))
}

/// Whether the runner requested the end. Processes then have time until the pipe closes.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Reads commands from the runner until the pipe closes, then kills everything.
fn read_commands() {
    let mut command = [0];
    while matches!(io::stdin().read(&mut command), Ok(1)) {
        if command[0] == TERMINATE {
            IS_STOPPING.store(true, Ordering::SeqCst);
            ProcessTree::own().signal(Signal::TERM);
        }
    }
    kill_all();
}

/// Kills all descendants of this process, including those that are just being started. It does not return:
/// the process ends with the last descendant.
fn kill_all() {
    loop {
        ProcessTree::own().signal(Signal::KILL);
        std::thread::sleep(POLL);
    }
}

/// Waits until all descendants have ended. Returns the status of the first one.
fn wait_for_all(leader: Pid) -> Result<Option<WaitStatus>, ProcessError> {
    let mut leader_status = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == leader => {
                leader_status = Some(status);
                if status.exit_status() != Some(0) && !IS_STOPPING.load(Ordering::SeqCst) {
                    std::thread::spawn(kill_all);
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(leader_status),
            Err(errno) => return Err(refused("wait for a child")(errno)),
        }
    }
}

/// The exit code that mirrors `status`. When a signal ended the child, it ends this process too.
fn exit_like(status: WaitStatus) -> u8 {
    if let Some(number) = status.terminating_signal() {
        // Only the component may dump a core.
        let no_core = Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(Resource::Core, no_core);
        // The first SIGSEGV or SIGBUS only resets Rust's own handler.
        for signal in [Signal::from_named_raw(number); 2].into_iter().flatten() {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
        // The signal is ignored, as under `nohup`: report it as shells do.
        return u8::try_from(128 + number).unwrap_or(u8::MAX);
    }
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
