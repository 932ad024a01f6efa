//! `relucent recover`: what can still be read of a log that was cut or damaged.

use crate::say::say;
use relucent::journal::{self, Loss, Repaired};
use serde_json::json;
use std::path::PathBuf;

/// Repair a log that was cut or damaged, and say what it lost.
#[derive(clap::Args, Debug)]
pub(crate) struct Recover {
    /// Log (MCAP); not while it is being written
    log: PathBuf,
    /// Where the repaired log goes (MCAP) [default: in the place of LOG, which is left alone until then]
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

impl Recover {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let out = self.out.as_ref().unwrap_or(&self.log);
        let repaired = journal::repair(&self.log, out)?;
        if self.json {
            say!("{}", as_json(&repaired));
        } else {
            say!("{}: {} messages", out.display(), repaired.messages);
            lines(&repaired).iter().for_each(|line| say!("{line}"));
        }
        Ok(())
    }
}

fn lines(repaired: &Repaired) -> Vec<String> {
    if repaired.whole {
        return vec!["nothing was lost: the log was whole".to_owned()];
    }
    let mut lines: Vec<String> = repaired.losses.iter().map(loss).collect();
    if repaired.missing > 0 {
        lines.push(format!(
            "{} messages are missing between those kept",
            repaired.missing
        ));
    }
    if repaired.undescribed > 0 {
        lines.push(format!(
            "lost: {} messages of channels whose description is lost",
            repaired.undescribed
        ));
    }
    let last = repaired.last_ns.map_or(String::new(), |ns| {
        format!(" after {:.3} s, the greatest log time kept", seconds(ns))
    });
    lines.push(format!(
        "whatever its writer still held is lost{last}; the index was made anew"
    ));
    lines
}

fn loss(loss: &Loss) -> String {
    let span = loss.span_ns.map_or(String::new(), |(from, to)| {
        format!(", log times {:.3} to {:.3} s", seconds(from), seconds(to))
    });
    let kept = match loss.kept {
        0 => String::new(),
        kept => format!(", of which {kept} messages were kept"),
    };
    format!(
        "lost: {} bytes at byte {}{span}{kept}: {}",
        loss.bytes, loss.at, loss.reason
    )
}

fn seconds(ns: u64) -> f64 {
    ns as f64 * 1e-9
}

fn as_json(repaired: &Repaired) -> serde_json::Value {
    let losses = repaired.losses.iter().map(|loss| {
        json!({ "at_byte": loss.at, "bytes": loss.bytes, "span_ns": loss.span_ns, "kept": loss.kept, "reason": loss.reason })
    });
    json!({
        "whole": repaired.whole, "messages": repaired.messages, "missing": repaired.missing,
        "undescribed": repaired.undescribed, "last_ns": repaired.last_ns,
        "losses": losses.collect::<Vec<_>>(),
    })
}
