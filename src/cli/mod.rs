//! Floor 4: one command a file.

mod bars;
mod base64;
mod bench;
mod bench_figures;
mod bench_page;
mod bench_plot;
mod bench_show;
mod comparison;
mod demo;
mod detail;
mod encode;
mod eval;
mod exposure;
mod heap;
mod imperfections;
mod info;
mod info_log;
mod landscape;
mod landscape_plot;
mod method;
mod metrics;
mod obstacles;
mod page;
mod page_plot;
mod prior;
mod recorded;
mod recover;
mod replay;
mod run;
#[cfg(feature = "serve")]
mod send;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod signals;
mod simulate;
mod tally;
#[cfg(feature = "train")]
mod train;
#[cfg(feature = "train")]
mod unroll;

/// A log that was used as far as it goes.
#[derive(Debug, thiserror::Error)]
#[error("the log was used as far as it goes")]
pub(crate) struct Incomplete(#[source] pub(crate) relucent::journal::JournalError);

/// Recovers compressive LIDAR frames through a deep generative ReLU prior.
///
/// Exit codes: 0 all is well; 1 it could not be done; 2 the command line is wrong; 3 a log was cut or damaged, and was used
/// as far as it goes; 130 it was interrupted twice. Data goes to stdout, everything else to stderr; RUST_LOG sets what is told there.
#[derive(clap::Parser, Debug)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// How events are told on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// A command that this build does without.
#[cfg(not(all(feature = "serve", feature = "train")))]
#[derive(clap::Args, Debug)]
struct Missing {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    any: Vec<std::ffi::OsString>,
}

#[cfg(not(all(feature = "serve", feature = "train")))]
impl Missing {
    fn run(&self, feature: &str) -> anyhow::Result<()> {
        anyhow::bail!(
            "expected a build with the feature `{feature}`, got one without: cargo install --path . --features {feature}"
        )
    }
}

/// How events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// for people
    Text,
    /// one JSON object a line
    Json,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Simulate(simulate::Simulate),
    Encode(encode::Encode),
    Replay(replay::Replay),
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    #[cfg(not(feature = "serve"))]
    #[command(hide = true)]
    Serve(Missing),
    #[cfg(feature = "serve")]
    Send(send::Send),
    #[cfg(not(feature = "serve"))]
    #[command(hide = true)]
    Send(Missing),
    Info(info::Info),
    Recover(recover::Recover),
    Bench(bench::Bench),
    Eval(eval::Eval),
    Landscape(landscape::Landscape),
    Obstacles(obstacles::Obstacles),
    #[cfg(feature = "train")]
    Train(train::Train),
    #[cfg(not(feature = "train"))]
    #[command(hide = true)]
    Train(Missing),
    #[cfg(feature = "train")]
    Unroll(unroll::Unroll),
    #[cfg(not(feature = "train"))]
    #[command(hide = true)]
    Unroll(Missing),
}

impl Command {
    /// Whether it runs a pipeline.
    fn streams(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Replay(_) | Self::Bench(_) => true,
            #[cfg(feature = "serve")]
            Self::Serve(_) => true,
            _ => false,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.command.streams() {
        heap::give_back();
    }
    match &arguments.command {
        Command::Demo(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Encode(command) => command.run(),
        Command::Replay(command) => command.run(),
        #[cfg(feature = "serve")]
        Command::Serve(command) => command.run(),
        #[cfg(not(feature = "serve"))]
        Command::Serve(missing) => missing.run("serve"),
        #[cfg(feature = "serve")]
        Command::Send(command) => command.run(),
        #[cfg(not(feature = "serve"))]
        Command::Send(missing) => missing.run("serve"),
        Command::Info(command) => command.run(),
        Command::Recover(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Landscape(command) => command.run(),
        Command::Obstacles(command) => command.run(),
        #[cfg(feature = "train")]
        Command::Train(command) => command.run(),
        #[cfg(not(feature = "train"))]
        Command::Train(missing) => missing.run("train"),
        #[cfg(feature = "train")]
        Command::Unroll(command) => command.run(),
        #[cfg(not(feature = "train"))]
        Command::Unroll(missing) => missing.run("train"),
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
