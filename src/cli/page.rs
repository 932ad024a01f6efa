//! Methods side by side as one HTML page: plots, tables, examples and settings, nothing loaded from anywhere.

use super::bars;
use super::base64::base64;
use super::comparison::{cases, cells, entrants, find, label, title};
use super::page_plot;
use relucent::eval::{ALL_SCENES, Comparison, Example, MethodRow, Problem};
use relucent::prior::Prior;
use relucent::report::range_picture;
use relucent::sensing::Data;
use relucent::sim::{self, Sampling, Split};
use std::fmt::Write;

/// m/n of the plot of times, of the table of families and of the examples, or what is nearest to it.
pub(super) const FRACTION: f64 = 0.05;

pub(super) const CSS: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1340px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #ddd}\
table{border-collapse:collapse;font-size:13px;margin:1em 0;display:block;overflow-x:auto}\
th,td{padding:.2em .8em;border-bottom:1px solid #e5e5e5;text-align:right;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child{text-align:left}td.best{font-weight:bold}\
.row{display:flex;flex-wrap:wrap;gap:1em}.settings td{text-align:left}\
figure{margin:0}figcaption{font-size:13px;color:#555}\
svg{max-width:100%;height:auto}\
img{width:192px;height:192px;image-rendering:pixelated;display:block;background:#3c3c42}\
.legend{font-size:13px}.legend span{display:inline-block;margin-right:1.4em}\
.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.4em;vertical-align:-.1em}";

/// What a page shows.
pub(super) struct Page<'a> {
    pub(super) prior: &'a Prior,
    pub(super) comparison: &'a Comparison,
    pub(super) rows: &'a [MethodRow],
    pub(super) examples: &'a [Example],
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn html(&self) -> anyhow::Result<String> {
        let problem = self.comparison.problem;
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>relucent eval: {problem}</title><style>{CSS}</style></head><body>\n\
             <h1>Recovered range, {problem}</h1>\n\
             <p>Errors are of range along the ray, over all pixels whose true return lies within the sensor's largest range, \
             before weak returns are called invalid. Cold: each frame from its own readings alone. Tracked: with the frames \
             before it. All methods recover the same frames from the same readings.</p>\n"
        );
        self.settings(&mut page)?;
        for scene in [ALL_SCENES].into_iter().chain(self.sequences()) {
            if self.rows.iter().any(|row| row.scene == scene) {
                self.scene(scene, &mut page)?;
            }
        }
        self.families(&mut page)?;
        self.examples(&mut page)?;
        page.push_str("</body></html>\n");
        Ok(page)
    }

    /// Names of recorded sequences and of logs.
    fn sequences(&self) -> impl Iterator<Item = &str> {
        let recorded = self.comparison.recorded.iter().map(|r| r.name.as_str());
        let logged = self.comparison.logged.iter().map(|log| log.name.as_str());
        recorded.chain(logged)
    }

    fn settings(&self, page: &mut String) -> anyhow::Result<()> {
        let (options, provenance) = (&self.comparison.options, &self.prior.provenance);
        let lead_in_s = options.lead_in as f64 / options.rate_hz;
        let mut lines = vec![(
            "prior",
            format!(
                "{}, {} × {} pixels, {} channels; seed {}; trained by {}",
                self.prior.name,
                self.prior.rows,
                self.prior.cols,
                self.prior.channels(),
                provenance.seed,
                provenance.command
            ),
        )];
        if options.frames > 0 {
            lines.push((
                "simulated scenes",
                format!(
                    "{}, {}, up to {} m; the frame after {} at {} Hz is scored",
                    options.frames,
                    match options.split {
                        Split::HeldOut => "held out",
                        Split::Tune => "of those that parameters are chosen on",
                        Split::Train => "of those for training",
                    },
                    sim::MAX_RANGE,
                    options.lead_in,
                    options.rate_hz
                ),
            ));
        }
        for recorded in &self.comparison.recorded {
            lines.push((
                "recorded sequence",
                format!(
                    "{}, up to {} m: {} evaluation frames, those of the first {lead_in_s} s not scored. {}",
                    recorded.name,
                    recorded.max_range_m,
                    recorded.frames.len(),
                    recorded.origin
                ),
            ));
        }
        for log in &self.comparison.logged {
            lines.push((
                "log",
                format!(
                    "{}, up to {} m: {} measurements, those of the first {lead_in_s} s not scored",
                    log.name,
                    log.sensor.knots.max(),
                    log.frames.len()
                ),
            ));
        }
        let noise = match self.rows.first() {
            Some(row) if self.rows.iter().all(|other| other.noise == row.noise) => {
                format!("{} of the mean reading", row.noise)
            }
            _ => "of the rms return, as told at each column".to_owned(),
        };
        lines.push(("noise, standard deviation", noise));
        let data = match self.comparison.problem {
            Problem::CompressedSensing => Some(Data::Linear),
            Problem::PhaseRetrieval => Some(Data::Magnitudes),
            _ => None, // no Hadamard patterns
        };
        let drawn = data.map(|data| options.sampling.unwrap_or(Sampling::for_data(data)));
        lines.push((
            "patterns",
            format!(
                "{}up to {} sets in turn; seed {} of patterns and noise",
                drawn.map_or_else(String::new, |drawn| format!("{drawn} Hadamard, ")),
                options.sets,
                options.seed
            ),
        ));
        page.push_str("<table class=\"settings\">\n");
        for (what, value) in lines {
            let value = escaped(&value);
            writeln!(page, "<tr><th>{what}</th><td>{value}</td></tr>")?;
        }
        page.push_str("</table>\n");
        Ok(())
    }

    /// Plots and table of one scene.
    fn scene(&self, scene: &str, page: &mut String) -> anyhow::Result<()> {
        let name = match scene {
            ALL_SCENES => "Simulated scenes".to_owned(),
            recorded => format!("Recorded: {}", escaped(recorded)),
        };
        writeln!(page, "<h2>{name}</h2>")?;
        self.legend(page)?;
        let own: Vec<MethodRow> = self
            .rows
            .iter()
            .filter(|r| r.scene == scene)
            .cloned()
            .collect();
        let problem = own
            .first()
            .map_or(self.comparison.problem, |row| row.problem);
        let case = nearest(&own);
        let errors = page_plot::errors(problem, &own, scene)?;
        let times = page_plot::times(&own, scene, case)?;
        let at = label(problem, case);
        writeln!(
            page,
            "<div class=\"row\"><figure>{errors}<figcaption>Range RMSE: solid tracked, dashed cold</figcaption></figure>\n\
             <figure>{times}<figcaption>Range RMSE against time, {at}: filled tracked, hollow cold</figcaption></figure></div>"
        )?;
        page.push_str("<p>Range RMSE (mean absolute error), m; least RMSE of a column bold</p>\n");
        let (head, lines) = cells(problem, &own, scene);
        table(page, &head, &lines)?;
        if let Some((head, lines)) = bars::ratios(problem, &self.comparison.methods, &own) {
            writeln!(page, "<p>{}</p>", bars::RATIOS)?;
            table(page, &head, &lines)?;
        }
        Ok(())
    }

    fn legend(&self, page: &mut String) -> anyhow::Result<()> {
        page.push_str("<p class=\"legend\">");
        let methods = entrants(self.rows).into_iter().filter(|(_, t)| !t);
        for (position, (method, _)) in methods.enumerate() {
            let plotters::style::RGBColor(r, g, b) = page_plot::colour(position);
            write!(
                page,
                "<span><i style=\"background:rgb({r},{g},{b})\"></i>{}</span>",
                escaped(method)
            )?;
        }
        page.push_str("</p>\n");
        Ok(())
    }

    /// Errors by family of simulated scenes, of one case.
    fn families(&self, page: &mut String) -> anyhow::Result<()> {
        let recorded = |scene: &str| self.sequences().any(|name| name == scene);
        let mut families: Vec<&str> = vec![];
        for row in self.rows {
            let known = row.scene == ALL_SCENES || families.contains(&row.scene.as_str());
            if !known && !recorded(&row.scene) {
                families.push(&row.scene);
            }
        }
        if families.is_empty() {
            return Ok(());
        }
        let simulated: Vec<MethodRow> = self
            .rows
            .iter()
            .filter(|r| !recorded(&r.scene))
            .cloned()
            .collect();
        let case = nearest(&simulated);
        let at = label(self.comparison.problem, case);
        writeln!(
            page,
            "<h2>Families of scenes, {at}</h2>\n<p>Range RMSE (mean absolute error), m</p>"
        )?;
        let mut head = vec!["method".to_owned()];
        head.extend(families.iter().map(|family| (*family).to_owned()));
        let lines = entrants(self.rows).into_iter().map(|entrant| {
            let own = families.iter().map(|family| {
                find(self.rows, family, case, entrant).map_or_else(String::new, |row| {
                    format!("{:.3} ({:.3})", row.range_rmse_m, row.range_mae_m)
                })
            });
            [title(entrant)].into_iter().chain(own).collect()
        });
        table(page, &head, &lines.collect::<Vec<_>>())
    }

    fn examples(&self, page: &mut String) -> anyhow::Result<()> {
        if self.examples.is_empty() {
            return Ok(());
        }
        writeln!(
            page,
            "<h2>Examples, tracked</h2>\n<p>Blue is near, red the largest range, grey what is not valid; beside each \
             method its range RMSE in this frame.</p>"
        )?;
        for example in self.examples {
            let picture = |image| -> anyhow::Result<String> {
                let png = range_picture(example.max_range_m, image)?;
                Ok(format!("data:image/png;base64,{}", base64(&png)))
            };
            let scene = escaped(&example.scene);
            let at = label(self.comparison.problem, (example.fraction, example.noise));
            writeln!(
                page,
                "<div class=\"row\"><figure><img alt=\"true range, {scene}\" src=\"{}\"><figcaption>{scene}, {at}, truth, to {} m</figcaption></figure>",
                picture(&example.truth)?,
                example.max_range_m
            )?;
            for (method, image, error) in &example.recovered {
                let method = escaped(method);
                writeln!(
                    page,
                    "<figure><img alt=\"range by {method}, {scene}\" src=\"{}\"><figcaption>{method}, {error:.2} m</figcaption></figure>",
                    picture(image)?
                )?;
            }
            page.push_str("</div>\n");
        }
        Ok(())
    }
}

