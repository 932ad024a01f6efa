//! What lies between a client and a server's Unix socket: it can be cut in the middle of a frame, or go dead without either
//! end being told.

use relucent::serve::{Address, Peer};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// A cable for one connection; dropped, it is cut.
pub(super) struct Cable {
    pub(super) peer: Peer,
    /// bytes that still pass towards the server
    pub(super) left: Arc<AtomicU64>,
    pub(super) dead: Arc<AtomicBool>,
    carrying: JoinHandle<()>,
}

impl Cable {
    /// From a socket at `near`, which it makes, to the one at `far`.
    pub(super) fn lay(near: &Path, far: &Path) -> Self {
        let _ = std::fs::remove_file(near);
        let listener = UnixListener::bind(near).unwrap();
        let (left, dead) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::default());
        let far = far.to_owned();
        let (budget, dies) = (Arc::clone(&left), Arc::clone(&dead));
        let carrying = tokio::spawn(async move {
            let near = listener.accept().await.unwrap().0;
            let far = UnixStream::connect(far).await.unwrap();
            let no_end = AtomicU64::new(u64::MAX);
            let there = carry(&near, &far, &budget, &dies);
            let back = carry(&far, &near, &no_end, &dies);
            let _ = tokio::select! { outcome = there => outcome, outcome = back => outcome };
        });
        Self {
            peer: Address::Unix(near.to_owned()).into(),
            left,
            dead,
            carrying,
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(
    from: &UnixStream,
    to: &UnixStream,
    left: &AtomicU64,
    dead: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        from.readable().await?;
        while dead.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let count = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let pass = left.load(Ordering::Relaxed).min(count as u64) as usize;
        left.fetch_sub(pass as u64, Ordering::Relaxed);
        let mut sent = 0;
        while sent < pass {
            to.writable().await?;
            match to.try_write(&buffer[sent..pass]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if pass < count {
            return Ok(());
        }
    }
}
