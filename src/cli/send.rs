//! `relucent send`: a log played to a server, as a sensor would send it.

use super::{Incomplete, run, table};
use crate::say::{say, tell};
use relucent::serve::{self, Address, ClientError, CredentialFiles, Credentials, Peer, RoundTrips};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Play a measurement log to a server and show what comes back, and how soon.
///
/// Exits with 1, after its figures, where the server ends the stream before all is sent and answered.
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
    /// Authorities (PEM), one of which signed the server's certificate, and with it TLS
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// Certificate chain to show the server (PEM)
    #[arg(long, value_name = "PEM")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
    /// File with the token to show the server
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Name in the server's certificate, where it is not its address
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
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
        let peer = Peer {
            address: self.to.clone(),
            credentials: Credentials::read(&CredentialFiles {
                ca: self.ca.clone(),
                cert: self.cert.clone(),
                key: self.key.clone(),
                token: self.token_file.clone(),
                server_name: self.server_name.clone(),
            })?,
        };
        let stop = run::stop_on_signal();
        let how = serve::Send { rate: self.rate };
        let mut trips = RoundTrips::default();
        let outcome = match serve::send(&self.log, &peer, how, &stop, &mut trips) {
            Err(ClientError::Journal(error)) if error.is_early_end() => {
                Err(Incomplete(error).into())
            }
            Err(error) if trips.sent == 0 => return Err(error.into()),
            Err(error) => Err(error.into()),
            Ok(()) if trips.sent == 0 && !stop.load(Ordering::Relaxed) => anyhow::bail!(
                "expected measurements on topics /relucent/SENSOR/measurement of {}, found none",
                self.log.display()
            ),
            Ok(()) if trips.depth == 0 && !stop.load(Ordering::Relaxed) => Err(anyhow::anyhow!(
                "expected frames that can be recovered, found none; what was wrong with them stands above"
            )),
            Ok(()) => Ok(()),
        };
        let (whole, outside) = (spread(&trips.latencies_ns), spread(&trips.outside_ns));
        if self.json {
            let object = |spread: [f64; 5]| -> serde_json::Map<_, _> {
                let of = SHARES.iter().zip(spread);
                of.map(|((name, _), us)| ((*name).to_owned(), serde_json::json!(us)))
                    .collect()
            };
            say!(
                "{}",
                serde_json::json!({
                    "frames": {
                        "sent": trips.sent, "depth": trips.depth, "rejected": trips.rejected,
                        "unanswered": trips.unanswered,
                    },
                    "refused_descriptions": trips.refused_descriptions,
                    "round_trip_us": object(whole),
                    "grpc_us": object(outside),
                })
            );
        } else {
            say!(
                "{} frames sent: {} came back as depth, {} were rejected, {} not answered",
                trips.sent,
                trips.depth,
                trips.rejected,
                trips.unanswered
            );
            let row = |name: &str, spread: [f64; 5]| {
                let cells = spread.map(|us| match us.is_finite() {
                    true => format!("{:.2}", us * 1e-3),
                    false => "-".to_owned(),
                });
                [vec![name.to_owned()], cells.to_vec()].concat()
            };
            let head = SHARES.map(|(name, _)| name);
            let head = [&["ms"][..], &head].concat();
            let rows = [row("round trip", whole), row("of it, gRPC", outside)];
            say!("\n{}", table(&head, rows));
        }
        trips
            .reasons
            .iter()
            .for_each(|r| tell!("relucent: rejected: {r}"));
        outcome
    }
}

/// Shares of frames that took no longer.
const SHARES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p999", 0.999),
    ("max", 1.0),
];

/// Percentiles at [`SHARES`], µs.
fn spread(latencies_ns: &[u64]) -> [f64; 5] {
    let mut sorted = latencies_ns.to_vec();
    sorted.sort_unstable();
    SHARES.map(|(_, share)| {
        let last = sorted.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        sorted.get(index).map_or(f64::NAN, |ns| *ns as f64 * 1e-3)
    })
}
