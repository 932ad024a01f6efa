//! What theory expects of random networks (Hand & Voroninski 2017, theorem 2 and its proof).

use std::f64::consts::PI;

/// ρ_d of d ReLU layers: the loss has its second basin near −ρ_d z*.
///
/// ρ_d = Σ_{i<d} (sin θ_i/π) Π_{i<j<d} (π − θ_j)/π, where θ₀ = π and θ_i = g(θ_{i−1}) is the angle that a layer makes of
/// one, g(θ) = arccos(((π − θ) cos θ + sin θ)/π).
pub fn shadow_position(layers: usize) -> f64 {
    let through_layer =
        |angle: &f64| Some((((PI - angle) * angle.cos() + angle.sin()) / PI).acos());
    let angles = std::iter::successors(Some(PI), through_layer).take(layers);
    angles.fold(0.0, |sum, angle| sum * (PI - angle) / PI + angle.sin() / PI)
}

/// The relative residual ‖G(−ρ_d z*) − G(z*)‖/‖G(z*)‖ there, √(1 − ρ_d²).
pub fn shadow_residual(layers: usize) -> f64 {
    (1.0 - shadow_position(layers).powi(2)).sqrt()
}

/// The loss at t·z* over the loss at 0: (1 − t)² towards z*, 1 + t² + 2ρ_d t behind 0.
pub fn line_loss(layers: usize, t: f64) -> f64 {
    if t >= 0.0 {
        (1.0 - t).powi(2)
    } else {
        1.0 + t * t + 2.0 * shadow_position(layers) * t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_the_shadow() {
        for (layers, expected) in [(1, 0.0), (2, 1.0 / PI), (3, 0.4937), (4, 0.6048)] {
            let got = shadow_position(layers);
            assert!((got - expected).abs() < 5e-5, "ρ_{layers} = {got}");
        }
        let (rho, at) = (shadow_position(3), |t| line_loss(3, t));
        assert!(at(-rho) < at(-rho - 0.01) && at(-rho) < at(-rho + 0.01));
        assert!((at(-rho) - shadow_residual(3).powi(2)).abs() < 1e-12);
    }
}
