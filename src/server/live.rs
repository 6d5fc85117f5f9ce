//! A run as it goes on: its journal is followed, and what is new is sent as an event.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Refused, Served, Shared, shown};
use crate::app::AppError;
use crate::clock::Clock;
use crate::id::{RunId, TrialId};
use crate::model::{Outcome, TrialRecord};
use crate::plan::TrialTotal;
use crate::report::{P95, live_page, measured_text, trial_percentile_text};
use crate::store::{Entry, Follower, Header, Manifest, Store, StoreError};
use crate::units::{HumanDuration, Nanos};

/// How often the journal is looked at. A trial takes seconds.
const PERIOD: Duration = Duration::from_secs(1);
/// After so long something is sent although nothing is new, so that a lost connection is noticed.
const ALIVE: Duration = Duration::from_secs(15);
/// Trials that are shown.
const MAX_TRIALS: usize = 20;
/// After so many trials' time without a line something must have happened.
const SILENT_TRIALS: u32 = 5;
/// What starting a stack and reading results may take at the most.
const SILENT_AT_LEAST: Duration = Duration::from_secs(120);
/// A gap between two trials that is so much longer than most was an interruption.
const LONGEST_GAP: u64 = 5;

/// `GET /live`
pub(super) async fn page() -> Result<Response, Refused> {
    Ok(shown(live_page().map_err(AppError::from)?))
}

