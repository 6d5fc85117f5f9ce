//! A fast server, with which `run` measures the loader's ceiling.
//!
//! Above the ceiling a benchmark ranks its loader. The server runs on the app's CPUs, and the loader on its
//! own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{LoadDriver, LoadError, LoadRequest};
use crate::clock::Stopwatch;
use crate::id::TrialId;
use crate::model::{
    ANSWER_STATUS, Arrivals, Measurement, Part, Profile, ResourceSample, VALUE_BYTES, stored_value,
};
use crate::process::{Child, ChildSpec, free_address, own_program, sample_usage};
use crate::units::{CpuSet, Rps};

/// A measurement of the ceiling.
#[derive(Clone, Copy, Debug)]
pub struct CeilingRequest<'run> {
    /// The CPUs of the loader.
    pub loader: &'run CpuSet,
    /// The CPUs of the app, for the server.
    pub app: &'run CpuSet,
    /// Connections to keep open.
    pub connections: u32,
    /// The rate to offer, in requests per second. No trial needs the loader to drive more.
    pub enough_rps: u32,
    /// A folder for files that are needed only during the measurement.
    pub scratch_dir: &'run Path,
}

/// The length of one measurement: the shortest window whose halves have enough frequency samples to
/// compare.
pub const CEILING_WINDOW: Duration = Duration::from_secs(3);
/// The time limit for the start of the server.
const MAX_START: Duration = Duration::from_secs(10);

/// A running server for measuring the ceiling.
#[derive(Debug)]
pub struct LoaderTarget {
    child: Child,
    address: SocketAddr,
}

impl LoaderTarget {
    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or does not listen in time.
    pub async fn start(request: &CeilingRequest<'_>) -> Result<Self, LoadError> {
        let wrap = |source| LoadError::Target { source };
        let address = free_address().map_err(wrap)?;
        let listen = address.to_string();
        let child = Child::spawn(&ChildSpec {
            program: own_program().map_err(wrap)?,
            args: ["target", "--listen", &listen].map(Into::into).to_vec(),
            env: BTreeMap::new(),
            dir: request.scratch_dir.to_owned(),
            cpus: request.app.clone(),
            log: request.scratch_dir.join("target.log"),
        })?;
        await_listener(address).await.map_err(wrap)?;
        Ok(Self { child, address })
    }

    /// Offers the rate of `request` once. The result has the resource use of the loader, and of the server
    /// as [`Part::App`].
    ///
    /// # Errors
    /// When the loader itself fails.
    pub async fn drive(
        &self,
        driver: &mut dyn LoadDriver,
        request: &CeilingRequest<'_>,
    ) -> Result<Measurement, LoadError> {
        let url = format!("http://{}/cached-value", self.address);
        let body = stored_value();
        let load = LoadRequest {
            trial: TrialId(0),
            url: &url,
            connections: request.connections,
            target_rps: Rps::whole(request.enough_rps),
            profile: Profile::Constant,
            arrivals: Arrivals::Even,
            seed: 0,
            duration: CEILING_WINDOW,
            cpus: request.loader,
            answer_status: ANSWER_STATUS,
            answer_bytes: VALUE_BYTES as u64,
            answer_body: Some(&body),
            has_own_cpus: request.loader.is_disjoint(request.app),
            scratch_dir: request.scratch_dir,
        };
        let mut usage = JoinSet::new();
        usage.spawn(sample_usage(self.child.tree(), CEILING_WINDOW));
        let mut measurement = driver.drive(&load).await?;
        let readings = usage.join_next().await.and_then(Result::ok).unwrap_or_default();
        measurement.resources.extend(ResourceSample::series(Part::App, &readings));
        Ok(measurement)
    }

    /// Ends the server.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn stop(self) -> Result<(), LoadError> {
        Ok(self.child.stop(Duration::from_secs(1)).await?)
    }
}

async fn await_listener(address: SocketAddr) -> std::io::Result<()> {
    let watch = Stopwatch::start();
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if watch.elapsed() >= MAX_START => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
