//! A Docker Engine that answers, and the images that it has to have.

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

/// How long a Docker Engine that was there may be away: a restart takes seconds.
const AWAY_LIMIT: Duration = Duration::from_secs(60);
/// How long a program that writes an archive may take to end when nothing of it is read any more.
const WRITER_LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked whether it is back.
const AWAY_POLL: Duration = Duration::from_millis(250);

/// The first of `hosts` (`unix:///var/run/docker.sock`, `tcp://…`) where a daemon answers.
///
/// # Errors
/// When none does, with what the last one gave.
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
        let none = Error::SocketNotFoundError("none is there".to_owned());
        ("any of the usual sockets".to_owned(), none)
    });
    Err(LaunchError::NoDocker { host, source })
}

/// How many CPUs a Docker Engine has for its containers: those of its host, or of its machine.
///
/// # Errors
/// When it cannot be asked.
pub async fn cpus(docker: &Docker) -> Result<usize, LaunchError> {
    let about = docker.info().await;
    let about = about.map_err(|source| LaunchError::Docker { action: "ask Docker", source })?;
    Ok(about.ncpu.and_then(|cpus| usize::try_from(cpus).ok()).unwrap_or(0))
}

/// The version of a Docker Engine, if it tells.
pub async fn version(docker: &Docker) -> Option<String> {
    docker.version().await.ok()?.version
}

/// Waits until a Docker Engine that was there answers again.
pub(super) async fn answering(docker: &Docker) -> Result<(), LaunchError> {
    let watch = Stopwatch::start();
    while let Err(source) = docker.ping().await {
        if watch.elapsed() >= AWAY_LIMIT {
            return Err(LaunchError::Docker { action: "reach Docker any more", source });
        }
        tokio::time::sleep(AWAY_POLL).await;
    }
    Ok(())
}

/// How an image came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Present,
    /// It was loaded from its archive.
    Archive,
    /// It was pulled from its registry.
    Registry,
}

/// Makes sure that the daemon has an image: loads its archive, or pulls it, when it has not. A pull
/// tells how many bytes it has, of how many it knows.
///
/// # Errors
/// When the image cannot be had, or is another one than the bundle pinned.
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
            None => Err(missing("the registry gave another one".to_owned())),
        };
    }
    load(docker, image).await?;
    match image_id(docker, image).await? {
        Some(_) => Ok(Origin::Archive),
        None if image.configuration.is_none() => Err(missing(
            "Docker knows it by another id, and the bundle does not say what is in it".to_owned(),
        )),
        None => Err(missing("what was loaded is another one".to_owned())),
    }
}

/// Loads an image from its archive, or from the program that writes one.
async fn load(docker: &Docker, image: &Image) -> Result<(), LaunchError> {
    let missing =
        |reason: String| LaunchError::Image { reference: image.reference.clone(), reason };
    let failed = |error: ProcessError| missing(with_causes(&error));
    if let Some(archive) = &image.archive {
        let file = tokio::fs::File::open(archive).await;
        let file = file.map_err(|error| missing(format!("{}: {error}", archive.display())))?;
        return import(docker, file).await;
    }
    let program = image.stream.as_ref().ok_or_else(|| missing("it is not there".to_owned()))?;
    let (writer, output) = Writer::start(program).map_err(failed)?;
    let loaded = import(docker, output).await;
    // It waits for a reader in vain when Docker has stopped reading: then its end is not awaited.
    match (loaded, tokio::time::timeout(WRITER_LIMIT, writer.finish()).await) {
        (loaded, Ok(Ok(())) | Err(_)) => loaded,
        (Ok(()), Ok(Err(writer))) => Err(failed(writer)),
        // Either may be what made the other fail.
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
    while let Some(told) = loading.next().await {
        told.map_err(|source| LaunchError::Docker { action: "load an image", source })?;
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
    let mut told = std::pin::pin!(docker.create_image(Some(options), None, None));
    let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
    while let Some(told) = told.next().await {
        let told = told.map_err(|error| LaunchError::Image {
            reference: image.reference.clone(),
            reason: format!("it cannot be pulled: {}", words(&error)),
        })?;
        if let Some((layer, progress)) = layer_progress(told) {
            layers.insert(layer, progress);
            let sum = |of: fn(&(u64, u64)) -> u64| layers.values().map(of).sum();
            on_progress(sum(|layer| layer.0), sum(|layer| layer.1));
        }
    }
    Ok(())
}

/// An error without the protocol around it.
fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        error => error.to_string(),
    }
}

/// Which layer a line of a pull is about, and how many bytes of it are here, of how many.
fn layer_progress(told: CreateImageInfo) -> Option<(String, (u64, u64))> {
    let is_download = told.status.as_deref() == Some("Downloading");
    let detail = told.progress_detail.filter(|_| is_download)?;
    let bytes = |count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    Some((told.id?, (bytes(detail.current), bytes(detail.total))))
}

/// `redis:7@sha256:…` as `redis@sha256:…`: a digest needs no tag, and Docker knows images without.
fn name_and_digest(reference: &str) -> String {
    let Some((name, digest)) = reference.split_once('@') else { return reference.to_owned() };
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[path..].find(':').map_or(name.len(), |colon| path + colon);
    format!("{}@{digest}", &name[..end])
}

/// What the daemon calls an image, if it has it.
///
/// Docker's own store knows images by the hash of their configuration, which is what a bundle pins.
/// containerd's store, which Docker 29 uses unless told otherwise, knows them by the hash of a manifest
/// that it makes when it loads them: there the image of that name is the pinned one if it has the
/// layers and the settings of that configuration.
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
        Err(source) => Err(LaunchError::Docker { action: "look for an image", source }),
    }
}

/// Whether an image's id is the hash of its manifest, as in containerd's store alone.
fn is_named_by_manifest(image: &ImageInspect) -> bool {
    let digests = image.repo_digests.iter().flatten();
    let mut digests = digests.filter_map(|name| name.split_once('@'));
    digests.any(|(_, digest)| image.id.as_deref() == Some(digest))
}

/// What an image's configuration says of its containers.
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

/// The settings that say something: what is empty for one Docker is missing for another.
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
        let told = |layer: &str, more: &str| {
            let json = format!(
                r#"{{"RootFS":{{"Type":"layers","Layers":["{layer}"]}},"Config":{{"Env":["A=1"],"WorkingDir":"/app","Cmd":null,"Labels":{{}}{more}}}}}"#
            );
            is_of(&serde_json::from_str(&json).unwrap(), configuration)
        };
        assert!(told("sha256:ab", ""));
        assert!(told("sha256:ab", r#","Volumes":null,"OnBuild":[]"#));
        assert!(!told("sha256:cd", ""));
        assert!(!told("sha256:ab", r#","StopSignal":"SIGINT""#));
        assert!(!told("sha256:ab", r#","Healthcheck":{"Test":["CMD","true"]}"#));
        assert!(!told("sha256:ab", r#","Volumes":{"/data":{}}"#));
        assert!(!is_of(&ImageInspect::default(), configuration));
    }
}