/// The case nearest to [`FRACTION`].
fn nearest(rows: &[MethodRow]) -> (f64, f64) {
    let distance = |case: &(f64, f64)| (case.0 / FRACTION).ln().abs();
    let nearest = cases(rows)
        .into_iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.unwrap_or((FRACTION, 0.0))
}

/// A table, in each column but the first the cell that starts with the least number bold, where any does.
pub(super) fn table(
    page: &mut String,
    head: &[String],
    lines: &[Vec<String>],
) -> anyhow::Result<()> {
    let number = |cell: &str| cell.split(" (").next().and_then(|n| n.parse::<f64>().ok());
    let least = |column: usize| {
        let values = lines
            .iter()
            .filter_map(|line| number(line.get(column)?))
            .filter(|v| v.is_finite());
        values.fold(f64::INFINITY, f64::min)
    };
    let least: Vec<f64> = (0..head.len()).map(least).collect();
    page.push_str("<table><tr>");
    for cell in head {
        write!(page, "<th>{}</th>", escaped(cell))?;
    }
    page.push_str("</tr>\n");
    for line in lines {
        page.push_str("<tr>");
        for (cell, least) in line.iter().zip(&least) {
            let best = cell.contains(" (") && number(cell).is_some_and(|v| v <= *least);
            let class = if best { " class=\"best\"" } else { "" };
            write!(page, "<td{class}>{}</td>", escaped(cell))?;
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    Ok(())
}

/// Text as HTML shows it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use relucent::eval::{Options, Recorded, examples, methods};
    use relucent::frame::RangeImage;
    use relucent::recover::Settings;

    #[test]
    fn a_page_has_its_plots_tables_pictures_and_settings_and_loads_nothing() {
        let prior = Prior::embedded().unwrap();
        let (scene, rays) = (sim::scene(Split::Tune, 0), sim::rays(64, 64));
        let mut frame = RangeImage::default();
        scene.cast(&rays, 0.0, 30.0, &mut frame);
        let recorded = Recorded {
            name: "still <life>".to_owned(),
            origin: "nowhere".to_owned(),
            max_range_m: 30.0,
            frames: vec![(0, frame.clone()), (100_000_000, frame)],
        };
        let named = |name: &str| (name.to_owned(), Settings::preset(name).unwrap());
        let comparison = Comparison {
            problem: Problem::CompressedSensing,
            methods: vec![named("latent+net"), named("pca")],
            options: Options {
                frames: 1,
                lead_in: 1,
                sets: 1,
                ratios: vec![0.02, 0.05],
                ..Options::default()
            },
            recorded: vec![recorded],
            logged: vec![],
        };
        let page = Page {
            prior: &prior,
            comparison: &comparison,
            rows: &methods(&prior, &comparison, &mut || ()).unwrap(),
            examples: &examples(&prior, &comparison, 1, FRACTION).unwrap(),
        };
        let html = page.html().unwrap();
        assert_eq!(html.matches("<svg").count(), 4);
        assert_eq!(html.matches("data:image/png;base64,iVBORw0KGgo").count(), 6);
        for text in [
            "latent+net, tracked",
            "RMSE, cold / cold rival",
            " of pca",
            "variable-density Hadamard",
            "m/n 2 %",
            "street",
            &prior.name,
            "seed 1",
        ] {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains("still &lt;life&gt;") && !html.contains("still <life>"));
        for outside in ["<script", "<link", "href=", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
