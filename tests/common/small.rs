//! A prior of few numbers.

use relucent::prior::{
    Affine, CodeDistribution, Conditional, Decoder, Encoder, Head, Matrix, Prior, Provenance,
    RepresentationError, SecondMoments, Stage, Unrolled,
};

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.618).sin()).collect()
}

fn affine(rows: usize, cols: usize) -> Affine {
    Affine {
        weight: Matrix::new(rows, cols, values(rows * cols)),
        bias: values(rows),
    }
}

fn conditional(len: usize) -> Conditional {
    Conditional {
        base: values(len),
        slope: Matrix::new(len, 2, values(2 * len)),
    }
}

/// One stage of three fine features and two coarse ones, for two channels.
fn unrolled() -> Unrolled {
    let (j, fine, coarse) = (2, 3, 2);
    let stage = Stage {
        step: conditional(j),
        merge: affine(fine, 8 * j + fine).weight,
        merge_bias: conditional(fine),
        near: affine(fine, 9 * fine),
        down: affine(coarse, 4 * fine),
        far: affine(coarse, 9 * coarse),
        up: affine(4 * fine, coarse),
        join: affine(fine, 9 * fine),
        out: affine(4 * j, fine),
    };
    Unrolled {
        first: affine(fine, 16 * j).weight,
        first_bias: conditional(fine),
        stages: vec![stage],
        step: conditional(j),
    }
}

/// 8 × 8 pixels, two channels, a code of three.
pub(crate) fn small() -> Prior {
    let (outputs, k) = (2 * 64, 3);
    Prior {
        name: "small".to_owned(),
        rows: 8,
        cols: 8,
        knots: vec![0.0, 1.0],
        rms_return: 0.3,
        provenance: Provenance {
            command: "none".to_owned(),
            earlier: vec!["before".to_owned()],
            seed: 1,
            steps: 0,
            batch: 1,
            data: vec![],
        },
        decoder: Decoder {
            layers: vec![affine(5, k), affine(7, 5)],
            head: Head::Affine(affine(outputs, 7 + k)),
        },
        code: CodeDistribution {
            mean: values(k),
            factor: Matrix::new(k, k, vec![1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.1, 0.2, 2.0]),
        },
        error: RepresentationError {
            mean: values(outputs),
            directions: Matrix::new(2, outputs, values(2 * outputs)),
            variances: vec![1.0, 0.5],
            remainder: vec![0.1; outputs],
            correlation: Matrix::new(2, 2, vec![0.5, 0.6, 0.0, 0.9]),
        },
        moments: SecondMoments {
            mean: values(outputs),
            directions: Matrix::new(4, outputs, values(4 * outputs)),
            variances: vec![4.0, 3.0, 2.0, 1.0],
            cross: Matrix::new(k, 4, values(4 * k)),
            remainder: vec![0.1; outputs],
        },
        encoder: Encoder {
            token: affine(4, 64),
            block: affine(4, 16),
            frame: affine(4, 4),
            out: Matrix::new(k, 4, values(4 * k)),
            linear: affine(k, outputs),
        },
        unrolled: Some(unrolled()),
    }
}
