//! Many questions at once: p values that account for how many were asked.

/// The false discovery rate at which each p value is still among the discoveries (source: Benjamini
/// and Hochberg 1995, *Controlling the False Discovery Rate*), in the order of the values.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "there are few values")]
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len() as f64;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        least = least.min(p_values[index] * count / (rank + 1) as f64);
        adjusted[index] = least;
    }
    adjusted
}

/// The p value of no effect in any of some cases (source: Simes 1986, *An improved Bonferroni
/// procedure for multiple tests of significance*); 1 for none.
#[must_use]
pub fn simes(p_values: &[f64]) -> f64 {
    adjusted(p_values).into_iter().fold(1.0, f64::min)
}
