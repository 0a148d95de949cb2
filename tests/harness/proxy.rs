//! A TCP proxy that injects faults: it holds, delays, cuts and duplicates connections, and may put another server
//! behind its address.
//!
//! Bytes are neither lost nor reordered within a direction of a link, as in TCP. What a peer sent before it closed
//! its connection still arrives, however late, unless the link is cut.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::eventually;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// Stands between clients and a server.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// The port of the server behind it.
    server: AtomicU16,
    links: Mutex<Vec<Arc<Link>>>,
    /// What a link is to be held at.
    trigger: Mutex<Option<Vec<u8>>>,
    /// By how much bytes of new links are delayed, in milliseconds.
    delay_ms: AtomicU64,
    /// Nobody has any use for it any more.
    is_over: AtomicBool,
}

/// One connection through a proxy.
pub(crate) struct Link {
    client: TcpStream,
    server: TcpStream,
    to_server: Flow,
    to_client: Flow,
    /// The other connections to the server on which everything is sent that is sent on this one.
    duplicates: Mutex<Vec<TcpStream>>,
}

/// One direction of a link.
struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
    /// How many bytes have come in.
    received: AtomicUsize,
}

#[derive(Default)]
struct FlowState {
    /// When each piece may go on, and the piece.
    waiting: VecDeque<(Instant, Vec<u8>)>,
    is_held: bool,
    /// Nothing more comes in.
    has_ended: bool,
    delay: Duration,
}

impl Proxy {
    /// A proxy in front of the server at this port.
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            server: AtomicU16::new(server),
            links: Mutex::default(),
            trigger: Mutex::default(),
            delay_ms: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.is_over.load(Ordering::SeqCst) {
                    break;
                }
                accepting.accept(client);
            }
        });
        Self { port, shared }
    }

    /// Where clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Puts another server behind the address. Links that there are stay where they are.
    pub(crate) fn swap(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// Delays all bytes of later links, in both directions.
    pub(crate) fn delay_new(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).expect("a short time");
        self.shared.delay_ms.store(delay_ms, Ordering::SeqCst);
    }

    /// Holds the first link on which this is sent to the server from now on, from the piece on in which it stands.
    /// Once.
    pub(crate) fn hold_at(&self, text: &str) {
        *self.shared.trigger() = Some(text.as_bytes().to_vec());
    }

    /// Waits for a link that holds something back from the server.
    pub(crate) fn await_held(&self) -> Arc<Link> {
        eventually("a link that is held", || self.held())
    }

    /// The link that holds something back from the server, if there is one.
    pub(crate) fn held(&self) -> Option<Arc<Link>> {
        let links = self.shared.links();
        links.iter().find(|link| link.holds(Direction::ToServer)).cloned()
    }

    /// All links that there were so far, in the order in which they were made.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.shared.links().clone()
    }
}

impl Drop for Proxy {
    /// Its threads end.
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.links().iter().for_each(|link| link.cut());
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().expect("the links")
    }

    fn trigger(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.trigger.lock().expect("the trigger")
    }

    fn accept(self: &Arc<Self>, client: TcpStream) {
        // A server that is away closes the connection, as a port without a listener would.
        let address = ("127.0.0.1", self.server.load(Ordering::SeqCst));
        let Ok(server) = TcpStream::connect(address) else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("an open connection");
        }
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::SeqCst));
        let (to_server, to_client) = (Flow::new(delay), Flow::new(delay));
        let duplicates = Mutex::default();
        let link = Arc::new(Link { client, server, to_server, to_client, duplicates });
        self.links().push(link.clone());
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (shared, reading, writing) = (self.clone(), link.clone(), link.clone());
            std::thread::spawn(move || reading.read(direction, &shared));
            std::thread::spawn(move || writing.write(direction));
        }
    }

    /// Whether a piece has what a link is to be held at.
    fn is_triggered_by(&self, piece: &[u8]) -> bool {
        let mut trigger = self.trigger();
        let is_in = |text: &[u8]| piece.windows(text.len()).any(|window| window == text);
        let is_triggered = trigger.as_deref().is_some_and(is_in);
        if is_triggered {
            *trigger = None;
        }
        is_triggered
    }
}

