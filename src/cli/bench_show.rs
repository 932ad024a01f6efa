//! A bench run for people: tables on stdout.

use super::bench_figures::{figures, micros};
use super::table;
use crate::say::{say, tell};
use relucent::bench::{self, Latencies, Measured, Parts, Point, Ratio, Spread, Sweep};
use serde_json::Value;

/// Figures of a run's JSON that two runs are compared by.
const COMPARED: [&str; 7] = [
    "latency_us",
    "throughput",
    "parts",
    "ratios",
    "allocations_per_frame",
    "peak_mib",
    "frames",
];

/// All tables of a run.
pub(super) fn print(told: &Value, measured: &Measured, parts: &Parts) {
    say!("{}\n", settings(told));
    let (head, lines) = latencies(&measured.latency_us);
    say!("{}\n", table(&head, lines));
    say!(
        "{}",
        table(&["figure", "value"], figures(told, measured, parts))
    );
}

/// What was run on what, in a line each.
fn settings(told: &Value) -> String {
    let machine = &told["machine"];
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let lines = [
        format!(
            "{}, {} cores, {} {}, load {}",
            text(&machine["cpu"]),
            machine["cores"],
            text(&machine["os"]),
            text(&machine["arch"]),
            machine["load"]
        ),
        format!("workload {}", told["workload"]),
        format!("options {}", told["options"]),
        format!("pipeline {}", told["settings"]["pipeline"]),
    ];
    lines.join("\n")
}

/// Head and lines of the table of latencies.
pub(super) fn latencies(times: &Latencies) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let rare = times.end_to_end.p999.is_some();
    let mut head = vec!["µs", "p50", "p90", "p99"];
    head.extend(rare.then_some("p99.9"));
    head.extend(["max", "mean"]);
    let line = |(name, s): (&str, Spread)| {
        let values = [
            Some(s.p50),
            Some(s.p90),
            Some(s.p99),
            s.p999,
            Some(s.max),
            Some(s.mean),
        ];
        let shown = values.into_iter().flatten().map(micros);
        [name.to_owned()].into_iter().chain(shown).collect()
    };
    (head, times.rows().into_iter().map(line).collect())
}

/// What two runs are compared by; what was not alike is said on stderr.
pub(super) fn compared(before: &Value, now: &Value) -> Vec<Ratio> {
    for part in ["machine", "settings", "options", "workload"] {
        let same = |run: &Value| {
            let mut part = run[part].clone();
            part.as_object_mut().map(|map| map.remove("load"));
            part
        };
        // read back as the earlier run was: the last digit of a number may not survive that
        let now: Value = serde_json::from_str(&same(now).to_string()).unwrap_or_default();
        if same(before) != now {
            tell!("not the same {part} as in the earlier run");
        }
    }
    let chosen = |run: &Value| -> Value {
        let parts = COMPARED
            .iter()
            .map(|part| ((*part).to_owned(), run[*part].clone()));
        Value::Object(parts.collect())
    };
    bench::ratios(&chosen(before), &chosen(now))
}

/// The table of a comparison.
pub(super) fn print_compared(ratios: &[Ratio]) {
    let shown = |ratio: f64| format!("{ratio:.3}");
    let rows = ratios.iter().map(|r| {
        let ratio = r.ratio().map_or(String::new(), shown);
        vec![r.name.clone(), micros(r.before), micros(r.now), ratio]
    });
    let head = ["figure", "before", "now", "now / before"];
    say!("\n{}", table(&head, rows));
}

/// Tables of a sweep.
pub(super) fn print_sweep(sweep: &Sweep) {
    let head = [
        "m",
        "sensors",
        "workers",
        "prepare, ms",
        "solve p50, µs",
        "iterations",
        "iteration, µs",
        "projecting y, µs",
        "render p50, µs",
        "frames/s",
        "memory, MiB",
    ];
    for points in [&sweep.readings, &sweep.sensors, &sweep.workers] {
        say!("{}\n", table(&head, points.iter().map(point)));
    }
    let rows = sweep.growth.iter().map(|growth| {
        let measured = growth
            .measured
            .map_or("unknown".to_owned(), |e| format!("{e:.2}"));
        vec![
            growth.cost.to_owned(),
            growth.with.to_owned(),
            measured,
            growth.expected.to_owned(),
        ]
    });
    say!(
        "{}",
        table(&["cost", "grows with", "exponent", "expected"], rows)
    );
}

fn point(point: &Point) -> Vec<String> {
    vec![
        point.readings.to_string(),
        point.sensors.to_string(),
        point.workers.to_string(),
        format!("{:.1}", point.prepare_ms),
        micros(point.solve_us),
        format!("{:.2}", point.iterations),
        micros(point.iteration_us),
        micros(point.projecting_us),
        micros(point.render_us),
        format!("{:.1}", point.frames_per_s),
        point
            .resident_mib
            .map_or(String::new(), |mib| format!("{mib:.0}")),
    ]
}
