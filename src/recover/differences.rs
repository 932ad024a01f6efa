//! Differences between neighbouring pixels of an image: the steps of total variation that touch every pixel.

use crate::simd::kernel;

kernel! {
    /// q ← q + ρ (q̃ / max(1, |q̃| / bound) − q), q̃ = q + σ ∇x, of duals q along rows and columns, (n) each, with `steps` σ
    /// and ρ. `x` is (n + 1), its last value any; `inner`, (cols), is 1, and 0 in the last column.
    pub(super) fn climb<'a>(
        x: &'a [f32],
        across: &'a mut [f32],
        down: &'a mut [f32],
        bound: &'a [f32],
        inner: &'a [f32],
        steps: (f32, f32),
    ) {
        let cols = inner.len();
        let (step, relaxation) = steps;
        let duals = across.chunks_exact_mut(cols).zip(down.chunks_exact_mut(cols));
        for (row, ((across, down), bound)) in duals.zip(bound.chunks_exact(cols)).enumerate() {
            let [here, right, below] = neighbours(x, row, cols);
            let (across, down, bound) = (&mut across[..cols], &mut down[..cols], &bound[..cols]);
            for i in 0..cols {
                let a = across[i] + step * (inner[i] * (right[i] - here[i]));
                let d = down[i] + step * (below[i] - here[i]);
                let within = bound[i] / larger((a * a + d * d).sqrt(), bound[i]);
                across[i] += relaxation * (within * a - across[i]);
                down[i] += relaxation * (within * d - down[i]);
            }
        }
    }
}

kernel! {
    /// Weights λ·ε/(ε + |∇x|) of an image's differences, (n): what is an edge for certain need not pay for it (Candès,
    /// Wakin & Boyd 2008, section 2.2). `x` and `inner` as in [`climb`].
    pub(super) fn weigh<'a>(x: &'a [f32], bound: &'a mut [f32], inner: &'a [f32], variation: f32, edge: f32) {
        let cols = inner.len();
        for (row, bound) in bound.chunks_exact_mut(cols).enumerate() {
            let [here, right, below] = neighbours(x, row, cols);
            let bound = &mut bound[..cols];
            for i in 0..cols {
                let (right, below) = (inner[i] * (right[i] - here[i]), below[i] - here[i]);
                bound[i] = variation * edge / (edge + (right * right + below * below).sqrt());
            }
        }
    }
}

/// A row of pixels, what is right of each, and what is below: of the last row, itself. Each is `cols` long, and known to be.
#[inline(always)]
fn neighbours(x: &[f32], row: usize, cols: usize) -> [&[f32]; 3] {
    let (here, next) = x[row * cols..].split_at(cols);
    let below = if next.len() > cols { next } else { here };
    [&here[..cols], &x[row * cols + 1..][..cols], &below[..cols]]
}

/// The larger; of a NaN and `b`, `b`.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b } // one instruction, where f32::max takes three
}

kernel! {
    /// One step of an image x from `slope`, of all that is dualised but its differences, and their duals q: with
    /// x' = max(0, (x − τ (slope + ∇ᵀq) + pulled)·kept), the image ahead is 2x' − x, and x moves towards x' by the relaxation.
    /// All are (n), duals with a row of zeros before, and 0 where nothing is right or below; `steps` are τ and the relaxation.
    pub(super) fn step_image<'a>(
        x: &'a mut [f32],
        ahead: &'a mut [f32],
        slope: &'a [f32],
        duals: [&'a [f32]; 2],
        pulls: [&'a [f32]; 2],
        cols: usize,
        steps: (f32, f32),
    ) {
        let ([across, down], [pulled, kept]) = (duals, pulls);
        let (step, relaxation) = steps;
        let n = x.len();
        let (left, right) = (&across[cols - 1..][..n], &across[cols..][..n]);
        let (above, below) = (&down[..n], &down[cols..][..n]);
        let (ahead, slope) = (&mut ahead[..n], &slope[..n]);
        let (pulled, kept) = (&pulled[..n], &kept[..n]);
        for i in 0..n {
            let slope = slope[i] + ((left[i] - right[i]) + (above[i] - below[i]));
            let moved = larger((x[i] - step * slope + pulled[i]) * kept[i], 0.0);
            ahead[i] = 2.0 * moved - x[i];
            x[i] += relaxation * (moved - x[i]);
        }
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
        let (rows, cols) = (5, 7);
        let len = rows * cols;
        let x = values(len + 1, 1);
        let mut inner = vec![1.0; cols];
        inner[cols - 1] = 0.0;
        let (mut across, mut down) = (values(len, 2), values(len, 3));
        across
            .iter_mut()
            .skip(cols - 1)
            .step_by(cols)
            .for_each(|q| *q = 0.0);
        down[len - cols..].fill(0.0);
        let (mut right, mut below) = (vec![0.0; len], vec![0.0; len]);
        let bound = vec![1e9; len];
        climb(&x, &mut right, &mut below, &bound, &inner, (1.0, 1.0));
        let (mut at, mut ahead) = (vec![0.0; len], vec![0.0; len]);
        let slope = vec![-1e3; len]; // so that nothing is clipped at 0
        let (none, whole) = (vec![0.0; len], vec![1.0; len]);
        let padded = [&across, &down].map(|q| [vec![0.0; cols], q.clone()].concat());
        step_image(
            &mut at,
            &mut ahead,
            &slope,
            [&padded[0], &padded[1]],
            [&none, &whole],
            cols,
            (1.0, 1.0),
        );
        let back: Vec<f32> = at.iter().map(|x| 1e3 - x).collect();
        let along = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let forward = along(&right, &across) + along(&below, &down);
        assert!((forward - along(&x[..len], &back)).abs() < 1e-2);
        assert_eq!(right[1], x[2] - x[1]);
        assert_eq!(below[0], x[cols] - x[0]);
        assert_eq!(right[cols - 1], 0.0);
        assert_eq!(below[len - 1], 0.0);
    }
}
