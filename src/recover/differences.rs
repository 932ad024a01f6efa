//! Differences between neighbouring pixels of images whose channels lie interleaved, x\[i·J + g\]: the steps of total
//! variation that touch every pixel.

use crate::simd::kernel;

/// How images lie in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// J, from a pixel to its neighbour on the right
    pub(super) channels: usize,
    /// cols·J, from a pixel to its neighbour below
    pub(super) line: usize,
}

kernel! {
    /// q ← q + ρ (q̃ / max(1, |q̃| / bound) − q), q̃ = q + σ ∇x, of duals q along rows and columns, (n·J) each, with
    /// `steps` σ and the relaxation ρ.
    pub(super) fn climb<'a>(
        x: &'a [f32],
        across: &'a mut [f32],
        down: &'a mut [f32],
        bound: &'a [f32],
        layout: Layout,
        steps: (f32, f32),
    ) {
        let Layout { channels, line } = layout;
        for start in (0..x.len()).step_by(line) {
            let here = &x[start..start + line];
            let below = x.get(start + line..start + 2 * line).unwrap_or(here); // nothing is below the last row
            let across = &mut across[start..start + line];
            let down = &mut down[start..start + line];
            let bound = &bound[start..start + line];
            let pixels = here.iter().zip(&here[channels..]).zip(below).zip(bound);
            let duals = across.iter_mut().zip(down.iter_mut());
            for ((((x, right), below), bound), (across, down)) in pixels.zip(duals) {
                climb_one(across, down, (right - x, below - x), *bound, steps);
            }
            for i in line - channels..line {
                let differences = (0.0, below[i] - here[i]); // nor right of the last column
                climb_one(&mut across[i], &mut down[i], differences, bound[i], steps);
            }
        }
    }
}

#[inline(always)]
fn climb_one(
    across: &mut f32,
    down: &mut f32,
    (right, below): (f32, f32),
    bound: f32,
    (step, relaxation): (f32, f32),
) {
    let (a, d) = (*across + step * right, *down + step * below);
    let within = bound / (a * a + d * d).sqrt().max(bound);
    *across += relaxation * (within * a - *across);
    *down += relaxation * (within * d - *down);
}

kernel! {
    /// Weights λ·ε/(ε + |∇x|) of an image's differences, (n·J): what is an edge for certain need not pay for it (Candès,
    /// Wakin & Boyd 2008, section 2.2).
    pub(super) fn weigh<'a>(x: &'a [f32], bound: &'a mut [f32], layout: Layout, variation: f32, edge: f32) {
        let Layout { channels, line } = layout;
        let weigh = |right: f32, below: f32| {
            variation * edge / (edge + (right * right + below * below).sqrt())
        };
        for start in (0..x.len()).step_by(line) {
            let here = &x[start..start + line];
            let below = x.get(start + line..start + 2 * line).unwrap_or(here);
            let bound = &mut bound[start..start + line];
            let pixels = here.iter().zip(&here[channels..]).zip(below);
            for (((x, right), below), bound) in pixels.zip(bound.iter_mut()) {
                *bound = weigh(right - x, below - x);
            }
            for i in line - channels..line {
                bound[i] = weigh(0.0, below[i] - here[i]);
            }
        }
    }
}

