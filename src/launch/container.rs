//! Stacks as containers of a Docker Engine, on a private network.
//!
//! A container gets CPUs both as a set and as a quota, limits on memory and processes, a read-only
//! root, no capabilities, and no published port: the loader connects to the container's own address,
//! since a published port costs a third of the rate and triples the p99 (measured). Only if the host
//! cannot reach that address (Docker Desktop) is a loopback port published.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerStatsResponse, HostConfig, HostConfigLogConfig,
    NetworkCreateRequest, PortBinding, ResourcesUlimits,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, InspectNetworkOptions,
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StatsOptionsBuilder,
    StopContainerOptionsBuilder, WaitContainerOptions,
};
use chrono::{DateTime, FixedOffset};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::docker_images::{answering, ensure_image, image_id};
use super::part::{
    Instance, STOP_GRACE, Starting, TAIL_LINES, filled, placeholders, store_memory_mib, unsupported,
};
use super::stack::{self, Launch};
use super::{LaunchError, Launcher, RunningStack, StackRequest};
use crate::clock::Stopwatch;
use crate::model::{Component, ContainerTemplate, Image, Part, with_causes};
use crate::process::{BoundedLog, Owner, Usage, listening_in_namespace_of, log_tail};
use crate::units::Nanos;

/// The launcher's name in datasets.
const NAME: &str = "docker";
/// The label with the owner of a container or network.
const OWNER_LABEL: &str = "perf-api.owner";
/// The label with the run of a container.
const RUN_LABEL: &str = "perf-api.run";
/// The label with the component of a container.
const COMPONENT_LABEL: &str = "perf-api.component";
/// Ports inside the private network.
const STORE_PORT: u16 = 6379;
const APP_PORT: u16 = 8000;
/// Memory of a store beyond its own limit, of an app, and of each of its workers.
const STORE_OVERHEAD_MIB: i64 = 512;
const APP_MEMORY_MIB: i64 = 512;
const WORKER_MEMORY_MIB: i64 = 512;
/// The maximum number of processes and threads of a container.
const MAX_PROCESSES: i64 = 1024;
/// Open files beyond two for each connection: logs, libraries, pipes.
const OTHER_FILES: i64 = 1024;
/// The maximum size of each of the two log files of the daemon.
const MAX_LOG_FILE: &str = "4m";
/// A user id that the host does not use.
const USER: &str = "10001:10001";
/// The time limit and polling interval for reaching the first container.
const REACH_LIMIT: Duration = Duration::from_secs(3);
const REACH_POLL: Duration = Duration::from_millis(50);
/// The sampling interval of resources.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Starts components as containers.
#[derive(Debug)]
pub struct ContainerLauncher {
    docker: Docker,
    owner: Owner,
    path: NetworkPath,
    /// Distinguishes its networks from those of other launchers of this process: `ab` has one for each side.
    number: u32,
    network: Option<String>,
}

/// The number of launchers that this process has created.
static LAUNCHERS: AtomicU32 = AtomicU32::new(0);

/// How the host reaches a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkPath {
    /// By its own address, until the first container turns out to be unreachable.
    Unknown,
    /// By its own address.
    Direct,
    /// Through a port that is published on the loopback address.
    Published,
}

impl ContainerLauncher {
    /// A launcher for a daemon that answers.
    #[must_use]
    pub fn new(docker: Docker, owner: Owner, path: NetworkPath) -> Self {
        let number = LAUNCHERS.fetch_add(1, Ordering::Relaxed);
        Self { docker, owner, path, number, network: None }
    }

    /// Removes the containers and networks of runners that have ended. Returns their number.
    ///
    /// # Errors
    /// When the daemon does not answer or cannot remove one.
    pub async fn sweep(&self) -> Result<usize, LaunchError> {
        let own = self.owner.clone();
        self.remove_labelled(move |label| own.is_gone(label)).await
    }

