//! What became of the trials of one side of a comparison.

use super::AppError;
use super::compare::side;
use crate::id::DatasetId;
use crate::model::Flag;
use crate::store::Store;

/// How many trials one side has, and how many of them cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideTrials {
    /// All trials.
    pub total: usize,
    /// Trials that failed.
    pub failed: usize,
    /// Trials with each flag that forbids a ranking, where there are any.
    pub left_out: Vec<(Flag, usize)>,
}

pub(super) async fn side_trials(store: &Store, id: DatasetId) -> Result<SideTrials, AppError> {
    let samples = side(store, id, None).await?.samples;
    let flagged = |flag: Flag| samples.iter().filter(|one| one.flags.contains(&flag)).count();
    let forbidding = Flag::ALL.into_iter().filter(|flag| flag.forbids_ranking());
    Ok(SideTrials {
        total: samples.len(),
        failed: samples.iter().filter(|sample| sample.failure.is_some()).count(),
        left_out: forbidding
            .map(|flag| (flag, flagged(flag)))
            .filter(|(_, trials)| *trials > 0)
            .collect(),
    })
}
