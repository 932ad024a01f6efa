//! Weights that 8 bits with one scale a row say well: columns of the head brought to one scale.
//!
//! A ReLU layer's features may be scaled by any d > 0 where their rows are divided by it, and so may codes. Of a row's
//! rounding error every feature carries its own share, d²·E\[φ²\]/d²: least where d = (E\[φ²\]/mean W²)^¼ for each column.

use crate::prior::{Activations, Affine, Decoder, Encoder, Head, Matrix};

/// Codes that the features' sizes are taken from.
const CODES: usize = 2048;

/// Scales features and codes, and with them the rows of `codes`, (frames × k); decode(encode(·)) stays as it is.
pub(super) fn balance(decoder: &mut Decoder, encoder: &mut Encoder, codes: &mut Matrix) {
    let hidden = decoder.hidden_len();
    let energy = feature_energy(decoder, codes);
    let Head::Affine(head) = &mut decoder.head else {
        return;
    };
    let sizes = column_energy(&head.weight);
    let scales: Vec<f32> = energy
        .iter()
        .zip(&sizes)
        .map(|(phi, w)| {
            if *phi > 0.0 && *w > 0.0 {
                (phi / w).powf(0.25) as f32
            } else {
                1.0
            }
        })
        .collect();
    scale_columns(&mut head.weight, &scales);
    if let Some(last) = decoder.layers.last_mut() {
        divide_rows(last, &scales[..hidden]);
    }
    let of_code = &scales[hidden..];
    if let Some(first) = decoder.layers.first_mut() {
        scale_columns(&mut first.weight, of_code);
    }
    divide_rows(&mut encoder.linear, of_code);
    for (r, d) in of_code.iter().enumerate() {
        encoder.out.row_mut(r).iter_mut().for_each(|w| *w /= d);
    }
    for f in 0..codes.rows() {
        let code = codes.row_mut(f).iter_mut();
        code.zip(of_code).for_each(|(z, d)| *z /= d);
    }
}

/// E\[φ²\] of each feature, (h + k).
fn feature_energy(decoder: &Decoder, codes: &Matrix) -> Vec<f64> {
    let mut energy = vec![0.0; decoder.feature_len()];
    let mut at = Activations::default();
    let count = CODES.min(codes.rows());
    for f in 0..count {
        decoder.evaluate(codes.row(f), &mut at);
        let features = energy.iter_mut().zip(at.features());
        features.for_each(|(e, phi)| *e += f64::from(*phi).powi(2) / count as f64);
    }
    energy
}

/// Mean square of each column.
fn column_energy(weight: &Matrix) -> Vec<f64> {
    let mut energy = vec![0.0; weight.cols()];
    for r in 0..weight.rows() {
        let row = energy.iter_mut().zip(weight.row(r));
        row.for_each(|(e, w)| *e += f64::from(*w).powi(2) / weight.rows() as f64);
    }
    energy
}

fn scale_columns(weight: &mut Matrix, scales: &[f32]) {
    for r in 0..weight.rows() {
        let row = weight.row_mut(r).iter_mut();
        row.zip(scales).for_each(|(w, d)| *w *= d);
    }
}

fn divide_rows(layer: &mut Affine, scales: &[f32]) {
    for (r, d) in scales.iter().enumerate() {
        layer.weight.row_mut(r).iter_mut().for_each(|w| *w /= d);
        layer.bias[r] /= d;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::TokenGrid;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    /// Frames go through the network as before, and 8 bits with a scale a row take less from them.
    #[test]
    fn decoding_stays_and_rounding_hurts_less() {
        let grid = TokenGrid {
            rows: 8,
            cols: 8,
            channels: 2,
        };
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let mut values = |len: usize, scale: f32| -> Vec<f32> {
            (0..len)
                .map(|_| scale * random.next().unwrap_or(0.0))
                .collect()
        };
        let mut affine = |rows: usize, cols: usize, scale: f32| Affine {
            weight: Matrix::new(rows, cols, values(rows * cols, scale)),
            bias: values(rows, 0.1),
        };
        let (k, outputs) = (3, 128);
        let mut encoder = Encoder {
            token: affine(4, grid.token_len(), 0.1),
            block: affine(4, 16, 0.1),
            frame: affine(4, 4, 0.1),
            out: affine(k, 4, 0.1).weight,
            linear: affine(k, outputs, 0.1),
        };
        let mut head = affine(outputs, 7 + k, 0.1);
        (0..outputs).for_each(|r| {
            head.weight.row_mut(r)[7..]
                .iter_mut()
                .for_each(|w| *w *= 0.02);
        });
        let mut decoder = Decoder {
            layers: vec![affine(5, k, 1.0), affine(7, 5, 0.01)],
            head: Head::Affine(head),
        };
        let frames: Vec<Vec<f32>> = (0..20)
            .map(|f| {
                affine(1, outputs, 1.0 + f as f32 / 20.0)
                    .weight
                    .data()
                    .to_vec()
            })
            .collect();
        let decode = |encoder: &Encoder, decoder: &Decoder| -> Vec<f32> {
            let mut out = vec![0.0; outputs];
            let decoded = frames.iter().flat_map(|x| {
                decoder.decode(
                    &encoder.encode(grid, x),
                    &mut Activations::default(),
                    &mut out,
                );
                out.clone()
            });
            decoded.collect()
        };
        let rounded = |decoder: &Decoder| {
            let mut decoder = decoder.clone();
            if let Head::Affine(head) = &mut decoder.head {
                for r in 0..outputs {
                    let row = head.weight.row_mut(r);
                    let step = row.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
                    row.iter_mut().for_each(|w| *w = (*w / step).round() * step);
                }
            }
            decoder
        };
        let distance = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt()
        };
        let before = decode(&encoder, &decoder);
        let lost_before = distance(&before, &decode(&encoder, &rounded(&decoder)));
        let codes = frames.iter().flat_map(|x| encoder.encode(grid, x));
        let mut codes = Matrix::new(frames.len(), k, codes.collect());
        balance(&mut decoder, &mut encoder, &mut codes);
        let after = decode(&encoder, &decoder);
        assert!(distance(&before, &after) < 1e-4 * distance(&before, &vec![0.0; before.len()]));
        let encoded = encoder.encode(grid, &frames[3]);
        assert!(distance(&encoded, codes.row(3)) < 1e-4);
        let lost_after = distance(&after, &decode(&encoder, &rounded(&decoder)));
        assert!(
            lost_after < 0.5 * lost_before,
            "{lost_after}, before {lost_before}"
        );
    }
}
