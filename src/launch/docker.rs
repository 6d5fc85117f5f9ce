//! A Docker Engine that answers, and the images that it has to have.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::ImportImageOptions;
use futures::StreamExt;
use tokio_util::io::ReaderStream;

use super::LaunchError;
use crate::model::Image;

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

/// Makes sure that the daemon has an image: loads its archive when it has not. Gives whether it did.
///
/// # Errors
/// When the image cannot be had, or is another one than the bundle pinned.
pub async fn ensure_image(docker: &Docker, image: &Image) -> Result<bool, LaunchError> {
    if has(docker, image).await? {
        return Ok(false);
    }
    let missing =
        |reason: String| LaunchError::Image { reference: image.reference.clone(), reason };
    let archive = image.archive.as_ref().ok_or_else(|| missing("it is not there".to_owned()))?;
    let file = tokio::fs::File::open(archive)
        .await
        .map_err(|error| missing(format!("{}: {error}", archive.display())))?;
    let options = ImportImageOptions::default();
    let loading = docker.import_image_stream(options, ReaderStream::new(file), None);
    let mut loading = std::pin::pin!(loading);
    while let Some(told) = loading.next().await {
        told.map_err(|source| LaunchError::Docker { action: "load an image", source })?;
    }
    match has(docker, image).await? {
        true => Ok(true),
        false => Err(missing(format!("{} holds another image", archive.display()))),
    }
}

async fn has(docker: &Docker, image: &Image) -> Result<bool, LaunchError> {
    match docker.inspect_image(&image.id).await {
        Ok(found) => Ok(found.id.as_deref() == Some(&image.id)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(source) => Err(LaunchError::Docker { action: "look for an image", source }),
    }
}
