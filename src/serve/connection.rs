//! One connection: a seat among those there may be, and a deadline for its first call that is let in.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// A client's socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What calls of a connection tell it.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// whether a call was let in
    pub(super) admitted: AtomicBool,
}

/// A socket that fails where no call was let in by its deadline; dropped, its seat is free.
pub(super) struct Connection {
    socket: Socket,
    life: Arc<Life>,
    /// `None` once a call was let in
    deadline: Option<Pin<Box<Sleep>>>,
    _seat: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(socket: Socket, seat: OwnedSemaphorePermit, handshake: Duration) -> Self {
        if let Socket::Tcp(tcp) = &socket
            && let Err(error) = tcp.set_nodelay(true)
        {
            tracing::debug!(%error, "small messages of a client may wait for larger ones");
        }
        Self {
            socket,
            life: Arc::default(),
            deadline: Some(Box::pin(tokio::time::sleep(handshake))),
            _seat: seat,
        }
    }

    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.life.admitted.load(Ordering::Relaxed) {
            self.deadline = None;
        }
        let due = |deadline: &mut Pin<Box<Sleep>>| deadline.as_mut().poll(cx).is_ready();
        self.deadline.as_mut().is_some_and(due)
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Life>;

    fn connect_info(&self) -> Arc<Life> {
        Arc::clone(&self.life)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.late(cx) {
            tracing::debug!("a connection made no call in time; it is closed");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match &mut this.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
