//! A socket that is listened on, and the connections that it takes.

use super::address::Address;
use super::connection::{Connection, Socket};
use super::limits::Limits;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// How long nobody is taken where the system has no socket left.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is listened on.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Seats for connections, and how many found none.
#[derive(Clone)]
pub(super) struct Seats {
    pub(super) free: Arc<Semaphore>,
    pub(super) refused: Arc<AtomicU64>,
}

impl Seats {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            refused: Arc::default(),
        }
    }
}

impl Listener {
    /// Listens; the address that comes back has the real port. A Unix socket that nobody listens on any more, as a killed
    /// server leaves it, makes way.
    pub(super) async fn bind(address: &Address) -> io::Result<(Self, Address)> {
        match address {
            Address::Tcp(_) | Address::Host(_) => {
                let listener = TcpListener::bind(address.to_string()).await?;
                let bound = listener.local_addr()?;
                Ok((Self::Tcp(listener), Address::Tcp(bound)))
            }
            Address::Unix(path) => {
                let listener = match UnixListener::bind(path) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && deserted(path) => {
                        std::fs::remove_file(path)?;
                        UnixListener::bind(path)?
                    }
                    outcome => outcome?,
                };
                Ok((Self::Unix(listener), address.clone()))
            }
        }
    }

    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => Ok(Socket::Tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }

    /// The connections that come and find a seat; it ends when nobody waits for them any more. It outlives what goes wrong
    /// with one of them, and a system that for now has no sockets left.
    pub(super) fn connections(
        self,
        limits: &Limits,
        seats: Seats,
    ) -> ReceiverStream<io::Result<Connection>> {
        let (taken, incoming) = mpsc::channel(1);
        let (handshake, most) = (limits.handshake(), limits.connections);
        tokio::spawn(async move {
            loop {
                let socket = tokio::select! {
                    socket = self.accept() => socket,
                    () = taken.closed() => return,
                };
                let socket = match socket {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let Ok(seat) = Arc::clone(&seats.free).try_acquire_owned() else {
                    seats.refused.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(most, "a connection beyond the most there may be was closed");
                    continue;
                };
                let connection = Connection::new(socket, seat, handshake);
                if taken.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
        });
        ReceiverStream::new(incoming)
    }
}

/// Whether a socket is there that nobody listens on.
fn deserted(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let nobody = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    socket
        && std::os::unix::net::UnixStream::connect(path)
            .err()
            .is_some_and(nobody)
}
