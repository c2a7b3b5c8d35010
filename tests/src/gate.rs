//! A gate on the way to a real server, which can be made to treat connections badly: real servers do not do that on demand.
//!
//! It works on bytes and knows no protocol, so what reaches the server through it is what was sent. A reply is lost only after
//! the server has said something, which is to say that it has taken what it was sent. The trap is the end that looks orderly:
//! whoever sends lines to carbon takes that for success, so what a gate breaks ends with a reset.

use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// How a gate treats connections, also those that are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Bytes go through both ways.
    Open,
    /// Connections end at once.
    Refuses,
    /// Nothing goes through, and nothing ends.
    Stalls,
    /// What is sent arrives; at the first byte of the reply, or the end that stands for one, the connection breaks.
    LosesReplies,
}

const WAYS: [Way; 4] = [Way::Open, Way::Refuses, Way::Stalls, Way::LosesReplies];
/// How often a stalled connection looks whether the way is free.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct State {
    way: AtomicU8,
    closed: AtomicBool,
    lost: AtomicU64,
    refused: AtomicU64,
}

impl State {
    fn way(&self) -> Way {
        WAYS[usize::from(self.way.load(Ordering::SeqCst)) % WAYS.len()]
    }

    /// Waits until the way is free. False if the gate is gone, or its connections are to end.
    fn pass(&self) -> bool {
        while self.way() == Way::Stalls && !self.closed.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        self.way() != Way::Refuses && !self.closed.load(Ordering::SeqCst)
    }
}

/// A gate on a loopback port of its own. It closes when it is dropped.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    state: Arc<State>,
}

impl Gate {
    /// Opens one in front of the server that listens on the loopback port `to`.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn before(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no port for a gate: {e}"));
        let port = listener.local_addr().unwrap_or_else(|e| panic!("no address: {e}")).port();
        let state = Arc::new(State::default());
        let seen = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.closed.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&seen);
                // A connection that breaks is what a gate is for.
                std::thread::spawn(move || carry(stream, to, &state));
            }
        });
        Self { port, state }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Treats connections like this from now on.
    pub fn set(&self, way: Way) {
        self.state.way.store(way as u8, Ordering::SeqCst);
    }

    /// Replies that it has lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }

    /// Connections that it has refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// The two halves of a connection.
struct Carried {
    client: TcpStream,
    server: TcpStream,
    is_broken: AtomicBool,
}

impl Carried {
    /// Ends it with a reset, which nobody takes for an orderly end.
    fn break_off(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
        reset(&self.client);
        // Wakes whoever reads from them; a shutdown of the other half would be an orderly end.
        let _ = self.client.shutdown(Shutdown::Read);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Makes the end of a connection a reset.
fn reset(stream: &TcpStream) {
    // It may be broken already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn carry(client: TcpStream, to: u16, state: &Arc<State>) -> Option<()> {
    // Until the server has it, every end is a reset.
    reset(&client);
    if !state.pass() {
        state.refused.fetch_add(1, Ordering::SeqCst);
        return None;
    }
    let server = TcpStream::connect(("127.0.0.1", to)).ok()?;
    SockRef::from(&client).set_linger(None).ok()?;
    let carried = Arc::new(Carried { client, server, is_broken: AtomicBool::new(false) });
    let (same, seen) = (Arc::clone(&carried), Arc::clone(state));
    let sending = std::thread::spawn(move || pump(&same.client, &same.server, &same, &seen, false));
    pump(&carried.server, &carried.client, &carried, state, true);
    sending.join().ok()
}

/// Carries bytes until one side ends, and passes its end on.
fn pump(mut from: &TcpStream, mut to: &TcpStream, carried: &Carried, state: &State, is_reply: bool) {
    let mut piece = [0; 16 * 1024];
    loop {
        let read = from.read(&mut piece);
        let goes_on = state.pass();
        if carried.is_broken.load(Ordering::SeqCst) {
            return;
        }
        let is_lost = goes_on && is_reply && state.way() == Way::LosesReplies && read.is_ok();
        state.lost.fetch_add(u64::from(is_lost), Ordering::SeqCst);
        match read {
            Ok(0) if goes_on && !is_lost => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(length) if goes_on && !is_lost && to.write_all(&piece[..length]).is_ok() => {}
            _ => return carried.break_off(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each connection with its request in capitals, after its end.
    fn shouting() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = String::new();
                let _ = stream.read_to_string(&mut request);
                let _ = stream.write_all(request.to_uppercase().as_bytes());
            }
        });
        port
    }

    fn ask(port: u16) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(b"aha")?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn a_gate_lets_through_refuses_stalls_and_loses_replies_as_it_is_told() {
        let gate = Gate::before(shouting());
        assert_eq!(ask(gate.port()).unwrap(), "AHA");
        gate.set(Way::LosesReplies);
        assert!(ask(gate.port()).is_err(), "a lost reply looks like an orderly end");
        assert_eq!(gate.lost(), 1);
        gate.set(Way::Refuses);
        assert!(ask(gate.port()).is_err());
        assert_eq!(gate.refused(), 1);
        gate.set(Way::Stalls);
        assert!(ask(gate.port()).is_err());
        gate.set(Way::Open);
        assert_eq!(ask(gate.port()).unwrap(), "AHA");
    }
}
