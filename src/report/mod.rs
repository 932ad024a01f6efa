//! Floor 3: pictures of what was recovered.

mod picture;
mod sheet;

pub use picture::range_picture;
pub use sheet::{Row, SheetError, sheet};
