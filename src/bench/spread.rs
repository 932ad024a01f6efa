//! How values spread: exact quantiles, by nearest rank.

use serde::Serialize;

/// Values needed before the largest thousandth of them says anything.
pub const LEAST_FOR_P999: usize = 10_000;

/// Quantiles of values, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// median
    pub p50: f64,
    /// 90 % are no larger
    pub p90: f64,
    /// 99 % are no larger
    pub p99: f64,
    /// 99.9 % are no larger; only of more than [`LEAST_FOR_P999`] values
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p999: Option<f64>,
    /// the largest
    pub max: f64,
    /// the mean
    pub mean: f64,
}

impl Spread {
    /// Of values in any order; `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (count, max) = (sorted.len(), *sorted.last()?);
        let at = |share: f64| sorted[((share * count as f64).ceil() as usize).clamp(1, count) - 1];
        Some(Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: (count > LEAST_FOR_P999).then(|| at(0.999)),
            max,
            mean: sorted.iter().sum::<f64>() / count as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_nearest_rank_and_the_rarest_need_many() {
        let spread = Spread::of((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!(
            (spread.p50, spread.p90, spread.p99, spread.max),
            (100.0, 180.0, 198.0, 200.0)
        );
        assert_eq!((spread.mean, spread.p999), (100.5, None));
        let many = Spread::of((1..=20_000).map(f64::from)).unwrap();
        assert_eq!(many.p999, Some(19_980.0));
        assert_eq!(Spread::of((0..10_000).map(f64::from)).unwrap().p999, None);
        assert_eq!(Spread::of([7.0]).unwrap().p99, 7.0);
        assert_eq!(Spread::of([]), None);
    }
}
