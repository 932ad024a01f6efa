//! A prior's file that is not whole is refused with what was expected and what was found.

#![allow(clippy::unwrap_used)]

#[path = "common/small.rs"]
mod small;

use proptest::prelude::*;
use relucent::prior::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use small::small;

/// The small prior's file with one tensor replaced or left out.
fn changed(name: &str, replacement: Option<(Vec<usize>, Vec<f32>)>) -> String {
    let bytes = small().to_bytes().unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = replacement.map(|(shape, v)| {
        (
            shape,
            v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
        )
    });
    let views: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter_map(|(key, view)| match (&data, key == name) {
            (_, false) => Some((key, view)),
            (None, true) => None,
            (Some((shape, bytes)), true) => Some((
                key,
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )),
        })
        .collect();
    let bytes = safetensors::serialize(views, metadata.metadata().clone()).unwrap();
    Prior::from_bytes(&bytes).unwrap_err().to_string()
}

#[test]
fn a_whole_one_comes_back() {
    let prior = small();
    assert_eq!(
        Prior::from_bytes(&prior.to_bytes().unwrap()).unwrap(),
        prior
    );
}

#[test]
fn the_embedded_one_is_whole() {
    let prior = Prior::embedded().unwrap();
    assert_eq!((prior.rows, prior.cols, prior.channels()), (64, 64, 6));
    assert!(prior.unrolled.is_some());
    assert!(Prior::EMBEDDED.len() < 25_000_000);
}

#[test]
fn faults_are_named() {
    assert_eq!(
        changed("decoder.1.weight", None),
        "expected tensor `decoder.1.weight`, found none"
    );
    assert_eq!(
        changed("decoder.1.bias", Some((vec![6], vec![0.0; 6]))),
        "expected tensor `decoder.1.bias` of shape [7], found [6]"
    );
    assert_eq!(
        changed("error.mean", Some((vec![128], vec![f32::NAN; 128]))),
        "expected finite values in tensor `error.mean`, found NaN at position 0"
    );
    assert_eq!(
        changed("error.variances", Some((vec![2], vec![1.0, -1.0]))),
        "expected values > 0 in tensor `error.variances`, found -1 at position 1"
    );
    assert_eq!(
        changed(
            "error.correlation",
            Some((vec![2, 2], vec![0.5, 0.5, 1.0, 0.5]))
        ),
        "expected correlations within [0, 1) in tensor `error.correlation`, found 1 at position 2"
    );
    assert!(changed("code.factor", Some((vec![3, 3], vec![1.0; 9]))).contains("lower triangular"));
}

#[test]
fn another_version_is_named() {
    let mut other = small().to_bytes().unwrap();
    let at = other
        .windows(10)
        .position(|w| w == b"version\\\":")
        .unwrap();
    other[at + 10] = b'7';
    let error = Prior::from_bytes(&other).unwrap_err().to_string();
    assert_eq!(error, "expected prior format version 3, found 7");
}

#[test]
fn cut_anywhere_is_an_error() {
    let bytes = small().to_bytes().unwrap();
    for len in (0..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
        assert!(
            Prior::from_bytes(&bytes[..len]).is_err(),
            "cut to {len} bytes"
        );
    }
}

proptest! {
    #[test]
    fn no_byte_makes_it_panic(at in 0usize..14_000, value in any::<u8>()) {
        let mut bytes = small().to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = Prior::from_bytes(&bytes);
    }
}
