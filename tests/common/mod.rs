//! What several tests need.

use relucent::clock::Monotonic;
use relucent::frame::{Geometry, RangeImage};
use relucent::journal::Writer;
use relucent::pipeline::{Exposure, VirtualStream};
use relucent::prior::Prior;
use relucent::sim::{self, Family, Imperfections};
use std::path::Path;
use std::sync::LazyLock;

/// The embedded prior.
pub(crate) static PRIOR: LazyLock<Prior> = LazyLock::new(|| Prior::embedded().unwrap());

/// How long a sensor goes one way, s.
const ONE_WAY_S: f32 = 8.0;

const FAMILIES: [Family; 4] = [Family::Street, Family::Corridor, Family::Room, Family::Yard];

/// A log of several interleaved sensors named `sensor 0` and so on, 30 Hz; the fourth loses readings. They go to and fro, so
/// that none leaves its scene.
pub(crate) fn record(path: &Path, sensors: usize, frames: u64) {
    let rays = sim::rays(64, 64);
    let geometry = Geometry::centred(60.0, 45.0);
    let mut log = Writer::create(path, Monotonic::default()).unwrap();
    let mut truth = RangeImage::default();
    let mut streams: Vec<_> = (0..sensors)
        .map(|s| {
            let scene = sim::held_out(FAMILIES[s % 4], 1);
            scene.cast(&rays, 0.0, 30.0, &mut truth);
            let exposure = Exposure {
                ratio: 0.02,
                sets: 2,
                seed: s as u64,
                imperfections: Imperfections {
                    missing: if s == 3 { 0.05 } else { 0.0 },
                    ..Imperfections::default()
                },
                ..Exposure::default()
            };
            let name = format!("sensor {s}");
            let stream = VirtualStream::new(&name, geometry, &PRIOR, 30.0, exposure, &truth);
            (scene, stream.unwrap())
        })
        .collect();
    for index in 0..frames {
        let time = index as f32 / 30.0 % (2.0 * ONE_WAY_S);
        let there = time.min(2.0 * ONE_WAY_S - time);
        for (s, (scene, stream)) in streams.iter_mut().enumerate() {
            scene.cast(&rays, there, 30.0, &mut truth);
            let stamp_ns = index * 33_333_333 + s as u64 * 1_000_000;
            stream.record(&truth, stamp_ns, &mut log).unwrap();
        }
    }
    log.finish().unwrap();
}
