//! Small changes of good inputs, as a stranger would make them: bits, pieces cut out, doubled or taken from another input, and
//! the words and numbers on which parsers stumble.

/// A source of chance that is the same on every machine (xorshift).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring numbers, and zero would stay zero.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ (mixed >> 27)) | 1)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let number = usize::try_from(self.0 >> 16).unwrap_or(0);
        if bound == 0 { 0 } else { number % bound }
    }
}

/// What parsers stumble on.
const WORDS: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e999",
    b"-1e-999",
    b"1.7976931348623157e308",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"0.1",
    b"NaN",
    b"Infinity",
    b"\\u0000",
    b"\\ud800",
    b"\\udfff",
    b"\\",
    b"\0",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\n",
    b"\r\n",
    b"%00",
    b"%",
    b"(?:a{1000}){1000}",
    b"*",
    b"_tx",
    b"timestamp",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":",
    b"{}{}",
];

/// Longest input that is made.
const LONGEST: usize = 1 << 20;

/// One of `corpus` with one to eight changes.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        change(&mut bytes, corpus, random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let piece = |of: &[u8], random: &mut Random| {
        let start = random.below(of.len() + 1);
        let length = random.below((of.len() - start).min(64) + 1);
        of[start..start + length].to_vec()
    };
    match random.below(8) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
            }
        }
        2 => {
            let end = (at + random.below(32)).min(bytes.len());
            bytes.drain(at..end);
        }
        3 => {
            let doubled = piece(bytes, random);
            bytes.splice(at..at, doubled);
        }
        4 => {
            let other = corpus.get(random.below(corpus.len())).map(Vec::as_slice).unwrap_or_default();
            let taken = piece(other, random);
            bytes.splice(at..at, taken);
        }
        5 => bytes.truncate(at),
        6 => {
            let word = WORDS[random.below(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        _ => {
            // In the place of what is there, so that the rest still fits.
            let word = WORDS[random.below(WORDS.len())];
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
    }
}
