//! Whole gateways' ledgers against one store, in a thousand random interleavings: messages are late or lost, the store is
//! down for a while, windows end, requests are cancelled, gateways crash and are recovered. Time is simulated.
//!
//! Always: what is let through in a window stays within the limit. In the end: the books say exactly what was used, and
//! nothing is kept back from whoever comes next.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod chance;
mod memory;
mod world;

use self::world::{Plan, World};

const RUNS: u64 = 1000;

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(Plan::of(seed));
        world.live().await;
        world.come_to_rest().await;
        world.check().await;
    });
}

#[test]
fn nothing_is_overspent_lost_or_kept_back() {
    for seed in 0..RUNS {
        // A failure names its seed.
        let ran = std::panic::catch_unwind(|| run(seed));
        assert!(ran.is_ok(), "seed {seed}");
    }
}
