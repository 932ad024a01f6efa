//! The unrolled network in a prior's file.

use super::{Entry, PriorError, Tensors, matrix_entry, vector_entry};
use crate::prior::{Affine, Conditional, Stage, Unrolled};
use serde::{Deserialize, Serialize};

/// Sizes of a network, in the header.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    stages: usize,
    /// C
    features: usize,
    /// D
    coarse_features: usize,
}

impl Sizes {
    pub(super) fn of(network: &Unrolled) -> Self {
        Self {
            stages: network.stages.len(),
            features: network.features(),
            coarse_features: network.coarse_features(),
        }
    }

    /// What each is called, the largest that is read, and what it is.
    pub(super) fn sizes(self) -> [(&'static str, usize, usize); 3] {
        [
            ("unrolled stages", 64, self.stages),
            ("unrolled features", 1024, self.features),
            ("unrolled coarse features", 1024, self.coarse_features),
        ]
    }
}

/// Appends every tensor of a network.
pub(super) fn entries<'a>(network: &'a Unrolled, out: &mut Vec<Entry<'a>>) {
    out.push(matrix_entry("unrolled.first.weight", &network.first));
    conditional("unrolled.first.bias", &network.first_bias, out);
    conditional("unrolled.step", &network.step, out);
    for (index, stage) in network.stages.iter().enumerate() {
        let name = |part: &str| format!("unrolled.{index}.{part}");
        conditional(&name("step"), &stage.step, out);
        out.push(matrix_entry(&name("merge.weight"), &stage.merge));
        conditional(&name("merge.bias"), &stage.merge_bias, out);
        for (part, layer) in layers(stage) {
            let weight = name(&format!("{part}.weight"));
            out.push(matrix_entry(&weight, &layer.weight));
            out.push(vector_entry(&name(&format!("{part}.bias")), &layer.bias));
        }
    }
}

/// The affine layers of a stage, by name.
fn layers(stage: &Stage) -> [(&'static str, &Affine); 6] {
    [
        ("near", &stage.near),
        ("down", &stage.down),
        ("far", &stage.far),
        ("up", &stage.up),
        ("join", &stage.join),
        ("out", &stage.out),
    ]
}

fn conditional<'a>(name: &str, values: &'a Conditional, out: &mut Vec<Entry<'a>>) {
    out.push(vector_entry(&format!("{name}.base"), &values.base));
    out.push(matrix_entry(&format!("{name}.slope"), &values.slope));
}

impl Tensors<'_> {
    /// A network for images of `channels` channels.
    pub(super) fn unrolled(&self, sizes: &Sizes, channels: usize) -> Result<Unrolled, PriorError> {
        let (fine, coarse) = (sizes.features, sizes.coarse_features);
        let stage = |index| {
            let name = |part: &str| format!("unrolled.{index}.{part}");
            Ok(Stage {
                step: self.conditional(&name("step"), channels)?,
                merge: self.matrix(&name("merge.weight"), fine, 8 * channels + fine)?,
                merge_bias: self.conditional(&name("merge.bias"), fine)?,
                near: self.affine(&name("near"), fine, 9 * fine)?,
                down: self.affine(&name("down"), coarse, 4 * fine)?,
                far: self.affine(&name("far"), coarse, 9 * coarse)?,
                up: self.affine(&name("up"), 4 * fine, coarse)?,
                join: self.affine(&name("join"), fine, 9 * fine)?,
                out: self.affine(&name("out"), 4 * channels, fine)?,
            })
        };
        let stages = (0..sizes.stages).map(stage);
        Ok(Unrolled {
            first: self.matrix("unrolled.first.weight", fine, 16 * channels)?,
            first_bias: self.conditional("unrolled.first.bias", fine)?,
            stages: stages.collect::<Result<_, PriorError>>()?,
            step: self.conditional("unrolled.step", channels)?,
        })
    }

    fn conditional(&self, name: &str, len: usize) -> Result<Conditional, PriorError> {
        Ok(Conditional {
            base: self.vector(&format!("{name}.base"), len)?,
            slope: self.matrix(&format!("{name}.slope"), len, 2)?,
        })
    }
}
