//! `relucent info`: what a prior is, where it comes from, and what it cannot say; or what a log holds.

use super::prior::named;
use super::{info_log, recorded, table};
use crate::say::say;
use relucent::eval::{self, Representation};
use relucent::prior::{Prior, PriorError};
use relucent::sim::Split;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Show a log: topics, sensors. Or a prior: architecture, provenance, representation error beside PCA's.
#[derive(clap::Args, Debug)]
pub(crate) struct Info {
    /// Log (MCAP) or prior (safetensors) to show [default: the embedded prior]
    file: Option<PathBuf>,
    /// Held-out simulated frames
    #[arg(long, default_value_t = 500)]
    frames: usize,
    /// Recorded sequence whose evaluation frames are tried too, as TOML or TOML=FOLDER; may be given several times
    #[arg(long)]
    recorded: Vec<String>,
    /// One JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if let Some(path) = self.file.as_ref().filter(|path| is_log(path)) {
            anyhow::ensure!(
                self.recorded.is_empty(),
                "expected a prior with --recorded, got the log {}",
                path.display()
            );
            return info_log::show(path, self.json);
        }
        let prior = match &self.file {
            Some(path) => Prior::load(path).map_err(|error| unknown(path, error))?,
            None => Prior::embedded()?,
        };
        let mut sets = vec![(
            "simulated, held out".to_owned(),
            eval::simulated(&prior, Split::HeldOut, self.frames)?,
        )];
        for argument in &self.recorded {
            let sequence = recorded::open(argument)?;
            sets.push((
                sequence.description().origin.clone(),
                eval::recorded(&prior, &sequence)?,
            ));
        }
        if self.json {
            let sets: Vec<_> = sets
                .iter()
                .map(|(set, errors)| serde_json::json!({ "set": set, "representation": errors }))
                .collect();
            let all = serde_json::json!({
                "name": prior.name, "rows": prior.rows, "cols": prior.cols, "relative_knots": prior.knots,
                "layers": layers(&prior), "provenance": prior.provenance, "sets": sets,
            });
            say!("{all}");
            return Ok(());
        }
        print(&prior, &sets);
        Ok(())
    }
}

/// Why a file that is no log is no prior either.
fn unknown(path: &Path, error: PriorError) -> anyhow::Error {
    match error {
        PriorError::Container { found } => anyhow::anyhow!(
            "expected a log (MCAP) or a prior (safetensors), found neither in {}: {found}",
            path.display()
        ),
        PriorError::Read { source, .. } => {
            anyhow::Error::new(source).context(format!("cannot read {}", path.display()))
        }
        other => named(path, other),
    }
}

/// Whether a file begins as MCAP does.
fn is_log(path: &Path) -> bool {
    let mut start = [0; 8];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"\x89MCAP0\r\n"
}

/// Widths from the code to the image.
fn layers(prior: &Prior) -> Vec<usize> {
    let hidden = prior.decoder.layers.iter().map(|layer| layer.bias.len());
    [prior.decoder.code_len()]
        .into_iter()
        .chain(hidden)
        .chain([prior.decoder.output_len()])
        .collect()
}

fn print(prior: &Prior, sets: &[(String, Representation)]) {
    let widths: Vec<String> = layers(prior).iter().map(ToString::to_string).collect();
    say!(
        "prior `{}`: {} × {} pixels, {} channels",
        prior.name,
        prior.rows,
        prior.cols,
        prior.channels()
    );
    say!("knots, of the largest range: {:?}", prior.knots);
    say!(
        "decoder {}, affine in the last layer and in the code",
        widths.join("-")
    );
    say!(
        "{} directions of the representation error, {} principal directions",
        prior.error.directions.rows(),
        prior.moments.directions.rows()
    );
    if let Some(network) = &prior.unrolled {
        say!(
            "unrolled network: {} stages of {} fine and {} coarse features",
            network.stages.len(),
            network.features(),
            network.coarse_features()
        );
    }
    let provenance = &prior.provenance;
    say!("");
    provenance
        .earlier
        .iter()
        .for_each(|command| say!("first trained by `{command}`"));
    say!("trained by `{}`", provenance.command);
    say!(
        "seed {}, {} steps of {} frames, on",
        provenance.seed,
        provenance.steps,
        provenance.batch
    );
    provenance.data.iter().for_each(|data| say!("  {data}"));
    say!("\nrange RMSE (mean absolute error) of decode(encode(frame)), m:\n");
    let k = prior.decoder.code_len();
    let head = [
        "frames",
        "number",
        "prior",
        &format!("PCA-{k}"),
        "ratio",
        &format!("PCA-{}", prior.moments.directions.rows()),
    ];
    let cells = sets.iter().map(|(set, errors)| {
        let cell = |s: relucent::metrics::RangeSummary| {
            format!("{:.3} ({:.3})", s.range_rmse_m, s.range_mae_m)
        };
        vec![
            set.clone(),
            errors.frames.to_string(),
            cell(errors.prior),
            cell(errors.principal),
            format!("{:.3}", errors.ratio()),
            cell(errors.all_principal),
        ]
    });
    say!("{}", table(&head, cells));
}
