//! The server: a listener, a pipeline, and what clients can call between them.

use super::access::{Access, AccessError};
use super::address::{Address, AddressError};
use super::bridge::Bridge;
use super::limits::{LimitError, Limits};
use super::listener::{Listener, Seats};
use super::service::Service;
use crate::pipeline::{Ingress, Options, Outlet, Pipeline, PipelineError, Summary, Vault};
use crate::prior::Prior;
use crate::recover::Settings;
use crate::wire;
use crate::wire::v1::recovery_service_server::RecoveryServiceServer;
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::service::InterceptorLayer;
use tonic::transport::server::Router;

/// Bytes of a message beside the description or measurement in it.
const WRAPPING: usize = 1024;
/// How long the network's threads may take to end.
const LAST: Duration = Duration::from_secs(1);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// the address
    #[error(transparent)]
    Address(#[from] AddressError),
    /// who may come in
    #[error(transparent)]
    Access(#[from] AccessError),
    /// how much may come in
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// TLS
    #[error("expected a certificate, its key and authorities that TLS can use, got others")]
    Tls(#[source] tonic::transport::Error),
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
    /// what clients can ask of the service itself
    #[error("cannot describe the service")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// the folder of checkpoints
    #[error("cannot keep checkpoints in {}", folder.display())]
    Checkpoints {
        /// the folder
        folder: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// the transport
    #[error("the server stopped")]
    Transport(#[from] tonic::transport::Error),
}

/// Who may come in, and with how much; by default from this machine alone.
#[derive(Clone, Default)]
pub struct Serving {
    /// who
    pub access: Access,
    /// how much
    pub limits: Limits,
    /// folder where what tracks know is kept, so that a server that is started again goes on warm
    pub checkpoints: Option<PathBuf>,
}

/// Bytes of a stream that may be on their way unread: with `block`, what else would wait before the pipeline's own lanes.
const STREAM_WINDOW: u32 = 64 << 10;

/// A server that is listening, not yet serving.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    transport: tonic::transport::Server,
    listener: Listener,
    address: Address,
    pipeline: Pipeline,
    bridge: Bridge,
    serving: Serving,
}

impl Server {
    /// Listens, and starts a pipeline whose frames also go to `outlets`.
    ///
    /// # Errors
    /// Where others than this machine could reach the address and are not asked who they are, TLS cannot be had, or the
    /// address cannot be listened on.
    pub fn bind<'a>(
        address: &Address,
        prior: impl Into<Cow<'a, Prior>>,
        settings: &Settings,
        options: Options,
        mut outlets: Vec<Outlet>,
        serving: Serving,
    ) -> Result<Self, ServeError> {
        serving.access.check(address)?;
        serving.limits.check()?;
        let transport = transport(&serving)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let bound = runtime.block_on(Listener::bind(address));
        let (listener, address) = bound.map_err(|source| ServeError::Listen {
            address: address.clone(),
            source,
        })?;
        let open = |folder: &PathBuf| {
            let failed = |source| ServeError::Checkpoints {
                folder: folder.clone(),
                source,
            };
            Vault::open(folder).map_err(failed)
        };
        let vault = serving.checkpoints.as_ref().map(open).transpose()?;
        let bridge = Bridge::new(serving.limits);
        outlets.insert(0, bridge.outlet()); // whoever waits for an answer comes before logs and counts
        Ok(Self {
            pipeline: Pipeline::start_with(prior, settings, options, outlets, vault)?,
            runtime,
            transport,
            listener,
            address,
            bridge,
            serving,
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

    /// Serves until `stop` holds true or its sender is gone: clients are heard no more, what they sent is answered as long
    /// as they read it within [`Limits::drain_s`], and everything accepted comes out.
    ///
    /// # Errors
    /// Where the transport fails.
    pub fn run(self, stop: watch::Receiver<bool>) -> Result<Summary, ServeError> {
        let limits = self.serving.limits;
        let seats = Seats::new(limits.connections);
        let service = Service {
            bridge: self.bridge.clone(),
            ingress: self.pipeline.ingress(),
            seats: seats.clone(),
            began: Instant::now(),
            stop: stop.clone(),
        };
        let service = RecoveryServiceServer::new(service)
            .max_decoding_message_size(limits.message_bytes + WRAPPING)
            .max_encoding_message_size(wire::MAX_DESCRIPTION.max(wire::MAX_FRAME) + WRAPPING);
        let (health, health_service) = tonic_health::server::health_reporter();
        let gate = InterceptorLayer::new(self.serving.access.gate());
        let router: Router<_> = self
            .transport
            .layer(gate)
            .add_service(service)
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        let outcome = self.runtime.block_on(async {
            let serving = health.set_serving::<RecoveryServiceServer<Service>>();
            serving.await;
            let (stopping, bridge) = (stop.clone(), self.bridge);
            tokio::spawn(async move {
                stopped(stopping).await;
                health
                    .set_not_serving::<RecoveryServiceServer<Service>>()
                    .await;
                bridge.stop();
            });
            let incoming = self.listener.connections(&limits, seats);
            let serving = router.serve_with_incoming_shutdown(incoming, stopped(stop.clone()));
            tokio::select! {
                outcome = serving => outcome,
                () = drained(stop, limits.drain()) => {
                    tracing::warn!(seconds = limits.drain_s, "clients did not read their last answers in time");
                    Ok(())
                }
            }
        });
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path); // it is ours, and of no more use
        }
        let summary = self.pipeline.finish();
        self.runtime.shutdown_timeout(LAST);
        outcome?;
        Ok(summary)
    }
}

fn transport(serving: &Serving) -> Result<tonic::transport::Server, ServeError> {
    let limits = &serving.limits;
    let transport = tonic::transport::Server::builder()
        .max_concurrent_streams(limits.calls)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keepalive_interval(Some(limits.keepalive()))
        .http2_keepalive_timeout(Some(limits.keepalive()));
    match &serving.access.tls {
        Some(tls) => {
            let tls = tls.clone().timeout(limits.handshake());
            transport.tls_config(tls).map_err(ServeError::Tls)
        }
        None => Ok(transport),
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Ends when `stop` holds true or its sender is gone.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends so long after that.
async fn drained(stop: watch::Receiver<bool>, drain: Duration) {
    stopped(stop).await;
    tokio::time::sleep(drain).await;
}
