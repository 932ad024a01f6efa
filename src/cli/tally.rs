//! What a run came to, gathered while it runs, and how it is shown.

use super::table;
use crate::say::{say, tell};
use relucent::frame::RangeImage;
use relucent::metrics::{RangeErrors, median};
use relucent::pipeline::{Cause, Event, Frame, Latency, Outlet, Summary};
use relucent::recover::{Report, StartKind, StopReason};
use relucent::report::Row;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Frames that the contact sheet and the table show.
const SHOWN: usize = 6;

/// Warm frames that medians are over at most: a server runs for long.
const WARM: usize = 1 << 16;

/// Shared by the pipeline, which fills it, and the command, which reads it.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    kinds: [u64; 3],
    /// frames that their deadline cut short
    hurried: u64,
    /// iterations, χ²/readings and τ of u, s, of every `warm_stride`-th warm frame
    warm: Vec<[f64; 3]>,
    warm_stride: u64,
    errors: RangeErrors,
    scored: bool,
    max_range: f32,
    rejections: Vec<String>,
    /// every `stride`-th frame, few of them
    kept: Vec<Kept>,
    stride: usize,
    seen: usize,
}

/// What is shown of a frame. It leaves the sensor alone: descriptions are large, and a server counts those in use.
struct Kept {
    name: String,
    stamp_ns: u64,
    report: Report,
    latency: Latency,
    errors: Option<RangeErrors>,
    image: RangeImage,
    truth: Option<Arc<RangeImage>>,
}

impl Kept {
    fn new(frame: &Frame, errors: Option<RangeErrors>) -> Self {
        Self {
            name: format!("{} {}", frame.sensor.id, frame.measurement.sequence),
            stamp_ns: frame.measurement.stamp_ns,
            report: frame.report.clone(),
            latency: frame.latency,
            errors,
            image: frame.image.clone(),
            truth: frame.truth.clone(),
        }
    }
}

impl Tally {
    /// The pipeline's end.
    pub(crate) fn outlet(&self) -> Outlet {
        let tally = self.clone();
        Outlet::waiting("tally", move |event: &Event| tally.inner().take(event))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object that `--json` prints.
    pub(crate) fn json(&self, summary: &Summary) -> Value {
        let inner = self.inner();
        let accounts = &summary.accounts;
        let latency: serde_json::Map<String, Value> = summary
            .latency
            .iter()
            .map(|(stage, quantiles)| (stage.name().to_owned(), json!(quantiles)))
            .collect();
        let [cold, warm, restarted] = inner.kinds;
        let mut out = json!({
            "frames": {
                "offered": accounts.offered, "emitted": accounts.emitted,
                "dropped": accounts.dropped, "rejected": accounts.rejected,
            },
            "sinks": summary.sinks.iter().map(|sink| json!({
                "name": sink.name, "taken": sink.taken, "lost": sink.lost,
            })).collect::<Vec<_>>(),
            "latency_us": latency,
            "recovery": {
                "cold": cold, "warm": warm, "restarted": restarted, "cut_short": inner.hurried,
                "iterations_p50": inner.median_of_warm(0),
                "residual_ratio_p50": inner.median_of_warm(1),
                "time_constant_s_p50": inner.median_of_warm(2),
            },
        });
        if inner.scored {
            let errors = inner.errors.summary();
            out["quality"] = json!({
                "range_rmse_m": errors.range_rmse_m, "range_mae_m": errors.range_mae_m, "abs_rel": errors.abs_rel,
            });
        }
        out
    }

    /// Tables and a sentence for people.
    pub(crate) fn print(&self, summary: &Summary) {
        let inner = self.inner();
        let head = [
            "frame",
            "start",
            "iterations",
            "χ²/readings",
            "RMSE, m",
            "MAE, m",
            "recover, ms",
            "render, ms",
            "end to end, ms",
        ];
        let cells = inner.shown().into_iter().map(|frame| {
            let ms = |ns: u64| format!("{:.2}", ns as f64 * 1e-6);
            let errors = frame.errors.as_ref().map(RangeErrors::summary);
            let metres = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.2}"));
            vec![
                frame.name.clone(),
                format!("{:?}", frame.report.start).to_lowercase(),
                frame.report.iterations.to_string(),
                format!("{:.2}", frame.report.residual_ratio),
                metres(errors.as_ref().map(|e| e.range_rmse_m)),
                metres(errors.as_ref().map(|e| e.range_mae_m)),
                ms(frame.latency.recover_ns),
                ms(frame.latency.render_ns + frame.latency.finish_ns),
                ms(frame.latency.end_to_end_ns),
            ]
        });
        say!("{}\n", table(&head, cells));
        let head = ["latency, ms", "p50", "p90", "p99", "p99.9", "max"];
        let cells = summary.latency.iter().map(|(stage, q)| {
            let ms = |us: f64| format!("{:.2}", us * 1e-3);
            vec![
                stage.name().to_owned(),
                ms(q.p50),
                ms(q.p90),
                ms(q.p99),
                ms(q.p999),
                ms(q.max),
            ]
        });
        say!("{}\n", table(&head, cells));
        let a = &summary.accounts;
        say!(
            "{} frames offered: {} emitted, {} dropped, {} rejected",
            a.offered,
            a.emitted,
            a.dropped,
            a.rejected
        );
        let [cold, warm, restarted] = inner.kinds;
        let middle = |which| inner.median_of_warm(which).unwrap_or(f64::NAN);
        let mut starts = format!("{cold} cold, {warm} warm, {restarted} restarted");
        if inner.hurried > 0 {
            starts += &format!(", {} cut short by their deadline", inner.hurried);
        }
        if warm > 0 {
            starts += &format!(
                "; warm frames take {:.0} iterations, leave χ²/readings {:.2} and are predicted with τ {:.2} s (medians)",
                middle(0),
                middle(1),
                middle(2)
            );
        }
        say!("{starts}");
        if inner.scored {
            let errors = inner.errors.summary();
            say!(
                "range RMSE {:.2} m, mean absolute error {:.2} m, relative {:.3}",
                errors.range_rmse_m,
                errors.range_mae_m,
                errors.abs_rel
            );
        }
    }

