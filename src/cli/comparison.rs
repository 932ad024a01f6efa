//! Methods side by side, as tables.

use super::table;
use comfy_table::Table;
use relucent::eval::{MethodRow, Problem};

/// (m/n, noise) of rows, in order.
pub(super) fn cases(rows: &[MethodRow]) -> Vec<(f64, f64)> {
    distinct(rows.iter().map(|row| (row.fraction, row.noise)))
}

/// (method, whether it is tracked) of rows, in order.
pub(super) fn entrants(rows: &[MethodRow]) -> Vec<(&str, bool)> {
    distinct(rows.iter().map(|row| (row.method.as_str(), row.tracked)))
}

/// The row of a scene, a case and an entrant.
pub(super) fn find<'a>(
    rows: &'a [MethodRow],
    scene: &str,
    case: (f64, f64),
    entrant: (&str, bool),
) -> Option<&'a MethodRow> {
    rows.iter().find(|row| {
        row.scene == scene
            && (row.fraction, row.noise) == case
            && (row.method.as_str(), row.tracked) == entrant
    })
}

/// What a case is called: its noise in denoising, else m/n.
pub(super) fn label(problem: Problem, (fraction, noise): (f64, f64)) -> String {
    match problem {
        Problem::Denoising => format!("noise {}", percent(noise)),
        _ => format!("m/n {}", percent(fraction)),
    }
}

/// A share in percent, with a decimal where it has one.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// What an entrant is called.
pub(super) fn title((method, tracked): (&str, bool)) -> String {
    format!("{method}, {}", if tracked { "tracked" } else { "cold" })
}

/// Head and lines of one scene's table: range RMSE (mean absolute error), m, and times.
pub(super) fn cells(
    problem: Problem,
    rows: &[MethodRow],
    scene: &str,
) -> (Vec<String>, Vec<Vec<String>>) {
    let own: Vec<MethodRow> = rows.iter().filter(|r| r.scene == scene).cloned().collect();
    let cases = cases(&own);
    let labels = cases.iter().map(|case| label(problem, *case));
    let head = ["method".to_owned()]
        .into_iter()
        .chain(labels)
        .chain(["ms a frame".to_owned()])
        .collect();
    let line = |entrant: (&str, bool)| {
        let own = || {
            cases
                .iter()
                .filter_map(move |case| find(rows, scene, *case, entrant))
        };
        let error = |row: &MethodRow| format!("{:.3} ({:.3})", row.range_rmse_m, row.range_mae_m);
        let times: Vec<String> = own().map(|row| format!("{:.1}", row.solve_ms)).collect();
        let mut line = vec![title(entrant)];
        line.extend(own().map(error));
        line.push(times.join(", "));
        line
    };
    (head, entrants(rows).into_iter().map(line).collect())
}

/// One scene's table.
pub(super) fn side_by_side(problem: Problem, rows: &[MethodRow], scene: &str) -> Table {
    let (head, lines) = cells(problem, rows, scene);
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table(&head, lines)
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = vec![];
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
