//! Where a server listens.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// A TCP socket or a Unix one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// host and port, such as `127.0.0.1:50551`, or `localhost:50551`, which is looked up; port 0: any that is free
    Tcp(SocketAddr),
    /// a socket in the file system, as `unix:PATH`
    Unix(PathBuf),
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as 127.0.0.1:50551 or unix:/run/relucent.sock, got `{got}`")]
pub struct AddressError {
    /// the text
    pub got: String,
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let tcp = text.strip_prefix("http://").unwrap_or(text);
        let found = tcp.to_socket_addrs().ok().and_then(|mut all| all.next());
        found.map(Self::Tcp).ok_or_else(|| AddressError {
            got: text.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_and_strangers_are_refused() {
        for text in ["127.0.0.1:50551", "[::1]:1", "unix:/tmp/a.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert!(address.is_local());
        }
        assert!("nowhere".parse::<Address>().is_err() && "unix:".parse::<Address>().is_err());
        let open: Address = "0.0.0.0:1".parse().unwrap();
        assert!(!open.is_local());
    }
}
