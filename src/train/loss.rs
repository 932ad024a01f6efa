//! What training minimises: errors of the channels, weighted by how bright a pixel is, and errors of the range.

use crate::frame::Knots;

/// Return at which a pixel's weight has halved.
const BRIGHTNESS: f32 = 0.1;
/// Weight of the range moment Σ_g (κ_g − r) x̂_g / (s + δ), in units of κ_J.
const MOMENT: f32 = 1.0;
/// Range, relative to κ_J, that relative errors of range are held to be over at least, beside the true one.
const NEAREST: f32 = 0.05;
/// Relative error of range below which it counts by its square.
const SMALL: f32 = 0.01;

/// How much errors weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    /// squares of the channels' errors as they are, beside those over the return
    pub(super) channels: f32,
    /// squares of the range read out of the strongest pair, in units of κ_J
    pub(super) read_out: f32,
    /// its error over the range
    pub(super) relative: f32,
    /// pixels, (n); all alike where it is empty
    pub(super) pixels: &'a [f32],
}

/// Gradients of one frame's loss, (J·n) each.
pub(super) struct Gradients<'a> {
    /// of the channels' errors alone: all that recovery, which finds codes from readings, can see
    pub(super) channels: &'a mut [f32],
    /// of the whole loss
    pub(super) total: &'a mut [f32],
}

/// Loss of one decoded frame and its gradients.
///
/// `decoded` and `truth` are channels, (J·n); `range` is the true range relative to κ_J, (n), NaN where nothing
/// returned; `knots` are relative. The channels say what recovery sees; the moment draws energy out of channels where
/// the range is not; the read-out is what users are given.
pub(super) fn loss(
    weights: Weights<'_>,
    decoded: &[f32],
    truth: &[f32],
    range: &[f32],
    knots: &Knots,
    gradients: Gradients<'_>,
) -> f64 {
    let Gradients {
        channels: of_channels,
        total: gradient,
    } = gradients;
    let n = range.len();
    let channels = knots.channels();
    let kappa = knots.metres();
    let mut total = 0.0;
    for i in 0..n {
        let share = weights.pixels.get(i).unwrap_or(&1.0) / n as f32;
        let s: f32 = (0..channels).map(|g| truth[g * n + i]).sum();
        let bright = share * (weights.channels + 1.0 / (s + BRIGHTNESS));
        for g in 0..channels {
            let error = decoded[g * n + i] - truth[g * n + i];
            total += bright * error * error;
            of_channels[g * n + i] = 2.0 * bright * error;
            gradient[g * n + i] = of_channels[g * n + i];
        }
        let r = range[i];
        if r.is_nan() {
            continue;
        }
        let at = |g: usize| decoded[g * n + i].max(0.0);
        let scale = 1.0 / (s + BRIGHTNESS);
        let moment: f32 = (0..channels).map(|g| (kappa[g] - r) * at(g)).sum::<f32>() * scale;
        total += share * MOMENT * moment * moment;
        for g in 0..channels {
            if decoded[g * n + i] > 0.0 {
                gradient[g * n + i] += 2.0 * share * MOMENT * moment * scale * (kappa[g] - r);
            }
        }
        let Some(pair) =
            (1..channels).max_by(|&a, &b| (at(a - 1) + at(a)).total_cmp(&(at(b - 1) + at(b))))
        else {
            continue;
        };
        let mass = at(pair - 1) + at(pair);
        if mass <= 0.0 {
            continue;
        }
        let read = (kappa[pair - 1] * at(pair - 1) + kappa[pair] * at(pair)) / mass;
        let error = read - r;
        let reach = r + NEAREST;
        let distance = error.hypot(SMALL * reach);
        total += share * weights.read_out * error * error;
        total += share * weights.relative * (distance / reach - SMALL);
        let slope = 2.0 * weights.read_out * error + weights.relative * error / (distance * reach);
        let slope = share * slope / mass.max(0.5 * s + 0.02); // no steep gradient where there is no light
        for g in [pair - 1, pair] {
            if decoded[g * n + i] > 0.0 {
                gradient[g * n + i] += slope * (kappa[g] - read);
            }
        }
    }
    f64::from(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_differences() {
        let knots = Knots::even(4, 1.0).unwrap();
        let range = [0.2, f32::NAN, 0.9];
        let truth = [0.2, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.5];
        let decoded = [
            0.3, 0.1, 0.05, 0.35, -0.1, 0.02, 0.1, 0.03, 0.2, -0.05, 0.01, 0.4,
        ];
        let run = |decoded: &[f32]| {
            let (mut channels, mut total) = ([0.0; 12], [0.0; 12]);
            let gradients = Gradients {
                channels: &mut channels,
                total: &mut total,
            };
            let weights = Weights {
                channels: 3.0,
                read_out: 2.0,
                relative: 0.5,
                pixels: &[1.0, 1.0, 2.5],
            };
            let loss = loss(weights, decoded, &truth, &range, &knots, gradients);
            (loss, total)
        };
        let gradient = run(&decoded).1;
        for i in 0..12 {
            let at = |step: f32| {
                let mut moved = decoded;
                moved[i] += step;
                run(&moved).0
            };
            let difference = ((at(1e-3) - at(-1e-3)) / 2e-3) as f32;
            assert!(
                (difference - gradient[i]).abs() < 2e-3 + 0.01 * difference.abs(),
                "{i}: {difference} {}",
                gradient[i]
            );
        }
    }
}