    async fn remove_labelled(&self, matches: impl Fn(&str) -> bool) -> Result<usize, LaunchError> {
        let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let mut removed = 0;
        let listed = self.docker.list_containers(Some(options)).await;
        for container in listed.map_err(refused("list containers"))? {
            let label = container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
            if let (Some(id), true) = (container.id, label.is_some_and(|label| matches(label))) {
                remove_container(&self.docker, &id).await?;
                removed += 1;
            }
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_networks(Some(options)).await;
        for network in listed.map_err(refused("list networks"))? {
            let label = network.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
            if let (Some(id), true) = (network.id, label.is_some_and(|label| matches(label))) {
                ignore_removed(self.docker.remove_network(&id).await, "remove a network")?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The network of this run, created on first use.
    async fn network(&mut self) -> Result<String, LaunchError> {
        if let Some(network) = &self.network {
            let options = None::<InspectNetworkOptions>;
            if self.docker.inspect_network(network, options).await.is_ok() {
                return Ok(network.clone());
            }
        }
        let request = NetworkCreateRequest {
            // Docker 25 and newer refuse a name that is in use; older ones take it twice.
            name: format!("perf-api-{}-{}", self.owner.short(), self.number),
            driver: Some("bridge".to_owned()),
            // No egress. Docker cannot publish ports on an internal network.
            internal: Some(self.path != NetworkPath::Published),
            labels: Some(HashMap::from([(OWNER_LABEL.to_owned(), self.owner.to_string())])),
            ..NetworkCreateRequest::default()
        };
        let made =
            self.docker.create_network(request).await.map_err(refused("create a network"))?;
        self.network = Some(made.id.clone());
        Ok(made.id)
    }

    /// The id of the image to start. A missing image is an error, and is fetched again for the next start.
    async fn image(&self, image: &Image) -> Result<String, LaunchError> {
        if let Some(id) = image_id(&self.docker, image).await? {
            return Ok(id);
        }
        let reason = match ensure_image(&self.docker, image, &mut |_, _| {}).await {
            Ok(_) => "it was removed during the run, and has been fetched again for the next start"
                .to_owned(),
            Err(error) => format!("it was removed during the run: {}", with_causes(&error)),
        };
        Err(LaunchError::Image { reference: image.reference.clone(), reason })
    }

    async fn create(
        &self,
        body: ContainerCreateBody,
        log: PathBuf,
    ) -> Result<Container, LaunchError> {
        let made = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let mut container = Container {
            docker: self.docker.clone(),
            id: made.map_err(refused("create a container"))?.id,
            log,
            ended: Arc::default(),
            watchers: Vec::new(),
        };
        let started =
            self.docker.start_container(&container.id, None::<StartContainerOptions>).await;
        if let Err(error) = started {
            return Err(refused("start a container")(error).stopped(container.end().await));
        }
        container.watch();
        Ok(container)
    }

    /// Changes the network path and removes the network, so that the next container gets a suitable one.
    async fn change_network_path(&mut self, path: NetworkPath) -> Result<(), LaunchError> {
        self.path = path;
        if let Some(network) = self.network.take() {
            ignore_removed(self.docker.remove_network(&network).await, "remove a network")?;
        }
        Ok(())
    }
}

/// The parameters of a new container.
struct Recipe<'run> {
    owner: &'run Owner,
    network: &'run str,
    is_published: bool,
    request: &'run StackRequest<'run>,
    part: Part,
    component: &'run Component,
    template: &'run ContainerTemplate,
    image: String,
    port: u16,
    store: Option<SocketAddr>,
}

fn container_body(recipe: Recipe<'_>) -> Result<ContainerCreateBody, LaunchError> {
    let Recipe { request, part, component, template, port, store, .. } = recipe;
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let values = placeholders(request, part, listen, store);
    let command = filled(&template.args, &template.env, &values)
        .map_err(|reason| unsupported(component, NAME, &reason))?;
    let cpus = match part {
        Part::Store => &request.placement.store,
        _ => &request.placement.app,
    };
    let memory_mib = match part {
        Part::Store => i64::from(store_memory_mib(cpus.len())) + STORE_OVERHEAD_MIB,
        _ => APP_MEMORY_MIB + WORKER_MEMORY_MIB * i64::from(request.stack.workers),
    };
    let files = 2 * i64::from(request.connections) + OTHER_FILES;
    let host = HostConfig {
        cpuset_cpus: Some(cpus.to_string()),
        nano_cpus: i64::try_from(cpus.len()).ok().map(|cpus| cpus * 1_000_000_000),
        memory: Some(memory_mib << 20),
        // Equal to `memory`: no swap.
        memory_swap: Some(memory_mib << 20),
        pids_limit: Some(MAX_PROCESSES),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), "rw,noexec,nosuid,size=64m".to_owned())])),
        network_mode: Some(recipe.network.to_owned()),
        port_bindings: recipe.is_published.then(|| {
            let any_port = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
            HashMap::from([(format!("{port}/tcp"), Some(vec![any_port]))])
        }),
        log_config: Some(log_config()),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(files),
            hard: Some(files),
        }]),
        ..HostConfig::default()
    };
    let cmd = std::iter::once(template.program.clone()).chain(command.args);
    Ok(ContainerCreateBody {
        // By id: the name may refer to another image by now.
        image: Some(recipe.image),
        entrypoint: Some(vec![]),
        cmd: Some(cmd.collect()),
        env: Some(command.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: Some(USER.to_owned()),
        exposed_ports: recipe.is_published.then(|| vec![format!("{port}/tcp")]),
        labels: Some(HashMap::from([
            (OWNER_LABEL.to_owned(), recipe.owner.to_string()),
            (RUN_LABEL.to_owned(), request.run.to_string()),
            (COMPONENT_LABEL.to_owned(), component.name.to_string()),
        ])),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

/// The daemon's log of a container: two files of bounded size, in a format that can be read back whatever
/// the daemon's default is.
fn log_config() -> HostConfigLogConfig {
    let options = [("max-size", MAX_LOG_FILE), ("max-file", "2")];
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
    }
}

#[async_trait]
impl Launcher for ContainerLauncher {
    fn name(&self) -> &'static str {
        <Self as Launch>::NAME
    }

    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError> {
        answering(&self.docker).await?;
        stack::start(self, request).await
    }

    async fn end_all(&mut self) -> Result<(), LaunchError> {
        answering(&self.docker).await?;
        let own = self.owner.to_string();
        self.remove_labelled(|label| label == own).await?;
        self.network = None;
        crate::process::end_all().await.map_err(LaunchError::from)
    }
}

#[async_trait]
impl Launch for ContainerLauncher {
    type Instance = Container;

    const NAME: &'static str = NAME;

    async fn launch(
        &mut self,
        request: &StackRequest<'_>,
        part: Part,
        component: &Component,
        store: Option<SocketAddr>,
    ) -> Result<Starting<Container>, LaunchError> {
        let template = component.container.as_ref();
        let template = template
            .ok_or_else(|| unsupported(component, NAME, &"the bundle has no image for it"))?;
        let image = self.image(&template.image).await?;
        let port = if part == Part::Store { STORE_PORT } else { APP_PORT };
        let log = request.log_dir.join(format!("{part}-{}.log", component.name));
        let name = component.name.to_string();
        loop {
            let watch = Stopwatch::start();
            let network = self.network().await?;
            let is_published = self.path == NetworkPath::Published;
            let body = container_body(Recipe {
                owner: &self.owner,
                network: &network,
                is_published,
                request,
                part,
                component,
                template,
                image: image.clone(),
                port,
                store,
            })?;
            let mut instance = self.create(body, log.clone()).await?;
            let (address, inside) = match instance.addresses(&network, port, is_published).await {
                Ok(addresses) => addresses,
                Err(error) => return Err(error.stopped(instance.end().await)),
            };
            if self.path == NetworkPath::Unknown {
                match instance.can_be_reached(address).await {
                    Some(true) => self.path = NetworkPath::Direct,
                    Some(false) => {
                        instance
                            .end()
                            .await
                            .map_err(|stop| unreachable_container().stopped(Err(stop)))?;
                        self.change_network_path(NetworkPath::Published).await?;
                        continue;
                    }
                    // It ended. The wait for readiness reports that.
                    None => {}
                }
            }
            return Ok(Starting { part, name, instance, address, inside, watch });
        }
    }
}

/// A container that was started.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    id: String,
    log: PathBuf,
    ended: Arc<OnceLock<String>>,
    watchers: Vec<AbortHandle>,
}

