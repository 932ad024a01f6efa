//! `relucent demo`: measurements become depth, on a scene simulated on the spot.

use super::prior::PriorArgument;
use super::run;
use crate::config::ConfigArgument;
use crate::say::tell;
use relucent::frame::{Geometry, RangeImage};
use relucent::pipeline::{Exposure, Ingress, Offer, Payload, VirtualStream};
use relucent::prior::Prior;
use relucent::sim::{self, Family, Rays, Scene};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Frames a second.
pub(crate) const RATE_HZ: f64 = 30.0;

/// Simulate a sequence, measure it, recover it, and show how well that went.
#[derive(clap::Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    /// Kind of place: street, corridor, room, yard or warehouse
    #[arg(long, default_value = "street")]
    scene: Family,
    /// Number of frames, at 30 Hz
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Measurements over pixels, m/n
    #[arg(long, default_value_t = 0.05)]
    ratio: f64,
    /// Which scene of its kind; no prior was trained on any of them
    #[arg(long, default_value_t = 3)]
    seed: u32,
    /// Where the depth log goes (MCAP)
    #[arg(long, default_value = "depth.mcap")]
    out: PathBuf,
    /// Where the contact sheet goes (PNG)
    #[arg(long, default_value = "relucent-demo.png")]
    sheet: PathBuf,
    /// One JSON object on stdout instead of tables
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Footage {
    scene: Scene,
    rays: Rays,
    stream: VirtualStream,
}

impl Demo {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        run::check_files([("--out", Some(&self.out)), ("--sheet", Some(&self.sheet))])?;
        let prior = self.prior.load()?;
        let footage = self.footage(&prior)?; // before --out is emptied
        let (pipeline, tally) = run::start(&prior, &config, Some(&self.out))?;
        let stop = run::stop_on_signal();
        self.offer(footage, &pipeline.ingress(), &stop)?;
        let summary = pipeline.finish();
        run::conclude(&tally, summary, self.json, Some(&self.sheet))?;
        tell!("depth log: {}", self.out.display());
        Ok(())
    }

    fn footage(&self, prior: &Prior) -> anyhow::Result<Footage> {
        let exposure = Exposure {
            ratio: self.ratio,
            ..Exposure::default()
        };
        let scene = sim::held_out(self.scene, self.seed);
        let rays = sim::rays(prior.rows, prior.cols);
        let (horizontal, vertical) = sim::FIELD_OF_VIEW;
        let geometry = Geometry::centred(horizontal, vertical);
        let mut truth = RangeImage::default();
        scene.cast(&rays, 0.0, sim::MAX_RANGE, &mut truth);
        let stream = VirtualStream::new("demo", geometry, prior, sim::MAX_RANGE, exposure, &truth)?;
        Ok(Footage {
            scene,
            rays,
            stream,
        })
    }

    /// Simulates and measures at 30 Hz, in real time: latency counts from the moment a frame is due.
    fn offer(&self, footage: Footage, ingress: &Ingress, stop: &AtomicBool) -> anyhow::Result<()> {
        let Footage {
            scene,
            rays,
            mut stream,
        } = footage;
        let mut truth = RangeImage::default();
        let sensor = stream.sensor();
        ingress.offer_now(Payload::Sensor(Box::new((**sensor).clone())));
        let id = Arc::clone(&sensor.id);
        let began = ingress.now_ns();
        for index in 0..self.frames {
            let time_s = f64::from(index) / RATE_HZ;
            scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
            let stamp_ns = (time_s * 1e9) as u64;
            let measurement = stream.measure(&truth, stamp_ns)?;
            if !ingress.wait_until(began + stamp_ns, stop) {
                break;
            }
            ingress.offer(Offer {
                payload: Payload::Measurement(Arc::clone(&id), Box::new(measurement)),
                intended_ns: began + stamp_ns,
                truth: Some(Arc::new(truth.clone())),
                origin: 0,
            });
        }
        Ok(())
    }
}