kernel! {
    /// One step of an image x from `slope`, of all that is dualised but its differences, and their duals q: with
    /// x' = max(0, (x − τ (slope + ∇ᵀq) + pulled)·kept), the image ahead is 2x' − x, and x moves towards x' by the relaxation.
    /// All are (n·J); `steps` are τ and the relaxation.
    pub(super) fn step_image<'a>(
        x: &'a mut [f32],
        ahead: &'a mut [f32],
        slope: &'a mut [f32],
        duals: [&'a [f32]; 2],
        pulls: [&'a [f32]; 2],
        layout: Layout,
        steps: (f32, f32),
    ) {
        let ([across, down], [pulled, kept]) = (duals, pulls);
        let (step, relaxation) = steps;
        let Layout { channels, line } = layout;
        let last = x.len() - line;
        for start in (0..x.len()).step_by(line) {
            let row = start..start + line;
            let slope = &mut slope[row.clone()];
            let inner = &across[start..][..line - channels];
            slope.iter_mut().zip(inner).for_each(|(slope, q)| *slope -= q);
            slope[channels..].iter_mut().zip(inner).for_each(|(slope, q)| *slope += q);
            if start < last {
                slope.iter_mut().zip(&down[row.clone()]).for_each(|(slope, q)| *slope -= q);
            }
            if start > 0 {
                let above = &down[start - line..start];
                slope.iter_mut().zip(above).for_each(|(slope, q)| *slope += q);
            }
            let pulls = slope.iter().zip(&pulled[row.clone()]).zip(&kept[row.clone()]);
            let images = x[row.clone()].iter_mut().zip(&mut ahead[row]);
            for ((x, ahead), ((slope, pulled), kept)) in images.zip(pulls) {
                let moved = ((*x - step * slope + pulled) * kept).max(0.0);
                *ahead = 2.0 * moved - *x;
                *x += relaxation * (moved - *x);
            }
        }
    }
}

/// Channels one after another, x\[g·n + i\], to channels interleaved, x\[i·J + g\].
pub(super) fn interleave(stacked: &[f32], channels: usize, out: &mut Vec<f32>) {
    out.resize(stacked.len(), 0.0);
    let pixels = stacked.len() / channels;
    for (g, channel) in stacked.chunks_exact(pixels).enumerate() {
        let slots = out[g..].iter_mut().step_by(channels);
        slots.zip(channel).for_each(|(out, v)| *out = *v);
    }
}

/// The other way.
pub(super) fn stack(interleaved: &[f32], channels: usize, out: &mut [f32]) {
    let pixels = out.len() / channels;
    for (g, channel) in out.chunks_exact_mut(pixels).enumerate() {
        let values = interleaved[g..].iter().step_by(channels);
        channel
            .iter_mut()
            .zip(values)
            .for_each(|(out, v)| *out = *v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * (seed + 7)) as f32).sin()).collect()
    }

    /// (∇x)ᵀq = xᵀ(∇ᵀq), with ∇x and ∇ᵀq from the steps themselves.
    #[test]
    fn differences_are_transposed() {
        let (rows, cols, channels) = (5, 7, 3);
        let layout = Layout {
            channels,
            line: cols * channels,
        };
        let len = rows * layout.line;
        let (x, across, down) = (values(len, 1), values(len, 2), values(len, 3));
        let (mut right, mut below) = (vec![0.0; len], vec![0.0; len]);
        climb(
            &x,
            &mut right,
            &mut below,
            &vec![1e9; len],
            layout,
            (1.0, 1.0),
        );
        let (mut at, mut ahead) = (vec![0.0; len], vec![0.0; len]);
        let mut slope = vec![-1e3; len]; // so that nothing is clipped at 0
        let (none, whole) = (vec![0.0; len], vec![1.0; len]);
        step_image(
            &mut at,
            &mut ahead,
            &mut slope,
            [&across, &down],
            [&none, &whole],
            layout,
            (1.0, 1.0),
        );
        let back: Vec<f32> = at.iter().map(|x| 1e3 - x).collect();
        let along = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let forward = along(&right, &across) + along(&below, &down);
        assert!((forward - along(&x, &back)).abs() < 1e-2);
        assert_eq!(right[channels], x[2 * channels] - x[channels]);
        assert_eq!(below[0], x[layout.line] - x[0]);
        assert_eq!(right[layout.line - 1], 0.0);
        assert_eq!(below[len - 1], 0.0);
    }

    #[test]
    fn what_is_interleaved_is_stacked_again() {
        let x = values(24, 4);
        let mut interleaved = vec![];
        interleave(&x, 4, &mut interleaved);
        assert_eq!(interleaved[4 * 2 + 3], x[3 * 6 + 2]);
        let mut back = vec![0.0; 24];
        stack(&interleaved, 4, &mut back);
        assert_eq!(back, x);
    }
}
