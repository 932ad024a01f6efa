//! Figures as large as people, in poses that people in scenes never take.

use super::obstacles::limb;
use super::{Builder, Place};
use crate::sim::linear::{Vec3, add_scaled, sub};
use crate::sim::shape::Shape;

/// Where the joints are, in units of the standing height: x forward, y left, z up from the ground.
struct Pose {
    head: Vec3,
    neck: Vec3,
    hip: Vec3,
    /// (elbow, hand) of the left and the right arm
    arms: [[Vec3; 2]; 2],
    /// (knee, foot) of the left and the right leg
    legs: [[Vec3; 2]; 2],
}

const ARMS_RAISED: Pose = Pose {
    head: [0.0, 0.0, 0.92],
    neck: [0.0, 0.0, 0.81],
    hip: [0.0, 0.0, 0.5],
    arms: [
        [[0.0, 0.26, 0.9], [0.0, 0.4, 1.06]],
        [[0.0, -0.26, 0.9], [0.0, -0.4, 1.06]],
    ],
    legs: [
        [[0.0, 0.16, 0.26], [0.0, 0.24, 0.0]],
        [[0.0, -0.16, 0.26], [0.0, -0.24, 0.0]],
    ],
};
const CROUCHING: Pose = Pose {
    head: [0.16, 0.0, 0.52],
    neck: [0.1, 0.0, 0.42],
    hip: [-0.12, 0.0, 0.16],
    arms: [
        [[0.2, 0.14, 0.27], [0.32, 0.07, 0.2]],
        [[0.2, -0.14, 0.27], [0.32, -0.07, 0.2]],
    ],
    legs: [
        [[0.16, 0.1, 0.27], [-0.02, 0.1, 0.0]],
        [[0.16, -0.1, 0.27], [-0.02, -0.1, 0.0]],
    ],
};
const LYING: Pose = Pose {
    head: [0.46, 0.0, 0.08],
    neck: [0.34, 0.0, 0.09],
    hip: [0.0, 0.0, 0.09],
    arms: [
        [[0.2, 0.22, 0.04], [0.36, 0.3, 0.03]],
        [[0.18, -0.2, 0.04], [0.02, -0.24, 0.03]],
    ],
    legs: [
        [[-0.24, 0.1, 0.14], [-0.46, 0.08, 0.04]],
        [[-0.26, -0.08, 0.05], [-0.5, -0.1, 0.04]],
    ],
};
const BENT: Pose = Pose {
    head: [0.38, 0.0, 0.53],
    neck: [0.27, 0.0, 0.58],
    hip: [-0.04, 0.0, 0.52],
    arms: [
        [[0.28, 0.12, 0.4], [0.3, 0.09, 0.2]],
        [[0.28, -0.12, 0.4], [0.3, -0.09, 0.2]],
    ],
    legs: [
        [[0.03, 0.07, 0.27], [0.0, 0.08, 0.0]],
        [[0.03, -0.07, 0.27], [0.0, -0.08, 0.0]],
    ],
};
const CRAWLING: Pose = Pose {
    head: [0.3, 0.0, 0.42],
    neck: [0.18, 0.0, 0.36],
    hip: [-0.2, 0.0, 0.32],
    arms: [
        [[0.2, 0.12, 0.18], [0.28, 0.12, 0.0]],
        [[0.16, -0.12, 0.18], [0.14, -0.12, 0.0]],
    ],
    legs: [
        [[-0.14, 0.1, 0.04], [-0.4, 0.1, 0.03]],
        [[-0.28, -0.1, 0.04], [-0.54, -0.1, 0.03]],
    ],
};
const SITTING: Pose = Pose {
    head: [0.0, 0.0, 0.48],
    neck: [-0.03, 0.0, 0.37],
    hip: [0.0, 0.0, 0.08],
    arms: [
        [[0.08, 0.17, 0.22], [0.22, 0.1, 0.24]],
        [[-0.12, -0.17, 0.2], [-0.2, -0.16, 0.0]],
    ],
    legs: [
        [[0.24, 0.1, 0.22], [0.36, 0.1, 0.0]],
        [[0.26, -0.08, 0.06], [0.5, -0.1, 0.04]],
    ],
};
const LUNGING: Pose = Pose {
    head: [0.12, 0.0, 0.82],
    neck: [0.07, 0.0, 0.71],
    hip: [0.0, 0.0, 0.41],
    arms: [
        [[0.24, 0.14, 0.64], [0.44, 0.1, 0.68]],
        [[-0.12, -0.16, 0.58], [-0.3, -0.16, 0.52]],
    ],
    legs: [
        [[0.25, 0.08, 0.27], [0.25, 0.08, 0.0]],
        [[-0.2, -0.08, 0.2], [-0.44, -0.08, 0.03]],
    ],
};

const POSES: [&Pose; 7] = [
    &ARMS_RAISED,
    &CROUCHING,
    &LYING,
    &BENT,
    &CRAWLING,
    &SITTING,
    &LUNGING,
];

/// A figure in one of the poses, its joints moved a little.
pub(super) fn figure(b: &mut Builder, place: &Place) {
    let pose = b.pick(&POSES);
    let height = b.uniform(1.45, 1.95);
    let (coat, trousers, skin) = (b.paint(), b.paint(), b.plain(0.45));
    let joint = |b: &mut Builder, p: Vec3| {
        let moved: Vec3 = std::array::from_fn(|k| p[k] + b.uniform(-0.03, 0.03));
        [moved[0], moved[1], moved[2].max(0.0)].map(|v| v * height)
    };
    let (head, neck, hip) = (joint(b, pose.head), joint(b, pose.neck), joint(b, pose.hip));
    let spine = sub(neck, hip);
    let trunk = [add_scaled(hip, -0.2, spine), add_scaled(neck, 0.1, spine)];
    limb(b, place, Shape::Sphere, trunk, 0.1 * height, coat);
    let crown = [
        add_scaled(head, -0.075 * height, [0.0, 0.0, 1.0]),
        add_scaled(head, 0.075 * height, [0.0, 0.0, 1.0]),
    ];
    limb(b, place, Shape::Sphere, crown, 0.055 * height, skin);
    let sides = [1.0, -1.0].map(|side| [0.0, side * height, 0.0]);
    for ((arm, leg), side) in pose.arms.iter().zip(&pose.legs).zip(sides) {
        let (elbow, hand) = (joint(b, arm[0]), joint(b, arm[1]));
        let shoulder = add_scaled(neck, 0.1, side);
        for ends in [[shoulder, elbow], [elbow, hand]] {
            limb(b, place, Shape::Cylinder, ends, 0.03 * height, coat);
        }
        let (knee, foot) = (joint(b, leg[0]), joint(b, leg[1]));
        let root = add_scaled(hip, 0.055, side);
        for ends in [[root, knee], [knee, foot]] {
            limb(b, place, Shape::Cylinder, ends, 0.045 * height, trousers);
        }
    }
}
