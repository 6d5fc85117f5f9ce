//! The pages of `perf-api serve` besides reports and comparisons: the list of datasets, the SQL console,
//! the live view of a run, and messages.

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::html::ReportError;
use crate::id::DatasetId;
use crate::model::{ComponentName, Experiment, Order};
use crate::query::{FUNCTIONS, Function, TableDoc, table_docs};
use crate::store::{Listed, Manifest, Names, PinnedBundle};

/// A page and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPage {
    /// The page.
    pub html: String,
    /// Its Content-Security-Policy, for a header.
    pub policy: String,
}

/// The list of datasets, with two of them preselected for a comparison if two are comparable.
///
/// # Errors
/// When the template cannot be filled.
pub fn datasets_page(
    listed: &[Listed],
    names: &Names,
    place: &str,
    unfinished: usize,
) -> Result<ServedPage, ReportError> {
    let chosen = chosen(listed);
    let page = DatasetsPage {
        frame: Frame::with(""),
        place,
        unfinished,
        can_compare: listed.iter().filter(|one| one.manifest.is_ok()).count() > 1,
        rows: listed.iter().map(|one| dataset_row(one, names, chosen, side(one, listed))).collect(),
    };
    Ok(page.frame.of(page.render()?))
}

/// The SQL console, with its limits on rows and seconds.
///
/// # Errors
/// When the template cannot be filled.
pub fn console_page(
    listed: &[Listed],
    names: &Names,
    max_rows: usize,
    max_seconds: u64,
) -> Result<ServedPage, ReportError> {
    let page = ConsolePage {
        frame: Frame::with(include_str!("templates/console.js")),
        datasets: listed.iter().filter_map(|one| choice(one, names)).collect(),
        tables: table_docs(),
        functions: &FUNCTIONS,
        max_rows,
        max_seconds,
    };
    Ok(page.frame.of(page.render()?))
}

/// The live view of a run. Its content arrives as events.
///
/// # Errors
/// When the template cannot be filled.
pub fn live_page() -> Result<ServedPage, ReportError> {
    let page = LivePage { frame: Frame::with(include_str!("templates/live.js")) };
    Ok(page.frame.of(page.render()?))
}

/// A message in place of the requested page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its heading.
    pub title: &'static str,
    /// The message.
    pub text: String,
    /// What can be done.
    pub hints: Vec<String>,
    /// The comparison that can be forced, if there is one.
    pub insist: Option<Insist>,
}

/// A comparison that is made only when the reader forces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insist {
    /// The dataset before.
    pub before: String,
    /// The dataset after.
    pub after: String,
    /// The smallest change that matters.
    pub margin: String,
}

/// A message.
///
/// # Errors
/// When the template cannot be filled.
pub fn message_page(message: &Message) -> Result<ServedPage, ReportError> {
    let page = MessagePage { frame: Frame::with(""), message };
    Ok(page.frame.of(page.render()?))
}

/// The pieces of a text, and whether each is code: code stands between backticks.
fn pieces(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(place, piece)| (place % 2 == 1, piece))
}

/// What is measured: `FastAPI and Express on Redis`.
#[must_use]
pub fn measured_text(experiment: &Experiment, bundle: &PinnedBundle) -> String {
    let title = |name: &ComponentName| {
        let found = bundle.components.iter().find(|one| one.name == *name);
        found.map_or_else(|| name.to_string(), |one| one.title.clone())
    };
    let titles =
        |names: &[ComponentName]| names.iter().map(title).collect::<Vec<_>>().join(" and ");
    format!("{} on {}", titles(&experiment.apps), titles(&experiment.stores))
}

/// The style of all pages, and of these.
const STYLE: &str =
    concat!(include_str!("templates/page.css"), include_str!("templates/served.css"));

/// The parts that every page has.
struct Frame {
    style: &'static str,
    script: &'static str,
}

impl Frame {
    /// With a script, which may be empty.
    fn with(script: &'static str) -> Self {
        Self { style: STYLE, script }
    }

    /// A page with the policy that allows this style, this script and requests to its own server.
    fn of(&self, html: String) -> ServedPage {
        let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
        let script = match self.script {
            "" => "'none'".to_owned(),
            script => hash(script),
        };
        let policy = format!(
            "default-src 'none'; script-src {script}; style-src {}; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash(self.style)
        );
        ServedPage { html, policy }
    }
}