#[async_trait]
impl Instance for Container {
    fn ended(&mut self) -> Option<String> {
        self.ended.get().cloned()
    }

    fn log_tail(&self) -> Vec<String> {
        log_tail(&self.log, TAIL_LINES)
    }

    async fn listening(&self) -> BTreeSet<SocketAddr> {
        let seen = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        let pid = seen.ok().and_then(|seen| i32::try_from(seen.state?.pid?).ok());
        // The processes of a remote daemon are not on this host.
        pid.filter(|&pid| pid > 0).map(listening_in_namespace_of).unwrap_or_default()
    }

    fn sample(&self, window: Duration) -> BoxFuture<'static, Vec<(Nanos, Usage)>> {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        async move { sample(&docker, &id, window).await }.boxed()
    }

    async fn stop(self) -> Result<(), LaunchError> {
        self.end().await
    }
}

impl Container {
    /// Follows its log and waits for its end, in the background.
    fn watch(&mut self) {
        let follow = follow_log(self.docker.clone(), self.id.clone(), self.log.clone());
        let end = wait_for_end(self.docker.clone(), self.id.clone(), Arc::clone(&self.ended));
        self.watchers = vec![tokio::spawn(follow).abort_handle(), tokio::spawn(end).abort_handle()];
    }

    /// Its address, as seen from the host and as seen from its network.
    async fn addresses(
        &self,
        network: &str,
        port: u16,
        is_published: bool,
    ) -> Result<(SocketAddr, SocketAddr), LaunchError> {
        let seen = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        let seen = seen.map_err(refused("inspect a container"))?;
        let settings = seen.network_settings.unwrap_or_default();
        let ends = settings.networks.into_iter().flatten().map(|(_, end)| end);
        let own = ends.into_iter().find(|end| end.network_id.as_deref() == Some(network));
        let inside: Option<IpAddr> =
            own.and_then(|end| end.ip_address).and_then(|text| text.parse().ok());
        let ports = settings.ports.unwrap_or_default();
        let published = ports.get(&format!("{port}/tcp")).and_then(Option::as_ref);
        let published = published
            .and_then(|bindings| bindings.first()?.host_port.as_deref()?.parse::<u16>().ok());
        let published = published.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let inside = inside.map(|address| SocketAddr::from((address, port)));
        let address = if is_published { published } else { inside };
        address.zip(inside).ok_or_else(|| LaunchError::Docker {
            action: "find the address of a container",
            source: bollard::errors::Error::IOError {
                err: std::io::Error::other("it has ended, or is not on its network"),
            },
        })
    }

