//! How often the code is found: by solver and start, and by the number of readings.

use super::Options;
use super::case::{Case, energy};
use crate::eval::EvalError;
use crate::metrics::median;
use crate::recover::{Data, Solver};
use serde::Serialize;

/// One solver over the same starts on the same instances.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// what searched
    pub solver: Solver,
    /// whether the better of z and −z was taken: before each step by the subgradient scheme, at the start by the others
    pub negation: bool,
    /// share of single starts that find the image to 1e-3
    pub success: f64,
    /// median steps of those that do
    pub iterations_p50: f64,
}

/// Success against the number of readings, the best of several starts each with its negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Success {
    /// m/k
    pub ratio: f64,
    /// m
    pub readings: usize,
    /// share of instances found from A x
    pub linear: f64,
    /// share of instances found from |A x|
    pub magnitudes: f64,
}

const METHODS: [(Solver, bool); 5] = [
    (Solver::LevenbergMarquardt, true),
    (Solver::LevenbergMarquardt, false),
    (Solver::Subgradient, true),
    (Solver::Subgradient, false),
    (Solver::Adam, false),
];
/// Loss over ½‖y‖² at which no further start is tried.
const CONTENT: f64 = 1e-10;

pub(super) fn methods(
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Method>, EvalError> {
    let mut tally = METHODS.map(|method| (method, vec![]));
    for seed in 0..options.instances as u64 {
        let case = Case::new(&options.widths, seed);
        let (instance, y) = case.seen(options.readings(options.ratio))?;
        let inverse = instance.inverse(Data::Linear, &y)?;
        for ((solver, negation), iterations) in &mut tally {
            for start in 0..options.starts {
                let descent = inverse.descend(*solver, &case.start(start), *negation);
                let found = descent.filter(|descent| case.is_found(&descent.code));
                iterations.extend(found.map(|descent| descent.iterations as f64));
            }
            progress();
        }
    }
    let all = (options.instances * options.starts) as f64;
    let methods = tally.map(|((solver, negation), iterations)| Method {
        solver,
        negation,
        success: iterations.len() as f64 / all,
        iterations_p50: median(iterations).unwrap_or(f64::NAN),
    });
    Ok(methods.to_vec())
}

pub(super) fn by_readings(
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Success>, EvalError> {
    let row = |&ratio: &f64| {
        let mut found = [0; 2];
        for seed in 0..options.instances as u64 {
            let case = Case::new(&options.widths, seed);
            let (instance, mut y) = case.seen(options.readings(ratio))?;
            let content = 0.5 * CONTENT * energy(&y);
            for (data, found) in [Data::Linear, Data::Magnitudes].into_iter().zip(&mut found) {
                if data == Data::Magnitudes {
                    y.iter_mut().for_each(|y| *y = y.abs());
                }
                let best = instance.inverse(data, &y)?.recover(options.starts, content);
                *found += usize::from(best.is_some_and(|best| case.is_found(&best.code)));
            }
            progress();
        }
        let [linear, magnitudes] = found.map(|found| found as f64 / options.instances as f64);
        Ok(Success {
            ratio,
            readings: options.readings(ratio),
            linear,
            magnitudes,
        })
    };
    options.ratios.iter().map(row).collect()
}
