//! The server: one bidirectional stream a client.

use super::address::{Address, AddressError};
use super::bridge::Bridge;
use crate::pipeline::{Ingress, Options, Outlet, Pipeline, PipelineError, Summary};
use crate::prior::Prior;
use crate::recover::Settings;
use crate::wire::v1::recovery_service_server::{RecoveryService, RecoveryServiceServer};
use crate::wire::{self, v1};
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// The longest message that is taken, bytes: a description and what wraps it.
pub(super) const MAX_MESSAGE: usize = wire::MAX_DESCRIPTION + 1024;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// the address
    #[error(transparent)]
    Address(#[from] AddressError),
    /// the socket
    #[error("cannot listen on {address}")]
    Listen {
        /// the address
        address: Address,
        /// why
        source: std::io::Error,
    },
    /// the threads of the network
    #[error("cannot start the network's threads")]
    Runtime(#[source] std::io::Error),
    /// the pipeline
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// the transport
    #[error("the server stopped")]
    Transport(#[from] tonic::transport::Error),
}

/// A server that is listening, not yet serving.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: Listener,
    address: Address,
    pipeline: Pipeline,
    bridge: Bridge,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Listens, and starts a pipeline whose frames also go to `outlets`.
    ///
    /// # Errors
    /// Where others than this machine could reach the address, or it cannot be listened on.
    pub fn bind(
        address: &Address,
        prior: &Arc<Prior>,
        settings: &Settings,
        options: Options,
        mut outlets: Vec<Outlet>,
    ) -> Result<Self, ServeError> {
        address.check_local()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let listen = |source| ServeError::Listen {
            address: address.clone(),
            source,
        };
        let (listener, address) = runtime.block_on(async {
            match address {
                Address::Tcp(socket) => {
                    let listener = TcpListener::bind(socket).await.map_err(listen)?;
                    let bound = listener.local_addr().map_err(listen)?;
                    Ok((Listener::Tcp(listener), Address::Tcp(bound)))
                }
                Address::Unix(path) => {
                    let listener = UnixListener::bind(path).map_err(listen)?;
                    Ok::<_, ServeError>((Listener::Unix(listener), address.clone()))
                }
            }
        })?;
        let bridge = Bridge::default();
        outlets.push(bridge.outlet());
        Ok(Self {
            pipeline: Pipeline::start(prior, settings, options, outlets)?,
            runtime,
            listener,
            address,
            bridge,
        })
    }

    /// Where it listens: the port is the real one.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A door of its pipeline.
    pub fn ingress(&self) -> Ingress {
        self.pipeline.ingress()
    }

    /// Serves until `stop` holds true or its sender is gone: clients are heard no more, what they sent is answered, and
    /// everything accepted comes out.
    ///
    /// # Errors
    /// Where the transport fails.
    pub fn run(self, stop: watch::Receiver<bool>) -> Result<Summary, ServeError> {
        let service = Service {
            bridge: self.bridge,
            ingress: self.pipeline.ingress(),
            stop: stop.clone(),
        };
        let service = RecoveryServiceServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let router = tonic::transport::Server::builder().add_service(service);
        let outcome = self.runtime.block_on(async {
            match self.listener {
                Listener::Tcp(listener) => {
                    let incoming = TcpListenerStream::new(listener);
                    router
                        .serve_with_incoming_shutdown(incoming, stopped(stop))
                        .await
                }
                Listener::Unix(listener) => {
                    let incoming = UnixListenerStream::new(listener);
                    router
                        .serve_with_incoming_shutdown(incoming, stopped(stop))
                        .await
                }
            }
        });
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path); // it is ours, and of no more use
        }
        let summary = self.pipeline.finish();
        outcome?;
        Ok(summary)
    }
}

/// Ends when `stop` holds true or its sender is gone.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

struct Service {
    bridge: Bridge,
    ingress: Ingress,
    stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl RecoveryService for Service {
    type RecoverStream = Pin<
        Box<dyn tokio_stream::Stream<Item = Result<v1::RecoverResponse, Status>> + Send + 'static>,
    >;

    async fn recover(
        &self,
        request: Request<Streaming<v1::RecoverRequest>>,
    ) -> Result<Response<Self::RecoverStream>, Status> {
        let (connection, answers) = self.bridge.connect(self.ingress.clone());
        let mut requests = request.into_inner();
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let stopped = stopped(stop);
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    request = requests.message() => match request {
                        Ok(Some(request)) => connection.take(request),
                        Ok(None) => break,
                        Err(status) => {
                            tracing::debug!(%status, "a client's stream broke");
                            break;
                        }
                    },
                    () = &mut stopped => break,
                }
            }
        });
        use tokio_stream::StreamExt;
        let answers = ReceiverStream::new(answers).map(Ok);
        Ok(Response::new(Box::pin(answers)))
    }
}
