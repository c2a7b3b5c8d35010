//! Events of 30 attributes as lines: the time, texts with the cardinalities of crash reports, a double, and others.

use anyhow::Context;
use std::io::Write;
use std::path::Path;

/// Text attributes beside those with a meaning.
const OTHERS: u64 = 24;

/// SplitMix64's finaliser.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn line(out: &mut Vec<u8>, row: u64) -> std::io::Result<()> {
    let draw = |column: u64, distinct: u64| mix(row * 64 + column) % distinct;
    let guid = draw(2, 500_000);
    write!(
        out,
        r#"{{"timestamp":{},"fingerprint":"{:064x}","guid":"{guid:08x}-0000-4000-8000-{guid:012x}","error.type":"error type {}","app.version":"2.{}","process.age":{:.2}"#,
        1_700_000_000 + row / 2000,
        mix(draw(1, 5_000)),
        draw(3, 20),
        draw(4, 50),
        draw(5, 100_000) as f64 / 4.0,
    )?;
    for i in 0..OTHERS {
        write!(out, r#","attribute.{i}":"value {}""#, draw(6 + i, 10 * (i + 1)))?;
    }
    out.write_all(b"}\n")
}

/// A uuid for a row.
pub(super) fn uuid(row: u64) -> String {
    let (a, b) = (mix(row * 2), mix(row * 2 + 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// Lines in memory.
pub(super) struct Lines(Vec<u8>, u64);

impl Lines {
    pub(super) fn new(first: u64, count: u64) -> Self {
        let mut text = Vec::new();
        for row in first..first + count {
            // Writing into memory does not fail.
            let _ = line(&mut text, row);
        }
        Self(text, count)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn count(&self) -> u64 {
        self.1
    }
}

/// Writes the first `count` lines to a file.
pub(crate) fn write_file(file: &Path, count: u64) -> anyhow::Result<()> {
    let mut out = std::fs::File::create(file).with_context(|| file.display().to_string())?;
    for first in (0..count).step_by(50_000) {
        out.write_all(&Lines::new(first, 50_000.min(count - first)).0)?;
    }
    Ok(())
}