/// `GET /live/events`
pub(super) async fn events(State(shared): Served) -> Result<Response, Refused> {
    let turn = Arc::clone(&shared.views).try_acquire_owned().map_err(|_| Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: AppError::new("too many live views are open").hint("close one of them"),
    })?;
    let ending = shared.ending.clone();
    let viewer =
        Viewer { watching: Watching::new(&shared.store), shared, ending, last: None, _turn: turn };
    let events = futures::stream::unfold(viewer, |mut viewer| async {
        let event = viewer.news().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// Somebody who looks.
struct Viewer {
    shared: Arc<Shared>,
    ending: watch::Receiver<bool>,
    watching: Watching,
    /// What was sent last.
    last: Option<String>,
    _turn: OwnedSemaphorePermit,
}

impl Viewer {
    /// The next event; none when the server ends.
    async fn news(&mut self) -> Option<Event> {
        loop {
            if self.last.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(PERIOD) => {}
                    _ = self.ending.wait_for(|is_ending| *is_ending) => return None,
                }
            }
            let mut watching = std::mem::take(&mut self.watching);
            let looked: Result<_, AppError> = self
                .shared
                .work
                .run(move || async move {
                    let view = watching.look().await;
                    Ok((watching, view))
                })
                .await;
            let (watching, view) = looked.ok()?;
            self.watching = watching;
            let view = serde_json::to_string(&view).ok()?;
            if self.last.as_ref() != Some(&view) {
                self.last = Some(view.clone());
                return Some(Event::default().event("view").data(view));
            }
        }
    }
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct View {
    state: Phase,
    /// The state in a sentence: what a screen reader tells when it changes.
    summary: String,
    what: String,
    spec: String,
    run: String,
    started_ms: Option<u64>,
    done: usize,
    total: usize,
    /// About how long it will still take.
    left: Option<String>,
    /// What to know.
    note: Option<String>,
    /// The dataset that the run became.
    dataset: Option<String>,
    /// The latest first.
    trials: Vec<LatestTrial>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    /// There is no run.
    #[default]
    None,
    Running,
    /// It is a dataset now.
    Sealed,
    /// Its journal is gone, and no dataset has come of it.
    Gone,
    /// Its journal cannot be read.
    Damaged,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LatestTrial {
    case: String,
    rate: String,
    p95: String,
    notes: String,
    is_failed: bool,
}

/// What is known of the run that is watched.
#[derive(Default)]
struct Watching {
    store: Option<Store>,
    run: Option<Watched>,
    /// The last run that ended, and how.
    ended: Option<(RunId, View)>,
}

/// A run that is watched.
struct Watched {
    run: RunId,
    follower: Follower,
    header: Option<Box<Header>>,
    total: TrialTotal,
    /// Trials with the place in the order in which they came: one that is repeated comes again.
    trials: BTreeMap<TrialId, (usize, Brief)>,
    /// When trials began, as they came.
    starts: Vec<u64>,
}

/// What is kept of a trial.
struct Brief {
    row: LatestTrial,
    is_flagged: bool,
}

impl Watching {
    fn new(store: &Store) -> Self {
        Self { store: Some(store.clone()), run: None, ended: None }
    }

    /// How things are now.
    async fn look(&mut self) -> View {
        let Some(store) = self.store.clone() else { return View::default() };
        let runs = store.unfinished_runs();
        if let Some(watched) = self.run.take_if(|watched| !runs.contains(&watched.run)) {
            let run = watched.run.clone();
            self.ended = Some((run, watched.end(&store).await));
        }
        // What is older than a run that ended was interrupted before that one began.
        let latest =
            runs.last().filter(|run| self.ended.as_ref().is_none_or(|(old, _)| *run > old));
        if let Some(latest) = latest
            && self.run.as_ref().is_none_or(|watched| watched.run != *latest)
        {
            self.run = Some(Watched::new(latest.clone(), store.follow(latest)));
        }
        match (&mut self.run, &self.ended) {
            (Some(watched), _) => watched.look(),
            (None, Some((_, view))) => view.clone(),
            (None, None) => View {
                summary: "No run is going on. One that begins is shown here.".to_owned(),
                ..View::default()
            },
        }
    }
}

impl Watched {
    fn new(run: RunId, follower: Follower) -> Self {
        Self {
            run,
            follower,
            header: None,
            total: TrialTotal::Exactly(0),
            trials: BTreeMap::new(),
            starts: vec![],
        }
    }

    fn look(&mut self) -> View {
        match self.read_on() {
            // Where it cannot be read, it may have ended this moment: the next look will tell.
            Ok(()) | Err(StoreError::Io { .. }) => {}
            Err(error) => {
                let summary = "The journal of the run cannot be read on.".to_owned();
                let note = Some(error.to_string());
                return View { state: Phase::Damaged, summary, note, ..self.view() };
            }
        }
        self.view()
    }

    /// Takes everything that was written since the last time.
    fn read_on(&mut self) -> Result<(), StoreError> {
        loop {
            let news = self.follower.news()?;
            if news.is_empty() {
                return Ok(());
            }
            news.into_iter().for_each(|entry| self.take(entry));
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Begin(header) => {
                // As the journal's own reader bounds it.
                if header.experiment.trials().is_some() {
                    let plan = crate::plan::plan(&header.experiment, header.order);
                    let total = TrialTotal::of(&plan, 1);
                    let may_end_early =
                        header.interleaved.as_ref().is_some_and(|one| one.looks > 0);
                    self.total = if may_end_early { total.at_most() } else { total };
                }
                self.header = Some(header);
            }
            Entry::Trial(record) => {
                let brief = brief(&record, self.header.as_deref());
                self.starts.push(record.started.0);
                self.trials.insert(record.trial.id, (self.starts.len(), brief));
            }
            Entry::Report { .. }
            | Entry::Stopped { .. }
            | Entry::Ended { .. }
            | Entry::Searched { .. }
            | Entry::Resumed { .. } => {}
        }
    }

    fn view(&self) -> View {
        let Some(header) = &self.header else { return View::default() };
        let done = self.trials.len();
        // A search may need more than was expected.
        let total = self.total.count().max(done);
        let briefs = || self.trials.values().map(|(_, brief)| brief);
        let failed = briefs().filter(|brief| brief.row.is_failed).count();
        let flagged = briefs().filter(|brief| brief.is_flagged).count();
        let mut latest: Vec<&(usize, Brief)> = self.trials.values().collect();
        latest.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        let left = self.total.left(done).filter(|&left| left > 0);
        let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        View {
            state: Phase::Running,
            summary: format!(
                "{} trials done, {failed} failed, {flagged} flagged.",
                self.total.progress(done)
            ),
            what: measured_text(&header.experiment, &header.bundle),
            spec: header.experiment.name.clone(),
            run: self.run.0.clone(),
            started_ms: Some(header.started.0),
            done,
            total,
            left: pace(&self.starts).zip(left).map(|(pace, left)| as_text(pace * left)),
            note: self.silence(header, &Clock::System),
            dataset: None,
            trials: latest.into_iter().take(MAX_TRIALS).map(|(_, one)| one.row.clone()).collect(),
        }
    }

    /// That nothing was written for too long, if so.
    fn silence(&self, header: &Header, clock: &Clock) -> Option<String> {
        let since = clock.now().0.saturating_sub(self.follower.written()?.0);
        let experiment = &header.experiment;
        let trial = experiment.duration.0 + experiment.warm_up.0;
        let usual = (trial * SILENT_TRIALS).max(SILENT_AT_LEAST);
        (Duration::from_millis(since) > usual).then(|| {
            "Nothing was written for some time. If the run was interrupted, `perf-api resume` goes on with it.".to_owned()
        })
    }

    /// What has become of it, once its journal is gone.
    async fn end(mut self, store: &Store) -> View {
        // What was written last was read by nobody, and most often cannot be any more.
        let _ = self.read_on();
        let view = View { left: None, note: None, ..self.view() };
        let listed = store.list().await.unwrap_or_default();
        let is_of_run = |manifest: &Manifest| {
            self.header.as_ref().is_some_and(|header| {
                manifest.started == header.started
                    && manifest.experiment.name == header.experiment.name
                    && manifest.experiment.seed == header.experiment.seed
                    && manifest.bundle.id == header.bundle.id
                    && manifest.interleaved == header.interleaved
            })
        };
        let sealed = listed.iter().find_map(|one| {
            one.manifest
                .as_ref()
                .ok()
                .filter(|manifest| is_of_run(manifest))
                .map(|manifest| (one.id, manifest))
        });
        match sealed {
            Some((id, manifest)) => View {
                state: Phase::Sealed,
                summary: format!(
                    "The run has ended: its {} trials are dataset {}.",
                    manifest.trial_count(),
                    id.short()
                ),
                done: view.total,
                dataset: Some(id.to_string()),
                ..view
            },
            None => View {
                state: Phase::Gone,
                summary: "The run’s journal was removed, and no dataset has come of it.".to_owned(),
                ..view
            },
        }
    }
}

fn brief(record: &TrialRecord, header: Option<&Header>) -> Brief {
    let flags: Vec<&str> = record.flags.iter().map(|flag| flag.as_str()).collect();
    let case = record.trial.case.to_string();
    let row = match &record.outcome {
        Outcome::Failed(failure) => LatestTrial {
            case,
            rate: "–".to_owned(),
            p95: "–".to_owned(),
            notes: format!("failed at {}: {}", failure.stage.as_str(), failure.reason),
            is_failed: true,
        },
        Outcome::Measured(measurement) => {
            let span = header.map(|header| Nanos::from(header.experiment.duration.0));
            #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
            let completed = measurement.counts.completed_in_window() as f64;
            let rate = span.map(|span| completed / span.as_secs_f64());
            LatestTrial {
                case,
                rate: rate.map_or("–".to_owned(), |rate| format!("{rate:.1}/s")),
                p95: trial_percentile_text(record, P95),
                notes: flags.join(", "),
                is_failed: false,
            }
        }
    };
    let is_flagged = !row.is_failed && !flags.is_empty();
    Brief { row, is_flagged }
}

/// The time from one trial to the next: the mean of what was seen, without interruptions.
fn pace(starts: &[u64]) -> Option<Duration> {
    let mut gaps: Vec<u64> =
        starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    gaps.sort_unstable();
    let most = gaps.get(gaps.len() / 2)?.saturating_mul(LONGEST_GAP);
    let sum: u64 = gaps.iter().map(|&gap| gap.min(most)).sum();
    (sum > 0).then(|| Duration::from_millis(sum / gaps.len() as u64))
}

/// `about 3h 20m`: as exact as it is known.
fn as_text(span: Duration) -> String {
    let seconds = span.as_secs().max(1);
    let rounded = match seconds {
        0..60 => seconds,
        60..3_600 => seconds - seconds % 10,
        _ => seconds - seconds % 60,
    };
    format!("about {}", HumanDuration(Duration::from_secs(rounded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_trials_and_not_of_interruptions() {
        assert_eq!(pace(&[]), None);
        assert_eq!(pace(&[7]), None);
        assert_eq!(pace(&[7, 7, 7]), None, "a clock that stands still tells nothing");
        assert_eq!(pace(&[0, 1_000, 3_000, 4_000]), Some(Duration::from_millis(1_333)));
        // A night in between counts as five trials.
        let night = 12 * 60 * 60 * 1_000;
        let starts = [0, 1_000, 2_000, night, night + 1_000, night + 2_000];
        assert_eq!(pace(&starts), Some(Duration::from_millis(9_000 / 5)));
    }

    #[test]
    fn a_time_to_come_is_told_as_exactly_as_it_is_known() {
        let text = |seconds| as_text(Duration::from_secs(seconds));
        assert_eq!((text(0), text(42)), ("about 1s".to_owned(), "about 42s".to_owned()));
        assert_eq!(text(754), "about 12m 30s");
        assert_eq!(text(12_345), "about 3h 25m");
    }
}
