//! What is checked before a run begins, so that nothing fails hours later.

use std::path::Path;

use bollard::Docker;

use super::Machine;
use super::backend::{Backend, components};
use crate::app::AppError;
use crate::app::event::Observer;
use crate::host::{CheckInput, Demand, Topology, ephemeral_ports, examine, raise_open_file_limit};
use crate::launch::{cpus, version};
use crate::load;
use crate::model::{Bundle, Check, Experiment, Loader, Plan};
use crate::process;
use crate::run::{Placements, demand};
use crate::units::Rps;

/// Checks that each part gets CPUs of its own. A host that is too small is refused, unless the parts may
/// share CPUs: that is then noted.
pub(in crate::app) fn check_room(
    plan: &Plan,
    machine: &Machine,
    placements: &Placements,
    may_share: bool,
    observer: &mut dyn Observer,
) -> Result<(), AppError> {
    let shared = placements.iter().filter(|(_, placement)| placement.shared);
    // Of several with as many workers the last one in the order of the plan.
    let Some((largest, _)) = shared.max_by_key(|(stack, _)| stack.workers) else {
        return Ok(());
    };
    let Demand { loader, app, store } = demand(plan, largest);
    let room = format!(
        "this host has {} for {largest} at {} requests per second, which wants {}: loader {loader}, app {app}, store {store}",
        cpu_count_text(machine.topology.cpus.len()),
        plan.experiment.qps.iter().max().unwrap_or(&Rps::MIN),
        loader + app + store,
    );
    if may_share {
        observer.note(&format!("{room}. They share, and each such trial is marked `cpus_shared`"));
        return Ok(());
    }
    Err(AppError::new(room)
        .hint("`--allow-shared-cpus` lets them share CPUs; each such trial is then marked `cpus_shared`")
        .hint("fewer `--workers` or a lower `--qps` want fewer"))
}

fn cpu_count_text(count: usize) -> String {
    if count == 1 { "1 CPU".to_owned() } else { format!("{count} CPUs") }
}

/// Checks that this machine can hold what is to be measured, and ends what earlier runs left.
pub(in crate::app) async fn prepare(
    backend: &Backend,
    machine: &Machine,
    experiment: &Experiment,
    bundle: &Bundle,
    observer: &mut dyn Observer,
) -> Result<(), AppError> {
    match backend {
        Backend::Fake(_) => return Ok(()),
        Backend::Processes => {
            components(experiment, bundle).try_for_each(crate::bundle::check_unchanged)?;
        }
        Backend::Containers(engine) => {
            let removed = engine.launcher()?.sweep().await?;
            if removed > 0 {
                observer.note(&format!(
                    "removed {removed} containers and networks of a run that is gone"
                ));
            }
            check_same_machine(&machine.topology, cpus(&engine.docker).await?)?;
        }
    }
    check_connections(experiment)?;
    let ended = process::sweep()?;
    if !ended.is_empty() {
        observer
            .note(&format!("ended {} processes that an earlier run had left behind", ended.len()));
    }
    Ok(())
}

/// Checks that Docker has every CPU that this process may use.
fn check_same_machine(own: &Topology, docker_cpus: usize) -> Result<(), AppError> {
    match own.cpus.iter().map(|cpu| cpu.id).find(|&cpu| cpu >= docker_cpus) {
        None => Ok(()),
        Some(cpu) => Err(AppError::new(format!(
            "Docker has {} and this process may use CPU {cpu}: they are not on the same machine",
            cpu_count_text(docker_cpus)
        ))
        .hint("run perf-api where the Docker Engine runs, or give it fewer CPUs: `taskset -c 0 perf-api …`")),
    }
}

/// What of this host can disturb the run.
pub(in crate::app) async fn host_checks(
    backend: &Backend,
    plan: &Plan,
) -> Result<Vec<Check>, AppError> {
    let connections = plan.experiment.concurrency.iter().copied().max().unwrap_or(0);
    match backend {
        Backend::Fake(_) => Ok(vec![]),
        Backend::Processes => {
            let mut checks = examine_host(connections, None).await?;
            checks.retain(|check| check.name != "docker");
            Ok(checks)
        }
        Backend::Containers(engine) => examine_host(connections, Some(&engine.docker)).await,
    }
}

/// Examines this host, which is to hold so many connections.
pub(in crate::app) async fn examine_host(
    connections: u32,
    engine: Option<&Docker>,
) -> Result<Vec<Check>, AppError> {
    let loader = load::driver(Loader::Oha).name();
    let (name, release) = loader.split_once(' ').unwrap_or((&loader, ""));
    let asked = CheckInput {
        open_files: raise_open_file_limit()?,
        connections,
        docker: match engine {
            Some(engine) => version(engine).await,
            None => None,
        },
        versions: vec![
            ("perf-api".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            (name.to_owned(), release.to_owned()),
        ],
    };
    Ok(examine(Path::new("/"), &asked))
}

/// Files beside connections: logs, libraries, pipes.
const FILES_BESIDE: u64 = 256;

/// Checks that the system can hold the connections: open files, and ports to one address.
fn check_connections(experiment: &Experiment) -> Result<(), AppError> {
    let limit = raise_open_file_limit()?;
    let connections = experiment.concurrency.iter().copied().max().unwrap_or(0);
    // An app holds a connection to its client and one to its store.
    let needed = 2 * u64::from(connections) + FILES_BESIDE;
    if limit < needed {
        return Err(AppError::new(format!(
            "{connections} connections need {needed} open files; this system allows {limit}"
        ))
        .hint(format!(
            "raise the hard limit (`ulimit -Hn {needed}` as root), or lower `--concurrency`"
        )));
    }
    if let Some(ports) = ephemeral_ports().filter(|&ports| ports < connections) {
        return Err(AppError::new(format!(
            "{connections} connections to one address need as many ports; this system has {ports}"
        ))
        .hint("`sysctl -w net.ipv4.ip_local_port_range='1024 65535'` as root, or lower `--concurrency`"));
    }
    Ok(())
}
