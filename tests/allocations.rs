//! Once warm, a recovery allocates nothing: what a frame needs is what the frame before gave back.

#![allow(clippy::unwrap_used)]

use relucent::bench::Workload;
use relucent::clock::Monotonic;
use relucent::frame::RangeImage;
use relucent::pipeline::Exposure;
use relucent::prior::Prior;
use relucent::recover::{Settings, StartKind, Tracker};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Frames that fill the pools: each of the eight pattern sets and each of the steps that are due now and then.
const LEAD_IN: u64 = 24;
const FRAMES: u64 = 100;

#[test]
fn a_warm_frame_allocates_nothing() {
    let prior = Prior::embedded().unwrap();
    let workload = Workload::simulated(&prior, 1, Exposure::default()).unwrap();
    let preset = |name| Settings::preset(name).unwrap();
    for settings in ["latent+net", "latent+tv", "latent"].map(preset) {
        let sensor = workload.sensor(0).description;
        let mut tracker =
            Tracker::new(sensor, &prior, settings.clone(), Monotonic::default()).unwrap();
        let mut image = RangeImage::default();
        for sequence in 0..LEAD_IN + FRAMES {
            let measurement = workload.measurement(0, sequence).unwrap();
            let region = Region::new(ALLOCATOR);
            let report = tracker.recover(&measurement, &mut image).unwrap();
            let change = region.change();
            if sequence >= LEAD_IN {
                assert_eq!(report.start, StartKind::Warm);
                let found = (change.allocations, change.reallocations);
                assert_eq!(found, (0, 0), "frame {sequence}, {:?}", settings.refine);
            }
        }
    }
}
