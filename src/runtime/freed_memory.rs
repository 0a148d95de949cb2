//! Gives memory back to the system after much of it was freed.

use std::time::Duration;

/// How long the allocator keeps what was freed, in case that it is needed again: a second, and some
/// room.
const KEPT_FOR: Duration = Duration::from_millis(1500);

/// Has the allocator give back what was freed until now, and is not needed meanwhile.
///
/// mimalloc looks for such memory when a thread ends, and hardly ever in a gateway at rest. Reading a
/// configuration takes several times the memory of what is kept of it: 30 MB more with 5,000 routes.
pub(super) fn give_back_soon() {
    let ending = std::thread::Builder::new().name("give-back".to_owned()).spawn(|| {
        std::thread::sleep(KEPT_FOR);
        // A thread that has allocated nothing has nothing to end.
        drop(std::hint::black_box(Box::new(0_u64)));
    });
    // Without the thread, memory is only given back later.
    drop(ending);
}
