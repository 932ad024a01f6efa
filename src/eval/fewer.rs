//! How far tracking lets the number of measurements fall: m/n that cold recovery needs for the same error.

use super::bars::is_refined;
use super::entrant::MethodRow;
use super::problem::Problem;
use crate::recover::{Method, Settings};
use serde::{Serialize, Serializer};

/// The m/n that a cold method needs for the RMSE of a tracked one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fewer {
    /// what is recovered from what
    pub problem: Problem,
    /// as in [`MethodRow::scene`]
    pub scene: String,
    /// the tracked method
    pub method: String,
    /// its m/n
    pub fraction: f64,
    /// its range RMSE, m
    pub range_rmse_m: f64,
    /// the cold method
    pub against: String,
    /// its m/n
    pub needed: Needed,
    /// needed over [`Fewer::fraction`]; as much a bound as that is
    pub factor: f64,
}

/// m/n at which a curve of errors comes down to a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Needed {
    /// between two of those measured
    About(f64),
    /// below at the least measured
    AtMost(f64),
    /// above at the largest measured
    MoreThan(f64),
}

impl Needed {
    /// m/n, or its bound.
    pub fn fraction(self) -> f64 {
        let (Self::About(fraction) | Self::AtMost(fraction) | Self::MoreThan(fraction)) = self;
        fraction
    }
}

impl Serialize for Needed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Bounded {
            bound: &'static str,
            fraction: f64,
        }
        let bound = match self {
            Self::About(_) => "about",
            Self::AtMost(_) => "at-most",
            Self::MoreThan(_) => "more-than",
        };
        let fraction = self.fraction();
        Bounded { bound, fraction }.serialize(serializer)
    }
}

/// For each tracked method that solves for a code, on each scene at each m/n: the m/n that it needs cold for the same RMSE,
/// then that of TV and of the Lasso of cosines, where they are compared. None of scenes that were met at one m/n alone.
pub fn fewer(methods: &[(String, Settings)], rows: &[MethodRow]) -> Vec<Fewer> {
    let of = |method| {
        let named = move |(_, s): &&(String, Settings)| s.method == method;
        methods.iter().filter(named)
    };
    let rivals = || of(Method::Blank).chain(of(Method::Cosines));
    let tracked = |row: &&MethodRow| row.tracked && of(Method::Latent).any(|m| m.0 == row.method);
    let mut all = vec![];
    for row in rows.iter().filter(tracked) {
        for against in [&row.method].into_iter().chain(rivals().map(|m| &m.0)) {
            let curve = curve(rows, row, against);
            if curve.len() < 2 {
                continue;
            }
            let needed = needed(&curve, row.range_rmse_m);
            all.push(Fewer {
                problem: row.problem,
                scene: row.scene.clone(),
                method: row.method.clone(),
                fraction: row.fraction,
                range_rmse_m: row.range_rmse_m,
                against: against.clone(),
                needed,
                factor: needed.fraction() / row.fraction,
            });
        }
    }
    all
}

/// (m/n, RMSE) of a cold method on the scene of a row, m/n rising.
fn curve(rows: &[MethodRow], like: &MethodRow, method: &str) -> Vec<(f64, f64)> {
    let of = |row: &&MethodRow| {
        !row.tracked
            && row.method == method
            && (&row.scene, row.problem, row.noise) == (&like.scene, like.problem, like.noise)
    };
    let points = rows.iter().filter(of).map(|r| (r.fraction, r.range_rmse_m));
    let mut points: Vec<(f64, f64)> = points.filter(|(_, error)| error.is_finite()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.dedup_by(|a, b| a.0 == b.0);
    points
}

/// The least m/n at which a curve comes down to `error`: error is taken as linear in ln m/n between neighbours.
fn needed(curve: &[(f64, f64)], error: f64) -> Needed {
    let Some(after) = curve.iter().position(|(_, e)| *e <= error) else {
        return Needed::MoreThan(curve.last().map_or(f64::NAN, |(fraction, _)| *fraction));
    };
    let (fraction, reached) = curve[after];
    let Some((before, above)) = after.checked_sub(1).map(|before| curve[before]) else {
        return match reached == error {
            true => Needed::About(fraction),
            false => Needed::AtMost(fraction),
        };
    };
    let share = (above - error) / (above - reached);
    Needed::About(before * (fraction / before).powf(share))
}

/// RMSE of tracked, refined recovery over that of a cold rival that reads more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// as in [`MethodRow::scene`]
    pub scene: String,
    /// refined recovery
    pub method: String,
    /// its m/n
    pub fraction: f64,
    /// its range RMSE, m
    pub range_rmse_m: f64,
    /// the cold rival
    pub rival: String,
    /// its m/n
    pub rival_fraction: f64,
    /// its range RMSE, m
    pub rival_range_rmse_m: f64,
    /// RMSE over the rival's: reached where it is at most 1
    pub ratio: f64,
}

