//! What `relucent info` says of a log.

use super::{Incomplete, table};
use crate::say::say;
use relucent::journal::{Reader, Topic};
use relucent::pipeline::Sensor;
use relucent::sensing::Operator;
use relucent::wire;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Messages of one topic.
#[derive(Default)]
struct Count {
    schema: String,
    messages: u64,
    bytes: u64,
    first_ns: u64,
    last_ns: u64,
}

/// Reads a log to its end and shows its topics and sensors.
pub(super) fn show(path: &Path, as_json: bool) -> anyhow::Result<()> {
    let mut topics: BTreeMap<String, Count> = BTreeMap::new();
    let mut sensors: Vec<Result<Sensor, String>> = vec![];
    let mut ended = None;
    for entry in Reader::open(path)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.is_early_end() => {
                ended = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let count = topics.entry(entry.channel.topic.clone()).or_default();
        if count.messages == 0 {
            count.schema.clone_from(&entry.channel.schema);
            count.first_ns = entry.log_time_ns;
        }
        count.messages += 1;
        count.bytes += entry.data.len() as u64;
        count.last_ns = entry.log_time_ns;
        if matches!(
            Topic::parse(&entry.channel.topic),
            Some((Topic::Description, _))
        ) {
            let sensor = wire::decode_description(entry.data).map_err(|e| e.to_string());
            sensors.push(sensor.and_then(|m| Sensor::from_message(&m).map_err(|e| e.to_string())));
        }
    }
    if as_json {
        let topics: Vec<_> = topics
            .iter()
            .map(|(topic, c)| {
                json!({ "topic": topic, "schema": c.schema, "messages": c.messages, "bytes": c.bytes,
                        "first_ns": c.first_ns, "last_ns": c.last_ns })
            })
            .collect();
        let sensors: Vec<_> = sensors.iter().map(sensor_json).collect();
        say!(
            "{}",
            json!({ "log": path.display().to_string(), "topics": topics, "sensors": sensors, "ended": ended.as_ref().map(ToString::to_string) })
        );
    } else {
        let head = ["topic", "schema", "messages", "MB", "span, s", "rate, Hz"];
        let cells = topics.iter().map(|(topic, c)| {
            let span = c.last_ns.saturating_sub(c.first_ns) as f64 * 1e-9;
            let rate = (c.messages.max(1) - 1) as f64 / span;
            vec![
                topic.clone(),
                c.schema.clone(),
                c.messages.to_string(),
                format!("{:.2}", c.bytes as f64 * 1e-6),
                format!("{span:.2}"),
                if rate.is_finite() {
                    format!("{rate:.1}")
                } else {
                    "-".to_owned()
                },
            ]
        });
        say!("{}", table(&head, cells));
        sensors
            .iter()
            .for_each(|sensor| say!("\n{}", sentence(sensor)));
    }
    ended.map_or(Ok(()), |error| Err(Incomplete(error).into()))
}

fn sentence(sensor: &Result<Sensor, String>) -> String {
    match sensor {
        Err(reason) => format!("a sensor whose description cannot be used: {reason}"),
        Ok(sensor) => {
            let d = &sensor.description;
            let patterns: Vec<usize> = d.patterns.iter().map(|p| p.shape().0).collect();
            let (least, most) = (patterns.iter().min(), patterns.iter().max());
            let least = least.filter(|least| Some(*least) != most);
            let from = least.map_or(String::new(), |least| format!("{least} to "));
            format!(
                "sensor `{}`: {} × {} pixels, {} pattern sets of {from}{} patterns ({:.1} % of the pixels), {} channels to {} m, {}",
                sensor.id,
                d.rows,
                d.cols,
                patterns.len(),
                most.unwrap_or(&0),
                100.0 * *most.unwrap_or(&0) as f64 / d.pixels() as f64,
                d.channels(),
                d.knots.max(),
                if sensor.histograms.is_some() {
                    "raw histograms"
                } else {
                    "readings"
                },
            )
        }
    }
}

fn sensor_json(sensor: &Result<Sensor, String>) -> serde_json::Value {
    match sensor {
        Err(reason) => json!({ "refused": reason }),
        Ok(sensor) => {
            let d = &sensor.description;
            json!({
                "id": &*sensor.id, "rows": d.rows, "cols": d.cols, "range_knots_m": d.knots.metres(),
                "patterns": d.patterns.iter().map(|p| p.shape().0).collect::<Vec<_>>(),
                "histograms": sensor.histograms.is_some(),
            })
        }
    }
}
