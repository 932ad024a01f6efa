//! A server as a client sees it.

use super::access::AccessError;
use super::address::Address;
use super::credentials::{Bearer, Credentials};
use crate::wire;
use crate::wire::v1::recovery_service_client::RecoveryServiceClient;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};

/// The longest message that is read or sent, bytes: a description and what wraps it.
const MAX_MESSAGE: usize = wire::MAX_DESCRIPTION + 1024;
/// How long a server may take to answer a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be called.
pub type Recovery = RecoveryServiceClient<InterceptedService<Channel, Bearer>>;

/// A server, and how to show it who one is.
#[derive(Clone)]
pub struct Peer {
    /// where it listens
    pub address: Address,
    /// whom to trust, and who one is
    pub credentials: Credentials,
}

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// whom to trust
    #[error(transparent)]
    Access(#[from] AccessError),
    /// nobody there, or another than expected
    #[error("cannot reach a server at {address}")]
    Connect {
        /// the address
        address: Address,
        /// why
        source: tonic::transport::Error,
    },
}

impl From<Address> for Peer {
    fn from(address: Address) -> Self {
        Self {
            address,
            credentials: Credentials::default(),
        }
    }
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody is there, another than expected, or a token would leave this machine in the open.
    pub async fn connect(&self) -> Result<Recovery, PeerError> {
        self.credentials.check(&self.address)?;
        let channel = self.channel().await;
        let channel = channel.map_err(|source| PeerError::Connect {
            address: self.address.clone(),
            source,
        })?;
        let bearer = self.credentials.bearer.clone();
        let client = RecoveryServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(client)
    }

    async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let secure = self.credentials.tls.is_some();
        let scheme = if secure { "https" } else { "http" };
        let host = match &self.address {
            Address::Tcp(_) | Address::Host(_) => self.address.to_string(),
            Address::Unix(_) => "localhost".to_owned(), // the name in its certificate, where it has one
        };
        let mut endpoint =
            Endpoint::from_shared(format!("{scheme}://{host}"))?.connect_timeout(PATIENCE);
        if let Some(tls) = &self.credentials.tls {
            endpoint = endpoint.tls_config(tls.clone())?;
        }
        let Address::Unix(path) = &self.address else {
            return endpoint.connect().await;
        };
        let path = path.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        });
        endpoint.connect_with_connector(connector).await
    }
}
