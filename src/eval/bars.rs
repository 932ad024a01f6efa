//! Refined recovery against the best of its rivals.

use super::entrant::MethodRow;
use super::problem::Problem;
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
                range_rmse: over_least(row, &rivals, |row| row.range_rmse_m)?,
                abs_rel: over_least(row, &rivals, |row| row.abs_rel)?,
            })
        })
    })
    .collect()
}

fn over_least(
    row: &MethodRow,
    rivals: &[&MethodRow],
    error: impl Fn(&MethodRow) -> f64,
) -> Option<Ratio> {
    let least = rivals.iter().min_by(|a, b| error(a).total_cmp(&error(b)))?;
    Some(Ratio {
        ratio: error(row) / error(least),
        rival: least.method.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::entrant::tests::row;
    use super::*;

    #[test]
    fn each_error_is_held_against_the_best_rival_of_the_same_frames() {
        let named = |name: &&str| ((*name).to_owned(), Settings::preset(name).unwrap());
        let methods: Vec<_> = ["latent+tv", "latent", "tv", "pca"]
            .iter()
            .map(named)
            .collect();
        let with = |abs_rel, row| MethodRow { abs_rel, ..row };
        let rows = [
            with(0.5, row("latent+tv", false, 0.05, 0.9)),
            with(0.1, row("latent", false, 0.05, 0.1)), // its own kind, no rival
            with(0.25, row("tv", false, 0.05, 1.2)),
            with(1.0, row("pca", false, 0.05, 1.0)),
            with(0.5, row("latent+tv", true, 0.05, 0.6)),
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
}
