//! The loader's own ceiling: the highest rate that it holds against a server that is no limit.
//!
//! Above it a benchmark ranks its loader. So it is measured, on the CPUs that loader and app will
//! have, before anything else is.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::{LoadDriver, LoadError, LoadRequest};
use crate::clock::Stopwatch;
use crate::exec::{Child, ChildSpec, free_address, own_program};
use crate::id::TrialId;
use crate::model::{Ceiling, Measurement, VALUE_BYTES};
use crate::units::{CpuSet, Nanos};

/// What is to be found out.
#[derive(Clone, Copy, Debug)]
pub struct CeilingRequest<'run> {
    /// The CPUs of the loader.
    pub loader: &'run CpuSet,
    /// The CPUs of the app, which the target gets.
    pub app: &'run CpuSet,
    /// Connections to keep open.
    pub connections: u32,
    /// A rate above which it is of no interest, in requests per second.
    pub enough_rps: u32,
    /// A folder for files that are needed only meanwhile.
    pub scratch_dir: &'run Path,
}

/// How long each rate is tried; its connections are opened meanwhile.
const ATTEMPT: Duration = Duration::from_secs(2);
/// A rate that every loader holds.
const LEAST_RPS: u32 = 100;
/// How often the interval between a rate that was held and its double is halved.
const DIVISIONS: u32 = 3;
/// How late one request in a hundred may be released.
const MOST_LAG: Nanos = Nanos(5_000_000);
/// The share of requests that has to be answered.
const ANSWERED: f64 = 0.98;
/// How long the target may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// Finds the highest rate that the loader holds: first whether it holds what is enough; else by halves
/// down to a rate that it holds, and up again in the interval above that.
///
/// # Errors
/// When the target or the loader cannot be run.
pub async fn ceiling(
    driver: &mut dyn LoadDriver,
    request: CeilingRequest<'_>,
) -> Result<Ceiling, LoadError> {
    let address = free_address().map_err(|source| LoadError::Target { source })?;
    let target = target(address, &request)?;
    let found = search(driver, address, &request).await;
    target.stop(Duration::from_secs(1)).await?;
    found
}

async fn search(
    driver: &mut dyn LoadDriver,
    address: SocketAddr,
    request: &CeilingRequest<'_>,
) -> Result<Ceiling, LoadError> {
    await_listener(address).await.map_err(|source| LoadError::Target { source })?;
    if holds(driver, address, request, request.enough_rps).await? {
        return Ok(Ceiling { rps: request.enough_rps, is_bound: true });
    }
    let mut high = request.enough_rps;
    let mut low = high / 2;
    while low > LEAST_RPS && !holds(driver, address, request, low).await? {
        (low, high) = (low / 2, low);
    }
    for _ in 0..DIVISIONS {
        let middle = u32::midpoint(low, high);
        match holds(driver, address, request, middle).await? {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(Ceiling { rps: low, is_bound: false })
}

/// Whether the loader holds a rate, tried twice: a moment's disturbance is no ceiling.
async fn holds(
    driver: &mut dyn LoadDriver,
    address: SocketAddr,
    request: &CeilingRequest<'_>,
    rate: u32,
) -> Result<bool, LoadError> {
    Ok(attempt(driver, address, request, rate).await?
        || attempt(driver, address, request, rate).await?)
}

async fn attempt(
    driver: &mut dyn LoadDriver,
    address: SocketAddr,
    request: &CeilingRequest<'_>,
    rate: u32,
) -> Result<bool, LoadError> {
    let url = format!("http://{address}/cached-value");
    let load = LoadRequest {
        trial: TrialId(0),
        url: &url,
        connections: request.connections,
        target_rps: rate,
        duration: ATTEMPT,
        cpus: request.loader,
        answer_bytes: VALUE_BYTES as u64,
        scratch_dir: request.scratch_dir,
    };
    Ok(is_held(&driver.drive(&load).await?))
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn is_held(measured: &Measurement) -> bool {
    let counts = &measured.counts;
    let is_punctual = measured.loader.is_some_and(|loader| loader.lag_p99 <= MOST_LAG);
    is_punctual && counts.completed as f64 >= counts.planned as f64 * ANSWERED
}

fn target(address: SocketAddr, request: &CeilingRequest<'_>) -> Result<Child, LoadError> {
    let program = own_program().map_err(|source| LoadError::Target { source })?;
    let listen = address.to_string();
    Ok(Child::spawn(&ChildSpec {
        program,
        args: ["target", "--listen", &listen].map(Into::into).to_vec(),
        env: BTreeMap::new(),
        dir: request.scratch_dir.to_owned(),
        cpus: request.app.clone(),
        log: request.scratch_dir.join("target.log"),
    })?)
}

async fn await_listener(address: SocketAddr) -> std::io::Result<()> {
    let watch = Stopwatch::start();
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if watch.elapsed() >= LISTENS_WITHIN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