    /// Says on stderr what went wrong with frames and sinks; an error where a sink failed.
    pub(crate) fn complain(&self, summary: Summary) -> anyhow::Result<()> {
        let inner = self.inner();
        inner.rejections.iter().for_each(|r| tell!("relucent: {r}"));
        let told = inner.rejections.len() as u64;
        let a = &summary.accounts;
        let all = a.rejected + a.panic + a.descriptions_refused;
        if all > told {
            tell!("relucent: and {} more", all - told);
        }
        let mut outcome = Ok(());
        for sink in summary.sinks {
            let told = format!(
                "{} is not whole; {} events were not taken",
                sink.name, sink.lost
            );
            match sink.failure {
                Some(failure) if outcome.is_ok() => {
                    outcome = Err(anyhow::anyhow!(failure).context(told));
                }
                Some(failure) => tell!("relucent: {told}: {failure}"),
                None if sink.lost > 0 => tell!("relucent: {told}, as it was too slow"),
                None => {}
            }
        }
        outcome
    }

    /// Rows of a contact sheet and the largest range, m; `None` where no frame came.
    pub(crate) fn sheet(&self) -> Option<(f32, Vec<Row>)> {
        let inner = self.inner();
        let shown = inner.shown();
        let size = |f: &Kept| (f.image.rows, f.image.cols);
        let first = shown.first().map(|f| size(f))?;
        let rows = shown.iter().filter(|f| size(f) == first).map(|frame| {
            let seconds = frame.stamp_ns as f64 * 1e-9;
            let rmse = frame.errors.as_ref().map_or(String::new(), |e| {
                format!(", RMSE {:.2} m", e.range_rmse_m())
            });
            Row {
                caption: format!("{}, {seconds:.2} s{rmse}", frame.name),
                truth: frame.truth.as_deref().cloned(),
                recovered: frame.image.clone(),
            }
        });
        Some((inner.max_range, rows.collect()))
    }
}

impl Inner {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Described(sensor) => {
                self.max_range = self.max_range.max(sensor.description.knots.max());
            }
            Event::Rejected(rejection) => {
                if rejection.cause == Some(Cause::Overload) {
                    return; // counted, and no fault of the frame's
                }
                if self.rejections.len() < 5 {
                    let cause = rejection
                        .cause
                        .map_or("description refused".to_owned(), |c| {
                            format!("frame {} rejected ({c:?})", rejection.sequence)
                        });
                    self.rejections.push(format!(
                        "sensor `{}`: {cause}: {}",
                        rejection.sensor_id, rejection.reason
                    ));
                }
            }
            Event::Frame(frame) => self.frame(frame),
        }
    }

    fn frame(&mut self, frame: &Frame) {
        let report = &frame.report;
        self.kinds[report.start as usize] += 1;
        self.hurried += u64::from(report.stop == StopReason::Deadline);
        if report.start == StartKind::Warm {
            self.warm([
                report.iterations as f64,
                report.residual_ratio,
                report.time_constants_s[0],
            ]);
        }
        let errors = score(frame);
        if let Some(errors) = &errors {
            self.errors.merge(errors);
            self.scored = true;
        }
        if self.seen.is_multiple_of(self.stride.max(1)) {
            self.kept.push(Kept::new(frame, errors));
        }
        self.seen += 1;
        if self.kept.len() > 16 * SHOWN {
            self.stride = 2 * self.stride.max(1);
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
    }

    /// Takes in a warm frame, unless so many came that only every so many-th counts.
    fn warm(&mut self, values: [f64; 3]) {
        let stride = self.warm_stride.max(1);
        if (self.kinds[StartKind::Warm as usize] - 1).is_multiple_of(stride) {
            self.warm.push(values);
        }
        if self.warm.len() > WARM {
            self.warm_stride = 2 * stride;
            let mut index = 0;
            self.warm.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
    }

    fn median_of_warm(&self, which: usize) -> Option<f64> {
        median(self.warm.iter().map(|values| values[which]).collect())
    }

    /// Frames spread over the run, the first among them.
    fn shown(&self) -> Vec<&Kept> {
        let count = self.kept.len();
        let mut indices: Vec<usize> = (0..SHOWN)
            .map(|i| i * count.saturating_sub(1) / (SHOWN - 1))
            .collect();
        indices.dedup();
        indices.iter().filter_map(|&i| self.kept.get(i)).collect()
    }
}

/// Errors of a frame whose truth is known and of its size.
fn score(frame: &Frame) -> Option<RangeErrors> {
    let truth = frame.truth.as_ref()?;
    if (truth.rows, truth.cols) != (frame.image.rows, frame.image.cols) {
        return None;
    }
    let mut errors = RangeErrors::default();
    errors.add(&frame.image, truth, frame.sensor.description.knots.max());
    Some(errors)
}
