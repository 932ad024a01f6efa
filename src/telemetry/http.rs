//! As much of HTTP as a scrape needs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest request, bytes.
const MAX_REQUEST: usize = 8 << 10;
/// How long a client may take, from connecting to having read the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long nobody is taken where the system has no socket left.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers scrapes until it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    pub(super) fn start(
        address: SocketAddr,
        text: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let serve = move || {
            // one client after the other: a scrape is short, and whoever dawdles is cut off
            for client in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                match client {
                    Ok(client) => {
                        if let Err(error) = answer(client, &text) {
                            tracing::debug!(%error, "a scrape failed");
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a scrape could not be taken");
                        std::thread::sleep(PAUSE);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        Ok(Self {
            address,
            stop,
            thread: Some(thread.spawn(serve)?),
        })
    }

    /// Where it listens: the port is the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut this_machine = self.address;
        if this_machine.ip().is_unspecified() {
            this_machine.set_ip(match this_machine {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        // wakes the thread; where nothing connects any more it ends with the process
        if TcpStream::connect_timeout(&this_machine, PATIENCE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn answer(mut client: TcpStream, text: impl Fn() -> String) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    let request = request(&mut client)?;
    let (status, kind, body) = match (request.0.as_str(), request.1.as_str()) {
        ("GET", "/metrics") => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ("200 OK", kind, text())
        }
        ("GET", _) => (
            "404 Not Found",
            "text/plain",
            "expected /metrics\n".to_owned(),
        ),
        _ => (
            "405 Method Not Allowed",
            "text/plain",
            "expected GET\n".to_owned(),
        ),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

/// Method and path.
fn request(client: &mut TcpStream) -> io::Result<(String, String)> {
    let (mut request, since) = (vec![], Instant::now());
    let mut part = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = PATIENCE.saturating_sub(since.elapsed());
        if left.is_zero() || request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&part[..read]),
        }
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.split_ascii_whitespace().map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Ok((word(), word()))
}
