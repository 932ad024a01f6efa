//! A prior's file that is replaced while the command serves, and SIGHUP.

use crate::common::PRIOR;
use crate::process::Process;
use crate::served::{Line, client, eventually, one};
use relucent::prior::Prior;
use relucent::wire::v1::StartKind;
use std::path::Path;

/// Writes a prior as the embedded one, with the bias of its first features raised.
fn save(raised: f32, path: &Path) {
    let mut prior = Prior::clone(&PRIOR);
    let bias = &mut prior.decoder.layers[0].bias;
    bias.iter_mut().for_each(|b| *b += raised);
    prior.save(path).unwrap();
}

/// Asks for the prior to be read anew, and waits until the server tells what came of it.
async fn hang_up(server: &Process, expected: &str) {
    let before = server.told(expected).len();
    server.signal("HUP");
    let told = || async { server.told(expected).len() > before };
    eventually(expected, 20, told).await;
}

#[test]
fn a_new_file_is_gone_on_with_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prior.safetensors");
    save(0.0, &path);
    let server = Process::start(&["--prior", path.to_str().unwrap()]);
    let (description, measurements) = one(8);
    let starts = client(async {
        let mut client = server.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        let mut starts = vec![];
        for (index, measurement) in measurements.iter().enumerate() {
            match index {
                2 => {
                    save(0.1, &path);
                    hang_up(&server, "read anew").await;
                }
                4 => {
                    let whole = std::fs::read(&path).unwrap();
                    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
                    hang_up(&server, "expected a whole safetensors file, found").await;
                }
                6 => {
                    std::fs::remove_file(&path).unwrap();
                    hang_up(&server, "cannot read prior").await;
                }
                _ => {}
            }
            line.measure(measurement).await;
            starts.push(line.depth().await.recovery.unwrap().start());
        }
        starts
    });
    for (index, start) in starts.into_iter().enumerate() {
        let expected = match index {
            0 | 2 => StartKind::Cold,
            _ => StartKind::Warm,
        };
        assert_eq!(start, expected, "frame {index}");
    }
    server.signal("TERM");
    let (well, told) = server.end();
    assert!(well && told["frames"]["emitted"] == 8, "{told}");
}

#[test]
fn the_embedded_prior_has_no_file_to_read_anew() {
    let server = Process::start(&[]);
    client(hang_up(&server, "nothing to reload"));
    server.signal("TERM");
    assert!(server.end().0);
}
