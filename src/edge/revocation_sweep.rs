//! Whose requests are being served, so that they can be ended when the principal lapses: also a
//! WebSocket that is silent, of which nothing else would notice.
//!
//! Each HTTP/1 connection and each HTTP/2 stream has a slot. A permitted request puts its principal
//! in, the end of the request takes it out, and one task looks at all slots
//! whenever an answer may have changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use ahash::RandomState;

use crate::clock;
use crate::gate::lapse::Lapse;
use crate::gate::principal::Principal;
use crate::gate::revocation::RevocationList;
use crate::gate::time::Moment;

/// How long the sweep pauses at least, and at most; both are small against the second within which
/// a stream has to end.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// The sweep pauses this many times as long as it looked: a fifth of a core is the most that it
/// takes, whatever the number of streams and revocations.
const PAUSES_PER_LOOK: u32 = 4;

/// Slots are kept apart, so that connections which begin and end do not wait for one another.
const SHARDS: usize = 64;

tokio::task_local! {
    /// The slot of the request that the current future serves.
    static SLOT: Arc<Slot>;
}

/// All slots.
#[derive(Debug)]
pub(super) struct Streams {
    shards: [Mutex<HashMap<u64, Arc<Slot>, RandomState>>; SHARDS],
    next: AtomicU64,
}

/// The slot of a connection or stream, given up when dropped.
#[derive(Debug)]
pub(super) struct StreamSlot {
    streams: Arc<Streams>,
    id: u64,
    slot: Arc<Slot>,
}

/// Where one request at a time is served.
#[derive(Debug, Default)]
struct Slot(Mutex<StreamState>);

#[derive(Debug, Default)]
enum StreamState {
    /// No request, or one without a principal.
    #[default]
    Vacant,
    /// A request of this principal, and the task that serves it once it has waited.
    Serving(Principal, Option<Waker>),
    /// The principal is none any more; the request is about to be given up.
    Ended(Lapse),
}

/// A principal's request is being served until this is dropped.
#[derive(Debug)]
pub(super) struct ServingGuard(Arc<Slot>);

impl Streams {
    pub(super) fn new() -> Arc<Self> {
        let shards = std::array::from_fn(|_| Mutex::default());
        Arc::new(Self { shards, next: AtomicU64::new(0) })
    }

    /// A new slot.
    pub(super) fn seat(self: &Arc<Self>) -> StreamSlot {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::<Slot>::default();
        lock(self.shard(id)).insert(id, slot.clone());
        StreamSlot { streams: self.clone(), id, slot }
    }

    /// Ends what has lapsed, for as long as the runtime lives.
    pub(super) async fn sweep(self: Arc<Self>, list: Arc<RevocationList>) {
        let mut seen = (list.generation(), clock::now());
        let mut is_fresh = false;
        let mut pause = PAUSE_MIN;
        loop {
            tokio::time::sleep(pause).await;
            let now = clock::moment();
            // Asked before the look: what is applied meanwhile is for the next one.
            let (generation, second) = (list.generation(), now.wall);
            let was_fresh = std::mem::replace(&mut is_fresh, generation != seen.0);
            // A request that was permitted just before an entry was applied may take its slot just
            // after the look, so a new entry is good for two.
            let is_due = is_fresh || was_fresh || second != seen.1;
            seen = (generation, second);
            pause = PAUSE_MIN;
            if is_due {
                let begun = Instant::now();
                self.look(&list, now).await;
                pause = (begun.elapsed() * PAUSES_PER_LOOK).clamp(PAUSE_MIN, PAUSE_MAX);
            }
        }
    }

    async fn look(&self, list: &RevocationList, now: Moment) {
        let mut slots = Vec::new();
        for shard in &self.shards {
            slots.extend(lock(shard).values().cloned());
            if slots.is_empty() {
                continue;
            }
            for slot in slots.drain(..) {
                slot.end_if_lapsed(list, now);
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
    }

    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, Arc<Slot>, RandomState>> {
        &self.shards[(id % SHARDS as u64) as usize]
    }
}

impl StreamSlot {
    /// Runs `serving` until it is done, or until the principal that it serves has lapsed.
    pub(super) async fn attend<T>(&self, serving: impl Future<Output = T>) -> Option<T> {
        let attended = async {
            tokio::select! {
                // What is done is done. And the slot must be asked after whatever takes it.
                biased;
                done = serving => Some(done),
                () = std::future::poll_fn(|context| self.slot.poll_ended(context)) => None,
            }
        };
        SLOT.scope(self.slot.clone(), attended).await
    }
}

impl StreamSlot {
    /// Takes the slot for `principal`, whose request is about to be attended.
    pub(super) fn begin(&self, principal: &Principal) -> ServingGuard {
        ServingGuard::take(self.slot.clone(), principal)
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let left = lock(self.streams.shard(self.id)).remove(&self.id);
        drop(left);
    }
}

impl ServingGuard {
    /// Takes the slot of the current request for `principal`; `None` if it has no slot: it
    /// could not be ended.
    pub(super) fn begin(principal: &Principal) -> Option<Self> {
        let slot = SLOT.try_with(Arc::clone).ok()?;
        Some(Self::take(slot, principal))
    }

    fn take(slot: Arc<Slot>, principal: &Principal) -> Self {
        slot.replace(StreamState::Serving(principal.clone(), None));
        Self(slot)
    }

    /// Gives the slot back; tells why the request was ended, if it was.
    pub(super) fn end(self) -> Option<Lapse> {
        match self.0.replace(StreamState::Vacant) {
            StreamState::Ended(lapse) => Some(lapse),
            StreamState::Serving(..) | StreamState::Vacant => None,
        }
    }
}

impl Drop for ServingGuard {
    fn drop(&mut self) {
        self.0.replace(StreamState::Vacant);
    }
}

impl Slot {
    fn replace(&self, state: StreamState) -> StreamState {
        std::mem::replace(&mut *lock(&self.0), state)
    }

    /// Ready once the request has been ended. Must be polled after whatever may take the slot: then
    /// the waker is there, or the end is seen at once.
    fn poll_ended(&self, context: &task::Context<'_>) -> Poll<()> {
        match &mut *lock(&self.0) {
            StreamState::Vacant => Poll::Pending,
            StreamState::Serving(_, waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            StreamState::Ended(_) => Poll::Ready(()),
        }
    }

    fn end_if_lapsed(&self, list: &RevocationList, now: Moment) {
        let mut state = lock(&self.0);
        let lapse = match &*state {
            StreamState::Serving(principal, _) => principal.lapsed(list, now),
            StreamState::Vacant | StreamState::Ended(_) => None,
        };
        let Some(lapse) = lapse else { return };
        let ended = std::mem::replace(&mut *state, StreamState::Ended(lapse));
        drop(state);
        if let StreamState::Serving(_, Some(waker)) = ended {
            waker.wake();
        }
    }
}

/// Nothing that holds one of these locks can leave things half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
