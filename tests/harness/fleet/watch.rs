//! Asks gateways all along, and sees to it that nobody who was cut off is let in again.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{CONTROL, PACE, Verdict, said, token_of};
use crate::harness::client::{self, Answer, Connection};
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::tokens::bearer;

/// Asks gateways all along. Whoever was never revoked is never refused as revoked, whoever was is
/// never let in once that was confirmed, and who needs no credential always passes.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) is_over: AtomicBool,
    /// Requests with revoked tokens.
    pub(crate) revoked: Mutex<Vec<String>>,
    pub(crate) rounds: AtomicUsize,
}

impl Watch {
    /// Looks at another gateway from now on.
    pub(crate) fn look_at(&mut self, gateway: &Gateway) {
        let (address, shared) = (gateway.address(), self.shared.clone());
        self.threads.push(std::thread::spawn(move || shared.watch(address)));
    }

    /// From now on this token is to be refused everywhere.
    pub(crate) fn is_revoked(&self, token: &str) {
        self.shared.revoked.lock().expect("the list").push(request(token));
    }

    /// Fails if anything was not as it should be.
    pub(crate) fn end(mut self) {
        let before = self.shared.rounds.load(Ordering::SeqCst);
        eventually("a last look", || {
            let is_told = self.threads.iter().any(JoinHandle::is_finished);
            let rounds = self.shared.rounds.load(Ordering::SeqCst) - before;
            (is_told || rounds > 2 * self.threads.len()).then_some(())
        });
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in std::mem::take(&mut self.threads) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    pub(crate) fn watch(&self, address: SocketAddr) {
        let control = request(&token_of(CONTROL));
        let public = client::get("/public/x", &[]);
        let mut line = None;
        for turn in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            if let Some(answer) = exchange(&mut line, address, &control) {
                assert_ne!(said(&answer), Verdict::Revoked, "{address}: nobody revoked this one");
            }
            // Taken before it is asked.
            let revoked = {
                let revoked = self.revoked.lock().expect("the list");
                (!revoked.is_empty()).then(|| revoked[turn % revoked.len()].clone())
            };
            if let Some(revoked) = revoked
                && let Some(answer) = exchange(&mut line, address, &revoked)
            {
                let said = said(&answer);
                assert_ne!(said, Verdict::Accepted, "{address}: it was revoked: {revoked}");
            }
            if let Some(answer) = exchange(&mut line, address, &public) {
                assert_eq!(answer.status, 200, "{address}: anybody may use it");
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PACE);
        }
    }
}

pub(crate) fn request(token: &str) -> String {
    client::get("/whoami", &[("Authorization", &bearer(token))])
}

/// `None` if the gateway is gone, or goes.
pub(crate) fn exchange(
    line: &mut Option<Connection>,
    address: SocketAddr,
    bytes: &str,
) -> Option<Answer> {
    if line.is_none() {
        *line = TcpStream::connect(address).ok().map(Connection::over);
    }
    let connection = line.as_mut()?;
    connection.send(bytes);
    let answer = connection.answer();
    if answer.as_ref().is_none_or(|answer| answer.field("connection") == Some("close")) {
        *line = None;
    }
    answer
}
