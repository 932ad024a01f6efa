//! Floor 2: simulated scenes and the virtual sensor.
