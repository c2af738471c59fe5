//! Seeds of the simulated world. `NIGHTJAR_SEED=4711` replays one, `NIGHTJAR_SEEDS=1000` runs 1,000.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use nightjar_world::{Run, run};

const SEEDS: u64 = 200;
const SOAK_SEEDS: u64 = 10_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn report(seed: u64, run: &Run) -> String {
    format!(
        "seed {seed}: {}\nreplay it with NIGHTJAR_SEED={seed}\n{}",
        run.violations.join("; "),
        run.tail
    )
}

#[test]
fn whatever_happens_the_invariants_hold() {
    if let Some(seed) = setting("NIGHTJAR_SEED") {
        let run = run(seed, None);
        assert!(run.violations.is_empty(), "{}", report(seed, &run));
        return;
    }
    let soaks = std::env::var_os("NIGHTJAR_SOAK").is_some();
    let seeds = setting("NIGHTJAR_SEEDS").unwrap_or(if soaks { SOAK_SEEDS } else { SEEDS });
    let first = setting("NIGHTJAR_FIRST_SEED").unwrap_or(0);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || failed.lock().unwrap().is_some() {
                        return;
                    }
                    let run = run(seed, None);
                    if !run.violations.is_empty() {
                        failed.lock().unwrap().get_or_insert_with(|| report(seed, &run));
                    }
                }
            });
        }
    });
    if let Some(report) = failed.into_inner().unwrap() {
        panic!("{report}");
    }
}

#[test]
fn a_seed_goes_the_same_way_each_time() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!(first.digest, second.digest, "seed {seed}: {}\n{}", first.tail, second.tail);
    }
}
