//! The shape of the loss: along the line through z* and 0, over a plane, and in its second basin near −ρ_d z*.

use super::Options;
use super::case::{Case, energy, gaussian, product};
use super::theory::{line_loss, shadow_position, shadow_residual};
use crate::eval::EvalError;
use crate::metrics::median;
use crate::recover::{Data, Inverse, Solver};
use serde::Serialize;

/// The second basin of networks of one depth; medians over instances.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shadow {
    /// k, h₁, …, n
    pub widths: Vec<usize>,
    /// d, ReLU layers
    pub layers: usize,
    /// ρ_d
    pub expected: f64,
    /// −t of the least loss at t·z*, t < 0
    pub on_line: f64,
    /// −⟨z, z*⟩/‖z*‖² where a descent from −z* without negation ends
    pub descended: f64,
    /// share of these descents that end behind 0, not at z*
    pub caught: f64,
    /// √(1 − ρ_d²)
    pub expected_residual: f64,
    /// ‖A G(z) − y‖/‖y‖ of the least loss at t·z*, t < 0
    pub residual_on_line: f64,
    /// the same where the descent ends
    pub residual_descended: f64,
}

/// The loss along t·z* over the loss at 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// position, 1 at z*
    pub t: Vec<f64>,
    /// measured on the first instance
    pub loss: Vec<f64>,
    /// of infinitely wide layers
    pub expected: Vec<f64>,
}

/// The loss at a·z* + b·w over the loss at 0, w orthogonal to z* and as long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plane {
    /// values of a and of b
    pub axis: Vec<f64>,
    /// measured on the first instance, one row for each b
    pub loss: Vec<Vec<f64>>,
}

/// How far the plane reaches, in lengths of z*.
const REACH: f64 = 1.5;
/// Points of the line.
const POINTS: usize = 121;

/// One row for each depth from two on: networks of the first widths.
pub(super) fn shadows(
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Shadow>, EvalError> {
    let depths = 2..options.shadow_widths.len();
    depths
        .map(|layers| {
            let shadow = shadow(&options.shadow_widths[..=layers], options);
            progress();
            shadow
        })
        .collect()
}

fn shadow(widths: &[usize], options: &Options) -> Result<Shadow, EvalError> {
    let layers = widths.len() - 1;
    let (mut on_line, mut residual_on_line) = (vec![], vec![]);
    let (mut descended, mut residual_descended) = (vec![], vec![]);
    for seed in 0..options.instances as u64 {
        let case = Case::new(widths, seed);
        let (instance, y) = case.seen(options.shadow_readings)?;
        let inverse = instance.inverse(Data::Linear, &y)?;
        let residual = |code: &[f32]| (2.0 * inverse.cost(code) / energy(&y)).sqrt();
        let t = inverse.best_length(&case.along(-1.0));
        on_line.push(t);
        residual_on_line.push(residual(&case.along(-t)));
        let descent = inverse.descend(Solver::Subgradient, &case.along(-1.0), false);
        if let Some(descent) = descent {
            let position = -product(&descent.code, &case.code) / energy(&case.code);
            descended.push(position);
            if position > 0.0 {
                residual_descended.push(residual(&descent.code));
            }
        }
    }
    let behind: Vec<f64> = descended.iter().copied().filter(|p| *p > 0.0).collect();
    let middle = |values: Vec<f64>| median(values).unwrap_or(f64::NAN);
    Ok(Shadow {
        widths: widths.to_vec(),
        layers,
        expected: shadow_position(layers),
        on_line: middle(on_line),
        caught: behind.len() as f64 / descended.len() as f64,
        descended: middle(behind),
        expected_residual: shadow_residual(layers),
        residual_on_line: middle(residual_on_line),
        residual_descended: middle(residual_descended),
    })
}

pub(super) fn line(case: &Case, inverse: &Inverse<'_>, layers: usize) -> Line {
    let scale = inverse.cost(&case.along(0.0));
    let t: Vec<f64> = axis(POINTS).collect();
    Line {
        loss: t
            .iter()
            .map(|&t| inverse.cost(&case.along(t)) / scale)
            .collect(),
        expected: t.iter().map(|&t| line_loss(layers, t)).collect(),
        t,
    }
}

pub(super) fn plane(case: &Case, inverse: &Inverse<'_>, points: usize) -> Plane {
    let scale = inverse.cost(&case.along(0.0));
    let across = orthogonal(&case.code);
    let loss = axis(points).map(|b| {
        let row = axis(points).map(|a| {
            let pairs = case.code.iter().zip(&across);
            let code: Vec<f32> = pairs.map(|(z, w)| a as f32 * z + b as f32 * w).collect();
            inverse.cost(&code) / scale
        });
        row.collect()
    });
    Plane {
        axis: axis(points).collect(),
        loss: loss.collect(),
    }
}

fn axis(points: usize) -> impl Iterator<Item = f64> {
    let last = points.saturating_sub(1).max(1) as f64;
    (0..points).map(move |i| REACH * (2.0 * i as f64 / last - 1.0))
}

/// A random vector orthogonal to `v` and as long.
fn orthogonal(v: &[f32]) -> Vec<f32> {
    let mut across = gaussian(v.len(), 0, 0);
    let share = (product(&across, v) / energy(v)) as f32;
    across.iter_mut().zip(v).for_each(|(a, v)| *a -= share * v);
    let scale = (energy(v) / energy(&across)).sqrt() as f32;
    across.iter_mut().for_each(|a| *a *= scale);
    across
}
