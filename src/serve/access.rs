//! Who may come in.

use super::address::Address;
use super::connection::Life;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use subtle::ConstantTimeEq;
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Status};

/// The fewest bytes of a token: 128 bits in hexadecimal digits.
const TOKEN_LEAST: usize = 32;
/// The most bytes of a token.
const TOKEN_MOST: usize = 4096;

/// Files that say who a server is, and who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// the server's certificate chain (PEM), and with it TLS
    pub cert: Option<PathBuf>,
    /// its private key (PEM)
    pub key: Option<PathBuf>,
    /// authorities (PEM), one of which must have signed a client's certificate
    pub client_ca: Option<PathBuf>,
    /// the token that each call must bear
    pub token: Option<PathBuf>,
}

/// Who a server is, and who may come in; by default without TLS and anyone who can reach it.
#[derive(Clone, Default)]
pub struct Access {
    pub(super) tls: Option<ServerTlsConfig>,
    mutual: bool,
    token: Option<Token>,
}

/// Why nobody can be let in, or a client cannot say who it is.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// a file
    #[error("cannot read {what} {}", path.display())]
    Read {
        /// what it holds
        what: &'static str,
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// a file that another needs
    #[error("expected {needs} together with {given}, got {given} alone")]
    Alone {
        /// what was given
        given: &'static str,
        /// what is missing
        needs: &'static str,
    },
    /// a token
    #[error(
        "expected a token of {TOKEN_LEAST} to {TOKEN_MOST} visible ASCII characters in {}, got {got}",
        path.display()
    )]
    Token {
        /// the file
        path: PathBuf,
        /// what was found, the token itself left out
        got: String,
    },
    /// an address that others reach
    #[error(
        "expected {missing} to serve beyond this machine, at {address}, got none; or an address of this machine, such as 127.0.0.1:50551 or unix:PATH"
    )]
    Beyond {
        /// the address
        address: Address,
        /// what is missing
        missing: &'static str,
    },
    /// a token that others could read
    #[error(
        "expected --ca, and with it TLS, to send a token beyond this machine, to {address}, got none"
    )]
    Bare {
        /// the address
        address: Address,
    },
}

impl Access {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be read, or lacks another that it needs.
    pub fn read(files: &AccessFiles) -> Result<Self, AccessError> {
        let identity = identity(files.cert.as_deref(), files.key.as_deref())?;
        let token = files.token.as_deref().map(Token::read).transpose()?;
        let Some(identity) = identity else {
            return match files.client_ca {
                Some(_) => Err(AccessError::Alone {
                    given: "the clients' authority",
                    needs: "the server's certificate and key",
                }),
                None => Ok(Self {
                    token,
                    ..Self::default()
                }),
            };
        };
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(path) = &files.client_ca {
            tls = tls.client_ca_root(authority(path)?);
        }
        Ok(Self {
            tls: Some(tls),
            mutual: files.client_ca.is_some(),
            token,
        })
    }

    /// Checks that whoever can reach the address is asked who they are, beyond this machine.
    ///
    /// # Errors
    /// Where others than this machine reach it, and TLS or what identifies clients is missing.
    pub fn check(&self, address: &Address) -> Result<(), AccessError> {
        let missing = match self {
            _ if address.is_local() => return Ok(()),
            Self { tls: None, .. } => "TLS (a certificate and its key)",
            Self {
                mutual: false,
                token: None,
                ..
            } => "client authentication (a client authority, or a token)",
            _ => return Ok(()),
        };
        Err(AccessError::Beyond {
            address: address.clone(),
            missing,
        })
    }

    pub(super) fn gate(&self) -> Gate {
        Gate(self.token.clone().map(Arc::new))
    }
}

/// A secret that both sides know.
#[derive(Clone)]
pub(super) struct Token(pub(super) Vec<u8>);

impl Token {
    pub(super) fn read(path: &Path) -> Result<Self, AccessError> {
        let bytes = read("the token", path)?;
        let token = bytes.trim_ascii();
        let fault = match token.len() {
            length if !(TOKEN_LEAST..=TOKEN_MOST).contains(&length) => {
                format!("{length} characters")
            }
            _ if !token.iter().all(u8::is_ascii_graphic) => "other characters".to_owned(),
            _ => return Ok(Self(token.to_vec())),
        };
        Err(AccessError::Token {
            path: path.to_owned(),
            got: fault,
        })
    }
}

/// Asks each call for the token, before any of it is read; the connection that bears one may stay.
#[derive(Clone)]
pub(super) struct Gate(Option<Arc<Token>>);

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Token(token)) = self.0.as_deref() {
            let given = request.metadata().get("authorization");
            let given = given.map_or(&b""[..], |value| value.as_bytes());
            let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
            if !bool::from(given.ct_eq(token)) {
                return Err(Status::unauthenticated(
                    "expected `authorization: Bearer TOKEN` with this server's token, got none or another",
                ));
            }
        }
        if let Some(life) = request.extensions().get::<Arc<Life>>() {
            life.admitted.store(true, Ordering::Relaxed);
        }
        Ok(request)
    }
}

pub(super) fn identity(
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<Identity>, AccessError> {
    let alone = |given, needs| Err(AccessError::Alone { given, needs });
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(_), None) => alone("a certificate", "its key"),
        (None, Some(_)) => alone("a key", "its certificate"),
        (Some(cert), Some(key)) => Ok(Some(Identity::from_pem(
            read("the certificate", cert)?,
            read("the key", key)?,
        ))),
    }
}

pub(super) fn authority(path: &Path) -> Result<Certificate, AccessError> {
    Ok(Certificate::from_pem(read("the authority", path)?))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, AccessError> {
    std::fs::read(path).map_err(|source| AccessError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn weak_and_odd_tokens_are_refused_without_being_shown() {
        for text in ["short", &"ä".repeat(40), &"a b ".repeat(10)] {
            let (_folder, path) = token(text);
            let error = Token::read(&path).err().unwrap().to_string();
            assert!(
                error.contains("32 to 4096") && !error.contains(text),
                "{error}"
            );
        }
    }

    #[test]
    fn the_gate_asks_for_the_whole_token() {
        let secret = "0123456789abcdef0123456789abcdef";
        let (_folder, path) = token(&format!("{secret}\n"));
        let files = AccessFiles {
            token: Some(path),
            ..AccessFiles::default()
        };
        let mut gate = Access::read(&files).unwrap().gate();
        let mut ask = |value: Option<&str>| {
            let mut request = Request::new(());
            if let Some(value) = value {
                request
                    .metadata_mut()
                    .insert("authorization", value.parse().unwrap());
            }
            gate.call(request).is_ok()
        };
        assert!(ask(Some(&format!("Bearer {secret}"))));
        assert!(!ask(None) && !ask(Some("Bearer ")) && !ask(Some(secret)));
        assert!(!ask(Some(&format!("Bearer {}", &secret[1..]))));
        assert!(!ask(Some(&format!("Bearer {secret}0"))));
    }

    #[test]
    fn files_that_need_each_other() {
        let path = || Some(PathBuf::from("/nowhere"));
        let files = AccessFiles {
            client_ca: path(),
            ..AccessFiles::default()
        };
        let error = Access::read(&files).err().unwrap().to_string();
        assert!(error.contains("certificate and key"), "{error}");
    }
}
