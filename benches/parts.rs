//! What a frame is made of, each part on its own: `cargo bench`, or `cargo bench -- NAME` for some.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use criterion::{Criterion, criterion_main};
use prost::Message;
use relucent::bench::Workload;
use relucent::clock::Monotonic;
use relucent::frame::RangeImage;
use relucent::pipeline::Exposure;
use relucent::prior::{Activations, Prior};
use relucent::recover::{Forward, Model, Refine, Settings, Tracker, Workspace};
use relucent::sensing::{Hadamard, Operator};
use relucent::wire;
use std::hint::black_box;
use std::sync::Arc;

/// n, and m at 5 %.
const SHAPE: (usize, usize) = (4096, 205);
/// Pattern sets in turn.
const SETS: u64 = 8;

/// A fast transform each way, of one channel.
fn operators(c: &mut Criterion) {
    let (pixels, readings) = SHAPE;
    let patterns = Hadamard::random(pixels, readings, 1).unwrap();
    let x: Vec<f32> = (0..pixels).map(|i| (i as f32).sin()).collect();
    let (mut y, mut back) = (vec![0.0; readings], vec![0.0; pixels]);
    let mut scratch = vec![0.0; patterns.scratch()];
    c.bench_function("hadamard apply", |b| {
        b.iter(|| patterns.apply(black_box(&x), &mut y, &mut scratch));
    });
    c.bench_function("hadamard adjoint", |b| {
        b.iter(|| patterns.adjoint(black_box(&y), &mut back, &mut scratch));
    });
}

/// The decoder: its features, all of its image, its Jacobian, and its features as a pattern set sees them.
fn decoder(c: &mut Criterion, prior: &Prior, workload: &Workload) {
    let decoder = prior.whitened_decoder();
    let code: Vec<f32> = (0..decoder.code_len()).map(|i| (i as f32).sin()).collect();
    let mut at = Activations::default();
    let mut image = vec![0.0; decoder.output_len()];
    c.bench_function("decoder features", |b| {
        b.iter(|| decoder.evaluate(black_box(&code), &mut at));
    });
    c.bench_function("decoder image", |b| {
        b.iter(|| decoder.decode(black_box(&code), &mut at, &mut image));
    });
    c.bench_function("jacobian", |b| {
        b.iter(|| decoder.jacobian(black_box(&mut at)).active.len());
    });
    let model = Arc::new(Model::new(prior, Settings::default().error));
    let sensor = workload.sensor(0).description;
    let mut forward = Forward::new(&sensor, model, 0, 1e-3).unwrap();
    c.bench_function("forward in measurement space", |b| {
        b.iter(|| forward.apply(black_box(&code))[0]);
    });
}

/// Frames one after another, as they come, or each on its own; rendered as x₀, or refined.
fn recovery(c: &mut Criterion, prior: &Prior, workload: &Workload) {
    let model = Arc::new(Model::new(prior, Settings::default().error));
    let tracker = |refine: Refine| {
        let sensor = workload.sensor(0).description;
        let settings = Settings {
            refine,
            ..Settings::default()
        };
        Tracker::with_model(sensor, Arc::clone(&model), settings, Monotonic::default()).unwrap()
    };
    let (mut tracker, plain) = (tracker(Refine::default()), tracker(Refine::NONE));
    let mut renderers =
        [&plain, &tracker].map(|t| (t.renderer().clone(), Arc::clone(t.finisher())));
    let mut frames = (0..).map(|frame| workload.measurement(0, frame).unwrap());
    let known = frames.by_ref().take(2 * SETS as usize);
    known.for_each(|frame| drop(tracker.estimate(&frame))); // pattern sets are prepared at their first frame
    let ahead = criterion::BatchSize::SmallInput;
    c.bench_function("estimate, warm", |b| {
        b.iter_batched(|| frames.next(), |m| tracker.estimate(&m.unwrap()), ahead);
    });
    let measurement = frames.next().unwrap();
    c.bench_function("estimate, cold", |b| {
        b.iter(|| {
            tracker.forget();
            tracker.estimate(black_box(&measurement))
        });
    });
    let estimate = tracker.estimate(&measurement).unwrap();
    let (mut workspace, mut image) = (Workspace::default(), RangeImage::default());
    for (name, (renderer, finisher)) in ["render", "render and refine"].iter().zip(&mut renderers) {
        c.bench_function(name, |b| {
            b.iter(|| {
                let refined = renderer.render(black_box(&estimate), &measurement);
                finisher.finish(&estimate, &measurement, refined, &mut workspace, &mut image);
            });
        });
    }
}

/// Measurements in, depth out.
fn messages(c: &mut Criterion, workload: &Workload) {
    let (bytes, message) = (workload.bytes(0, 0), workload.frame(0, 0));
    let sensor = workload.sensor(0);
    c.bench_function("encode a measurement", |b| {
        b.iter(|| black_box(&message).encode_to_vec());
    });
    c.bench_function("decode a measurement", |b| {
        b.iter(|| {
            let message = wire::decode_measurement(Bytes::clone(&bytes));
            message.map(|message| sensor.measurement(&message))
        });
    });
    let image = RangeImage::empty(64, 64);
    c.bench_function("encode a range image", |b| {
        b.iter(|| wire::range_frame_message(black_box(&image)).encode_to_vec());
    });
}

/// From a thread to the next one and back, through bounded channels as the pipeline has them; both sleep in between.
fn queue(c: &mut Criterion) {
    let (there, received) = crossbeam_channel::bounded::<u64>(8);
    let (back, answered) = crossbeam_channel::bounded::<u64>(8);
    let echo = std::thread::spawn(move || {
        received.iter().for_each(|v| back.send(v).unwrap());
    });
    c.bench_function("queue, there and back", |b| {
        b.iter(|| there.send(1).map(|()| answered.recv()));
    });
    drop(there);
    echo.join().unwrap();
}

fn parts(c: &mut Criterion) {
    let prior = Prior::embedded().unwrap();
    let workload = Workload::simulated(&prior, 1, Exposure::default()).unwrap();
    operators(c);
    decoder(c, &prior, &workload);
    recovery(c, &prior, &workload);
    messages(c, &workload);
    queue(c);
}

#[allow(missing_docs, reason = "generated")]
mod entry {
    criterion::criterion_group!(benches, super::parts);
}
use entry::benches;
criterion_main!(benches);
