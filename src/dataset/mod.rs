//! Floor 2: recorded sequences of range or depth images.
