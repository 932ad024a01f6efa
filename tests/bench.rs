//! The bench as its users meet it: warm-up left out, nobody's wait forgotten, JSON and page that can be read.

#![allow(clippy::unwrap_used)]

mod common;

use common::{PRIOR, record};
use relucent::bench::{Bench, Measured, Options, Workload};
use relucent::pipeline::{self, Event, Exposure, Outlet, Place, Policy};
use relucent::recover::{Method, Model, Refine, Settings};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A pipeline that does next to nothing with its frames.
fn light(options: Options, sensors: usize, outlets: Vec<Outlet>) -> Measured {
    let workload = Workload::simulated(&PRIOR, sensors, Exposure::default()).unwrap();
    light_on(&workload, options, outlets)
}

fn light_on(workload: &Workload, options: Options, outlets: Vec<Outlet>) -> Measured {
    let settings = Settings {
        method: Method::Blank,
        refine: Refine::NONE,
        ..Settings::default()
    };
    let model = Arc::new(Model::new(&*PRIOR, settings.error));
    let bench = Bench {
        model: &model,
        settings: &settings,
        pipeline: pipeline::Options::default(),
        workload,
        options,
        allocations: None,
    };
    bench
        .run_beside(outlets, &AtomicBool::new(false), &mut || ())
        .unwrap()
}

#[test]
fn what_waits_behind_a_stalled_sink_is_late_from_when_it_was_due() {
    const STALL: Duration = Duration::from_millis(500);
    let (mut taken, at) = (0, 40);
    let sink = move |event: &Event| {
        if matches!(event, Event::Frame(_)) {
            taken += 1;
            if taken == at {
                std::thread::sleep(STALL);
            }
        }
    };
    let stalls = Outlet {
        name: "stalls".to_owned(),
        place: Place::Own {
            policy: Policy::Block,
            capacity: 1,
        },
        sink: Box::new(sink),
    };
    let options = Options {
        rate_hz: 100.0,
        frames: 150,
        warm_up: 10,
        deadline_ms: 100.0,
    };
    let measured = light(options, 1, vec![stalls]);
    // fifty frames were due while the sink stood still; had latency begun when they were let in, one would be late
    let late: Vec<f64> = measured
        .samples
        .iter()
        .map(|sample| sample.end_to_end_ns() as f64 * 1e-6)
        .filter(|ms| *ms > 100.0)
        .collect();
    assert!((25..=60).contains(&late.len()), "{late:?}");
    assert!(
        late[0] > 400.0 && late[0] - late[late.len() - 1] > 200.0,
        "{late:?}"
    );
    assert_eq!(measured.frames.missed, late.len() as u64);
    assert!(measured.latency_us.end_to_end.p99 > 400e3);
    assert!(measured.latency_us.solve.max < 400e3); // no stage is blamed for it
}

#[test]
fn the_warm_up_is_left_out_and_every_sensor_counted() {
    let options = Options {
        rate_hz: 0.0,
        frames: 5,
        warm_up: 3,
        ..Options::default()
    };
    let measured = light(options, 2, vec![]);
    assert_eq!((measured.frames.offered, measured.frames.emitted), (10, 10));
    assert_eq!(measured.samples.len(), 10);
    assert!(
        measured
            .samples
            .iter()
            .all(|s| (3..8).contains(&s.sequence))
    );
    assert_eq!(measured.frames.cold, 0);
    assert!(measured.warm_up_us.is_some());
    for sample in &measured.samples {
        let parts = sample.queue_ns
            + sample.decode_ns
            + sample.recover_wait_ns
            + sample.solve_ns
            + sample.render_wait_ns
            + sample.render_ns
            + sample.finish_wait_ns
            + sample.finish_ns
            + sample.sink_ns;
        assert!(parts <= sample.end_to_end_ns(), "{sample:?}");
    }
}

#[test]
fn a_log_is_sent_again_and_again_by_as_many_sensors_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 4);
    let workload = Workload::of_log(&log, 3).unwrap();
    assert_ne!(workload.bytes(0, 0), workload.bytes(1, 0));
    assert_eq!(
        workload.measurement(0, 1).unwrap().y,
        workload.measurement(2, 1).unwrap().y
    );
    let options = Options {
        rate_hz: 200.0,
        frames: 10,
        warm_up: 2,
        ..Options::default()
    };
    let measured = light_on(&workload, options, vec![]);
    assert_eq!((measured.frames.emitted, measured.frames.rejected), (30, 0));
    std::fs::write(&log, []).unwrap();
    assert!(Workload::of_log(&log, 1).is_err());
}

#[cfg(feature = "cli")]
#[test]
fn forty_frames_run_through_and_what_is_told_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (told, page) = (
        folder.path().join("a.json"),
        folder.path().join("page.html"),
    );
    let bench = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_relucent"));
        command.args(["bench", "--frames", "40", "--warm-up", "8", "--rate", "0"]);
        let output = command.args(more).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json = bench(&["--json", "--html", page.to_str().unwrap()]);
    let run: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(run["frames"]["emitted"], 40);
    for figure in [
        &run["latency_us"]["end_to_end"]["p99"],
        &run["latency_us"]["solve"]["p50"],
        &run["parts"]["forward_us"],
        &run["parts"]["stream_us"],
        &run["ratios"]["solve_p50_over_forward"],
        &run["allocations_per_frame"],
        &run["throughput"]["frames_per_s"],
    ] {
        assert!(figure.as_f64().unwrap() > 0.0, "{run:#}");
    }
    assert!(run["latency_us"]["solve"].get("p999").is_none());
    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<svg").count(), 10);
    for outside in ["<script", "<link", "href=", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    std::fs::write(&told, json).unwrap();
    let tables = bench(&["--compare", told.to_str().unwrap()]);
    for line in ["| end_to_end ", "latency_us.solve.p50", "now / before"] {
        assert!(tables.contains(line), "{line}: {tables}");
    }
}
