//! What the environment variables of the user say.

use std::path::PathBuf;

use crate::app::{AppError, DockerSettings, HostSettings};

/// The folder of this program below those for caches and for state.
const OWN_DIR: &str = "perf-api";
/// The file of rates that the loader was seen to drive.
const LOADER_FLOORS: &str = "loader-floors.json";

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A folder that a variable names.
fn dir(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What is set of the host's Docker Engine and of the user's folders.
pub(super) fn host_settings() -> HostSettings {
    let docker_dir = || dir("HOME").map(|home| home.join(".docker"));
    HostSettings {
        docker: DockerSettings {
            host: variable("DOCKER_HOST"),
            context: variable("DOCKER_CONTEXT"),
            config_dir: dir("DOCKER_CONFIG").or_else(docker_dir),
            runtime_dir: dir("XDG_RUNTIME_DIR"),
        },
        loader_floors: base_dir("XDG_CACHE_HOME", ".cache").map(|dir| dir.join(LOADER_FLOORS)),
        // For tests that judge nothing by the loader's ceiling: it takes seconds, each time on a busy host.
        measures_ceilings: variable("PERF_API_SKIP_CEILINGS").is_none(),
    }
}

/// The folder for what a person's use of the program leaves behind.
pub(super) fn state_dir() -> Result<PathBuf, AppError> {
    base_dir("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
        AppError::new("no folder for journals: neither XDG_STATE_HOME nor HOME is set")
    })
}

/// This program's folder below a base folder (XDG Base Directory Specification).
fn base_dir(name: &str, below_home: &str) -> Option<PathBuf> {
    let base = dir(name).or_else(|| dir("HOME").map(|home| home.join(below_home)))?;
    Some(base.join(OWN_DIR))
}

/// The variables whose names begin with one of these, and that are text.
pub(super) fn variables_with(prefixes: &[&str]) -> Vec<(String, String)> {
    let is_wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.filter(|(name, _)| is_wanted(name)).collect()
}
