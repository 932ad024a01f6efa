//! Plots of a bench run, as SVG: histograms and time series.

use super::page_plot::svg;
use plotters::prelude::*;

const COLOUR: RGBColor = RGBColor(31, 119, 180);
/// Bars of a histogram.
const BARS: usize = 60;
/// Points of a time series at most; more are thinned to the largest of each stretch.
const POINTS: usize = 1500;

/// How many frames took how long: values in ms, over a logarithmic axis.
pub(super) fn histogram(values: &[f64]) -> anyhow::Result<String> {
    let (low, high) = values
        .iter()
        .filter(|v| **v > 0.0)
        .fold((f64::MAX, 0.0f64), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
    let (low, high) = match low <= high {
        true => (low.ln(), (high * 1.02).ln().max(low.ln() + 0.02)),
        false => (0.0, 1.0),
    };
    let width = (high - low) / BARS as f64;
    let mut counts = [0usize; BARS];
    for value in values.iter().filter(|v| **v > 0.0) {
        counts[(((value.ln() - low) / width) as usize).min(BARS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    svg(|panel| {
        let mut chart = ChartBuilder::on(panel)
            .margin(12)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(low..high, 0.0..1.05 * most)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("ms")
            .y_desc("frames")
            .x_labels(8)
            .x_label_formatter(&|v| match v.exp() {
                ms if ms < 1.0 => format!("{ms:.3}"),
                ms => format!("{ms:.1}"),
            })
            .label_style(("sans-serif", 13))
            .draw()?;
        chart.draw_series(counts.iter().enumerate().map(|(bar, count)| {
            let left = low + bar as f64 * width;
            let corners = [(left, 0.0), (left + width, *count as f64)];
            Rectangle::new(corners, COLOUR.mix(0.8).filled())
        }))?;
        Ok(())
    })
}

/// How long each frame took: (s, ms) in the order they came out, and a line at the deadline, ms.
pub(super) fn series(points: &[(f64, f64)], deadline: Option<f64>) -> anyhow::Result<String> {
    let points = thinned(points);
    let end = points.iter().fold(1e-3f64, |end, p| end.max(p.0));
    let most = points.iter().fold(1e-3f64, |most, p| most.max(p.1));
    svg(|panel| {
        let mut chart = ChartBuilder::on(panel)
            .margin(12)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..end, 0.0..1.05 * most)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("due, s")
            .y_desc("ms")
            .label_style(("sans-serif", 13))
            .draw()?;
        chart.draw_series(LineSeries::new(points, COLOUR.stroke_width(1)))?;
        if let Some(deadline) = deadline.filter(|d| *d <= 1.05 * most) {
            let ends = [(0.0, deadline), (end, deadline)];
            chart.draw_series(DashedLineSeries::new(ends, 5, 4, RED.stroke_width(1)))?;
        }
        Ok(())
    })
}

/// Few enough points: of each stretch the one that took longest.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(POINTS).max(1);
    let longest = |stretch: &[(f64, f64)]| {
        let longest = stretch.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        longest.copied()
    };
    points.chunks(stretch).filter_map(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_what_took_long() {
        let points: Vec<(f64, f64)> = (0..10_000)
            .map(|i| (f64::from(i), if i == 7_777 { 9.0 } else { 1.0 }))
            .collect();
        let thinned = thinned(&points);
        assert!(thinned.len() <= POINTS && thinned.contains(&(7_777.0, 9.0)));
    }

    #[test]
    fn plots_of_nothing_and_of_one_value_are_drawn() {
        for values in [&[][..], &[2.0], &[0.0, 1.0, 4.0]] {
            assert!(histogram(values).unwrap().contains("<svg"));
            let points: Vec<(f64, f64)> = values.iter().map(|v| (*v, *v)).collect();
            assert!(series(&points, Some(1.0)).unwrap().contains("<svg"));
        }
    }
}
