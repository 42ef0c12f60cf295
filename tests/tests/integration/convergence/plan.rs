//! Plans: what happens in one case, step by step. Numbers in steps are taken modulo what is there,
//! so that a plan stays meaningful when steps are left out.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sheaf_tests::seed;

use super::edit::Kind;

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// 2 to 8.
    pub(super) replicas: u8,
    pub(super) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// The replica it happens to.
    pub(super) replica: u8,
    pub(super) what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// It edits; the numbers choose where and what.
    Edit(Kind, u32, u32),
    /// Up to so many of its frames reach the server.
    Up(u8),
    /// Up to so many frames of the server reach it.
    Down(u8),
    /// It connects, if it is not connected.
    Join,
    /// Its connection breaks; what was under way in both directions is lost.
    Cut,
    /// It asks whether its edits are durable.
    Ask,
    /// A frame on its way to the server is lost, doubled, or overtaken by the next.
    LoseUp,
    DoubleUp,
    SwapUp,
    /// The same for frames on their way to the replica.
    LoseDown,
    DoubleDown,
    SwapDown,
    /// Somebody without a session writes the whole text anew.
    Put(u32),
    /// The server restarts; everybody's connection breaks.
    Restart,
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn draw(seed: u64) -> Self {
        let mut draw = seed::generator(seed);
        let replicas = draw.random_range(2..=8);
        // Most cases are short, because those find most; some are long enough for deep histories.
        let count = if draw.random_ratio(19, 20) {
            draw.random_range(20..=200)
        } else {
            draw.random_range(200..=1_000)
        };
        let step =
            |_| Step { replica: draw.random_range(0..replicas), what: What::draw(&mut draw) };
        let steps = (0..count).map(step).collect();
        Self { seed, replicas, steps }
    }
}

impl What {
    fn draw(draw: &mut ChaCha8Rng) -> Self {
        match draw.random_range(0..100) {
            0..38 => Self::Edit(Kind::draw(draw), draw.next_u32(), draw.next_u32()),
            38..40 => Self::Put(draw.next_u32()),
            40..58 => Self::Up(draw.random_range(1..=8)),
            58..76 => Self::Down(draw.random_range(1..=20)),
            76..85 => Self::Join,
            85..88 => Self::Cut,
            88..91 => Self::Ask,
            91 => Self::LoseUp,
            92 => Self::DoubleUp,
            93..95 => Self::SwapUp,
            95 => Self::LoseDown,
            96 => Self::DoubleDown,
            97 => Self::SwapDown,
            _ => Self::Restart,
        }
    }
}
