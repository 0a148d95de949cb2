//! Every command that a server is asked.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::RedisServer;
use crate::harness::eventually;

/// What a server is asked, from now on.
pub(crate) struct Monitor<'s> {
    server: &'s RedisServer,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl<'s> Monitor<'s> {
    /// Begins to listen.
    pub(crate) fn start(server: &'s RedisServer) -> Self {
        let mut child = Command::new("redis-cli")
            .args(["-u", &server.url(), "monitor"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli must be installed");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sink, pipe) = (lines.clone(), child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                sink.lock().expect("the lines").push(line);
            }
        });
        let monitor = Self { server, child, lines };
        eventually("a monitor", || (!monitor.lines().is_empty()).then_some(()));
        monitor
    }

    /// All commands so far.
    pub(crate) fn commands(&self) -> Vec<String> {
        let mark = format!("mark-{:x}", fastrand::u64(..));
        self.server.cli(&["echo", &mark]);
        eventually("the mark", || {
            let lines = self.lines();
            lines.iter().any(|line| line.contains(&mark)).then_some(lines)
        })
    }

    /// Commands so far of this name, in which `text` occurs.
    pub(crate) fn count(&self, name: &str, text: &str) -> usize {
        let name = format!("\"{name}\"");
        let is_meant = |line: &&String| {
            line.to_ascii_uppercase().contains(&name.to_ascii_uppercase()) && line.contains(text)
        };
        self.commands().iter().filter(is_meant).count()
    }

    /// Commands so far in which `text` occurs.
    pub(crate) fn about(&self, text: &str) -> Vec<String> {
        self.commands().into_iter().filter(|line| line.contains(text)).collect()
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("the lines").clone()
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
