//! A bench run as one HTML page: histograms, time series, tables and settings, nothing loaded from anywhere.

use super::bench_figures::figures;
use super::bench_plot::{histogram, series};
use super::bench_show::latencies;
use super::page::{CSS, escaped, table};
use relucent::bench::{Measured, Parts, Sample};
use serde_json::Value;
use std::fmt::Write;

/// What a page shows.
pub(super) struct Page<'a> {
    pub(super) told: &'a Value,
    pub(super) measured: &'a Measured,
    pub(super) parts: &'a Parts,
}

/// A time of a frame: its name, and how to read it off a sample, ns.
type Time = (&'static str, fn(&Sample) -> u64);

/// Times that are plotted.
const TIMES: [Time; 5] = [
    ("end to end", Sample::end_to_end_ns),
    ("solve", |sample| sample.solve_ns),
    ("render, total variation included", |sample| {
        sample.render_ns
    }),
    ("finish, unrolled network included", |sample| {
        sample.finish_ns
    }),
    ("end to end without work", Sample::overhead_ns),
];

impl Page<'_> {
    /// The whole page.
    pub(super) fn html(&self) -> anyhow::Result<String> {
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>relucent bench</title><style>{CSS}</style></head><body>\n<h1>Latency of recovery</h1>\n\
             <p>Times count from the moment a frame was due, however late it was let in. The warm-up is left out.</p>\n"
        );
        page.push_str("<table class=\"settings\">\n");
        for part in ["machine", "workload", "options", "settings"] {
            let value = escaped(&self.told[part].to_string().replace(",\"", ", \""));
            writeln!(page, "<tr><th>{part}</th><td>{value}</td></tr>")?;
        }
        page.push_str("</table>\n<h2>Stages</h2>\n");
        let (head, lines) = latencies(&self.measured.latency_us);
        let head: Vec<String> = head.into_iter().map(str::to_owned).collect();
        table(&mut page, &head, &lines)?;
        self.plots(&mut page)?;
        page.push_str("<h2>Figures</h2>\n");
        let head = ["figure".to_owned(), "value".to_owned()];
        table(
            &mut page,
            &head,
            &figures(self.told, self.measured, self.parts),
        )?;
        page.push_str("</body></html>\n");
        Ok(page)
    }

    fn plots(&self, page: &mut String) -> anyhow::Result<()> {
        let samples = &self.measured.samples;
        let began = samples.iter().map(|s| s.due_ns).min().unwrap_or(0);
        let deadline = self.told["options"]["deadline_ms"].as_f64();
        for (name, time) in TIMES {
            let ms = |sample: &Sample| time(sample) as f64 * 1e-6;
            let values: Vec<f64> = samples.iter().map(ms).collect();
            let points: Vec<(f64, f64)> = samples
                .iter()
                .map(|sample| ((sample.due_ns - began) as f64 * 1e-9, ms(sample)))
                .collect();
            let (histogram, series) = (
                histogram(&values)?,
                series(&points, deadline.filter(|_| name == "end to end"))?,
            );
            writeln!(
                page,
                "<h2>{name}</h2>\n<div class=\"row\"><figure>{histogram}</figure>\n<figure>{series}</figure></div>"
            )?;
        }
        Ok(())
    }
}
