//! Refined recovery against the best of its rivals.

use super::entrant::MethodRow;
use super::problem::Problem;
use crate::metrics::{RangeErrors, RangeSummary};
use crate::recover::{Method, Settings};
use serde::Serialize;

/// Error of refined recovery over that of the best rival, on one kind of scene. Rivals are all methods that solve for no code.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// what is recovered from what
    pub problem: Problem,
    /// name of the refined recovery
    pub method: String,
    /// whether it saw the frames before
    pub tracked: bool,
    /// whether its rivals did
    pub rivals_tracked: bool,
    /// m/n
    pub fraction: f64,
    /// as in [`MethodRow::noise`]
    pub noise: f64,
    /// as in [`MethodRow::scene`]
    pub scene: String,
    /// of range RMSE
    pub range_rmse: Ratio,
    /// of AbsRel
    pub abs_rel: Ratio,
}

/// An error over the least of some rivals.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// below 1 where it is smaller
    pub ratio: f64,
    /// standard error of the ratio to that rival, from leaving out one run after the other (the jackknife: Efron & Stein 1981);
    /// `None` of a single run
    pub standard_error: Option<f64>,
    /// whose error is the least
    pub rival: String,
}

/// Whether recovery and its rivals are tracked, of each bar.
const PAIRS: [(bool, bool); 3] = [(false, false), (true, true), (true, false)];

/// Whether a method is recovery through the generator, refined.
pub(super) fn is_refined(settings: &Settings) -> bool {
    settings.method == Method::Latent && settings.refine.iterations > 0
}

/// For each scene at each number of measurements: the first refined recovery cold against cold rivals, tracked against
/// tracked ones, and tracked against cold ones. None where there is no such method or no rival.
pub fn bars(methods: &[(String, Settings)], rows: &[MethodRow]) -> Vec<Bar> {
    let Some((refined, _)) = methods.iter().find(|(_, s)| is_refined(s)) else {
        return vec![];
    };
    let is_rival = |name: &str| {
        let rival = |(n, s): &(String, Settings)| n == name && s.method != Method::Latent;
        methods.iter().any(rival)
    };
    let own = rows.iter().filter(|row| row.method == *refined);
    own.flat_map(|row| {
        let pairs = PAIRS.into_iter().filter(|(own, _)| *own == row.tracked);
        pairs.filter_map(|(_, rivals_tracked)| {
            let beside = |other: &&MethodRow| {
                other.tracked == rivals_tracked && is_rival(&other.method) && row.is_beside(other)
            };
            let rivals: Vec<&MethodRow> = rows.iter().filter(beside).collect();
            Some(Bar {
                problem: row.problem,
                method: row.method.clone(),
                tracked: row.tracked,
                rivals_tracked,
                fraction: row.fraction,
                noise: row.noise,
                scene: row.scene.clone(),
                range_rmse: over_least(row, &rivals, |row| row.range_rmse_m, |of| of.range_rmse_m)?,
                abs_rel: over_least(row, &rivals, |row| row.abs_rel, |of| of.abs_rel)?,
            })
        })
    })
    .collect()
}

fn over_least(
    row: &MethodRow,
    rivals: &[&MethodRow],
    error: impl Fn(&MethodRow) -> f64,
    summarised: impl Fn(RangeSummary) -> f64,
) -> Option<Ratio> {
    let least = rivals.iter().min_by(|a, b| error(a).total_cmp(&error(b)))?;
    Some(Ratio {
        ratio: error(row) / error(least),
        standard_error: jackknife(&row.runs, &least.runs, summarised),
        rival: least.method.clone(),
    })
}

/// Standard error of the ratio of two errors of the same runs.
fn jackknife(
    own: &[RangeErrors],
    rival: &[RangeErrors],
    error: impl Fn(RangeSummary) -> f64,
) -> Option<f64> {
    let count = own.len();
    if count < 2 || rival.len() != count {
        return None;
    }
    let without = |runs: &[RangeErrors], out: usize| {
        let (before, after) = (&runs[..out], &runs[out + 1..]);
        error(RangeErrors::of(before.iter().chain(after)).summary())
    };
    let ratios: Vec<f64> = (0..count)
        .map(|out| without(own, out) / without(rival, out))
        .collect();
    let mean = ratios.iter().sum::<f64>() / count as f64;
    let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
    Some((squares * (count - 1) as f64 / count as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::entrant::tests::row;
    use super::*;
    use crate::frame::RangeImage;

    #[test]
    fn each_error_is_held_against_the_best_rival_of_the_same_frames() {
        let named = |name: &&str| ((*name).to_owned(), Settings::preset(name).unwrap());
        let methods: Vec<_> = ["latent+net", "latent", "tv", "pca"]
            .iter()
            .map(named)
            .collect();
        let with = |abs_rel, row| MethodRow { abs_rel, ..row };
        let rows = [
            with(0.5, row("latent+net", false, 0.05, 0.9)),
            with(0.1, row("latent", false, 0.05, 0.1)), // its own kind, no rival
            with(0.25, row("tv", false, 0.05, 1.2)),
            with(1.0, row("pca", false, 0.05, 1.0)),
            with(0.5, row("latent+net", true, 0.05, 0.6)),
            with(1.0, row("tv", true, 0.05, 0.5)),
            with(0.1, row("tv", true, 0.1, 0.1)), // of more readings
        ];
        let bars = bars(&methods, &rows);
        let ratios = bars.iter().map(|bar| {
            let of = |r: &Ratio| (r.ratio, r.rival.clone());
            (
                bar.tracked,
                bar.rivals_tracked,
                of(&bar.range_rmse),
                of(&bar.abs_rel),
            )
        });
        let of = |ratio, rival: &str| (ratio, rival.to_owned());
        assert_eq!(
            ratios.collect::<Vec<_>>(),
            [
                (false, false, of(0.9, "pca"), of(2.0, "tv")),
                (true, true, of(1.2, "tv"), of(0.5, "tv")),
                (true, false, of(0.6, "pca"), of(2.0, "tv")),
            ]
        );
        assert_eq!(super::bars(&methods[1..], &rows), []);
    }

    #[test]
    fn a_ratio_is_as_sure_as_its_runs_agree() {
        let run = |error: f32| {
            let at = |range| RangeImage {
                range: vec![range],
                returns: vec![1.0],
                valid: vec![true],
                ..RangeImage::empty(1, 1)
            };
            let mut errors = RangeErrors::default();
            errors.add(&at(5.0 + error), &at(5.0), 30.0);
            errors
        };
        let of = |own: [f32; 3], rival: [f32; 3]| {
            jackknife(&own.map(run), &rival.map(run), |of| of.range_mae_m)
        };
        assert!(of([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).is_some_and(|se| se < 1e-6)); // half of it in each
        // leaving out one of 1, 2, 3 beside 2, 2, 2 leaves ratios of 1.25, 1 and 0.75: √(2/3 · 0.125)
        let unsure = of([1.0, 2.0, 3.0], [2.0; 3]).unwrap();
        assert!(
            (unsure - (2.0f64 / 3.0 * 0.125).sqrt()).abs() < 1e-6,
            "{unsure}"
        );
        assert_eq!(jackknife(&[run(1.0)], &[run(2.0)], |of| of.abs_rel), None);
    }
}
