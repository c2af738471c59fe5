//! Once warm, the detector allocates nothing, whatever it sees. The counting allocator is the
//! whole program's; it counts by thread, so that tests beside this one do not matter.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use nightjar_core::motion::{Detector, LumaPlane, Tuning};

use crate::simulator::{
    Simulator, moment,
    nuisances::Nuisance,
    targets::{Kind, Target},
};

/// Counts what is asked of the system's allocator.
struct Counting;

thread_local! {
    /// Of this thread. It is initialised without an allocation, and nothing drops it.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

#[expect(unsafe_code, reason = "the one way to count; every call goes to the system's allocator")]
// SAFETY: each method passes its arguments on, unchanged, to the allocator that made the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what `alloc` asks.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to what `dealloc` asks.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what `realloc` asks.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZE: (usize, usize) = (192, 120);
const FPS: f32 = 6.0;
const WARM_FRAMES: u64 = 3;

/// Targets at once in a nuisance, so that blocks, components and tracks come and go by the dozen.
fn crowded(nuisance: Nuisance) -> Simulator {
    Simulator::new(SIZE, FPS, 21)
        .with_nuisance(nuisance)
        .with_target(Target::new(Kind::Walker, 2.0, 8.0))
        .with_target(Target::new(Kind::Animal, 2.5, 8.0))
        .with_target(Target::new(Kind::Car, 3.0, 6.0))
}

#[test]
fn after_the_first_frames_nothing_is_allocated() {
    for nuisance in Nuisance::ALL {
        let scene = crowded(nuisance);
        let mut detector = Detector::new(Tuning::default());
        let (mut allocations, mut alarms) = (0, 0);
        for frame in 0..48 {
            let data = scene.frame(frame);
            let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
            let now = moment(scene.time_s(frame));
            let before = ALLOCATIONS.get();
            alarms += detector.observe(plane, now).iter().filter(|blob| blob.alarms).count();
            if frame >= WARM_FRAMES {
                allocations += ALLOCATIONS.get() - before;
            }
        }
        assert!(alarms > 0, "{nuisance:?}: nothing was followed");
        assert_eq!(allocations, 0, "{nuisance:?}");
    }
}
