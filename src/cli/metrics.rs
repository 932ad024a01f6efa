//! `--metrics` of every command that runs a pipeline; without the feature `prometheus` there is no such option.

use relucent::pipeline::{Ingress, Outlet};

#[cfg(feature = "prometheus")]
use {
    crate::say::tell,
    relucent::telemetry::{Endpoint, Exporter},
};

/// Where Prometheus finds its numbers.
#[derive(clap::Args, Debug)]
pub(crate) struct MetricsArgument {
    /// Show how the pipeline does at http://ADDR/metrics, for Prometheus: PORT of this machine (0: any free one), or HOST:PORT,
    /// which whoever reaches it may read
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    metrics: Option<std::net::SocketAddr>,
    /// What takes longer end to end counts as a deadline missed, ms
    #[cfg(feature = "prometheus")]
    #[arg(long, default_value_t = 33.0, requires = "metrics")]
    deadline_ms: f64,
}

/// Metrics being shown, or none; until dropped.
pub(crate) struct Metrics {
    #[cfg(feature = "prometheus")]
    shown: Option<(Exporter, Endpoint)>,
}

impl MetricsArgument {
    /// Shows metrics where asked to; what they count comes through one more outlet.
    #[cfg(feature = "prometheus")]
    pub(crate) fn open(&self, outlets: &mut Vec<Outlet>) -> anyhow::Result<Metrics> {
        use anyhow::Context;
        let Some(address) = self.metrics else {
            return Ok(Metrics { shown: None });
        };
        let exporter = Exporter::new(self.deadline_ms * 1e-3);
        let endpoint = exporter.listen(address);
        let endpoint = endpoint.with_context(|| format!("cannot show metrics on {address}"))?;
        tell!("relucent: metrics on http://{}/metrics", endpoint.address());
        outlets.push(exporter.outlet());
        Ok(Metrics {
            shown: Some((exporter, endpoint)),
        })
    }

    /// Nothing.
    #[cfg(not(feature = "prometheus"))]
    pub(crate) fn open(&self, _: &mut Vec<Outlet>) -> anyhow::Result<Metrics> {
        Ok(Metrics {})
    }
}

impl Metrics {
    /// Also shows what the pipeline counts itself.
    pub(crate) fn watch(&self, door: Ingress) {
        #[cfg(feature = "prometheus")]
        if let Some((exporter, _)) = &self.shown {
            exporter.watch(door);
        }
        #[cfg(not(feature = "prometheus"))]
        drop(door);
    }
}

/// A port of this machine, or an address.
#[cfg(feature = "prometheus")]
fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let port = text.parse::<u16>().ok();
    let local = port.map(|port| (std::net::Ipv4Addr::LOCALHOST, port).into());
    let address = local.or_else(|| text.to_socket_addrs().ok()?.next());
    address.ok_or_else(|| format!("expected PORT or HOST:PORT, got `{text}`"))
}
