//! Tells models apart, and frames.

use super::model::Model;
use super::unroll::Network;

/// FNV-1a over values, bit for bit.
pub(super) fn of_values<'a>(values: impl Iterator<Item = &'a f32>) -> u64 {
    values.fold(0xcbf2_9ce4_8422_2325, |hash, value| {
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Of what a model's images are made from: its layers, the scales of its images, its means and
/// variances, the weights that refine them.
pub(super) fn fingerprint(model: &Model) -> u64 {
    let layers = model.decoder.layers.iter();
    let layers = layers.flat_map(|layer| layer.weight.data().iter().chain(&layer.bias));
    let scales = model.head.scales().chain(model.error.scales());
    let means = model.bias.iter().chain(&model.mean_error);
    let values = layers
        .chain(scales)
        .chain(means)
        .chain(&model.rest.variance)
        .chain(model.network.iter().flat_map(Network::weights));
    of_values(values)
}

#[cfg(test)]
mod tests {
    use super::super::model::ErrorModel;
    use super::*;
    use crate::prior::Prior;

    #[test]
    fn a_weight_of_any_part_makes_another_model() {
        let prior = Prior::embedded().unwrap();
        let of = |prior: &Prior| Model::new(prior, ErrorModel::Directions).fingerprint;
        let known = of(&prior);
        assert_eq!(known, of(&prior));
        let changes: [fn(&mut Prior); 5] = [
            |p| p.decoder.layers[0].weight.row_mut(0)[0] += 0.01,
            |p| p.decoder.layers[1].bias[0] += 0.01,
            |p| p.error.mean[0] += 0.01,
            |p| p.error.variances[0] *= 1.1,
            |p| p.unrolled.as_mut().unwrap().stages[0].far.bias[0] += 0.01,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = prior.clone();
            change(&mut other);
            assert_ne!(known, of(&other), "change {index}");
        }
    }
}
