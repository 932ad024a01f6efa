//! Operators are what they say: ⟨A v, u⟩ = ⟨v, Aᵀ u⟩, and their rows have the energy they state.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use relucent::sensing::{Blocks, Dense, Fourier, Hadamard, Mask, Operator};

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64)
        .map(|i| (((i + 1) * (seed + 3)) as f32 * 0.618).sin())
        .collect()
}

fn check(operator: &dyn Operator, seed: u64) -> Result<(), TestCaseError> {
    let (m, n) = operator.shape();
    let mut scratch = vec![f32::NAN; operator.scratch()];
    let (v, u) = (values(n, seed), values(m, seed + 1));
    let (mut forward, mut back) = (vec![0.0; m], vec![0.0; n]);
    operator.apply(&v, &mut forward, &mut scratch);
    operator.adjoint(&u, &mut back, &mut scratch);
    let scale = dot(&v, &v).sqrt() * dot(&u, &u).sqrt() + 1e-6;
    prop_assert!((dot(&forward, &u) - dot(&v, &back)).abs() <= 1e-4 * scale);
    let variance: Vec<f32> = v.iter().map(|v| v.abs()).collect();
    let mut energy = vec![0.0; m];
    operator.row_energy(&variance, &mut energy);
    for (j, energy) in energy.iter().enumerate() {
        let mut unit = vec![0.0; m];
        unit[j] = 1.0;
        operator.adjoint(&unit, &mut back, &mut scratch);
        let squares: Vec<f32> = back.iter().map(|a| a * a).collect();
        prop_assert!((f64::from(*energy) - dot(&squares, &variance)).abs() < 1e-4);
    }
    Ok(())
}

proptest! {
    #[test]
    fn hadamard(pixels in 1usize..200, readings in 1usize..40, seed in 0u64..1000) {
        check(&Hadamard::random(pixels, readings, seed).unwrap(), seed)?;
    }

    #[test]
    fn hadamard_of_variable_density(rows in 1usize..20, cols in 1usize..20, readings in 1usize..40, seed in 0u64..1000) {
        check(&Hadamard::variable_density(rows, cols, readings, seed).unwrap(), seed)?;
    }

    #[test]
    fn dense(pixels in 1usize..100, readings in 1usize..40, seed in 0u64..1000) {
        check(&Dense::gaussian(readings, pixels, seed).unwrap(), seed)?;
    }

    #[test]
    fn mask(pixels in 1usize..200, readings in 1usize..40, seed in 0u64..1000) {
        check(&Mask::random(pixels, readings, seed).unwrap(), seed)?;
    }

    #[test]
    fn identity(pixels in 1usize..100, seed in 0u64..1000) {
        check(&Mask::all(pixels).unwrap(), seed)?;
    }

    #[test]
    fn blocks(down in 1usize..8, across in 1usize..8, side in 1usize..6, seed in 0u64..1000) {
        check(&Blocks::new(down * side, across * side, side).unwrap(), seed)?;
    }

    #[test]
    fn fourier(rows in 1usize..16, cols in 1usize..16, share in 0.0..1.0, seed in 0u64..1000) {
        let readings = (share * (rows * cols) as f64) as usize | 1; // an odd number always can be
        if readings <= rows * cols {
            check(&Fourier::random(rows, cols, readings, seed).unwrap(), seed)?;
        }
    }
}
