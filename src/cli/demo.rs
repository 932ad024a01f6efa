//! `relucent demo`: measurements become depth, on a scene simulated on the spot.

use super::prior::PriorArgument;
use super::table;
use anyhow::Context;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use relucent::clock::Monotonic;
use relucent::frame::{Measurement, RangeImage};
use relucent::metrics::{RangeErrors, RangeSummary, median};
use relucent::recover::{Report, Settings, StartKind, Tracker};
use relucent::report::{self, Row};
use relucent::sim::{self, Family, Split};
use std::path::PathBuf;
use std::sync::Arc;

/// Frames a second.
const RATE_HZ: f64 = 30.0;
/// Pattern sets shown in turn.
const SETS: usize = 8;
/// Noise over the mean |y|.
const NOISE: f32 = 0.005;
/// Frames that the picture and the table show.
const SHOWN: usize = 6;

/// Simulate a sequence, measure it, recover it, and show how well that went.
#[derive(clap::Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    prior: PriorArgument,
    /// Kind of place: street, corridor, room, yard or warehouse
    #[arg(long, default_value = "street")]
    family: Family,
    /// Number of frames, at 30 Hz
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    frames: u16,
    /// Measurements over pixels, m/n
    #[arg(long, default_value_t = 0.05)]
    ratio: f64,
    /// Which scene of its kind; no prior was trained on any of them
    #[arg(long, default_value_t = 2)]
    seed: u32,
    /// Where the contact sheet goes (PNG)
    #[arg(long, default_value = "relucent-demo.png")]
    out: PathBuf,
    /// One JSON object on stdout instead of a table
    #[arg(long)]
    json: bool,
}

struct Step {
    report: Report,
    errors: RangeErrors,
}

impl Demo {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.ratio > 0.0 && self.ratio <= 1.0,
            "expected --ratio within (0, 1], got {}",
            self.ratio
        );
        let prior = self.prior.load()?;
        let readings = ((prior.pixels() as f64 * self.ratio).round() as usize).max(1);
        let grid = (prior.rows, prior.cols);
        let sensor = Arc::new(sim::describe(
            grid,
            &prior.knots,
            sim::MAX_RANGE,
            (SETS, readings),
            1,
        )?);
        let mut tracker = Tracker::new(
            Arc::clone(&sensor),
            &prior,
            Settings::default(),
            Monotonic::default(),
        )?;
        let family = Family::ALL
            .iter()
            .position(|f| *f == self.family)
            .unwrap_or(0) as u64;
        let scene = sim::scene(
            Split::HeldOut,
            family + Family::ALL.len() as u64 * u64::from(self.seed),
        );
        let rays = sim::rays(grid.0, grid.1);
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(self.seed));
        let (mut truth, mut frame) = (RangeImage::default(), RangeImage::default());
        let (mut steps, mut rows) = (vec![], vec![]);
        let frames = usize::from(self.frames);
        for index in 0..frames {
            let time_s = index as f64 / RATE_HZ;
            scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
            let measurement = Measurement {
                sequence: index as u64,
                stamp_ns: (time_s * 1e9) as u64,
                ..sim::measure(&sensor, index % SETS, &truth, NOISE, &mut rng)
            };
            let report = tracker.recover(&measurement, &mut frame)?;
            let mut errors = RangeErrors::default();
            errors.add(&frame, &truth, sim::MAX_RANGE);
            if shown(frames).contains(&index) {
                let caption = format!(
                    "frame {index}, {time_s:.2} s, RMSE {:.2} m",
                    errors.range_rmse_m()
                );
                rows.push(Row {
                    caption,
                    truth: truth.clone(),
                    recovered: frame.clone(),
                });
            }
            steps.push(Step { report, errors });
        }
        let picture = report::sheet(sim::MAX_RANGE, &rows)?;
        std::fs::write(&self.out, picture)
            .with_context(|| format!("contact sheet {}", self.out.display()))?;
        self.print(&steps, readings, prior.pixels());
        eprintln!("contact sheet: {}", self.out.display());
        Ok(())
    }

    fn print(&self, steps: &[Step], readings: usize, pixels: usize) {
        let mut all = RangeErrors::default();
        steps.iter().for_each(|step| all.merge(&step.errors));
        let quality: RangeSummary = all.summary();
        let kinds = |kind| {
            steps
                .iter()
                .filter(|step| step.report.start == kind)
                .count()
        };
        let warm = |value: fn(&Report) -> f64| {
            let warm = steps
                .iter()
                .filter(|step| step.report.start == StartKind::Warm);
            median(warm.map(|step| value(&step.report)).collect()).unwrap_or(f64::NAN)
        };
        let iterations = warm(|report| report.iterations as f64);
        let solve_ms = warm(|report| report.timing.solve_ns as f64 * 1e-6);
        let render_ms = warm(|report| report.timing.render_ns as f64 * 1e-6);
        if self.json {
            let all = serde_json::json!({
                "frames": steps.len(),
                "recovery": {
                    "cold": kinds(StartKind::Cold), "warm": kinds(StartKind::Warm),
                    "restarted": kinds(StartKind::Restarted), "iterations_p50": iterations,
                    "residual_ratio_p50": warm(|report| report.residual_ratio),
                },
                "warm_ms_p50": { "solve": solve_ms, "render": render_ms },
                "quality": quality,
            });
            println!("{all}");
            return;
        }
        let head = [
            "frame",
            "start",
            "iterations",
            "RMSE, m",
            "MAE, m",
            "χ²/readings",
            "prepare, ms",
            "solve, ms",
            "render, ms",
        ];
        let cells = shown(steps.len()).into_iter().map(|index| {
            let Step { report, errors } = &steps[index];
            let ms = |ns: u64| format!("{:.2}", ns as f64 * 1e-6);
            let summary = errors.summary();
            vec![
                index.to_string(),
                format!("{:?}", report.start).to_lowercase(),
                report.iterations.to_string(),
                format!("{:.2}", summary.range_rmse_m),
                format!("{:.2}", summary.range_mae_m),
                format!("{:.2}", report.residual_ratio),
                ms(report.timing.prepare_ns),
                ms(report.timing.solve_ns),
                ms(report.timing.render_ns),
            ]
        });
        println!("{}", table(&head, cells));
        println!(
            "\n{} frames of a {}, {readings} patterns for {pixels} pixels ({:.1} %): range RMSE {:.2} m, mean absolute error {:.2} m; \
             {} cold, {} warm, {} restarted; a warm frame takes {iterations:.0} iterations, {solve_ms:.1} ms to solve and {render_ms:.1} ms to render (medians)",
            steps.len(),
            self.family,
            100.0 * readings as f64 / pixels as f64,
            quality.range_rmse_m,
            quality.range_mae_m,
            kinds(StartKind::Cold),
            kinds(StartKind::Warm),
            kinds(StartKind::Restarted),
        );
    }
}

/// Frames spread over the sequence, the first and the last among them.
fn shown(frames: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..SHOWN).map(|i| i * (frames - 1) / (SHOWN - 1)).collect();
    shown.dedup();
    shown
}
