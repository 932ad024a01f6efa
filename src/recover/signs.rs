//! Phase retrieval on a track: the signs of readings of which only magnitudes are told.
//!
//! Given their signs, readings are linear, and so is all that is made of them up to the state: brightness, the rest, the next
//! frame's prediction. So signs come first: guesses, and then, of readings whitened together, each as likely to be b or −b
//! as all the others say. Refinement weighs them once more.

use super::belief::Belief;
use super::fuse::{Fused, System};
use super::linear::{FrameMoments, Linear};
use super::model::Model;
use super::report::Settings;
use super::solve::Problem;
use super::start::blended;
use crate::frame::Measurement;
use crate::prior::Activations;
use crate::sensing::Operator;

/// Weight over a pattern's greatest that counts as none: transforms round.
const LEAST_WEIGHT: f32 = 1e-5;
/// Times that signs are weighed before they are taken as they are.
const ROUNDS: usize = 15;
/// Share of a round's outcome that is taken.
const SHARE: f32 = 0.7;
/// Mean square change, over its usual variance, of a reading's expected value at which rounds end.
const ENOUGH: f64 = 1e-4;

/// The sign, 1 or −1, of readings that have the same of every image ≥ 0; 0 of the others, (m).
pub(super) fn sure(operator: &dyn Operator) -> Vec<f32> {
    let (readings, pixels) = operator.shape();
    let (mut unit, mut pattern) = (vec![0.0; readings], vec![0.0; pixels]);
    let mut scratch = vec![0.0; operator.scratch()];
    let sign = |j: usize| {
        unit[j] = 1.0;
        operator.adjoint(&unit, &mut pattern, &mut scratch);
        unit[j] = 0.0;
        one_sign(&pattern)
    };
    (0..readings).map(sign).collect()
}

/// The sign of all weights of a pattern, (n); 0 where they differ.
pub(super) fn one_sign(pattern: &[f32]) -> f32 {
    let most = pattern.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let nothing = LEAST_WEIGHT * most;
    match pattern.iter().all(|v| *v >= -nothing) {
        true => 1.0,
        false if pattern.iter().all(|v| *v <= nothing) => -1.0,
        false => 0.0,
    }
}

/// Whether the sign of reading `i` of J·m is `sure`, (m).
pub(super) fn fixed(sure: &[f32], i: usize) -> bool {
    sure[i % sure.len()] != 0.0
}

/// b with the signs of `like`, or those that are sure, (J·m).
pub(super) fn signed(b: &[f32], like: &[f32], sure: &[f32]) -> Vec<f32> {
    let values = b.iter().zip(like).zip(sure.iter().cycle());
    let signs = values.map(|((b, like), sure)| match *sure {
        0.0 => b.copysign(*like),
        sure => b * sure,
    });
    signs.collect()
}

/// What magnitudes, (J·m), say of a frame's returns over those that the prior knows: squared, by their energy.
pub(super) fn loudness(
    linear: &Linear,
    moments: &FrameMoments,
    measurement: &Measurement,
    noise: &[f32],
) -> f32 {
    let channels = noise.len().isqrt();
    let readings = measurement.y.len() / channels;
    let expected = linear.energy(moments);
    let mut missing = measurement.missing.iter().peekable();
    let (mut found, mut usual) = (0.0, 0.0);
    for (i, (b, expected)) in measurement.y.iter().zip(&expected).enumerate() {
        if missing.next_if(|&&m| m as usize == i).is_none() {
            let noise = measurement.gain * noise[i / readings * (channels + 1)];
            found += (b * b - noise).max(0.0);
            usual += expected;
        }
    }
    found / usual
}

/// A frame's magnitudes, at the return that the prior knows.
pub(super) struct Unsigned<'a> {
    pub(super) model: &'a Model,
    pub(super) settings: &'a Settings,
    pub(super) fused: &'a Fused,
    /// see [`sure`]
    pub(super) sure: &'a [f32],
    pub(super) measurement: &'a Measurement,
}

/// Signs and the code that they go with.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// expected readings, (J·m)
    pub(super) y: Vec<f32>,
    /// û, (k)
    pub(super) code: Vec<f32>,
    /// χ² over the number of readings
    pub(super) ratio: f64,
    /// free energy of signs and state, over the number of readings: −ln of how likely the magnitudes are, about
    pub(super) loss: f64,
    /// what is expected of the signs, in \[−1, 1\], (J·m); empty before they are settled
    pub(super) expected: Vec<f32>,
}

/// What signs leave open, summed over the readings.
pub(super) struct Undecided {
    /// variance of the readings about their expected values, over their variance beside all the others
    pub(super) variance: f64,
    /// of the signs, nat
    pub(super) entropy: f64,
}

