//! Plots of methods side by side, as SVG.

use super::comparison::{cases, entrants, find, percent};
use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use relucent::eval::{MethodRow, Problem};
use std::ops::Range;

const SIZE: (u32, u32) = (640, 420);

pub(super) type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// A logarithmic axis over positive values, with ticks of its own.
#[derive(Clone, Debug)]
struct Axis {
    name: &'static str,
    ends: Range<f64>,
    /// values, and what is written at them
    ticks: Vec<(f64, String)>,
}

/// The colour of a method by its position among all.
pub(super) fn colour(position: usize) -> RGBColor {
    let palette = colorous::TABLEAU10;
    let [red, green, blue] = palette[position % palette.len()].into_array();
    RGBColor(red, green, blue)
}

/// Range RMSE of a scene against m/n, in denoising against the noise: cold dashed, tracked solid.
pub(super) fn errors(problem: Problem, rows: &[MethodRow], scene: &str) -> anyhow::Result<String> {
    let cases = cases(rows);
    let denoising = problem == Problem::Denoising;
    let place = |(fraction, noise)| if denoising { noise } else { fraction };
    let x_axis = Axis {
        name: match denoising {
            true => "noise over rms return",
            false => "readings over pixels, m/n",
        },
        ends: ends(cases.iter().map(|case| place(*case))),
        ticks: cases
            .iter()
            .map(|case| (place(*case), percent(place(*case))))
            .collect(),
    };
    let of_scene = rows.iter().filter(|row| row.scene == scene);
    let y_axis = Axis::even("range RMSE, m", of_scene.map(|row| row.range_rmse_m));
    let lines = entrants(rows).into_iter().map(|entrant| {
        let own = cases.iter().filter_map(|case| {
            let error = find(rows, scene, *case, entrant)?.range_rmse_m;
            (error > 0.0).then(|| (place(*case), error))
        });
        (entrant, own.collect::<Vec<_>>())
    });
    let lines: Vec<_> = lines.collect();
    svg(|panel| {
        let mut chart = chart(panel, &x_axis, &y_axis)?;
        for ((method, tracked), points) in lines {
            let colour = colour(position(rows, method));
            let dots = points
                .iter()
                .map(|at| Circle::new(*at, 3, style(colour, tracked)));
            chart.draw_series(dots)?;
            if tracked {
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            } else {
                let dashes = DashedLineSeries::new(points, 5, 4, colour.stroke_width(1));
                chart.draw_series(dashes)?;
            }
        }
        Ok(())
    })
}

/// Range RMSE of a scene against the time of a frame, of one case: cold hollow, tracked filled.
pub(super) fn times(rows: &[MethodRow], scene: &str, case: (f64, f64)) -> anyhow::Result<String> {
    let of_case = |row: &&MethodRow| row.scene == scene && (row.fraction, row.noise) == case;
    let own: Vec<&MethodRow> = rows
        .iter()
        .filter(of_case)
        .filter(|row| row.solve_ms > 0.0 && row.range_rmse_m > 0.0)
        .collect();
    let x_axis = Axis::even("time of a frame, ms", own.iter().map(|row| row.solve_ms));
    let y_axis = Axis::even("range RMSE, m", own.iter().map(|row| row.range_rmse_m));
    svg(|panel| {
        let mut chart = chart(panel, &x_axis, &y_axis)?;
        let points = own.iter().map(|row| {
            let colour = colour(position(rows, &row.method));
            let at = (row.solve_ms, row.range_rmse_m);
            let written = ("sans-serif", 12).into_font().color(&colour);
            EmptyElement::at(at)
                + Circle::new((0, 0), 5, style(colour, row.tracked))
                + Text::new(row.method.clone(), (8, -6), written)
        });
        chart.draw_series(points)?;
        Ok(())
    })
}

fn style(colour: RGBColor, filled: bool) -> ShapeStyle {
    ShapeStyle {
        filled,
        ..colour.stroke_width(2)
    }
}

fn position(rows: &[MethodRow], method: &str) -> usize {
    let mut methods = entrants(rows).into_iter().filter(|(_, tracked)| !tracked);
    methods.position(|(name, _)| name == method).unwrap_or(0)
}

pub(super) fn svg(draw: impl FnOnce(&Panel<'_>) -> Drawn) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let drawn = root.fill(&WHITE).map_err(Into::into);
        drawn
            .and_then(|()| draw(&root))
            .and_then(|()| Ok(root.present()?))
            .map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    }
    Ok(text)
}

/// Axes and a mesh at their ticks.
fn chart<'a, 'b>(
    panel: &'a Panel<'b>,
    x: &Axis,
    y: &Axis,
) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(panel)
        .margin(12)
        .margin_right(28)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&|value| x.written(*value))
        .y_label_formatter(&|value| y.written(*value))
        .label_style(("sans-serif", 13))
        .draw()?;
    Ok(chart)
}

impl Axis {
    /// An axis with ticks at round values, as many as its ends leave room for.
    fn even(name: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let ends = ends(values);
        let digits: &[f64] = match ends.end / ends.start > 12.0 {
            true => &[1.0, 2.0, 5.0],
            false => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        };
        let powers = ends.start.log10().floor() as i32..=ends.end.log10().ceil() as i32;
        let ticks =
            powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
        Self {
            name,
            ticks: ticks
                .filter(|tick| ends.contains(tick))
                .map(|tick| (tick, format!("{}", tick as f32))) // 0.2, not 0.2 and a tail
                .collect(),
            ends,
        }
    }

    fn written(&self, value: f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| *tick == value);
        tick.map_or_else(String::new, |(_, written)| written.clone())
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let Range { start, end } = self.ends;
        let share = (value / start).ln() / (end / start).ln();
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => vec![],
            false => self.ticks.iter().map(|(tick, _)| *tick).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

/// The ends of a logarithmic axis over positive values, with some room.
fn ends(values: impl Iterator<Item = f64>) -> Range<f64> {
    let shown = values.filter(|value| *value > 0.0 && value.is_finite());
    let (low, high) = shown.fold((f64::MAX, 0.0f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return 0.1..10.0; // nothing to show
    }
    let room = (high / low).powf(0.08).max(1.1);
    low / room..high * room
}
