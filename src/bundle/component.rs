//! `component.toml`: the description of a component folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::BundleError;
use crate::model::{
    ComponentKind, ComponentName, HttpPaths, Image, Limits, PLACEHOLDERS, StoreIdentity, fill,
    line_at,
};
use crate::units::HumanDuration;

/// The content of a `component.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub name: ComponentName,
    pub kind: ComponentKind,
    pub title: String,
    pub summary: String,
    pub process: ProcessSection,
    pub image: Option<ImageSection>,
    pub http: Option<HttpPaths>,
    pub store: Option<StoreIdentity>,
    #[serde(default)]
    pub limits: Limits,
}

/// How the component is started as a process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessSection {
    /// A path inside the folder, an absolute path, or a name on `PATH`.
    pub program: String,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Arguments that make the program print the component's version.
    pub version: Vec<String>,
    /// How to install the program when it is missing.
    pub missing: String,
}

/// The image of the component: one to pull, or a local one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageSection {
    /// `name@sha256:digest`.
    pub pull: Option<String>,
    /// The id of a local image, as `docker build --quiet` prints it.
    pub id: Option<String>,
    /// The program inside the image; by default that of the process.
    pub program: Option<String>,
}

impl ImageSection {
    /// The image, if it is pinned correctly.
    pub(super) fn image(&self) -> Result<Image, (String, String)> {
        let is_digest = |text: &str| {
            let hex = text.strip_prefix("sha256:").unwrap_or_default();
            hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
        };
        let wrong = |text: &str, message: &str| Err((text.to_owned(), message.to_owned()));
        if self.program.as_deref() == Some("") {
            return wrong("[image]", "`program` is empty");
        }
        let is_name = |name: &str| {
            let may_be = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
            name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(may_be)
        };
        match (&self.pull, &self.id) {
            (Some(pull), None) => match pull.split_once('@') {
                Some((name, digest)) if is_digest(digest) && is_name(name) => {
                    Ok(Image { reference: pull.clone(), ..Image::default() })
                }
                _ => wrong(
                    pull,
                    "expected `pull` as `name@sha256:` and 64 hex digits, since a tag can be moved",
                ),
            },
            (None, Some(id)) if is_digest(id) => {
                Ok(Image { id: Some(id.clone()), reference: id.clone(), ..Image::default() })
            }
            (None, Some(id)) => wrong(
                id,
                "expected `id` as `sha256:` and 64 hex digits, as `docker build --quiet` prints it",
            ),
            _ => wrong("[image]", "[image] needs either `pull` or `id`"),
        }
    }
}

impl Manifest {
    /// Reads and checks the `component.toml` of a folder.
    pub(super) fn read(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join("component.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| BundleError::Read { path: path.clone(), source })?;
        let invalid = |line: usize, message: String| BundleError::Component {
            path: path.clone(),
            line,
            message,
        };
        let manifest: Self = toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            invalid(line_at(&text, start), error.message().replace('\n', ", "))
        })?;
        manifest.check().map_err(|(needle, message)| {
            let offset = text.find(needle.as_str()).unwrap_or(0);
            invalid(line_at(&text, offset), message)
        })?;
        Ok(manifest)
    }

    /// Checks values beyond their types. The error has the text to point at, and the message.
    fn check(&self) -> Result<(), (String, String)> {
        match (self.kind, &self.http) {
            (ComponentKind::App, None) => {
                let message = "an app needs a section [http] with `ready` and `endpoint`";
                return Err(("kind".to_owned(), message.to_owned()));
            }
            (ComponentKind::Store, Some(_)) => {
                let message = "a store cannot have a section [http]: it speaks the Redis protocol";
                return Err(("[http]".to_owned(), message.to_owned()));
            }
            (ComponentKind::App, Some(_)) if self.store.is_some() => {
                let message = "an app cannot have a section [store]";
                return Err(("[store]".to_owned(), message.to_owned()));
            }
            _ => {}
        }
        let http = self.http.iter();
        let paths =
            http.flat_map(|http| [Some(&http.ready), http.about.as_ref(), Some(&http.endpoint)]);
        for path in paths.flatten() {
            if !path.starts_with('/')
                || path.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                let message = format!(
                    "`{}` is not a path: expected a `/` at the start and no spaces",
                    path.escape_debug()
                );
                return Err((path.clone(), message));
            }
        }
        if let Some(http) = &self.http
            && http.about_version.is_some()
            && http.about.is_none()
        {
            let message = "`about_version` names a field of `about`, which is missing";
            return Err(("about_version".to_owned(), message.to_owned()));
        }
        check_limits(&self.limits)?;
        if let Some(section) = &self.image {
            section.image()?;
        }
        let templates = self.process.args.iter().chain(self.process.env.values());
        for template in templates {
            fill(template, |name| PLACEHOLDERS.contains(&name).then(String::new))
                .map_err(|message| (template.clone(), message))?;
        }
        Ok(())
    }
}

/// The minimum and maximum of each limit.
const LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

fn check_limits(limits: &Limits) -> Result<(), (String, String)> {
    let [min, max] = LIMITS;
    for (name, limit) in [("ready", limits.ready), ("answer", limits.answer)] {
        if !(min..=max).contains(&limit.0) {
            let message = format!(
                "`limits.{name}` is {limit}: expected a time from {} to {}, such as `30s`",
                HumanDuration(min),
                HumanDuration(max)
            );
            return Err(("[limits]".to_owned(), message));
        }
    }
    Ok(())
}

/// Finds the program that a manifest names.
pub(super) fn find_program(dir: &Path, program: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        let path = dir.join(program);
        return match path.is_file() {
            true => Ok(path),
            false => Err(format!("`{program}` is not in the component's folder")),
        };
    }
    which::which(program).map_err(|_| format!("no `{program}` on PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_refused_with_its_line() {
        let good = "name = \"a\"\nkind = \"store\"\ntitle = \"A\"\nsummary = \"s\"\n[process]\nprogram = \"a\"\nversion = []\nargs = [\"{port}\"]\nmissing = \"get it\"\n";
        let edits = [
            ("name = \"a\"", "name = \"../a\""),
            ("\"store\"", "\"proxy\""),
            ("\"store\"", "\"app\""),
            ("{port}", "{prot}"),
            ("title", "titel"),
            (
                "missing = \"get it\"\n",
                "missing = \"get it\"\n[http]\nready = \"/\"\nendpoint = \"/\"\n",
            ),
            ("missing = \"get it\"\n", "missing = \"get it\"\nprivileged = true\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[image]\npull = \"redis:7\"\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[image]\nid = \"redis\"\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[image]\nprogram = \"a\"\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[image]\nvolumes = [\"/:/host\"]\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[limits]\nready = \"0s\"\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[limits]\nanswer = \"5\"\n"),
            ("missing = \"get it\"\n", "missing = \"get it\"\n[limits]\nstart = \"5s\"\n"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let errors = edits.map(|(from, to)| {
            std::fs::write(dir.path().join("component.toml"), good.replace(from, to)).unwrap();
            let error = Manifest::read(dir.path()).unwrap_err().to_string();
            error.replace(&dir.path().display().to_string(), "DIR")
        });
        insta::assert_snapshot!(errors.join("\n"));
    }
}
