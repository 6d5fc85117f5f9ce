//! How throughput grows with load and with workers.

use serde::Serialize;

use crate::units::Rps;

/// What became of one target of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadPoint {
    /// The target.
    pub target_rps: Rps,
    /// The rate that was achieved, in requests per second.
    pub achieved_rps: f64,
    /// Whether answers did not keep pace with the schedule: see [`keeps_pace`](super::keeps_pace).
    pub is_missed: bool,
}

/// Where throughput levels off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Knee {
    /// The highest rate that was achieved beyond it, requests per second.
    pub rate_rps: f64,
    /// The highest target that was achieved; `None` where the lowest was missed already.
    pub kept_rps: Option<Rps>,
    /// The lowest target that was missed.
    pub missed_rps: Rps,
}

/// Where the achieved rate levels off, from points in ascending order of targets: from the lowest target
/// on that is missed with all higher ones. `None` where the highest target is met.
#[must_use]
pub fn knee(points: &[LoadPoint]) -> Option<Knee> {
    let missed: Vec<&LoadPoint> = points.iter().rev().take_while(|one| one.is_missed).collect();
    let missed_rps = missed.last()?.target_rps;
    let rate_rps = missed.iter().map(|one| one.achieved_rps).fold(0.0, f64::max);
    let kept = points.len().checked_sub(missed.len() + 1).map(|place| points[place].target_rps);
    Some(Knee { rate_rps, kept_rps: kept, missed_rps })
}

/// The Universal Scalability Law, X(n) = λ n / (1 + σ (n − 1) + κ n (n − 1)) (source: Gunther 2007,
/// *Guerrilla Capacity Planning*, ch. 5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usl {
    /// λ, the throughput of one worker.
    pub one: f64,
    /// σ, contention: the share of work that only one can do at a time.
    pub contention: f64,
    /// κ, coherency: the cost of agreeing, for each pair.
    pub coherency: f64,
    /// The largest deviation of a point from the curve, as a share.
    pub worst_error: f64,
}

impl Usl {
    /// The throughput of `n` workers.
    #[must_use]
    pub fn at(&self, n: f64) -> f64 {
        self.one * n / (1.0 + self.contention * (n - 1.0) + self.coherency * n * (n - 1.0))
    }

    /// The number of workers from which on more of them make it slower; `None` where there is none.
    #[must_use]
    pub fn most_workers(&self) -> Option<f64> {
        let is_bent = self.coherency > 0.0 && self.contention < 1.0;
        is_bent.then(|| ((1.0 - self.contention) / self.coherency).sqrt())
    }
}

/// Fits the law to (workers, throughput): λ is the throughput of one worker, and σ and κ are the least
/// squares of its linear form, n X(1) / X(n) − 1 = σ (n − 1) + κ n (n − 1), both at least zero. `None`
/// without a point for one worker and two more.
#[must_use]
pub fn fit_usl(points: &[(f64, f64)]) -> Option<Usl> {
    let is_one = |n: f64| (n - 1.0).abs() < 0.5;
    let &(_, one) = points.iter().find(|&&(n, _)| is_one(n))?;
    let others: Vec<(f64, f64)> = points.iter().copied().filter(|&(n, _)| !is_one(n)).collect();
    if others.len() < 2 || points.iter().any(|&(_, x)| x <= 0.0) {
        return None;
    }
    // Two regressors: a = n − 1 and b = n (n − 1); y is the efficiency that was lost.
    let (mut aa, mut ab, mut bb, mut ay, mut by) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(n, x) in &others {
        let (a, b, y) = (n - 1.0, n * (n - 1.0), n * one / x - 1.0);
        (aa, ab, bb, ay, by) = (aa + a * a, ab + a * b, bb + b * b, ay + a * y, by + b * y);
    }
    let determinant = aa * bb - ab * ab;
    let (mut contention, mut coherency) =
        ((ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant);
    if contention < 0.0 {
        (contention, coherency) = (0.0, (by / bb).max(0.0));
    } else if coherency < 0.0 {
        (contention, coherency) = ((ay / aa).max(0.0), 0.0);
    }
    let mut law = Usl { one, contention, coherency, worst_error: 0.0 };
    let errors = points.iter().map(|&(n, x)| (law.at(n) / x - 1.0).abs());
    law.worst_error = errors.fold(0.0, f64::max);
    Some(law)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_levels_off_where_it_leaves_its_targets_for_good() {
        let points = [(1000, 999.0), (2000, 1990.0), (5000, 3100.0), (10_000, 3050.0)];
        let point = |&(target, achieved_rps): &(u32, f64)| LoadPoint {
            target_rps: Rps::whole(target),
            achieved_rps,
            is_missed: achieved_rps < f64::from(target) * 0.99,
        };
        let knee_of = |points: &[(u32, f64)]| knee(&points.iter().map(point).collect::<Vec<_>>());
        let knee = |rate_rps, kept: Option<u32>, missed| Knee {
            rate_rps,
            kept_rps: kept.map(Rps::whole),
            missed_rps: Rps::whole(missed),
        };
        assert_eq!(knee_of(&points), Some(knee(3100.0, Some(2000), 5000)));
        assert_eq!(knee_of(&points[..2]), None);
        assert_eq!(knee_of(&[(1000, 400.0)]), Some(knee(400.0, None, 1000)));
        // A hiccup on the way is no knee.
        assert_eq!(knee_of(&[(1000, 500.0), (2000, 2000.0)]), None);
        assert_eq!(knee_of(&[]), None);
    }

    #[test]
    fn a_law_is_found_again() {
        let law = Usl { one: 1000.0, contention: 0.05, coherency: 0.01, worst_error: 0.0 };
        let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0, 16.0].map(|n| (n, law.at(n))).into();
        let found = fit_usl(&points).expect("there are five points");
        assert!((found.contention - 0.05).abs() < 1e-9 && (found.coherency - 0.01).abs() < 1e-9);
        assert!(found.worst_error < 1e-9);
        let most = found.most_workers().expect("it bends");
        assert!((most - 95.0_f64.sqrt()).abs() < 1e-6, "{most}");
    }

    #[test]
    fn what_scales_better_than_linear_has_no_cost() {
        let found = fit_usl(&[(1.0, 100.0), (2.0, 210.0), (4.0, 430.0)]).expect("three points");
        assert!(found.contention == 0.0 && found.coherency == 0.0, "{found:?}");
        assert!((found.worst_error - 0.07).abs() < 0.01, "{found:?}");
        assert!(fit_usl(&[(1.0, 100.0), (2.0, 150.0)]).is_none());
        assert!(fit_usl(&[(2.0, 100.0), (4.0, 150.0), (8.0, 200.0)]).is_none());
    }
}