    /// Whether the host reaches an address of it. A refused connection counts; `None` when it has ended.
    async fn can_be_reached(&mut self, address: SocketAddr) -> Option<bool> {
        let watch = Stopwatch::start();
        while watch.elapsed() < REACH_LIMIT {
            let attempt = tokio::time::timeout(REACH_LIMIT, TcpStream::connect(address)).await;
            if self.ended().is_some() {
                return None;
            }
            match attempt {
                Ok(Err(error)) if error.kind() != std::io::ErrorKind::ConnectionRefused => {
                    tokio::time::sleep(REACH_POLL).await;
                }
                Ok(_) => return Some(true),
                Err(_) => return Some(false),
            }
        }
        Some(false)
    }

    /// Stops and removes it.
    async fn end(&self) -> Result<(), LaunchError> {
        answering(&self.docker).await?;
        let grace = i32::try_from(STOP_GRACE.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(grace).build();
        let stopped = self.docker.stop_container(&self.id, Some(options)).await;
        ignore_removed(stopped, "stop a container")?;
        remove_container(&self.docker, &self.id).await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.watchers.iter().for_each(AbortHandle::abort);
    }
}

async fn follow_log(docker: Docker, id: String, path: PathBuf) {
    let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).build();
    let mut chunks = std::pin::pin!(docker.logs(&id, Some(options)));
    let Ok(mut log) = BoundedLog::create(&path) else { return };
    while let Some(Ok(chunk)) = chunks.next().await {
        log.append(&chunk.into_bytes());
    }
}

