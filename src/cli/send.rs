//! `relucent send`: a log played to a server, as a sensor would send it.

use super::{run, table};
use relucent::serve::{self, Address};
use std::path::PathBuf;

/// Play a measurement log to a server and show what comes back, and how soon.
#[derive(clap::Args, Debug)]
pub(crate) struct Send {
    /// Measurement log (MCAP)
    log: PathBuf,
    /// Address of the server: HOST:PORT or unix:PATH
    #[arg(long, default_value = "127.0.0.1:50551")]
    to: Address,
    /// Pace: 1 is the recording's own, 2 twice as fast; 0: as fast as the server takes it
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// One JSON object on stdout instead of a table
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.rate.is_finite() && self.rate >= 0.0,
            "expected --rate of at least 0, got {}",
            self.rate
        );
        let stop = run::stop_on_signal();
        let how = serve::Send { rate: self.rate };
        let trips = serve::send(&self.log, &self.to, how, &stop)?;
        let mut sorted = trips.latencies_ns.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let last = sorted.len().saturating_sub(1);
            let index = (share * last as f64).round() as usize;
            sorted.get(index).map_or(f64::NAN, |ns| *ns as f64 * 1e-3)
        };
        let shares = [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p999", 0.999),
            ("max", 1.0),
        ];
        if self.json {
            let latency: serde_json::Map<_, _> = shares
                .iter()
                .map(|(name, share)| ((*name).to_owned(), serde_json::json!(at(*share))))
                .collect();
            println!(
                "{}",
                serde_json::json!({
                    "frames": { "sent": trips.sent, "depth": trips.depth, "rejected": trips.rejected },
                    "round_trip_us": latency,
                })
            );
        } else {
            println!(
                "{} frames sent: {} came back as depth, {} were rejected",
                trips.sent, trips.depth, trips.rejected
            );
            let cells = shares.map(|(_, share)| format!("{:.2}", at(share) * 1e-3));
            let head: Vec<String> = shares
                .iter()
                .map(|(name, _)| format!("{name}, ms"))
                .collect();
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            println!("\nround trip\n{}", table(&head, [cells.to_vec()]));
        }
        trips
            .reasons
            .iter()
            .for_each(|r| eprintln!("relucent: rejected: {r}"));
        Ok(())
    }
}
