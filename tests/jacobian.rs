//! The decoder's Jacobian against central differences, away from kinks.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use relucent::prior::{Activations, Affine, Decoder, Head, Matrix};

const STEP: f32 = 1e-2;

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64)
        .map(|i| ((i + 1) as f32 * (seed + 2) as f32 * 0.618).sin())
        .collect()
}

fn decoder(seed: u64) -> Decoder {
    let layer = |rows: usize, cols: usize, seed| Affine {
        weight: Matrix::new(rows, cols, values(rows * cols, seed)),
        bias: values(rows, seed + 50),
    };
    Decoder {
        layers: vec![layer(12, 5, seed), layer(17, 12, seed + 1)],
        head: Head::Affine(layer(9, 22, seed + 2)),
    }
}

fn active(decoder: &Decoder, u: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let mut at = Activations::default();
    decoder.evaluate(u, &mut at);
    let features = at.features().to_vec();
    (decoder.jacobian(&mut at).active.to_vec(), features)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_differences(seed in 0u64..500, direction in 0usize..5) {
        let decoder = decoder(seed);
        let u = values(5, seed + 9);
        let moved = |step: f32| {
            let mut moved = u.clone();
            moved[direction] += step;
            moved
        };
        let first = Decoder { layers: decoder.layers[..1].to_vec(), head: Head::Identity };
        // no ReLU of the first layer flips between the two ends, so that the second is affine between them, and so on:
        prop_assume!(active(&first, &moved(STEP)).0 == active(&first, &moved(-STEP)).0);
        let ((up_on, up), (down_on, down)) = (active(&decoder, &moved(STEP)), active(&decoder, &moved(-STEP)));
        prop_assume!(up_on == down_on);
        let mut at = Activations::default();
        decoder.evaluate(&u, &mut at);
        let jacobian = decoder.jacobian(&mut at);
        prop_assume!(jacobian.active == up_on.as_slice());
        let exact: Vec<f32> = (0..up_on.len()).map(|row| jacobian.rows[(row, direction)]).collect();
        let difference: Vec<f32> = up_on.iter().map(|&unit| (up[unit] - down[unit]) / (2.0 * STEP)).collect();
        let norm = exact.iter().map(|e| e * e).sum::<f32>().sqrt();
        let error = exact.iter().zip(&difference).map(|(e, d)| (e - d).powi(2)).sum::<f32>().sqrt();
        prop_assert!(error <= 1e-3 * norm + 1e-4, "{error} of {norm}");
    }

    #[test]
    fn pull_back_is_its_transpose(seed in 0u64..500) {
        let decoder = decoder(seed);
        let mut at = Activations::default();
        decoder.evaluate(&values(5, seed + 9), &mut at);
        let v = values(22, seed + 4);
        let pulled = decoder.pull_back(&at, &v);
        let jacobian = decoder.jacobian(&mut at);
        for (c, pulled) in pulled.iter().enumerate() {
            let rows = jacobian.active.iter().enumerate();
            let expected: f32 = v[17 + c] + rows.map(|(row, &unit)| jacobian.rows[(row, c)] * v[unit]).sum::<f32>();
            prop_assert!((pulled - expected).abs() < 1e-2 + 1e-4 * expected.abs());
        }
    }
}
