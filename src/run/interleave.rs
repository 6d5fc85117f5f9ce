//! Two runs in one, stack by stack: what the host does meanwhile it does to both.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Event, RunError, RunRequest, Runner};
use crate::id::{DatasetId, RunId};
use crate::model::{Sample, stack_runs};
use crate::store::{Entry, Store};

/// The samples of both sides after a block.
#[derive(Debug)]
pub struct Interim {
    /// How many blocks both sides have.
    pub blocks: u32,
    /// Their trials.
    pub samples: [Vec<Sample>; 2],
}

/// Runs two plans of the same shape interleaved: for each stack of each block, a seeded coin decides which
/// side runs first. The run ends after the block for which `is_enough` returns true.
///
/// The journals are kept: [`end_interleaved`] turns them into datasets, after an interruption as well.
///
/// # Errors
/// When a journal cannot be written or a stack cannot be stopped.
pub async fn interleave<'run>(
    sides: [RunRequest<'run>; 2],
    on_events: [&mut dyn FnMut(&Event<'_>); 2],
    is_enough: &mut dyn FnMut(&Interim) -> bool,
) -> Result<(), RunError> {
    let [before, after] = sides;
    let plans = [before.plan, after.plan];
    let [on_before, on_after] = on_events;
    let mut before = Runner::open(before, on_before)?;
    // The side "before" starts first: the order of the start times identifies the sides.
    after.clock.advance(BETWEEN_SIDES);
    tokio::time::sleep(BETWEEN_SIDES).await;
    let mut after = Runner::open(after, on_after)?;
    let experiment = &plans[0].experiment;
    let mut coin = ChaCha8Rng::seed_from_u64(experiment.seed);
    coin.set_stream(COIN);
    for ((blocks, old), new) in (1..).zip(plans[0].blocks()).zip(plans[1].blocks()) {
        for round in 0..=experiment.retries {
            for (old, new) in stack_runs(old).zip(stack_runs(new)) {
                if coin.random::<bool>() {
                    before.due_stack_run(old, round).await?;
                    after.due_stack_run(new, round).await?;
                } else {
                    after.due_stack_run(new, round).await?;
                    before.due_stack_run(old, round).await?;
                }
            }
        }
        let samples = [&before, &after].map(|side| side.samples.values().cloned().collect());
        if is_enough(&Interim { blocks, samples }) {
            return Ok(());
        }
    }
    Ok(())
}

/// The resolution of a start time.
const BETWEEN_SIDES: Duration = Duration::from_millis(1);

/// The stream of random numbers for coins: blocks have those from 0 on.
const COIN: u64 = u64::MAX;

/// Turns the journals of interleaved runs into datasets of the blocks that all of them have whole, in their
/// order. (One alone is what a crash leaves when the other was sealed, or never began.) Empty if there is
/// no such block: then there is no result, and the journals are removed.
///
/// # Errors
/// When a journal cannot be read, or a dataset not be written.
pub async fn end_interleaved(store: &Store, runs: &[RunId]) -> Result<Vec<DatasetId>, RunError> {
    let whole_blocks = |run| Ok::<_, RunError>(store.journal(run)?.whole_blocks());
    let whole_blocks = runs.iter().map(whole_blocks).collect::<Result<Vec<u32>, _>>()?;
    let repetitions = whole_blocks.into_iter().min().unwrap_or(0);
    let mut sealed = Vec::new();
    for run in runs.iter().filter(|_| repetitions > 0) {
        let (mut journal, content) = store.resume(run)?;
        if content.header.experiment.repetitions != repetitions {
            journal.append(&Entry::Ended { repetitions })?;
        }
        sealed.push(store.seal_content(&store.journal(run)?).await?);
    }
    // All are there before a journal goes.
    runs.iter().try_for_each(|run| store.discard(run))?;
    Ok(sealed)
}
