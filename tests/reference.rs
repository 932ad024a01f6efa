//! The reference solvers behind the tracker's call.

#![allow(clippy::unwrap_used)]

use relucent::clock::Monotonic;
use relucent::frame::RangeImage;
use relucent::prior::Prior;
use relucent::recover::{FirstOrder, Report, Settings, Solver, StartKind, Tracker};
use relucent::sim::{self, Split};
use std::sync::Arc;

/// Two frames of one scene.
fn reports(solver: Solver) -> Vec<Report> {
    let prior = Prior::embedded().unwrap();
    let grid = (prior.rows, prior.cols);
    let sensor = sim::describe(grid, &prior.knots, sim::MAX_RANGE, (1, 82), 7).unwrap();
    let sensor = Arc::new(sensor);
    let settings = Settings {
        solver,
        first_order: FirstOrder {
            steps: 300,
            restarts: 2,
            ..FirstOrder::default()
        },
        ..Settings::default()
    };
    let mut tracker =
        Tracker::new(Arc::clone(&sensor), &prior, settings, Monotonic::default()).unwrap();
    let mut truth = RangeImage::default();
    sim::frame(Split::Tune, 3, &sim::rays(grid.0, grid.1), &mut truth);
    let mut rng: rand_chacha::ChaCha8Rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(1);
    let measurement = sim::measure(&sensor, 0, &truth, 0.005, &mut rng);
    let mut frame = RangeImage::default();
    (0..2)
        .map(|_| tracker.recover(&measurement, &mut frame).unwrap())
        .collect()
}

#[test]
fn reference_solvers_minimise_the_same_cost_and_carry_nothing() {
    let exact = reports(Solver::LevenbergMarquardt);
    assert_eq!(exact[1].start, StartKind::Warm);
    for solver in [Solver::Subgradient, Solver::Adam] {
        let reports = reports(solver);
        let (first, second) = (&reports[0], &reports[1]);
        assert_eq!(second.start, StartKind::Cold, "nothing is carried");
        assert_eq!(first.code, second.code);
        let ratio = first.cost / exact[0].cost;
        assert!(
            (0.8..1.3).contains(&ratio),
            "{solver:?}: {ratio} of the cost"
        );
    }
}
