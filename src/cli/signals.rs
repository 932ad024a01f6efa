//! Signals that a server heeds.

use crate::say::tell;
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// SIGINT and SIGTERM set `stopping`, a second one ends the process at once; SIGHUP calls `reload`, before which no other is
/// heeded.
pub(super) fn heed(
    stopping: watch::Sender<bool>,
    reload: impl Fn() + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let entered = runtime.enter();
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    drop(entered);
    let heed = async move {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => {
                    reload();
                    continue;
                }
                Some(()) = interrupt.recv() => {}
                Some(()) = terminate.recv() => {}
                else => return,
            }
            if stopping.send_replace(true) {
                std::process::exit(130);
            }
            tell!("relucent: stopping; what was accepted still comes out");
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(heed))?;
    Ok(())
}
