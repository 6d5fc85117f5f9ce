//! The connection to a Docker Engine, and its images.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageConfig, ImageInspect};
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptions};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::LaunchError;
use crate::clock::Stopwatch;
use crate::model::{Image, with_causes};
use crate::process::{ProcessError, Writer};

/// How long a Docker Engine may be unreachable during a run: a restart takes seconds.
const AWAY_LIMIT: Duration = Duration::from_secs(60);
/// The time limit for the end of a program whose archive was read.
const WRITER_LIMIT: Duration = Duration::from_secs(10);
/// The polling interval while it is unreachable.
const AWAY_POLL: Duration = Duration::from_millis(250);

/// Connects to the first of `hosts` (`unix:///var/run/docker.sock`, `tcp://…`) that answers.
///
/// # Errors
/// When none answers, with the error of the last one.
pub async fn connect(hosts: &[String]) -> Result<Docker, LaunchError> {
    let mut last = None;
    for host in hosts {
        let connected = Docker::connect_with_host(host);
        let answered = match connected {
            Ok(docker) => docker.negotiate_version().await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(docker) => return Ok(docker),
            Err(error) => last = Some((host.clone(), error)),
        }
    }
    let (host, source) = last.unwrap_or_else(|| {
        let none = Error::SocketNotFoundError("no socket file exists".to_owned());
        ("any of the default sockets".to_owned(), none)
    });
    Err(LaunchError::NoDocker { host, source })
}

/// The number of CPUs of a Docker Engine, which may run in a virtual machine.
///
/// # Errors
/// When it does not answer.
pub async fn cpus(docker: &Docker) -> Result<usize, LaunchError> {
    let about = docker.info().await;
    let about = about.map_err(|source| LaunchError::Docker { action: "query Docker", source })?;
    Ok(about.ncpu.and_then(|cpus| usize::try_from(cpus).ok()).unwrap_or(0))
}

/// The version of a Docker Engine, if it reports one.
pub async fn version(docker: &Docker) -> Option<String> {
    docker.version().await.ok()?.version
}

/// Waits until a Docker Engine that answered before answers again.
pub(super) async fn answering(docker: &Docker) -> Result<(), LaunchError> {
    let watch = Stopwatch::start();
    while let Err(source) = docker.ping().await {
        if watch.elapsed() >= AWAY_LIMIT {
            return Err(LaunchError::Docker {
                action: "reach Docker, which answered before",
                source,
            });
        }
        tokio::time::sleep(AWAY_POLL).await;
    }
    Ok(())
}

/// Where an image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The daemon had it.
    Present,
    /// It was loaded from its archive.
    Archive,
    /// It was pulled from its registry.
    Registry,
}

/// Makes sure that the daemon has an image: loads its archive or pulls it if necessary. `on_progress` gets
/// the pulled and the known total bytes.
///
/// # Errors
/// When the image cannot be loaded or pulled, or is not the one that the bundle pinned.
pub async fn ensure_image(
    docker: &Docker,
    image: &Image,
    on_progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Origin, LaunchError> {
    if image_id(docker, image).await?.is_some() {
        return Ok(Origin::Present);
    }
    let missing =
        |reason: String| LaunchError::Image { reference: image.reference.clone(), reason };
    if image.id.is_none() {
        pull(docker, image, on_progress).await?;
        return match image_id(docker, image).await? {
            Some(_) => Ok(Origin::Registry),
            None => Err(missing("the registry sent another image than the pinned one".to_owned())),
        };
    }
    load(docker, image).await?;
    match image_id(docker, image).await? {
        Some(_) => Ok(Origin::Archive),
        None if image.configuration.is_none() => Err(missing(
            "Docker has it under another id, and the bundle has no configuration to compare it with".to_owned(),
        )),
        None => Err(missing("the archive has another image than the pinned one".to_owned())),
    }
}

/// Loads an image from its archive, or from a program that writes the archive.
async fn load(docker: &Docker, image: &Image) -> Result<(), LaunchError> {
    let missing =
        |reason: String| LaunchError::Image { reference: image.reference.clone(), reason };
    let failed = |error: ProcessError| missing(with_causes(&error));
    if let Some(archive) = &image.archive {
        let file = tokio::fs::File::open(archive).await;
        let file = file.map_err(|error| missing(format!("{}: {error}", archive.display())))?;
        return import(docker, file).await;
    }
    let program = image.stream.as_ref().ok_or_else(|| {
        missing("Docker does not have it, and the bundle names no archive to load".to_owned())
    })?;
    let (writer, output) = Writer::start(program).map_err(failed)?;
    let loaded = import(docker, output).await;
    // The writer blocks when Docker has stopped reading, so the wait has a limit.
    match (loaded, tokio::time::timeout(WRITER_LIMIT, writer.finish()).await) {
        (loaded, Ok(Ok(())) | Err(_)) => loaded,
        (Ok(()), Ok(Err(writer))) => Err(failed(writer)),
        // Either error may be the cause of the other.
        (Err(docker), Ok(Err(writer))) => {
            Err(missing(format!("{}; {}", with_causes(&docker), with_causes(&writer))))
        }
    }
}

async fn import(
    docker: &Docker,
    archive: impl AsyncRead + Send + 'static,
) -> Result<(), LaunchError> {
    let options = ImportImageOptions::default();
    let loading = docker.import_image_stream(options, ReaderStream::new(archive), None);
    let mut loading = std::pin::pin!(loading);
    while let Some(step) = loading.next().await {
        step.map_err(|source| LaunchError::Docker { action: "load an image", source })?;
    }
    Ok(())
}

async fn pull(
    docker: &Docker,
    image: &Image,
    on_progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<(), LaunchError> {
    let name = name_and_digest(&image.reference);
    let options = CreateImageOptionsBuilder::new().from_image(&name).build();
    let mut steps = std::pin::pin!(docker.create_image(Some(options), None, None));
    let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| LaunchError::Image {
            reference: image.reference.clone(),
            reason: format!("it cannot be pulled: {}", message(&error)),
        })?;
        if let Some((layer, progress)) = layer_progress(step) {
            layers.insert(layer, progress);
            let sum = |of: fn(&(u64, u64)) -> u64| layers.values().map(of).sum();
            on_progress(sum(|layer| layer.0), sum(|layer| layer.1));
        }
    }
    Ok(())
}

