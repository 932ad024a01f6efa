//! Floor 3: pictures of what was recovered.

mod sheet;

pub use sheet::{Row, SheetError, sheet};
