//! Where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A TCP socket or a Unix one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port, such as `127.0.0.1:50551`; port 0: any that is free
    Tcp(SocketAddr),
    /// host and port, such as `localhost:50551`, looked up where it is used; a certificate is held against the host
    Host(String),
    /// a socket in the file system, as `unix:PATH`
    Unix(PathBuf),
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as 127.0.0.1:50551, robot.local:50551 or unix:/run/relucent.sock, got `{got}`"
)]
pub struct AddressError {
    /// the text
    pub got: String,
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.ip().is_loopback(),
            Self::Host(host) => host
                .rsplit_once(':')
                .is_some_and(|(host, _)| host == "localhost"),
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
        if let Ok(socket) = tcp.parse() {
            return Ok(Self::Tcp(socket));
        }
        let is_host = |host: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && host.bytes().all(allowed)
        };
        match tcp.rsplit_once(':') {
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => {
                Ok(Self::Host(tcp.to_ascii_lowercase()))
            }
            _ => Err(AddressError {
                got: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Host(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_and_strangers_are_refused() {
        for text in [
            "127.0.0.1:50551",
            "[::1]:1",
            "localhost:2",
            "unix:/tmp/a.sock",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert!(address.is_local());
        }
        for text in ["nowhere", "unix:", ":1", "a b:1", "robot:70000", "robot:"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        for text in ["0.0.0.0:1", "robot.local:50551", "localhost.example:1"] {
            let open: Address = text.parse().unwrap();
            assert!(!open.is_local(), "{text}");
        }
    }
}
