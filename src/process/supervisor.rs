//! The process between the runner and a component: the hidden command `supervise`.
//!
//! It starts the component and stays as its parent. As a subreaper it inherits every process below the
//! component that loses its own parent, so it knows when the last of them has ended. Its standard input is
//! the runner's end of a pipe: [`TERMINATE`] asks all of them to end, and when the pipe closes, because the
//! runner wants it or because the runner is gone, they are killed. It copies what they write into a log of
//! bounded size, so that nobody waits for the runner.

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

/// What to start and to supervise.
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

/// The byte that asks all processes of a component to end.
pub(super) const TERMINATE: u8 = b't';
/// How long the copying of output waits when there was little to copy, so that a component that writes
/// many lines does not wake it for each.
const COPY_PAUSE: Duration = Duration::from_millis(5);
/// How long the last output may take to be copied.
const COPY_LIMIT: Duration = Duration::from_secs(1);

/// Starts a component and waits until it and everything that it started has ended.
///
/// A component ends when its last process does. One whose first process fails ends at once: what is left
/// of it is killed. Gives the first process's exit code; when a signal ended that process, this process is
/// ended by the same signal.
///
/// # Errors
/// When the component cannot be started.
pub fn supervise(supervised: &Supervised) -> Result<u8, ProcessError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(refused("become a subreaper"))?;
    // This thread runs where the runner does, and not on the component's CPUs.
    let (output, copied) = copy_output(&supervised.log)?;
    pin_to(&supervised.cpus)?;
    let leader = start(supervised, output)?;
    std::thread::spawn(follow_orders);
    let status = wait_for_all(leader)?;
    // It ends with the last process that can write, unless the component handed its output to others.
    let _ = copied.recv_timeout(COPY_LIMIT);
    Ok(status.map_or(1, end_alike))
}

/// Copies what is written to a pipe into a log. The channel closes when all was copied.
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

/// Starts the component by way of `pin`, which binds its first process to the life of this one.
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

/// Whether the runner has asked all processes to end: then each has until the pipe closes.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Does what the runner says, until it says no more: then everything is killed.
fn follow_orders() {
    let mut order = [0];
    while matches!(io::stdin().read(&mut order), Ok(1)) {
        if order[0] == TERMINATE {
            IS_STOPPING.store(true, Ordering::SeqCst);
            ProcessTree::own().signal(Signal::TERM);
        }
    }
    kill_all();
}

/// Kills everything below this process, also what is being started meanwhile. Does not return: the process
/// ends when there is nothing left.
fn kill_all() {
    loop {
        ProcessTree::own().signal(Signal::KILL);
        std::thread::sleep(POLL);
    }
}

/// Waits until every process below this one has ended; gives how the first of them did.
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

/// The exit code to end with; ends this process by the signal that `status` tells of.
fn end_alike(status: WaitStatus) -> u8 {
    if let Some(number) = status.terminating_signal() {
        // The component's core is of interest, and this program's is not.
        let no_core = Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(Resource::Core, no_core);
        // Rust handles SIGSEGV and SIGBUS, and gives them back to the system at their first time.
        for signal in [Signal::from_named_raw(number); 2].into_iter().flatten() {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
        // Where the signal is ignored, as under `nohup`: the way in which shells tell it.
        return u8::try_from(128 + number).unwrap_or(u8::MAX);
    }
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
