//! Where stacks run: as processes, in containers, or in numbers that are computed.

use std::collections::BTreeMap;

use bollard::Docker;

use super::docker_sockets::hosts;
use crate::app::AppError;
use crate::app::event::{Event, Observer};
use crate::app::settings::{DockerSettings, Fake, LauncherChoice};
use crate::launch::{ContainerLauncher, LaunchError, NetworkPath, Origin, connect, ensure_image};
use crate::model::{Bundle, Component, ComponentName, Experiment, Image, Unavailable, with_causes};
use crate::process::Owner;

/// Where stacks run: on this machine, or in numbers that are made up.
#[derive(Debug)]
pub(in crate::app) enum Backend {
    Processes,
    Containers(Engine),
    Fake(Fake),
}

/// What a backend is chosen for.
pub(in crate::app) struct BackendRequest<'app> {
    pub fake: Option<&'app Fake>,
    pub launcher: LauncherChoice,
    pub publish: bool,
    pub docker: &'app DockerSettings,
    pub experiment: &'app Experiment,
    pub bundle: &'app Bundle,
}

/// A Docker Engine that answers.
#[derive(Debug)]
pub(in crate::app) struct Engine {
    pub(super) docker: Docker,
    path: NetworkPath,
    /// Components whose images could not be had.
    refused: BTreeMap<ComponentName, Unavailable>,
}

impl Backend {
    /// The backend that was asked for. `auto` is containers, when the bundle has images for all components
    /// that it has and a Docker Engine answers.
    pub(in crate::app) async fn choose(
        request: BackendRequest<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Self, AppError> {
        let BackendRequest { fake, launcher, publish, docker, experiment, bundle } = request;
        if let Some(fake) = fake {
            return Ok(Self::Fake(fake.clone()));
        }
        let path = if publish { NetworkPath::Published } else { NetworkPath::Unknown };
        let engine = |docker| Self::Containers(Engine { docker, path, refused: BTreeMap::new() });
        let backend = match launcher {
            LauncherChoice::Process => Self::Processes,
            LauncherChoice::Docker => engine(connect(&hosts(docker)).await?),
            LauncherChoice::Auto if !has_images(experiment, bundle) => {
                observer.note(
                    "stacks run as processes: the bundle has no images (`make images` makes them)",
                );
                Self::Processes
            }
            LauncherChoice::Auto => match connect(&hosts(docker)).await {
                Ok(docker) => {
                    observer.note(
                        "stacks run in containers: the bundle has images, and Docker answers",
                    );
                    engine(docker)
                }
                Err(error) => {
                    observer.note(&format!("stacks run as processes: {error}"));
                    Self::Processes
                }
            },
        };
        match backend {
            Self::Processes if publish => Err(AppError::new(
                "`--publish` needs containers, and stacks would run as processes",
            )
            .hint("leave out `--publish`, or choose `--launcher docker`")),
            backend => Ok(backend),
        }
    }

    /// Fetches the images that are missing: loads their archives, pulls the others.
    pub(in crate::app) async fn fetch(
        &mut self,
        experiment: &Experiment,
        bundle: &Bundle,
        observer: &mut dyn Observer,
    ) -> Result<(), AppError> {
        let Self::Containers(engine) = self else { return Ok(()) };
        for component in components(experiment, bundle) {
            let Some(template) = &component.container else { continue };
            let image = &template.image;
            let name = &image.reference;
            let fetched = ensure_image(&engine.docker, image, &mut |done_bytes, total_bytes| {
                observer.on_event(&Event::Fetching { image: name, done_bytes, total_bytes });
            })
            .await;
            observer.on_event(&Event::Fetched);
            match fetched {
                Ok(Origin::Present) => {}
                Ok(Origin::Archive) => observer.note(&format!("loaded the image {name}")),
                Ok(Origin::Registry) => observer.note(&format!("pulled the image {name}")),
                Err(error @ LaunchError::Image { .. }) => {
                    let reason = with_causes(&error);
                    let lack = Unavailable { reason, remedy: remedy(image) };
                    engine.refused.insert(component.name.clone(), lack);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Why a component cannot be had with this backend, if it cannot.
    pub(in crate::app) fn lacks(&self, component: &Component) -> Option<Unavailable> {
        match self {
            Self::Fake(_) => None,
            Self::Processes => component.unavailable.clone(),
            Self::Containers(_) if component.container.is_none() => Some(Unavailable {
                reason: "the bundle has no image for it".to_owned(),
                remedy: "run `make images`, or name one in its component.toml; `--launcher process` needs none".to_owned(),
            }),
            Self::Containers(engine) => engine.refused.get(&component.name).cloned(),
        }
    }

    /// Whether containers are to be loaded through published ports.
    pub(in crate::app) fn is_published(&self) -> bool {
        matches!(self, Self::Containers(engine) if engine.path == NetworkPath::Published)
    }
}

/// What to do when an image cannot be had.
fn remedy(image: &Image) -> String {
    match &image.id {
        Some(_) if image.stream.is_some() => {
            "build the bundle again: `nix build .#bundle`".to_owned()
        }
        Some(_) => "make it again, then `perf-api bundle`: `make images` does both".to_owned(),
        None => format!("see that `docker pull {}` works here", image.reference),
    }
}

/// Whether the bundle has images for everything of an experiment that there is.
pub(in crate::app) fn has_images(experiment: &Experiment, bundle: &Bundle) -> bool {
    components(experiment, bundle).all(|one| one.container.is_some() || one.process.is_none())
}

/// The components of an experiment that the bundle has.
pub(super) fn components<'run>(
    experiment: &'run Experiment,
    bundle: &'run Bundle,
) -> impl Iterator<Item = &'run Component> {
    let names = experiment.apps.iter().chain(&experiment.stores);
    names.filter_map(|name| bundle.component(name))
}

impl Engine {
    pub(in crate::app) fn launcher(&self) -> Result<ContainerLauncher, AppError> {
        Ok(ContainerLauncher::new(self.docker.clone(), owner()?, self.path))
    }
}

fn owner() -> Result<Owner, AppError> {
    Owner::this().map_err(|error| AppError::new(format!("cannot identify this process: {error}")))
}
