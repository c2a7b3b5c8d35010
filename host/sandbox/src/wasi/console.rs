//! What one instance prints, on its way to the log; and the numbers that it takes for random.
//!
//! Printing is how foreign toolchains tell of an exception, so it must not be lost; it is also the one thing by which an adapter
//! can fill a disk without being called wrongly. So there is a limit of lines for each call, one of bytes for each line, and one of lines
//! for the whole adapter in a minute, and beyond it the log says how much it leaves out.

use crate::text::plain;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of one line that are kept; the log shows 300 characters.
const LINE_BYTES: usize = 1200;
/// Lines that a crash is told with.
const LAST_WORDS: usize = 3;
/// Lines that one adapter may have in the log in a minute, whatever each call may print.
const LINES_A_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// Where the numbers begin.
const SEED: u64 = 0x7469_6465_6761_7465;

/// What one instance has printed and how far its randomness has come.
#[derive(Debug)]
pub(crate) struct Console {
    limit: u32,
    /// Lines since the instance was made, the last one perhaps without its end.
    printed: u32,
    kept: Vec<String>,
    line: Vec<u8>,
    /// Whether there is a line that has not ended.
    open: bool,
    dropped: u64,
    last: VecDeque<String>,
    seed: u64,
}

impl Console {
    /// For an instance that may print `limit` lines.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            printed: 0,
            kept: Vec::new(),
            line: Vec::new(),
            open: false,
            dropped: 0,
            last: VecDeque::new(),
            seed: SEED,
        }
    }

    /// Takes what the instance prints.
    pub(crate) fn print(&mut self, text: &[u8]) {
        for piece in text.split_inclusive(|b| *b == b'\n') {
            if !std::mem::replace(&mut self.open, true) {
                self.printed = self.printed.saturating_add(1);
            }
            let line = piece.strip_suffix(b"\n").unwrap_or(piece);
            let fits = if self.printed > self.limit { 0 } else { line.len().min(LINE_BYTES - self.line.len()) };
            self.line.extend_from_slice(&line[..fits]);
            self.dropped += (line.len() - fits) as u64;
            if line.len() < piece.len() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.open = false;
        let line = std::mem::take(&mut self.line);
        if !line.trim_ascii().is_empty() {
            let line = plain(&String::from_utf8_lossy(&line));
            if self.last.len() == LAST_WORDS {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
            self.kept.push(line);
        }
    }

    /// Lines that the instance has printed, also those that were too many.
    pub(crate) fn lines(&self) -> u32 {
        self.printed
    }

    /// The last lines that were printed within the limit, safe to show: what went wrong comes last, or nearly so.
    pub(crate) fn last_words(&self) -> Option<String> {
        let words: Vec<&str> = self.last.iter().map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join(" | "))
    }

    /// Hands what was printed to the log, as lines of `adapter` that cannot be taken for the host's.
    pub(crate) fn tell(&mut self, adapter: &str, prints: &Prints) {
        if self.open {
            self.end_line();
        }
        let dropped = std::mem::take(&mut self.dropped);
        if self.kept.is_empty() && dropped == 0 {
            return;
        }
        let kept = std::mem::take(&mut self.kept);
        let wanted = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        let (granted, left_out) = prints.take(wanted);
        for line in kept.iter().take(granted as usize) {
            tracing::info!(target: "tidegate::adapter", adapter, "it prints: {line}");
        }
        if let Some(lines) = left_out {
            let limit = LINES_A_MINUTE;
            tracing::warn!(target: "tidegate::adapter", adapter, lines, limit, "it printed more lines in a minute than the log takes");
        }
        if dropped > 0 && granted > 0 {
            let limit = self.limit;
            tracing::info!(target: "tidegate::adapter", adapter, bytes = dropped, limit, "it prints more than the lines of one call");
        }
    }

    /// The same row of numbers for every instance (splitmix64).
    pub(crate) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How much of one adapter the log takes.
#[derive(Debug, Default)]
pub(crate) struct Prints(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    since: Option<Instant>,
    taken: u32,
    left_out: u64,
}

impl Prints {
    /// How many of `wanted` lines the log takes now; and in a new minute, how many it left out in the one before.
    fn take(&self, wanted: u32) -> (u32, Option<u64>) {
        self.take_at(Instant::now(), wanted)
    }

    fn take_at(&self, now: Instant, wanted: u32) -> (u32, Option<u64>) {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = None;
        if minute.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
            told = Some(minute.left_out).filter(|lines| *lines > 0);
            *minute = Minute { since: Some(now), ..Minute::default() };
        }
        let granted = wanted.min(LINES_A_MINUTE - minute.taken);
        minute.taken += granted;
        minute.left_out += u64::from(wanted - granted);
        (granted, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_in_pieces_becomes_lines_and_what_is_beyond_the_limit_is_counted() {
        let mut console = Console::new(2);
        console.print(b"Trace");
        console.print(b"back\nValue\x1b[2JError\n");
        console.print(b"third\nfourth");
        assert_eq!(console.kept, ["Traceback", "Value\\u{1b}[2JError"]);
        assert_eq!((console.lines(), console.dropped), (4, "thirdfourth".len() as u64));
        assert_eq!(console.last_words().as_deref(), Some("Traceback | Value\\u{1b}[2JError"));
        console.tell("test", &Prints::default());
        assert!(console.kept.is_empty() && console.dropped == 0);
    }

    #[test]
    fn a_line_without_an_end_keeps_no_more_than_a_line_may_have() {
        let mut console = Console::new(5);
        for _ in 0..10 {
            console.print(&[b'x'; 500]);
        }
        assert_eq!((console.line.len(), console.dropped, console.lines()), (LINE_BYTES, 5000 - LINE_BYTES as u64, 1));
    }

    #[test]
    fn an_adapter_that_prints_all_the_time_gets_so_many_lines_a_minute_and_the_rest_is_told_as_a_number() {
        let (prints, start) = (Prints::default(), Instant::now());
        assert_eq!(prints.take_at(start, 90), (90, None));
        assert_eq!(prints.take_at(start, 90), (10, None));
        assert_eq!(prints.take_at(start + Duration::from_secs(59), 5), (0, None));
        assert_eq!(prints.take_at(start + MINUTE, 5), (5, Some(85)));
        assert_eq!(prints.take_at(start + 2 * MINUTE, 0), (0, None));
    }

    #[test]
    fn randomness_is_the_same_for_every_instance_and_does_not_stand_still() {
        let (mut one, mut other) = (Console::new(1), Console::new(1));
        let numbers: Vec<u64> = (0..4).map(|_| one.random()).collect();
        assert_eq!(numbers, (0..4).map(|_| other.random()).collect::<Vec<_>>());
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