/// The message of an error, without the HTTP status.
fn message(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        error => error.to_string(),
    }
}

/// The layer of a pull step, with its pulled and total bytes.
fn layer_progress(step: CreateImageInfo) -> Option<(String, (u64, u64))> {
    let is_download = step.status.as_deref() == Some("Downloading");
    let detail = step.progress_detail.filter(|_| is_download)?;
    let bytes = |count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    Some((step.id?, (bytes(detail.current), bytes(detail.total))))
}

/// `redis:7@sha256:…` as `redis@sha256:…`: with a digest, Docker stores an image without its tag.
fn name_and_digest(reference: &str) -> String {
    let Some((name, digest)) = reference.split_once('@') else { return reference.to_owned() };
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[path..].find(':').map_or(name.len(), |colon| path + colon);
    format!("{}@{digest}", &name[..end])
}

/// The daemon's id of an image, if it has the image.
///
/// In Docker's own store, the id is the hash of the configuration, which the bundle pins. In containerd's
/// store, the default since Docker 29, it is the hash of a manifest that is made when the image is loaded.
/// There, the image of that name is the pinned one if it has the layers and settings of the configuration.
pub(super) async fn image_id(
    docker: &Docker,
    image: &Image,
) -> Result<Option<String>, LaunchError> {
    let Some(id) = &image.id else {
        let pulled = inspect(docker, &name_and_digest(&image.reference)).await?;
        return Ok(pulled.and_then(|pulled| pulled.id));
    };
    if inspect(docker, id).await?.is_some_and(|found| found.id.as_ref() == Some(id)) {
        return Ok(Some(id.clone()));
    }
    let Some(configuration) = &image.configuration else { return Ok(None) };
    let Some(named) = inspect(docker, &image.reference).await? else { return Ok(None) };
    let is_pinned = is_named_by_manifest(&named) && is_of(&named, configuration);
    Ok(named.id.filter(|_| is_pinned))
}

async fn inspect(docker: &Docker, name: &str) -> Result<Option<ImageInspect>, LaunchError> {
    match docker.inspect_image(name).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(source) => Err(LaunchError::Docker { action: "inspect an image", source }),
    }
}

/// Whether an image's id is the hash of its manifest, as only in containerd's store.
fn is_named_by_manifest(image: &ImageInspect) -> bool {
    let digests = image.repo_digests.iter().flatten();
    let mut digests = digests.filter_map(|name| name.split_once('@'));
    digests.any(|(_, digest)| image.id.as_deref() == Some(digest))
}

/// The configuration of an image.
#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(default)]
    config: ImageConfig,
    rootfs: Layers,
}

#[derive(Debug, Deserialize)]
struct Layers {
    diff_ids: Vec<String>,
}

/// Whether an image has the layers and the settings of a configuration.
fn is_of(image: &ImageInspect, configuration: &str) -> bool {
    let Ok(Configuration { config, rootfs }) = serde_json::from_str(configuration) else {
        return false;
    };
    let layers = image.root_fs.as_ref().and_then(|root| root.layers.as_ref());
    let found = image.config.as_ref().map(settings);
    layers == Some(&rootfs.diff_ids) && found == Some(settings(&config))
}

/// The non-empty settings: Docker versions differ in whether they omit empty ones.
fn settings(config: &ImageConfig) -> BTreeMap<String, Value> {
    let all = serde_json::to_value(config).and_then(serde_json::from_value);
    let mut all: BTreeMap<String, Value> = all.expect("a configuration is plain data");
    all.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_needs_no_tag() {
        for (reference, name) in [
            ("docker.io/library/redis:7.4-alpine@sha256:ab", "docker.io/library/redis@sha256:ab"),
            ("127.0.0.1:5000/redis@sha256:ab", "127.0.0.1:5000/redis@sha256:ab"),
            ("redis:7@sha256:ab", "redis@sha256:ab"),
        ] {
            assert_eq!(name_and_digest(reference), name);
        }
    }

    #[test]
    fn an_image_has_its_configuration_when_layers_and_settings_are_the_same() {
        let configuration = r#"{"config":{"Env":["A=1"],"WorkingDir":"/app"},"os":"linux","rootfs":{"diff_ids":["sha256:ab"],"type":"layers"}}"#;
        let matches = |layer: &str, more: &str| {
            let json = format!(
                r#"{{"RootFS":{{"Type":"layers","Layers":["{layer}"]}},"Config":{{"Env":["A=1"],"WorkingDir":"/app","Cmd":null,"Labels":{{}}{more}}}}}"#
            );
            is_of(&serde_json::from_str(&json).unwrap(), configuration)
        };
        assert!(matches("sha256:ab", ""));
        assert!(matches("sha256:ab", r#","Volumes":null,"OnBuild":[]"#));
        assert!(!matches("sha256:cd", ""));
        assert!(!matches("sha256:ab", r#","StopSignal":"SIGINT""#));
        assert!(!matches("sha256:ab", r#","Healthcheck":{"Test":["CMD","true"]}"#));
        assert!(!matches("sha256:ab", r#","Volumes":{"/data":{}}"#));
        assert!(!is_of(&ImageInspect::default(), configuration));
    }
}
