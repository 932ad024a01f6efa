//! What clients can call.

use super::bridge::{Answer, Answers, Bridge, Line};
use super::listener::Seats;
use super::stats;
use super::subscribers::{News, Subscription};
use crate::pipeline::{Ingress, depth_message};
use crate::wire::v1::recovery_service_server::RecoveryService;
use crate::wire::v1::{self, recover_response, subscribe_response};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// The service; its methods do no work of their own.
pub(super) struct Service {
    pub(super) bridge: Bridge,
    pub(super) ingress: Ingress,
    pub(super) seats: Seats,
    pub(super) began: Instant,
    pub(super) stop: watch::Receiver<bool>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl RecoveryService for Service {
    type RecoverStream = Replies<v1::RecoverResponse>;
    type SubscribeStream = Replies<v1::SubscribeResponse>;

    async fn recover(
        &self,
        request: Request<Streaming<v1::RecoverRequest>>,
    ) -> Result<Response<Self::RecoverStream>, Status> {
        let (line, answers) = self.bridge.connect(self.ingress.clone());
        let idle = self.bridge.limits().idle();
        tokio::spawn(read(request.into_inner(), line, idle, self.stop.clone()));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let id = request.into_inner().sensor_id;
        let sensor = self.ingress.sensor(&id).ok_or_else(|| {
            Status::not_found(format!(
                "expected a sensor that a stream holds, got `{}`",
                id.escape_default().take(128).collect::<String>()
            ))
        })?;
        Ok(Response::new(v1::DescribeResponse {
            description: Some(sensor.to_message()),
        }))
    }

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let limits = self.bridge.limits();
        let wanted = request.into_inner().sensor_ids;
        let (got, most) = (wanted.len(), limits.sensors);
        if got > most {
            return Err(Status::invalid_argument(format!(
                "expected at most {most} sensors, got {got}"
            )));
        }
        let wanted = wanted.into_iter().collect();
        let subscription = self.bridge.subscribe(wanted, &self.ingress);
        let subscription = subscription.ok_or_else(|| {
            Status::resource_exhausted(format!(
                "expected at most {} subscribers of a server that is not about to stop, got one more",
                limits.subscribers
            ))
        })?;
        Ok(Response::new(Box::pin(subscription)))
    }

    async fn stats(
        &self,
        _: Request<v1::StatsRequest>,
    ) -> Result<Response<v1::StatsResponse>, Status> {
        let mut stats = stats::of(&self.ingress);
        self.bridge.count(&mut stats);
        let taken = self.bridge.limits().connections - self.seats.free.available_permits();
        stats.connections = taken as u32;
        stats.refused_connections = self.seats.refused.load(Ordering::Relaxed);
        stats.uptime_ns = self.began.elapsed().as_nanos() as u64;
        Ok(Response::new(stats))
    }
}

/// Reads a client's stream until it ends, breaks, falls silent, is not read itself, or the server stops.
async fn read(
    mut requests: Streaming<v1::RecoverRequest>,
    line: Line,
    idle: std::time::Duration,
    mut stop: watch::Receiver<bool>,
) {
    let silent = |what: &str| {
        let seconds = idle.as_secs();
        let text = format!("expected {what} within {seconds} s, got none; the stream is ended");
        Status::deadline_exceeded(text)
    };
    let stopping = stop.clone();
    let reading = async {
        // asked before each message too, as many may be there without waiting for any
        while !*stopping.borrow() && !line.is_gone() {
            match tokio::time::timeout(idle, line.seat()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return line.end(silent("answers to be read")),
            }
            match tokio::time::timeout(idle, requests.message()).await {
                Ok(Ok(Some(request))) => line.take(request),
                Ok(Ok(None)) => return,
                Ok(Err(status)) => {
                    tracing::debug!(%status, "a client's stream broke");
                    return line.end(status); // a message too long, say
                }
                Err(_) => return line.end(silent("a message")),
            }
        }
    };
    tokio::select! {
        biased;
        () = line.gone() => {}
        _ = stop.wait_for(|stop| *stop) => {}
        () = reading => {}
    }
}

impl Stream for Answers {
    type Item = Result<v1::RecoverResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(answer) = ready!(self.poll(cx)) else {
            return Poll::Ready(None);
        };
        let kind = match answer {
            Answer::Frame(frame) => recover_response::Kind::Depth(depth_message(&frame)),
            Answer::Rejection(rejection) => recover_response::Kind::Rejection(rejection),
            Answer::End(status) => return Poll::Ready(Some(Err(status))),
        };
        Poll::Ready(Some(Ok(v1::RecoverResponse { kind: Some(kind) })))
    }
}

impl Stream for Subscription {
    type Item = Result<v1::SubscribeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(news) = ready!(self.news.poll_recv(cx)) else {
            return Poll::Ready(None);
        };
        let kind = match news {
            News::Described(sensor) => subscribe_response::Kind::Description(sensor.to_message()),
            News::Frame(frame) => subscribe_response::Kind::Depth(depth_message(&frame)),
        };
        Poll::Ready(Some(Ok(v1::SubscribeResponse {
            kind: Some(kind),
            lost: self.lost.load(Ordering::Relaxed),
        })))
    }
}
