//! Figures of a bench run that are no latency of a stage.

use relucent::bench::{Measured, Parts};
use serde_json::{Value, json};

/// What is measured over its floor.
pub(super) fn ratios(measured: &Measured, parts: &Parts) -> Value {
    let times = &measured.latency_us;
    json!({
        "forward_over_its_stream": over(parts.forward_us, parts.forward_stream_us),
        "solve_p50_over_forward": over(times.solve.p50, parts.forward_us),
        "solve_p99_over_forward": over(times.solve.p99, parts.forward_us),
        "solve_alone_p50_over_forward": over(parts.warm_solve_us.p50, parts.forward_us),
        "render_alone_p50_over_stream_rendered": over(parts.render_us.p50, parts.stream_rendered_us),
        "cold_over_warm_solve_p50": over(parts.cold_solve_us.p50, parts.warm_solve_us.p50),
        "throughput_over_bound": over(measured.throughput.frames_per_s, measured.throughput.bound_per_s),
    })
}

fn over(value: f64, floor: f64) -> Option<f64> {
    (floor > 0.0).then(|| value / floor)
}

/// µs with three figures or so.
pub(super) fn micros(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.2}"),
        us if us < 100.0 => format!("{us:.1}"),
        us => format!("{us:.0}"),
    }
}

/// Everything that is no latency of a stage.
pub(super) fn figures(told: &Value, measured: &Measured, parts: &Parts) -> Vec<Vec<String>> {
    let (frames, pace) = (&measured.frames, &measured.throughput);
    let us = |value: f64| format!("{} µs", micros(value));
    let mut rows = vec![
        (
            "frames offered, emitted, dropped, rejected",
            format!(
                "{}, {}, {}, {}",
                frames.offered, frames.emitted, frames.dropped, frames.rejected
            ),
        ),
        (
            "deadline missed",
            format!(
                "{}, {:.2} %",
                frames.missed,
                100.0 * frames.missed as f64 / frames.offered.max(1) as f64
            ),
        ),
        (
            "frames/s; at most, by its stages",
            format!("{:.1}; {:.1}", pace.frames_per_s, pace.bound_per_s),
        ),
        (
            "cold, restarted frames",
            format!("{}, {}", frames.cold, frames.restarted),
        ),
        (
            "iterations, mean and most",
            format!(
                "{:.2}, {:.0}",
                measured.latency_us.iterations.mean, measured.latency_us.iterations.max
            ),
        ),
        (
            "forward_us: one forward pass in measurement space",
            us(parts.forward_us),
        ),
        ("its weights read once", us(parts.forward_stream_us)),
        (
            "stream_us: the last layer's weights read once",
            format!(
                "{}, {:.1} MiB",
                us(parts.stream_us),
                parts.stream_bytes as f64 / f64::from(1 << 20)
            ),
        ),
        (
            "as many bytes as rendering reads; active features",
            format!(
                "{}, {:.1} MiB; {:.2}",
                us(parts.stream_rendered_us),
                parts.rendered_bytes as f64 / f64::from(1 << 20),
                parts.active
            ),
        ),
        (
            "solve alone, warm: p50, p99",
            format!(
                "{}, {}",
                us(parts.warm_solve_us.p50),
                us(parts.warm_solve_us.p99)
            ),
        ),
        (
            "render without refinement: p50, p99",
            format!("{}, {}", us(parts.render_us.p50), us(parts.render_us.p99)),
        ),
        (
            "refinement on top of it: p50, p99",
            format!("{}, {}", us(parts.refine_us.p50), us(parts.refine_us.p99)),
        ),
        (
            "solve alone, cold: p50, iterations",
            format!(
                "{}, {:.0}",
                us(parts.cold_solve_us.p50),
                parts.cold_iterations
            ),
        ),
    ];
    if let Some(prepare) = &parts.prepare_us {
        rows.push((
            "first frame of a pattern set, prepare: p50",
            us(prepare.p50),
        ));
    }
    let whole = |value: Option<f64>| value.map_or("not counted".to_owned(), |v| format!("{v:.1}"));
    rows.push((
        "allocations a frame: process; tracker alone",
        format!(
            "{}; {}",
            whole(measured.allocations_per_frame),
            whole(parts.allocations_per_frame)
        ),
    ));
    for phase in &measured.memory {
        let name = match phase.name {
            "loaded" => "memory, workload and model loaded",
            "started" => "memory, pipeline started",
            "warm" => "memory, warmed up",
            _ => "memory, measured",
        };
        rows.push((
            name,
            format!(
                "{:.0} MiB, peak {:.0} MiB",
                phase.memory.resident_mib, phase.memory.peak_mib
            ),
        ));
    }
    let mut rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let ratios = told["ratios"].as_object().into_iter().flatten();
    rows.extend(ratios.map(|(name, ratio)| {
        let shown = ratio
            .as_f64()
            .map_or("unknown".to_owned(), |r| format!("{r:.2}"));
        vec![name.replace('_', " "), shown]
    }));
    rows
}