impl Link {
    /// Holds back what goes this way, until it is let through.
    pub(crate) fn hold(&self, direction: Direction) {
        self.flow(direction).change(|state| state.is_held = true);
    }

    /// Lets through what was held back, and what comes.
    pub(crate) fn let_through(&self, direction: Direction) {
        self.flow(direction).change(|state| state.is_held = false);
    }

    /// Delays what comes in from now on, and goes this way.
    pub(crate) fn delay(&self, direction: Direction, delay: Duration) {
        self.flow(direction).change(|state| state.delay = delay);
    }

    /// Ends both connections. What is on its way is lost.
    pub(crate) fn cut(&self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.flow(direction).change(|state| {
                state.waiting.clear();
                state.is_held = false;
                state.has_ended = true;
            });
        }
        for stream in [&self.client, &self.server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends the client's connection. What it has sent is still on its way to the server.
    pub(crate) fn cut_client(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
    }

    /// From now on everything is sent to the server twice: on a second connection, too, of which nobody reads the
    /// answers.
    pub(crate) fn duplicate(&self) {
        // One that has ended already has nothing to be said twice.
        let Ok(address) = self.server.peer_addr() else { return };
        let copy = TcpStream::connect(address).expect("the server accepts");
        let mut answers = copy.try_clone().expect("a copy");
        std::thread::spawn(move || while matches!(answers.read(&mut [0; 4096]), Ok(1..)) {});
        self.duplicates.lock().expect("the duplicates").push(copy);
    }

    /// How many bytes came in that go this way.
    pub(crate) fn received(&self, direction: Direction) -> usize {
        self.flow(direction).received.load(Ordering::SeqCst)
    }

    /// Lets through what was held back from the server, and waits for an answer to it.
    pub(crate) fn deliver(&self) {
        assert!(self.holds(Direction::ToServer), "nothing is held");
        let before = self.received(Direction::ToClient);
        self.let_through(Direction::ToServer);
        eventually("an answer", || (self.received(Direction::ToClient) > before).then_some(()));
    }

    fn holds(&self, direction: Direction) -> bool {
        let state = self.flow(direction).state();
        state.is_held && !state.waiting.is_empty()
    }

    fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Whence bytes come that go this way, and whither.
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    fn read(&self, direction: Direction, shared: &Shared) {
        let (mut from, _) = self.ends(direction);
        let flow = self.flow(direction);
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let piece = &buffer[..length];
            let holds = direction == Direction::ToServer && shared.is_triggered_by(piece);
            flow.change(|state| {
                state.is_held |= holds;
                state.waiting.push_back((Instant::now() + state.delay, piece.to_vec()));
            });
            flow.received.fetch_add(length, Ordering::SeqCst);
        }
        flow.change(|state| state.has_ended = true);
    }

    fn write(&self, direction: Direction) {
        let (_, mut to) = self.ends(direction);
        while let Some(piece) = self.flow(direction).next() {
            if direction == Direction::ToServer {
                for mut copy in self.duplicates.lock().expect("the duplicates").iter() {
                    let _ = copy.write_all(&piece);
                }
            }
            // Whoever has left hears nothing; what comes is counted all the same.
            let _ = to.write_all(&piece);
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl Flow {
    fn new(delay: Duration) -> Self {
        let state = Mutex::new(FlowState { delay, ..FlowState::default() });
        Self { state, changed: Condvar::new(), received: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().expect("the state of a flow")
    }

    fn change(&self, change: impl FnOnce(&mut FlowState)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// The next piece that may go on; `None` once there will be none.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            let due = state.waiting.front().map(|(due, _)| *due);
            match due {
                _ if state.is_held => state = self.changed.wait(state).expect("no panic"),
                None if state.has_ended => return None,
                None => state = self.changed.wait(state).expect("no panic"),
                Some(due) => match due.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => {
                        return state.waiting.pop_front().map(|(_, piece)| piece);
                    }
                    Some(pause) => {
                        state = self.changed.wait_timeout(state, pause).expect("no panic").0;
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
