//! The server's state as a message.

use crate::pipeline::{Accounts, Ingress, Quantiles, SensorStatus, Stage};
use crate::wire::v1;

/// What the pipeline knows of itself and of its sensors.
pub(super) fn of(ingress: &Ingress) -> v1::StatsResponse {
    let whole = ingress.accounts();
    v1::StatsResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        frames: Some(counts(&whole)),
        sensors: ingress.status().iter().map(sensor).collect(),
        refused_descriptions: whole.descriptions_refused,
        ..Default::default()
    }
}

fn sensor(status: &SensorStatus) -> v1::SensorStats {
    v1::SensorStats {
        sensor_id: status.id.to_string(),
        held: status.described,
        frames: Some(counts(&status.accounts)),
        latency: status.latency.iter().map(stage).collect(),
    }
}

fn counts(accounts: &Accounts) -> v1::FrameCounts {
    v1::FrameCounts {
        offered: accounts.offered,
        emitted: accounts.emitted,
        dropped_overload: accounts.overload,
        dropped_closed: accounts.closed,
        rejected_undecodable: accounts.undecodable,
        rejected_unknown_sensor: accounts.unknown_sensor,
        rejected_invalid: accounts.invalid,
        dropped_panic: accounts.panic,
    }
}

fn stage((stage, quantiles): &(Stage, Quantiles)) -> v1::StageLatency {
    v1::StageLatency {
        stage: stage.name().to_owned(),
        p50_us: quantiles.p50,
        p90_us: quantiles.p90,
        p99_us: quantiles.p99,
        p999_us: quantiles.p999,
        max_us: quantiles.max,
    }
}