#[derive(Template)]
#[template(path = "datasets.html")]
struct DatasetsPage<'a> {
    frame: Frame,
    place: &'a str,
    unfinished: usize,
    can_compare: bool,
    rows: Vec<DatasetRow>,
}

/// A dataset in the list.
struct DatasetRow {
    id: String,
    short: String,
    tags: String,
    condition: &'static str,
    is_before: bool,
    is_after: bool,
    /// Its side of an interleaved comparison: `before` or `after`; empty if it is none.
    side: &'static str,
    /// What its manifest says, or why it cannot be read.
    about: Result<About, String>,
}

struct About {
    spec: String,
    measured: String,
    when: String,
    trials: u64,
    failed: Option<u64>,
    host: String,
}

#[derive(Template)]
#[template(path = "console.html")]
struct ConsolePage {
    frame: Frame,
    datasets: Vec<Choice>,
    tables: Vec<TableDoc>,
    functions: &'static [Function],
    max_rows: usize,
    max_seconds: u64,
}

/// A dataset that can be queried alone.
struct Choice {
    id: String,
    label: String,
}

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    frame: Frame,
    message: &'a Message,
}

fn dataset_row(
    listed: &Listed,
    names: &Names,
    chosen: Option<(DatasetId, DatasetId)>,
    side: &'static str,
) -> DatasetRow {
    let condition = match &listed.manifest {
        Ok(_) => crate::store::Condition::Intact,
        Err(error) => error.condition(),
    };
    DatasetRow {
        id: listed.id.to_string(),
        short: listed.id.short(),
        tags: names.tags(listed.id).join(", "),
        condition: condition.as_str(),
        is_before: chosen.is_some_and(|(before, _)| before == listed.id),
        is_after: chosen.is_some_and(|(_, after)| after == listed.id),
        side,
        about: listed.manifest.as_ref().map(about).map_err(ToString::to_string),
    }
}

fn about(manifest: &Manifest) -> About {
    About {
        spec: manifest.experiment.name.clone(),
        measured: measured_text(&manifest.experiment, &manifest.bundle),
        when: manifest.started.to_string(),
        trials: manifest.trial_count(),
        failed: manifest.failed_trials,
        host: manifest.host.class(),
    }
}

/// The two latest with the same spec, the earlier one first: the same but for the seed, or else the same
/// name. A search has nothing to compare. Both sides of an interleaved comparison belong together.
fn chosen(listed: &[Listed]) -> Option<(DatasetId, DatasetId)> {
    let manifests = listed.iter().filter_map(|one| Some((one.id, one.manifest.as_ref().ok()?)));
    let judged: Vec<_> = manifests.filter(|(_, one)| one.order != Order::Search).collect();
    let pair = |is_shared: &dyn Fn(&Experiment, &Experiment) -> bool| {
        judged.iter().enumerate().find_map(|(place, (after, later))| {
            let shares = |one: &Manifest| is_shared(&one.experiment, &later.experiment);
            let (before, _) = judged[place + 1..].iter().find(|(_, earlier)| shares(earlier))?;
            Some((*before, *after))
        })
    };
    pair(&|one, other| Experiment { seed: other.seed, ..one.clone() } == *other)
        .or_else(|| pair(&|one, other| one.name == other.name))
}

/// `before` or `after` for a side of an interleaved comparison whose other side is listed too: the side
/// before begins first. Empty for every other dataset.
fn side(one: &Listed, listed: &[Listed]) -> &'static str {
    let Ok(own) = &one.manifest else { return "" };
    let is_other = |other: &&Listed| {
        let is_pair =
            |theirs: &Manifest| own.interleaved.is_some() && theirs.interleaved == own.interleaved;
        other.id != one.id && other.manifest.as_ref().is_ok_and(is_pair)
    };
    let other = listed.iter().find(is_other).and_then(|other| other.manifest.as_ref().ok());
    match other.map(|other| own.started.cmp(&other.started)) {
        Some(std::cmp::Ordering::Less) => "before",
        Some(std::cmp::Ordering::Greater) => "after",
        Some(std::cmp::Ordering::Equal) | None => "",
    }
}

fn choice(listed: &Listed, names: &Names) -> Option<Choice> {
    let manifest = listed.manifest.as_ref().ok()?;
    let tags: String = names.tags(listed.id).iter().map(|tag| format!("{tag}, ")).collect();
    let spec = &manifest.experiment.name;
    let label = format!("{}: {tags}{spec}, {}", listed.id.short(), manifest.started);
    Some(Choice { id: listed.id.to_string(), label })
}
