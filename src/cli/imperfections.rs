//! `relucent eval --imperfections`: what imperfect sensors cost.

use super::table;
use crate::say::say;
use indicatif::ProgressBar;
use relucent::eval::{self, Options};
use relucent::prior::Prior;

pub(crate) fn run(prior: &Prior, options: &Options, json: bool) -> anyhow::Result<()> {
    let bar = ProgressBar::new_spinner();
    let rows = eval::imperfections(prior, options, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    if json {
        say!("{}", serde_json::to_string(&rows)?);
        return Ok(());
    }
    let head = [
        "m/n",
        "imperfection",
        "tracked, m (MAE)",
        "perfect, m",
        "over the perfect sensor's, m",
        "restarted",
    ];
    let lines = rows.iter().map(|row| {
        let errors = &row.tracked;
        vec![
            format!("{:.0} %", 100.0 * row.ratio),
            row.imperfection.clone(),
            format!("{:.3} ({:.3})", errors.range_rmse_m, errors.range_mae_m),
            format!("{:.3}", row.perfect.range_rmse_m),
            format!("{:+.3} ± {:.3}", row.cost_m.0, row.cost_m.1),
            format!("{} of {}", row.restarted.0, row.restarted.1),
        ]
    });
    say!("{}", table(&head, lines));
    Ok(())
}
