//! A metric over every dataset that is comparable with a baseline, and where it changed.

use super::AppError;
use super::compare::side;
use crate::compare::{Side, is_comparable, levels, noted};
use crate::id::DatasetId;
use crate::model::Metric;
use crate::model::rules::ALPHA;
use crate::stats::{Change, change_dates, change_points};
use crate::store::Store;

/// Which history is asked for.
#[derive(Clone, Debug)]
pub struct TrendRequest {
    /// The metric.
    pub metric: Metric,
    /// The dataset that the others have to be comparable with.
    pub baseline: DatasetId,
    /// Only cases for which this SQL condition holds.
    pub condition: Option<String>,
}

/// A metric over time.
#[derive(Clone, Debug)]
pub struct Trend {
    /// The comparable datasets, the oldest first.
    pub sides: Vec<Side>,
    /// The level of the metric in each of them, where it is known.
    pub levels: Vec<Option<f64>>,
    /// Where it changed: indices into `sides`.
    pub changes: Vec<Change>,
    /// How many datasets cannot be compared with the baseline.
    pub left_out: usize,
}

impl Trend {
    /// How many datasets have a level.
    #[must_use]
    pub fn known(&self) -> usize {
        self.levels.iter().flatten().count()
    }
}

/// Reads every comparable dataset, and finds the changes.
///
/// # Errors
/// When a dataset cannot be read.
pub async fn trend(store: &Store, request: &TrendRequest) -> Result<Trend, AppError> {
    let condition = request.condition.as_deref();
    let baseline = side(store, request.baseline, condition).await?;
    let mut sides: Vec<Side> = Vec::new();
    let mut left_out = 0;
    for listed in store.list().await? {
        let is_of_a_pair = listed.manifest.as_ref().is_ok_and(|one| one.interleaved.is_some());
        if listed.manifest.is_err() || is_of_a_pair && listed.id != baseline.dataset {
            left_out += 1;
            continue;
        }
        let one = side(store, listed.id, condition).await?;
        match is_comparable(&noted(&one, &baseline)) {
            true => sides.push(one),
            false => left_out += 1,
        }
    }
    sides.sort_by_key(|side| (side.manifest.started, side.dataset));
    let levels = levels(&sides, &baseline, request.metric);
    let changes = changes(request.metric, &levels);
    Ok(Trend { sides, levels, changes, left_out })
}

fn changes(metric: Metric, levels: &[Option<f64>]) -> Vec<Change> {
    let known: Vec<(usize, f64)> =
        levels.iter().enumerate().filter_map(|(place, level)| Some((place, (*level)?))).collect();
    // Changes are ratios; of shares that may be zero, differences.
    let scaled = |level: f64| if metric == Metric::Errors { level } else { level.ln() };
    let series: Vec<f64> = known.iter().map(|(_, level)| scaled(*level)).collect();
    let found = change_dates(&series, &change_points(&series, ALPHA, 1));
    let in_sides = |change: &Change| Change {
        candidates: change.candidates.iter().map(|&place| known[place].0).collect(),
    };
    found.iter().map(in_sides).collect()
}
