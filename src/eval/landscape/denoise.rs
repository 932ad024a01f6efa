//! Denoising: what a prior of k unknowns leaves of noise in n pixels.

use super::Options;
use super::case::{Case, energy, gaussian};
use crate::eval::EvalError;
use crate::recover::{Data, Instance};
use crate::sensing::Dense;
use serde::Serialize;

/// The error of a denoised image against the number of unknowns. k independent directions take in k/n of the noise's energy
/// (Heckel, Huang, Hand & Voroninski 2018, theorem 1).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Denoising {
    /// n
    pub pixels: usize,
    /// one for each k
    pub points: Vec<Denoised>,
    /// d log(error energy) / d log k; 1 is expected
    pub slope: f64,
}

/// One k.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Denoised {
    /// k
    pub code_len: usize,
    /// k/n, what is expected
    pub expected: f64,
    /// mean over images of ‖G(ẑ) − x‖²/‖noise‖²
    pub error_energy: f64,
}

/// Share of the first layer's width that the longest code has: the others are its halves.
const MOST: usize = 4;
pub(super) const HALVINGS: usize = 4;
/// Noisy images times k: the error energy is about χ² of k degrees of freedom, and is to be known as well for every k.
const DEGREES: usize = 3000;
/// ‖noise‖²/‖x‖²
const NOISE: f64 = 1e-3;
const STARTS: usize = 4;

pub(super) fn denoising(
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Denoising, EvalError> {
    let pixels = options.widths[options.widths.len() - 1];
    let everything = Dense::new(pixels, pixels, identity(pixels))?;
    let longest = options.widths[1] / MOST;
    let codes = (0..HALVINGS).rev().map(|halving| longest >> halving);
    let mut points = vec![];
    for code_len in codes.filter(|&k| k > 0) {
        let mut widths = options.widths.clone();
        widths[0] = code_len;
        points.push(Denoised {
            code_len,
            expected: code_len as f64 / pixels as f64,
            error_energy: error_energy(&widths, &everything)?,
        });
        progress();
    }
    Ok(Denoising {
        pixels,
        slope: slope(&points),
        points,
    })
}

fn error_energy(widths: &[usize], everything: &Dense) -> Result<f64, EvalError> {
    let case = Case::new(widths, 0);
    let instance = Instance::new(case.generator.clone(), everything)?;
    let n = case.image.len();
    let size = (NOISE * energy(&case.image) / n as f64).sqrt() as f32;
    let mut ratios = vec![];
    for trial in 0..(DEGREES / widths[0]) as u64 {
        let mut noise = gaussian(n, 1, trial);
        noise.iter_mut().for_each(|e| *e *= size);
        let noisy: Vec<f32> = case.image.iter().zip(&noise).map(|(x, e)| x + e).collect();
        let content = 0.5 * energy(&noise); // what the truth itself leaves
        let inverse = instance.inverse(Data::Linear, &noisy)?;
        if let Some(found) = inverse.recover(STARTS, content) {
            ratios.push(case.error_energy(&found.code) / energy(&noise));
        }
    }
    Ok(ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// Least squares of log(error energy) on log k.
fn slope(points: &[Denoised]) -> f64 {
    let logs = points
        .iter()
        .map(|p| ((p.code_len as f64).ln(), p.error_energy.ln()));
    let count = points.len() as f64;
    let (x, y) = logs.clone().fold((0.0, 0.0), |(x, y), log| {
        (x + log.0 / count, y + log.1 / count)
    });
    let (across, along) = logs.fold((0.0, 0.0), |(across, along), log| {
        let from_mean = log.0 - x;
        (
            across + from_mean * (log.1 - y),
            along + from_mean * from_mean,
        )
    });
    across / along
}

fn identity(n: usize) -> Vec<f32> {
    let mut weights = vec![0.0; n * n];
    weights.iter_mut().step_by(n + 1).for_each(|w| *w = 1.0);
    weights
}