/// m/n of tracked recovery, and the cold rivals' of which it is held to be no worse, the last being the aim.
const GOALS: [(f64, Method, f64); 3] = [
    (0.01, Method::Cosines, 0.25),
    (0.01, Method::Blank, 0.05),
    (0.01, Method::Blank, 0.1),
];

/// What tracked, refined recovery from 1 % is worth beside the Lasso of cosines from 25 %, TV from 5 % and TV from 10 %, on
/// each scene; none where one of both was not compared.
pub fn goals(methods: &[(String, Settings)], rows: &[MethodRow]) -> Vec<Goal> {
    let mut goals = vec![];
    let Some((refined, _)) = methods.iter().find(|(_, s)| is_refined(s)) else {
        return goals;
    };
    for (fraction, rival, rival_fraction) in GOALS {
        let Some((rival, _)) = methods.iter().find(|(_, s)| s.method == rival) else {
            continue;
        };
        let about = |row: &MethodRow, fraction: f64| (row.fraction / fraction - 1.0).abs() < 0.01;
        let own = rows.iter().filter(|row| {
            row.method == *refined
                && row.tracked
                && row.problem == Problem::CompressedSensing
                && about(row, fraction)
        });
        for row in own {
            let beside = rows.iter().find(|other| {
                !other.tracked
                    && other.method == *rival
                    && about(other, rival_fraction)
                    && (&other.scene, other.problem, other.noise)
                        == (&row.scene, row.problem, row.noise)
            });
            goals.extend(beside.map(|other| Goal {
                scene: row.scene.clone(),
                method: row.method.clone(),
                fraction: row.fraction,
                range_rmse_m: row.range_rmse_m,
                rival: other.method.clone(),
                rival_fraction: other.fraction,
                rival_range_rmse_m: other.range_rmse_m,
                ratio: row.range_rmse_m / other.range_rmse_m,
            }));
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::super::entrant::tests::row;
    use super::*;

    const CURVE: [(f64, f64); 3] = [(0.01, 3.0), (0.04, 1.0), (0.25, 0.5)];

    #[test]
    fn what_is_needed_is_log_linear_between_the_measured() {
        let about = |error| match needed(&CURVE, error) {
            Needed::About(fraction) => fraction,
            other => panic!("{error}: {other:?}"),
        };
        for (error, expected) in [
            (3.0, 0.01),
            (2.0, 0.02),
            (1.0, 0.04),
            (0.75, 0.1),
            (0.5, 0.25),
        ] {
            assert!((about(error) - expected).abs() < 1e-12, "{error}");
        }
        assert_eq!(needed(&CURVE, 0.4), Needed::MoreThan(0.25));
        assert_eq!(needed(&CURVE, 3.1), Needed::AtMost(0.01));
    }

    #[test]
    fn tracked_recovery_is_held_against_cold_curves_of_its_scene() {
        let named = |name: &&str| ((*name).to_owned(), Settings::preset(name).unwrap());
        let methods: Vec<_> = ["latent+net", "tv", "dct"].iter().map(named).collect();
        let mut rows: Vec<_> = CURVE
            .into_iter()
            .map(|(fraction, error)| row("latent+net", false, fraction, error))
            .collect();
        rows.extend(
            CURVE
                .into_iter()
                .map(|(fraction, error)| row("tv", false, fraction, 4.0 * error)),
        );
        rows.extend([
            row("latent+net", true, 0.01, 2.0),
            row("tv", true, 0.01, 0.1),
            row("dct", false, 0.25, 5.0),
        ]);
        rows.push(MethodRow {
            scene: "elsewhere".to_owned(),
            ..row("latent+net", false, 0.02, 0.1)
        });
        let all = fewer(&methods, &rows);
        let found: Vec<_> = all
            .iter()
            .map(|f| (f.against.as_str(), f.needed, f.factor))
            .collect();
        assert_eq!(
            found.len(),
            2,
            "one ratio of the Lasso is no curve: {all:?}"
        );
        assert_eq!(found[0].0, "latent+net");
        assert!((found[0].2 - 2.0).abs() < 1e-9, "{all:?}");
        assert!(
            found[1].0 == "tv" && (found[1].2 - 25.0).abs() < 1e-9,
            "{all:?}"
        );
        let json = serde_json::to_value(Needed::About(0.25)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "bound": "about", "fraction": 0.25 })
        );

        let goals = goals(&methods, &rows);
        assert_eq!(goals.len(), 1, "{goals:?}");
        assert_eq!((goals[0].rival.as_str(), goals[0].ratio), ("dct", 0.4));
    }
}
