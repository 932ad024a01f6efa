//! A sensor that has bad luck: it sends ten frames a second, and in one second of three something goes wrong.

use super::cable::Cable;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use relucent::wire::v1::{self, recover_request, recover_response};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const TICK: Duration = Duration::from_millis(100);
/// Longer than a server that pings each second takes to find out.
const DEAD_FOR: Duration = Duration::from_secs(5);
const HOUR_NS: u64 = 3_600_000_000_000;
const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    VanishMidFrame,
    HalfOpen,
    SlowReader,
    OtherDescription,
    ClockJump,
    Duplicate,
    Reorder,
    Missing,
    HostileFrames,
    HostileBytes,
}

const FAULTS: [Fault; 10] = [
    Fault::VanishMidFrame,
    Fault::HalfOpen,
    Fault::SlowReader,
    Fault::OtherDescription,
    Fault::ClockJump,
    Fault::Duplicate,
    Fault::Reorder,
    Fault::Missing,
    Fault::HostileFrames,
    Fault::HostileBytes,
];

/// What all sensors did and were answered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    faults: [AtomicU64; FAULTS.len()],
    pub(super) sent: AtomicU64,
    pub(super) depth: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// answers that overtook another of their stream
    pub(super) disordered: AtomicU64,
}

impl Tally {
    /// How often each fault came.
    pub(super) fn faults(&self) -> Vec<(String, u64)> {
        let counts = FAULTS.iter().zip(&self.faults);
        counts
            .map(|(fault, count)| (format!("{fault:?}"), count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// A description and the frames that fit it.
pub(super) type Recording = (v1::SensorDescription, Vec<v1::MeasurementFrame>);

pub(super) struct Sensor {
    /// what it may describe itself as
    pub(super) recordings: [Recording; 2],
    pub(super) random: ChaCha8Rng,
    pub(super) server: PathBuf,
    /// where its own end of a cable is
    pub(super) near: PathBuf,
    pub(super) tally: Arc<Tally>,
    /// which of them it is
    pub(super) described: usize,
    pub(super) sequence: u64,
    /// messages sent ever, which each frame carries in its pose: it comes back as it was
    pub(super) count: u64,
}

/// A stream while it lasts.
struct Line {
    cable: Cable,
    requests: mpsc::Sender<v1::RecoverRequest>,
    reading: JoinHandle<()>,
    /// answers are not read for now
    slow: Arc<AtomicBool>,
    /// the description was refused: the sensor is held by a stream that has not been found dead yet
    refused: Arc<AtomicBool>,
}

/// A stream is over.
struct Over;

impl Sensor {
    /// One stream after another.
    pub(super) async fn live(mut self, until: Instant) {
        while Instant::now() < until {
            if let Some(line) = self.connect().await {
                let _ = self.stream(line, until).await;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn connect(&mut self) -> Option<Line> {
        let cable = Cable::lay(&self.near, &self.server);
        let mut client = cable.peer.connect().await.ok()?;
        let (requests, outgoing) = mpsc::channel(1);
        let answers = client.recover(ReceiverStream::new(outgoing)).await.ok()?;
        let (slow, refused) = (Arc::default(), Arc::default());
        let reader = Reader {
            slow: Arc::clone(&slow),
            refused: Arc::clone(&refused),
            tally: Arc::clone(&self.tally),
        };
        Some(Line {
            cable,
            requests,
            reading: tokio::spawn(reader.run(answers.into_inner())),
            slow,
            refused,
        })
    }

    async fn stream(&mut self, line: Line, until: Instant) -> Result<(), Over> {
        self.describe(&line).await?;
        while Instant::now() < until {
            if self.random.random::<f32>() < 1.0 / 3.0 {
                let fault = self.random.random::<u32>() as usize % FAULTS.len();
                self.tally.faults[fault].fetch_add(1, Ordering::Relaxed);
                match FAULTS[fault] {
                    Fault::VanishMidFrame => {
                        let passes = u64::from(self.random.random::<u32>()) % 2000;
                        line.cable.left.store(passes, Ordering::Relaxed);
                        let frame = self.frame();
                        return self.send(&line, frame).await;
                    }
                    Fault::HalfOpen => {
                        line.cable.dead.store(true, Ordering::Relaxed);
                        tokio::spawn(async move {
                            tokio::time::sleep(DEAD_FOR).await;
                            drop(line);
                        });
                        return Err(Over);
                    }
                    Fault::OtherDescription => {
                        self.described ^= 1;
                        if self.random.random::<bool>() {
                            drop(line.requests); // in a stream of its own, once this one is answered
                            let _ = tokio::time::timeout(DEAD_FOR, line.reading).await;
                            return Ok(());
                        }
                        self.describe(&line).await?;
                    }
                    fault => self.suffer(fault, &line).await?,
                }
            }
            for _ in 0..10 {
                let frame = self.frame();
                self.send(&line, frame).await?;
                tokio::time::sleep(TICK).await;
            }
        }
        drop(line.requests);
        let _ = tokio::time::timeout(DEAD_FOR, line.reading).await;
        Ok(())
    }

    /// What a stream outlives.
    async fn suffer(&mut self, fault: Fault, line: &Line) -> Result<(), Over> {
        let coin = self.random.random::<u32>() as usize;
        match fault {
            Fault::SlowReader => {
                line.slow.store(true, Ordering::Relaxed);
                for _ in 0..100 {
                    let frame = self.frame();
                    let sending = self.send(line, frame);
                    let _ = tokio::time::timeout(TICK / 4, sending).await;
                }
                line.slow.store(false, Ordering::Relaxed);
            }
            Fault::ClockJump => {
                for _ in 0..5 {
                    let mut frame = self.frame();
                    let now = frame.stamp_ns;
                    frame.stamp_ns = [0, now - HOUR_NS, now + HOUR_NS, u64::MAX][coin % 4];
                    self.send(line, frame).await?;
                }
            }
            Fault::Duplicate => {
                let frame = self.frame();
                self.send(line, frame.clone()).await?;
                self.send(line, frame).await?;
            }
            Fault::Reorder => {
                let (first, second) = (self.frame(), self.frame());
                self.send(line, second).await?;
                self.send(line, first).await?;
            }
            Fault::Missing => self.sequence += coin as u64,
            Fault::HostileFrames => {
                for _ in 0..5 {
                    let frame = self.hostile();
                    self.send(line, frame).await?;
                }
            }
            Fault::HostileBytes => {
                let mut bytes = vec![0; coin % 4096];
                self.random.fill(&mut bytes[..]);
                if let Ok(stream) = tokio::net::UnixStream::connect(&self.server).await {
                    let _ = stream.writable().await;
                    let _ = stream.try_write(&bytes);
                    tokio::time::sleep(TICK).await;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn describe(&mut self, line: &Line) -> Result<(), Over> {
        let description = self.recordings[self.described].0.clone();
        let kind = Some(recover_request::Kind::Description(description));
        let request = v1::RecoverRequest { kind };
        line.requests.send(request).await.map_err(|_| Over)
    }

    /// The next frame, to and fro in its recording.
    fn frame(&mut self) -> v1::MeasurementFrame {
        self.sequence += 1;
        let frames = &self.recordings[self.described].1;
        let round = self.sequence as usize % (2 * frames.len());
        let at = round.min(2 * frames.len() - 1 - round);
        v1::MeasurementFrame {
            sequence: self.sequence,
            stamp_ns: EPOCH_NS + self.sequence * TICK.as_nanos() as u64,
            ..frames[at].clone()
        }
    }

    fn hostile(&mut self) -> v1::MeasurementFrame {
        let mut frame = self.frame();
        let coin = self.random.random::<u32>() as usize;
        let Some(v1::measurement_frame::Data::Readings(readings)) = &mut frame.data else {
            panic!("expected readings");
        };
        let mut y = readings.y.to_vec();
        match coin % 8 {
            0 => y.truncate(coin / 8 % y.len()),
            1 => self.random.fill(&mut y[..]), // infinities among them
            2 => y.fill(0),
            3 => y
                .iter_mut()
                .for_each(|b| *b = [0, 0, 0, 0x7f][usize::from(*b) % 4]),
            4 => readings.gain = [f32::NAN, -1.0, 0.0, f32::MIN_POSITIVE, f32::MAX][coin / 8 % 5],
            5 => frame.pattern_set = coin as u32,
            6 => frame.missing = vec![coin as u8; coin / 8 % 64].into(),
            _ => frame.sensor_id = "nobody's".to_owned(),
        }
        if let Some(v1::measurement_frame::Data::Readings(readings)) = &mut frame.data {
            readings.y = y.into();
        }
        frame
    }

    async fn send(&mut self, line: &Line, frame: v1::MeasurementFrame) -> Result<(), Over> {
        if line.refused.load(Ordering::Relaxed) {
            return Err(Over);
        }
        self.count += 1;
        let pose = v1::Pose {
            x: self.count as f64,
            qw: 1.0,
            ..v1::Pose::default()
        };
        let frame = v1::MeasurementFrame {
            pose: Some(pose),
            ..frame
        };
        let kind = Some(recover_request::Kind::Measurement(frame));
        let request = v1::RecoverRequest { kind };
        line.requests.send(request).await.map_err(|_| Over)?;
        self.tally.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct Reader {
    slow: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl Reader {
    async fn run(self, mut answers: Streaming<v1::RecoverResponse>) {
        let mut last = 0.0;
        loop {
            while self.slow.load(Ordering::Relaxed) {
                tokio::time::sleep(TICK / 10).await;
            }
            let Ok(Some(answer)) = answers.message().await else {
                return;
            };
            match answer.kind {
                Some(recover_response::Kind::Depth(depth)) => {
                    let count = depth.pose.unwrap().x;
                    let disordered = u64::from(count <= last);
                    self.tally
                        .disordered
                        .fetch_add(disordered, Ordering::Relaxed);
                    self.tally.depth.fetch_add(1, Ordering::Relaxed);
                    last = count;
                }
                Some(recover_response::Kind::Rejection(rejection)) if rejection.sequence == 0 => {
                    self.refused.store(true, Ordering::Relaxed);
                }
                _ => {
                    self.tally.rejected.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}
