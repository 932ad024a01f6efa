//! `--metrics` of a server: what Prometheus scrapes is what was served.

use crate::common::record;
use crate::process::Process;
use crate::scrape::scrape;
use crate::served::{Line, client, eventually, messages, send};
use relucent::serve::Send;
use relucent::wire::v1::StatsRequest;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

#[test]
fn counters_are_those_of_what_was_served() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 20);
    let server = Process::start(&["--metrics", "0"]);
    let shown = server.told("metrics on http://").remove(0);
    let address = shown.split("http://").nth(1).unwrap();
    let address: SocketAddr = address.trim_end_matches("/metrics").parse().unwrap();
    assert_eq!(scrape(address)["relucent_frames_offered_total"], 0.0);

    let flat_out = Send { rate: 0.0 };
    let trips = send(&log, &server.peer, flat_out, &AtomicBool::new(false)).unwrap();
    assert_eq!(trips.depth, 40);
    let (descriptions, mut measurements) = messages(&log);
    measurements[0].pattern_set = 99;
    let stats = client(async {
        let mut client = server.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&descriptions[0]).await;
        line.measure(&measurements[0]).await;
        line.rejection().await;
        // a frame is counted a moment after its answer
        let counted = || async { scrape(address)["relucent_residual_ratio_count"] == 40.0 };
        eventually("40 frames are counted", 20, counted).await;
        client.stats(StatsRequest {}).await.unwrap().into_inner()
    });

    let now = scrape(address);
    let at = |name: &str| now[&format!("relucent_{name}")];
    assert_eq!(at("frames_offered_total"), 41.0);
    assert_eq!(at("frames_emitted_total"), 40.0);
    assert_eq!(at("frames_rejected_total{cause=\"invalid\"}"), 1.0);
    for cause in ["overload", "closed", "panic"] {
        let dropped = at(&format!("frames_dropped_total{{cause=\"{cause}\"}}"));
        assert_eq!(dropped, 0.0, "{cause}");
    }
    assert_eq!(at("starts_total{kind=\"cold\"}"), 2.0);
    let end_to_end = "stage_latency_seconds_count{stage=\"end_to_end\"}";
    assert_eq!(at(end_to_end), 40.0);
    for sensor in ["sensor 0", "sensor 1"] {
        let age = at(&format!("newest_frame_age_seconds{{sensor=\"{sensor}\"}}"));
        assert!((0.0..60.0).contains(&age), "{sensor}: {age}");
    }
    let frames = stats.frames.unwrap();
    assert_eq!((frames.offered, frames.emitted), (41, 40), "as Stats says");
    server.signal("TERM");
    let (well, told) = server.end();
    assert!(well && told["frames"]["offered"] == 41, "{told}");
}