async fn wait_for_end(docker: Docker, id: String, ended: Arc<OnceLock<String>>) {
    let mut ends = std::pin::pin!(docker.wait_container(&id, None::<WaitContainerOptions>));
    let end = ends.next().await;
    let seen = docker.inspect_container(&id, None::<InspectContainerOptions>).await;
    let state = seen.ok().and_then(|seen| seen.state);
    let how = match (end, state) {
        (_, Some(state)) if state.oom_killed == Some(true) => "out of memory".to_owned(),
        (_, Some(state)) => format!("exit code {}", state.exit_code.unwrap_or(-1)),
        (Some(Ok(end)), None) => format!("exit code {}", end.status_code),
        (Some(Err(error)), None) => format!("removed: {error}"),
        (None, None) => "removed".to_owned(),
    };
    let _ = ended.set(how);
}

async fn remove_container(engine: &Docker, id: &str) -> Result<(), LaunchError> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    ignore_removed(engine.remove_container(id, Some(options)).await, "remove a container")
}

/// Ignores the errors for an object that is already removed or being removed.
fn ignore_removed(
    result: Result<(), bollard::errors::Error>,
    action: &'static str,
) -> Result<(), LaunchError> {
    use bollard::errors::Error::DockerResponseServerError;
    match result {
        Err(DockerResponseServerError { status_code: 304 | 404 | 409, .. }) => Ok(()),
        result => result.map_err(refused(action)),
    }
}

/// The error of a container that the host cannot reach.
fn unreachable_container() -> LaunchError {
    let err = std::io::Error::other("there is no route to it from this host");
    let source = bollard::errors::Error::IOError { err };
    LaunchError::Docker { action: "reach a container by its own address", source }
}

fn refused(action: &'static str) -> impl FnOnce(bollard::errors::Error) -> LaunchError {
    move |source| LaunchError::Docker { action, source }
}

/// Samples the resource use of a container once a second for `window`, and at its end.
async fn sample(docker: &Docker, id: &str, window: Duration) -> Vec<(Nanos, Usage)> {
    let watch = Stopwatch::start();
    let mut readings: Vec<(Nanos, Usage)> = Vec::new();
    // The time of the first reading, by our clock and by the daemon's, which dates all readings.
    let mut first: Option<(Duration, DateTime<FixedOffset>)> = None;
    loop {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let mut answers = std::pin::pin!(docker.stats(id, Some(options)));
        let answer = answers.next().await;
        if let Some((taken, usage)) = answer.and_then(Result::ok).and_then(|stats| reading(&stats))
        {
            let (offset, start) = *first.get_or_insert((watch.elapsed(), taken));
            let since = (taken - start).to_std().unwrap_or_default();
            readings.push((Nanos::from(offset + since), usage));
        }
        let left = window.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return readings;
        }
        tokio::time::sleep(left.min(SAMPLE_EVERY)).await;
    }
}

/// A reading of the daemon, with its time.
fn reading(stats: &ContainerStatsResponse) -> Option<(DateTime<FixedOffset>, Usage)> {
    let taken = DateTime::parse_from_rfc3339(stats.read.as_deref()?).ok()?;
    Some((taken, usage(stats)?))
}

fn usage(stats: &ContainerStatsResponse) -> Option<Usage> {
    let cpu = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
    let memory = stats.memory_stats.as_ref();
    let used = memory.and_then(|memory| memory.usage)?;
    // Reclaimable page cache does not count, as in `docker stats`.
    let details = memory.and_then(|memory| memory.stats.as_ref());
    let cache = details.and_then(|details| {
        details.get("total_inactive_file").or_else(|| details.get("inactive_file")).copied()
    });
    let throttling = stats.cpu_stats.as_ref()?.throttling_data.as_ref();
    let throttled = throttling.and_then(|throttling| throttling.throttled_time);
    Some(Usage {
        cpu: Nanos(cpu),
        memory_bytes: used.saturating_sub(cache.unwrap_or(0)),
        throttled: throttled.map(Nanos),
    })
}