impl Unsigned<'_> {
    /// The magnitudes with the signs that u, c and readings `carried`, (J·m), explain.
    pub(super) fn explained(
        &self,
        code: &[f32],
        error: &[f64],
        carried: Option<&[f32]>,
    ) -> Vec<f32> {
        let mut at = Activations::default();
        self.model.evaluate(code, &mut at);
        let mut like = self.fused.readings(at.features(), error);
        if let Some(carried) = carried {
            like.iter_mut().zip(carried).for_each(|(y, c)| *y += c);
        }
        signed(&self.measurement.y, &like, self.sure)
    }

    /// Weighs the signs of readings beside what all the others say, `carried`, (J·m), known to come of the rest of the frame
    /// before, and the state beside readings so weighed (expectation maximisation), until little changes. `None` where
    /// nothing finite comes out.
    pub(super) fn settle(
        &self,
        system: &System,
        belief: impl Fn(f64) -> Belief,
        carried: Option<&[f32]>,
        from: Settled,
    ) -> Option<Settled> {
        let precision = system.precision();
        let Settled {
            y: mut mean,
            mut code,
            mut ratio,
            ..
        } = from;
        let k = self.model.code_len();
        let mut at = Activations::default();
        let mut loss = f64::INFINITY;
        for _ in 0..ROUNDS {
            let left = match carried {
                Some(carried) => mean.iter().zip(carried).map(|(y, c)| y - c).collect(),
                None => mean.clone(),
            };
            let readings = system.project(&left);
            let scale = blended(1.0, ratio);
            let belief = belief(scale);
            let problem = Problem::new(self.model, system, &readings, &belief)?;
            let solution = problem.descend(&code, self.settings.limits);
            let solution = solution.with_outside(&readings);
            if !solution.cost.is_finite() {
                return None;
            }
            let (u, error) = solution.state.split_at(k);
            code = u.iter().map(|&u| u as f32).collect();
            self.model.evaluate(&code, &mut at);
            let dual = system.dual(&system.left(&readings.whitened, at.features(), error));
            let told = (&self.measurement.y[..], self.sure);
            let undecided = undecided(told, &mean, &precision);
            let change = weigh(told, &mut mean, &dual, &precision, scale as f32);
            let count = readings.count as f64;
            ratio = (2.0 * solution.cost + undecided.variance) / count;
            loss = 0.5 * (ratio / scale + scale.ln()) - undecided.entropy / count;
            if change < ENOUGH * count {
                break;
            }
        }
        Some(Settled {
            expected: self.expected(&mean),
            y: mean,
            code,
            ratio,
            loss,
        })
    }

    /// What is expected of the signs of readings, (J·m), that are expected to be `mean`.
    pub(super) fn expected(&self, mean: &[f32]) -> Vec<f32> {
        let readings = mean.iter().zip(&self.measurement.y);
        let of = |(mean, b): (&f32, &f32)| if *b > 0.0 { mean / b } else { 0.0 };
        readings.map(of).collect()
    }
}

/// Weighs signs of the readings `b`, (J·m), once where they are not `sure`: of readings expected to be `mean` the others say
/// mean − dual/precision, with a variance of scale/precision. Mean square change, over that variance, summed.
pub(super) fn weigh(
    (b, sure): (&[f32], &[f32]),
    mean: &mut [f32],
    dual: &[f32],
    precision: &[f32],
    scale: f32,
) -> f64 {
    let mut change = 0.0;
    for (i, mean) in mean.iter_mut().enumerate() {
        if precision[i] > 0.0 && !fixed(sure, i) {
            let others = *mean * precision[i] - dual[i]; // over their variance
            let step = SHARE * (b[i] * (b[i] * others / scale).tanh() - *mean);
            change += f64::from(step.powi(2) * precision[i]);
            *mean += step;
        }
    }
    change
}

/// What signs of the readings `b`, (J·m), leave open that are expected to be `mean`.
pub(super) fn undecided((b, sure): (&[f32], &[f32]), mean: &[f32], precision: &[f32]) -> Undecided {
    let (mut variance, mut entropies) = (0.0, 0.0);
    for (i, mean) in mean.iter().enumerate() {
        if precision[i] > 0.0 && !fixed(sure, i) {
            variance += f64::from((b[i] * b[i] - mean * mean) * precision[i]);
            entropies += entropy((mean / b[i]).into());
        }
    }
    Undecided {
        variance,
        entropy: entropies,
    }
}

/// Entropy, nat, of a sign whose expected value is `mean`.
fn entropy(mean: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(0.5 + 0.5 * mean) + part(0.5 - 0.5 * mean)
}
