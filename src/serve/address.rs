//! Where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A TCP socket or a Unix one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// host and port, such as `127.0.0.1:50551`; port 0: any that is free
    Tcp(SocketAddr),
    /// a socket in the file system, as `unix:PATH`
    Unix(PathBuf),
}

/// Text that is no address, or an address that is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// neither kind
    #[error("expected an address such as 127.0.0.1:50551 or unix:/run/relucent.sock, got `{got}`")]
    Syntax {
        /// the text
        got: String,
    },
    /// beyond this machine
    #[error(
        "expected an address of this machine, such as 127.0.0.1 or unix:PATH, got {got}: beyond it nothing is served without TLS, which is not there yet"
    )]
    Beyond {
        /// the address
        got: SocketAddr,
    },
}

impl Address {
    /// Checks that only this machine can reach it.
    ///
    /// # Errors
    /// Where others could.
    pub fn check_local(&self) -> Result<(), AddressError> {
        match self {
            Self::Tcp(got) if !got.ip().is_loopback() => Err(AddressError::Beyond { got: *got }),
            _ => Ok(()),
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
        tcp.parse()
            .map(Self::Tcp)
            .map_err(|_| AddressError::Syntax {
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
            assert_eq!(address.check_local(), Ok(()));
        }
        assert!("nowhere".parse::<Address>().is_err() && "unix:".parse::<Address>().is_err());
        let open: Address = "0.0.0.0:1".parse().unwrap();
        assert!(
            open.check_local()
                .unwrap_err()
                .to_string()
                .contains("0.0.0.0:1")
        );
    }
}
