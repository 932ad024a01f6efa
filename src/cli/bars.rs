//! Refined recovery beside its rivals: ratios of errors, and measurements spared by tracking.

use super::comparison::{cases, label, percent};
use super::table;
use crate::say::say;
use comfy_table::Table;
use relucent::eval::{self, Bar, Fewer, Goal, MethodRow, Needed, Problem};
use relucent::recover::Settings;

/// What [`ratios`] are.
pub(super) const RATIOS: &str = "error over that of the best rival, by range RMSE and by AbsRel";

/// Prints what can be said of the rows of one scene.
pub(super) fn print(problem: Problem, methods: &[(String, Settings)], rows: &[MethodRow]) {
    let fewer = eval::fewer(methods, rows);
    if let Some((head, lines)) = ratios(problem, methods, rows) {
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        say!("{RATIOS}\n\n{}\n", table(&head, lines));
    }
    if !fewer.is_empty() {
        say!(
            "m/n that a cold method needs for the tracked RMSE, and its factor over the tracked m/n\n"
        );
        say!("{}\n", spared(&fewer));
    }
    let goals = eval::goals(methods, rows);
    goals.iter().for_each(|goal| say!("{}", sentence(goal)));
    if !goals.is_empty() {
        say!("");
    }
}

/// Head, and a line for each error and each kind of bar, of the rows of one scene, a column for each case; `None` where there
/// is no rival.
pub(super) fn ratios(
    problem: Problem,
    methods: &[(String, Settings)],
    rows: &[MethodRow],
) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let (bars, cases) = (eval::bars(methods, rows), cases(rows));
    let mut head = vec!["ratio".to_owned()];
    head.extend(cases.iter().map(|case| label(problem, *case)));
    let said = |tracked| if tracked { "tracked" } else { "cold" };
    let mut lines = vec![];
    for (error, by_rmse) in [("RMSE", true), ("AbsRel", false)] {
        for pair in [(false, false), (true, true), (true, false)] {
            let own: Vec<&Bar> = bars
                .iter()
                .filter(|bar| (bar.tracked, bar.rivals_tracked) == pair)
                .collect();
            let cell = |case: &(f64, f64)| {
                let bar = own.iter().find(|bar| (bar.fraction, bar.noise) == *case);
                bar.map_or_else(String::new, |bar| {
                    let ratio = if by_rmse {
                        &bar.range_rmse
                    } else {
                        &bar.abs_rel
                    };
                    let error = match ratio.standard_error {
                        Some(error) => format!(" ± {error:.3}"),
                        None => String::new(),
                    };
                    format!("{:.3}{error} of {}", ratio.ratio, ratio.rival)
                })
            };
            if own.is_empty() {
                continue;
            }
            let name = format!("{error}, {} / {} rival", said(pair.0), said(pair.1));
            lines.push([name].into_iter().chain(cases.iter().map(cell)).collect());
        }
    }
    (!bars.is_empty()).then_some((head, lines))
}

/// A line for each tracked method at each m/n, a column for each cold one.
fn spared(fewer: &[Fewer]) -> Table {
    let mut head = vec!["tracked", "m/n", "RMSE, m", "itself, cold"];
    for row in fewer.iter().filter(|row| row.against != row.method) {
        if !head.contains(&row.against.as_str()) {
            head.push(&row.against);
        }
    }
    let mut lines: Vec<Vec<String>> = vec![];
    let mut last = None;
    for row in fewer {
        if last != Some((&row.method, row.fraction)) {
            let mut line = vec![String::new(); head.len()];
            line[0].clone_from(&row.method);
            line[1] = percent(row.fraction);
            line[2] = format!("{:.3}", row.range_rmse_m);
            lines.push(line);
            last = Some((&row.method, row.fraction));
        }
        let column = head.iter().position(|name| *name == row.against);
        let column = column.filter(|_| row.against != row.method).unwrap_or(3);
        if let Some(line) = lines.last_mut() {
            line[column] = needed(row);
        }
    }
    table(&head, lines)
}

fn needed(row: &Fewer) -> String {
    let sign = match row.needed {
        Needed::About(_) => "",
        Needed::AtMost(_) => "≤ ",
        Needed::MoreThan(_) => "> ",
    };
    let needed = percent(row.needed.fraction());
    format!("{sign}{needed} ({sign}{:.1} ×)", row.factor)
}

fn sentence(goal: &Goal) -> String {
    format!(
        "{}, tracked, at m/n {}: {:.3} m, {:.3} of {} from {}, {:.3} m",
        goal.method,
        percent(goal.fraction),
        goal.range_rmse_m,
        goal.ratio,
        goal.rival,
        percent(goal.rival_fraction),
        goal.rival_range_rmse_m
    )
}
