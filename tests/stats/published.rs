//! Statistics agree with SciPy, statsmodels, limma and Apache Otava on the same inputs.
//!
//! `tests/stats/oracle.py` computes the answers of `tests/fixtures/statistics.json` with those; `make
//! stats-oracle` checks that it still does.

use perf_api::stats::{
    Estimated, Scatter, adjusted, bootstrap_mean, change_points, fit_prior, moderate, rank_sum_p,
};
use serde_json::Value;

fn cases(key: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    all[key].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
}

/// Equal but for the digits that two programs round differently.
fn assert_same(ours: f64, theirs: f64, what: &str) {
    let apart = (ours - theirs).abs();
    assert!(apart <= 1e-7 * theirs.abs().max(1e-9), "{what}: {ours} is not {theirs}");
}

#[test]
fn false_discovery_rates_are_those_of_statsmodels() {
    for case in cases("bh") {
        let ours = adjusted(&numbers(&case["p"]));
        for (ours, theirs) in ours.into_iter().zip(numbers(&case["adjusted"])) {
            assert_same(ours, theirs, "adjusted p");
        }
    }
}

#[test]
fn rank_sums_are_those_of_scipy_with_ties_and_without() {
    for case in cases("mann_whitney") {
        let ours = rank_sum_p(&numbers(&case["a"]), &numbers(&case["b"]));
        assert_same(ours, case["p"].as_f64().unwrap(), "rank sum");
    }
}

#[test]
fn t_tests_and_equivalence_are_those_of_statsmodels() {
    for case in cases("t") {
        let told = pooled(&numbers(&case["a"]), &numbers(&case["b"]));
        assert_same(told.value, case["difference"].as_f64().unwrap(), "difference");
        assert_same(told.df, case["df"].as_f64().unwrap(), "df");
        assert_same(told.p(), case["p"].as_f64().unwrap(), "p");
        let (low, high) = told.interval(case["confidence"].as_f64().unwrap());
        let theirs = numbers(&case["interval"]);
        assert_same(low, theirs[0], "low");
        assert_same(high, theirs[1], "high");
    }
    for case in cases("tost") {
        let told = pooled(&numbers(&case["a"]), &numbers(&case["b"]));
        let (low, high) = (case["low"].as_f64().unwrap(), case["high"].as_f64().unwrap());
        // Margins that lie around the difference of what is compared, not around zero, move it.
        let centre = f64::midpoint(low, high);
        let moved = Estimated { value: told.value - centre, ..told };
        assert_same(moved.equivalence_p(high - centre), case["p"].as_f64().unwrap(), "tost");
    }
}

/// The t-test of two samples with one variance, first minus second.
fn pooled(one: &[f64], other: &[f64]) -> Estimated {
    let plain = super::plain_t(other, one);
    Estimated { value: plain.value, ..plain }
}

#[test]
fn moderated_variances_and_t_are_those_of_limma() {
    for case in cases("moderated") {
        let df = case["df"].as_f64().unwrap();
        let scatters: Vec<Scatter> = numbers(&case["variance"])
            .into_iter()
            .map(|variance| Scatter { variance, df })
            .collect();
        let prior = fit_prior(&scatters).unwrap();
        match case["df_prior"].as_f64() {
            Some(theirs) => assert_same(prior.df, theirs, "df of the prior"),
            None => assert!(prior.df.is_infinite()),
        }
        assert_same(prior.variance, case["var_prior"].as_f64().unwrap(), "variance of the prior");
        let most_df = df * scatters.len() as f64;
        let own: Vec<Scatter> =
            scatters.iter().map(|own| moderate(*own, Some(prior), most_df)).collect();
        for (own, theirs) in own.iter().zip(numbers(&case["var_post"])) {
            assert_same(own.variance, theirs, "moderated variance");
        }
        let Some(coefficients) = case["coefficient"].as_array() else { continue };
        let unscaled = case["stdev_unscaled"].as_f64().unwrap();
        let theirs = numbers(&case["p"]);
        for ((own, coefficient), p) in own.iter().zip(coefficients).zip(theirs) {
            let variance = Scatter { variance: own.variance * unscaled * unscaled, ..*own };
            let told = Estimated::of_parts(coefficient.as_f64().unwrap(), &[variance]);
            assert_same(told.p(), p, "moderated p");
        }
    }
}

#[test]
fn bootstrap_intervals_are_those_of_scipy_but_for_chance() {
    for case in cases("bootstrap") {
        let values = numbers(&case["values"]);
        // As many as are drawn from more than seven values.
        let resamples = 2000;
        let level = case["confidence"].as_f64().unwrap();
        let (low, high) = bootstrap_mean(&values, level).unwrap();
        let chance = case["tolerance"].as_f64().unwrap() * (99_999.0 / f64::from(resamples)).sqrt();
        for (ours, theirs) in [low, high].into_iter().zip(numbers(&case["percentile"])) {
            assert!((ours - theirs).abs() <= chance, "{ours} is not {theirs} within {chance}");
        }
    }
}

#[test]
fn change_points_are_those_of_otava() {
    let all: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    let told = &all["change_points"];
    let significance = told["significance"].as_f64().unwrap();
    for case in told["cases"].as_array().unwrap() {
        let ours = change_points(&numbers(&case["values"]), significance, 1);
        let theirs: Vec<usize> =
            numbers(&case["indices"]).into_iter().map(|place| place as usize).collect();
        assert_eq!(ours, theirs, "{}", case["name"]);
    }
}
