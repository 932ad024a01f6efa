//! Floor 4: one command a file.

mod demo;
mod eval;
mod info;
mod prior;
mod recorded;
#[cfg(feature = "train")]
mod train;

/// Recovers compressive LIDAR frames through a deep generative ReLU prior.
#[derive(clap::Parser, Debug)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Info(info::Info),
    Eval(eval::Eval),
    #[cfg(feature = "train")]
    Train(train::Train),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Demo(command) => command.run(),
        Command::Info(command) => command.run(),
        Command::Eval(command) => command.run(),
        #[cfg(feature = "train")]
        Command::Train(command) => command.run(),
    }
}

/// A table for people, which is Markdown too.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(comfy_table::presets::ASCII_MARKDOWN)
        .set_header(head.to_vec())
        .add_rows(rows);
    table
}
