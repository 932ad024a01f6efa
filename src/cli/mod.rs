//! Floor 4: one command a file.

mod eval;
mod prior;
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
    Eval(eval::Eval),
    #[cfg(feature = "train")]
    Train(train::Train),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Eval(command) => command.run(),
        #[cfg(feature = "train")]
        Command::Train(command) => command.run(),
    }
}
