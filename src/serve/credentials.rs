//! Whom a client trusts, and who it is.

use super::access::{AccessError, Token, authority, identity};
use super::address::Address;
use std::path::PathBuf;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::ClientTlsConfig;
use tonic::{Request, Status};

/// Files that say whom a client trusts, and who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFiles {
    /// authorities (PEM), one of which must have signed the server's certificate, and with it TLS
    pub ca: Option<PathBuf>,
    /// the client's certificate chain (PEM)
    pub cert: Option<PathBuf>,
    /// its private key (PEM)
    pub key: Option<PathBuf>,
    /// the token that each call bears
    pub token: Option<PathBuf>,
    /// the name in the server's certificate; its address where absent
    pub server_name: Option<String>,
}

/// Whom a client trusts, and who it is; by default anyone without TLS, and nobody.
#[derive(Clone, Default)]
pub struct Credentials {
    pub(super) tls: Option<ClientTlsConfig>,
    pub(super) bearer: Bearer,
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be read, or lacks another that it needs.
    pub fn read(files: &CredentialFiles) -> Result<Self, AccessError> {
        let identity = identity(files.cert.as_deref(), files.key.as_deref())?;
        let mut bearer = Bearer::default();
        if let Some(path) = &files.token {
            let Token(token) = Token::read(path)?;
            let value = [b"Bearer ", token.as_slice()].concat();
            let mut value =
                MetadataValue::try_from(value.as_slice()).map_err(|error| AccessError::Token {
                    path: path.clone(),
                    got: error.to_string(),
                })?;
            value.set_sensitive(true);
            bearer = Bearer(Some(value));
        }
        let Some(ca) = &files.ca else {
            return match identity {
                Some(_) => Err(AccessError::Alone {
                    given: "the client's certificate",
                    needs: "the server's authority",
                }),
                None => Ok(Self { tls: None, bearer }),
            };
        };
        let mut tls = ClientTlsConfig::new().ca_certificate(authority(ca)?);
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        if let Some(name) = &files.server_name {
            tls = tls.domain_name(name);
        }
        Ok(Self {
            tls: Some(tls),
            bearer,
        })
    }

    /// Checks that no token leaves this machine in the open.
    pub(super) fn check(&self, address: &Address) -> Result<(), AccessError> {
        if self.tls.is_none() && self.bearer.0.is_some() && !address.is_local() {
            return Err(AccessError::Bare {
                address: address.clone(),
            });
        }
        Ok(())
    }
}

/// Adds the token, where there is one, to each call.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_need_each_other() {
        let files = CredentialFiles {
            cert: Some(PathBuf::from("/nowhere")),
            ..CredentialFiles::default()
        };
        let error = Credentials::read(&files).err().unwrap().to_string();
        assert!(error.contains("its key"), "{error}");
    }
}
