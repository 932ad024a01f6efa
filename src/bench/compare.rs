//! Two runs beside each other.

use serde_json::Value;

/// A figure of two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// where it stands in a run's JSON, as in `latency_us.solve.p50`
    pub name: String,
    /// what it was
    pub before: f64,
    /// what it is
    pub now: f64,
}

impl Ratio {
    /// Now over before; `None` where it was 0.
    pub fn ratio(&self) -> Option<f64> {
        (self.before != 0.0).then(|| self.now / self.before)
    }
}

/// Every number that both runs' JSON have at the same place, in the order of names.
pub fn ratios(before: &Value, now: &Value) -> Vec<Ratio> {
    let mut found = vec![];
    descend("", before, now, &mut found);
    found
}

fn descend(name: &str, before: &Value, now: &Value, found: &mut Vec<Ratio>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (key, value) in before {
                if let Some(other) = now.get(key) {
                    let dot = if name.is_empty() { "" } else { "." };
                    descend(&format!("{name}{dot}{key}"), value, other, found);
                }
            }
        }
        _ => {
            if let (Some(before), Some(now)) = (before.as_f64(), now.as_f64()) {
                found.push(Ratio {
                    name: name.to_owned(),
                    before,
                    now,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_at_the_same_place_are_compared_and_nothing_else() {
        let before = json!({"a": {"p50": 4.0, "p99": null}, "b": 0, "name": "x", "gone": 1});
        let now = json!({"a": {"p50": 3, "p99": 2.0}, "b": 5, "name": "y", "new": 1});
        let found = ratios(&before, &now);
        let names: Vec<&str> = found.iter().map(|r| &*r.name).collect();
        assert_eq!(names, ["a.p50", "b"]);
        assert_eq!(found[0].ratio(), Some(0.75));
        assert_eq!(found[1].ratio(), None);
    }
}
