//! What recovery says of itself: σ of ranges, and whether readings are what the description says.

#![allow(clippy::unwrap_used)]

use relucent::eval::{self, Options, UncertaintyRow};
use relucent::prior::Prior;
use relucent::recover::Settings;

fn rows(options: &Options) -> Vec<UncertaintyRow> {
    eval::uncertainty(&Prior::embedded().unwrap(), options, &mut || ()).unwrap()
}

#[test]
fn sigma_holds_the_errors_it_should_and_wrong_patterns_are_noticed() {
    let rows = rows(&Options {
        frames: 10,
        lead_in: 5,
        ratios: vec![0.02, 0.1],
        ..Options::default()
    });
    let all = rows.last().unwrap();
    let [once, twice] = all.coverage.within;
    assert!((0.60..0.82).contains(&once), "{:?}", all.coverage);
    assert!(twice > 0.90, "{:?}", all.coverage);
    for [once, _] in &all.coverage.deciles {
        assert!((0.5..0.9).contains(once), "{:?}", all.coverage);
    }
    let sigma = &all.coverage.sigma_m;
    assert!(sigma[9] > 5.0 * sigma[0], "σ tells pixels apart: {sigma:?}");
    let [right, other, turned] = all.untrusted;
    assert!(
        right.cold.count <= 1 && right.tracked.share() <= 0.02,
        "{right:?}"
    );
    for wrong in [other, turned] {
        assert!(wrong.cold.share() >= 0.9, "{wrong:?}");
        assert!(wrong.tracked.share() >= 0.97, "{wrong:?}");
    }
}

#[test]
fn sigma_comes_where_it_is_asked_for_alone_and_changes_nothing_else() {
    use relucent::clock::Manual;
    use relucent::frame::RangeImage;
    use relucent::recover::Tracker;
    use relucent::sim;
    let prior = Prior::embedded().unwrap();
    let sensor = sim::describe((64, 64), &prior.knots, 30.0, (1, 82), 5).unwrap();
    let sensor = std::sync::Arc::new(sensor);
    let mut truth = RangeImage::default();
    sim::frame(sim::Split::HeldOut, 3, &sim::rays(64, 64), &mut truth);
    let mut rng: rand_chacha::ChaCha8Rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(1);
    let measurement = sim::measure(&sensor, 0, &truth, 0.005, &mut rng);
    let frames = [0, 1, 4].map(|sigma_block| {
        let settings = Settings {
            sigma_block,
            ..Settings::default()
        };
        let mut tracker =
            Tracker::new(sensor.clone(), &prior, settings, Manual::default()).unwrap();
        let mut frame = RangeImage::default();
        tracker.recover(&measurement, &mut frame).unwrap();
        frame
    });
    let [none, full, coarse] = frames;
    assert!(none.range_sigma.is_empty());
    for frame in [full, coarse] {
        assert_eq!(frame.range_sigma.len(), 4096);
        assert!(frame.range_sigma.iter().all(|s| *s > 0.0 && *s < 30.0));
        assert_eq!(frame.range, none.range);
    }
}
