//! Where a Docker Engine may answer: what is set, Docker's own settings, and the usual sockets.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::app::settings::DockerSettings;
use crate::id::ContentHash;

/// The addresses to try, the preferred ones first. An address or a context that is set is the only one.
pub(in crate::app) fn hosts(settings: &DockerSettings) -> Vec<String> {
    if let Some(host) = &settings.host {
        return vec![host.clone()];
    }
    let config_dir = settings.config_dir.as_deref();
    if let Some(host) = config_dir.and_then(|dir| context_host(dir, settings.context.clone())) {
        return vec![host];
    }
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(runtime) = &settings.runtime_dir {
        sockets.extend([runtime.join("docker.sock"), runtime.join("podman/podman.sock")]);
    }
    let existing = sockets.iter().filter(|socket| socket.exists());
    existing.map(|socket| format!("unix://{}", socket.display())).collect()
}

/// The address of the context that `docker context use` chose.
fn context_host(settings: &Path, name: Option<String>) -> Option<String> {
    let json =
        |path: &Path| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    let chosen =
        || json(&settings.join("config.json"))?["currentContext"].as_str().map(str::to_owned);
    let name = name.or_else(chosen).filter(|name| name != "default")?;
    // Docker keeps a context under the hash of its name.
    let dir = settings.join("contexts/meta").join(ContentHash::of(name.as_bytes()).to_string());
    let about = json(&dir.join("meta.json"))?;
    about["Endpoints"]["docker"]["Host"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_context_says_where_docker_is() {
        let settings = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = settings.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let host = |name: Option<&str>| context_host(settings.path(), name.map(str::to_owned));
        assert_eq!(host(None), None);
        // As `docker context create rootless` writes it (the folder is the SHA-256 of the name).
        write(
            &format!("contexts/meta/{}/meta.json", ContentHash::of(b"rootless")),
            r#"{"Name":"rootless","Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock"}}}"#,
        );
        let socket = Some("unix:///run/user/1000/docker.sock".to_owned());
        assert_eq!(host(Some("rootless")), socket);
        assert_eq!(host(None), None);
        write("config.json", r#"{"currentContext":"rootless"}"#);
        assert_eq!(host(None), socket);
        assert_eq!(host(Some("default")), None);
        assert_eq!(host(Some("unknown")), None);
    }
}
