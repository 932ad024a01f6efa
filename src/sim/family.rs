//! Kinds of place.

use std::fmt;
use std::str::FromStr;

/// Kind of place that a scene shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// road between buildings, with vehicles, people, poles and trees
    Street,
    /// indoor corridor with doors, pillars and bends
    Corridor,
    /// furnished room
    Room,
    /// open ground with vegetation, sheds and containers
    Yard,
    /// racks, pallets and lifting vehicles under a high ceiling
    Warehouse,
}

/// A name that is no family's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of street, corridor, room, yard, warehouse as a scene family, got `{got}`")]
pub struct UnknownFamily {
    /// the name given
    pub got: String,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 5] = [
        Family::Street,
        Family::Corridor,
        Family::Room,
        Family::Yard,
        Family::Warehouse,
    ];

    fn name(self) -> &'static str {
        match self {
            Family::Street => "street",
            Family::Corridor => "corridor",
            Family::Room => "room",
            Family::Yard => "yard",
            Family::Warehouse => "warehouse",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| UnknownFamily { got: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        let error = "moon".parse::<Family>().unwrap_err();
        assert!(error.to_string().contains("street"), "{error}");
    }
}
