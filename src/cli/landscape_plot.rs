//! The measured landscape as four panels of one SVG.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use relucent::eval::landscape::Landscape;

const SIZE: (u32, u32) = (1200, 960);
const MEASURED: RGBColor = RGBColor(31, 119, 180);
const EXPECTED: RGBColor = RGBColor(120, 120, 120);
const OTHER: RGBColor = RGBColor(214, 96, 20);

/// Room beside the map, for its colours.
const BESIDE: i32 = 130;

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A curve by its name, points and colour.
type Curve<'a> = (&'a str, Vec<(f64, f64)>, RGBColor);

/// The whole picture.
pub(super) fn svg(measured: &Landscape) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(measured, &root).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    }
    Ok(text)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(measured: &Landscape, root: &Panel<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let panels = root.split_evenly((2, 2));
    line(measured, &panels[0])?;
    plane(measured, &panels[1])?;
    success(measured, &panels[2])?;
    denoising(measured, &panels[3])?;
    root.present()?;
    Ok(())
}

/// The loss along t·z*.
fn line(measured: &Landscape, panel: &Panel<'_>) -> Drawn {
    let line = &measured.line;
    let points = |loss: &[f64]| line.t.iter().copied().zip(loss.iter().copied()).collect();
    let highest = line
        .loss
        .iter()
        .chain(&line.expected)
        .fold(0.0f64, |a, &b| a.max(b));
    curves(
        panel,
        ("loss along t z*, over the loss at 0", "t", "loss"),
        ((line.t[0], line.t[line.t.len() - 1]), (0.0, 1.05 * highest)),
        SeriesLabelPosition::UpperRight,
        vec![
            ("infinitely wide layers", points(&line.expected), EXPECTED),
            ("measured", points(&line.loss), MEASURED),
        ],
    )
}

/// The loss over the plane, as a map of its root.
fn plane(measured: &Landscape, panel: &Panel<'_>) -> Drawn {
    let (axis, loss) = (&measured.plane.axis, &measured.plane.loss);
    let reach = axis.last().copied().unwrap_or(1.0);
    let half = reach / axis.len().saturating_sub(1).max(1) as f64;
    let mut chart = ChartBuilder::on(panel)
        .margin(12)
        .margin_right(12 + BESIDE)
        .caption("root of the loss at a z* + b w", ("sans-serif", 18))
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(-reach..reach, -reach..reach)?;
    let highest = loss.iter().flatten().fold(0.0f64, |a, &b| a.max(b)).sqrt();
    let cells = axis.iter().zip(loss).flat_map(|(&b, row)| {
        axis.iter().zip(row).map(move |(&a, loss)| {
            let corners = [(a - half, b - half), (a + half, b + half)];
            Rectangle::new(corners, shade(loss.sqrt() / highest).filled())
        })
    });
    chart.draw_series(cells)?;
    let shadow =
        relucent::eval::landscape::shadow_position(measured.options.shadow_widths.len() - 1);
    for (name, a) in [("z*", 1.0), ("−ρ z*", -shadow)] {
        let label = Text::new(name, (10, -8), ("sans-serif", 16).into_font().color(&WHITE));
        chart.draw_series([EmptyElement::at((a, 0.0))
            + Cross::new((0, 0), 6, WHITE.stroke_width(2))
            + label])?;
    }
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc("a")
        .y_desc("b")
        .draw()?;
    let (size, steps) = (panel.dim_in_pixel(), 64);
    let (left, top, height) = (size.0 as i32 - BESIDE, 60, size.1 as i32 - 160);
    let level = |step: i32| top + height - height * step / steps;
    for step in 0..steps {
        let corners = [(left, level(step + 1)), (left + 16, level(step))];
        panel.draw(&Rectangle::new(
            corners,
            shade(f64::from(step) / f64::from(steps)).filled(),
        ))?;
    }
    for quarter in 0..=4 {
        let value = format!("{:.2}", highest * f64::from(quarter) / 4.0);
        let at = (left + 22, level(steps * quarter / 4) - 6);
        panel.draw(&Text::new(value, at, ("sans-serif", 12)))?;
    }
    Ok(())
}

fn shade(share: f64) -> RGBColor {
    let [red, green, blue] = colorous::VIRIDIS.eval_continuous(share).into_array();
    RGBColor(red, green, blue)
}

/// Instances found against the number of readings.
fn success(measured: &Landscape, panel: &Panel<'_>) -> Drawn {
    let rows = &measured.by_readings;
    let most = rows.iter().fold(1.0f64, |most, row| most.max(row.ratio));
    let (linear, magnitudes) = rows
        .iter()
        .map(|row| ((row.ratio, row.linear), (row.ratio, row.magnitudes)))
        .unzip();
    curves(
        panel,
        ("instances found", "readings over unknowns, m/k", "share"),
        ((0.0, most), (-0.02, 1.05)),
        SeriesLabelPosition::LowerRight,
        vec![
            ("from A x", linear, MEASURED),
            ("from |A x|", magnitudes, OTHER),
        ],
    )
}

/// What denoising leaves, in logarithms.
fn denoising(measured: &Landscape, panel: &Panel<'_>) -> Drawn {
    let points = &measured.denoising.points;
    let of = |value: fn(&relucent::eval::landscape::Denoised) -> f64| -> Vec<(f64, f64)> {
        let log = points
            .iter()
            .map(|p| ((p.code_len as f64).log10(), value(p).log10()));
        log.collect()
    };
    let (expected, found) = (of(|p| p.expected), of(|p| p.error_energy));
    let span = |values: Vec<f64>| {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
        (low - 0.1, high + 0.1)
    };
    let spans = (
        span(expected.iter().map(|p| p.0).collect()),
        span(expected.iter().chain(&found).map(|p| p.1).collect()),
    );
    let name = format!("measured, slope {:.2}", measured.denoising.slope);
    curves(
        panel,
        (
            "error energy over noise energy",
            "log10 k",
            "log10 of the quotient",
        ),
        spans,
        SeriesLabelPosition::UpperLeft,
        vec![("k/n", expected, EXPECTED), (&name, found, MEASURED)],
    )
}

/// Curves with points, a frame, names, and a legend. `texts` are caption, x and y.
fn curves(
    panel: &Panel<'_>,
    texts: (&str, &str, &str),
    ((left, right), (bottom, top)): ((f64, f64), (f64, f64)),
    legend: SeriesLabelPosition,
    curves: Vec<Curve<'_>>,
) -> Drawn {
    let mut chart = ChartBuilder::on(panel)
        .margin(12)
        .caption(texts.0, ("sans-serif", 18))
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(left..right, bottom..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(texts.1)
        .y_desc(texts.2)
        .draw()?;
    for (name, points, colour) in curves {
        if points.len() < 30 {
            let dots = points.iter().map(|&at| Circle::new(at, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .border_style(EXPECTED)
        .background_style(WHITE)
        .position(legend)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use relucent::eval::landscape::{Options, landscape};

    #[test]
    fn a_plot_has_its_four_panels() {
        let options = Options {
            widths: vec![2, 12, 24],
            shadow_widths: vec![2, 12, 24],
            shadow_readings: 20,
            ratios: vec![10.0],
            instances: 1,
            starts: 1,
            grid: 3,
            ..Options::default()
        };
        let text = svg(&landscape(&options, &mut || ()).unwrap()).unwrap();
        assert!(text.ends_with("</svg>\n"), "{}", &text[text.len() - 20..]);
        for caption in [
            "loss along",
            "root of the loss",
            "instances found",
            "error energy",
        ] {
            assert!(text.contains(caption), "{caption}");
        }
    }
}
