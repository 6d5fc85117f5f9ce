//! The Docker daemon of the tests, and runs in its containers.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Stdio};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptions,
    RemoveImageOptionsBuilder,
};
use perf_api::model::Image;
use rustix::process::{Pid, Signal, kill_process};

pub use crate::system::answer;
use crate::system::{self, perf_api, wait_until};

/// The daemon, locked for one test.
pub struct Engine {
    pub docker: Docker,
    pub runtime: tokio::runtime::Runtime,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Engine {
    pub fn new() -> Self {
        let turn = system::take_turn();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let host = std::env::var("DOCKER_HOST").expect("`make docker-test` sets DOCKER_HOST");
        let docker = runtime.block_on(perf_api::launch::connect(&[host])).unwrap();
        Self { docker, runtime, _turn: turn }
    }

    /// The containers that carry our label, by component.
    pub fn containers(&self) -> HashMap<String, ContainerInspectResponse> {
        let filters = HashMap::from([("label", vec!["perf-api.component"])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.runtime.block_on(async {
            let mut found = HashMap::new();
            for one in self.docker.list_containers(Some(options)).await.unwrap() {
                let id = one.id.unwrap();
                let seen =
                    self.docker.inspect_container(&id, None::<InspectContainerOptions>).await;
                // It may have been removed since it was listed.
                let Ok(seen) = seen else { continue };
                found.insert(one.labels.unwrap()["perf-api.component"].clone(), seen);
            }
            found
        })
    }

    fn networks(&self) -> usize {
        let listed = self.runtime.block_on(self.docker.list_networks(None::<ListNetworksOptions>));
        let names = listed.unwrap().into_iter().filter_map(|network| network.name);
        names.filter(|name| name.starts_with("perf-api-")).count()
    }

    /// The daemon's id of an image, if it has the image.
    pub fn image(&self, reference: &str) -> Option<String> {
        match self.runtime.block_on(self.docker.inspect_image(reference)) {
            Ok(found) => found.id,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => None,
            Err(error) => panic!("{reference}: {error}"),
        }
    }

    /// Removes what has an image's name, and the image under other names, if they are there.
    pub fn remove_image(&self, image: &Image) {
        for name in [Some(&image.reference), image.id.as_ref()].into_iter().flatten() {
            let Some(id) = self.image(name) else { continue };
            let options = RemoveImageOptionsBuilder::new().force(true).build();
            self.runtime.block_on(self.docker.remove_image(&id, Some(options), None)).unwrap();
        }
    }

    pub fn nothing_is_left(&self) -> bool {
        self.containers().is_empty() && self.networks() == 0
    }
}

/// A run in containers, in the middle of its first trial.
pub struct LongRun {
    pub runner: Child,
    /// An argument of the loader that distinguishes a trial from a warm-up.
    window: String,
    pub results: tempfile::TempDir,
}

impl LongRun {
    pub fn start(engine: &Engine, seconds: u32, args: &[&str]) -> Self {
        let results = tempfile::tempdir().unwrap();
        let runner = perf_api(results.path(), &["quick"])
            .args(args)
            .args(["--duration", &format!("{seconds}s")])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(results.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let run = Self { runner, window: format!("{seconds}005ms"), results };
        wait_until("the load", || run.loads(engine));
        run
    }

    /// Whether both containers run and the loader with them.
    pub fn loads(&self, engine: &Engine) -> bool {
        let family = system::descendants(self.runner.id());
        engine.containers().len() == 2
            && family.iter().any(|(pid, _)| {
                let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
                command.is_ok_and(|command| command.contains(&self.window))
            })
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.runner.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.results.path().join("stderr")).unwrap()
    }
}

pub fn dataset(results: &Path) -> serde_json::Value {
    let found = results
        .read_dir()
        .unwrap()
        .flatten()
        .find_map(|entry| std::fs::read(entry.path().join("manifest.json")).ok());
    serde_json::from_slice(&found.unwrap()).unwrap()
}
