//! The quick way from a line to a row: one pass over its bytes, nothing copied before the line is known to be good.
//!
//! It gives up (`None`) whenever a line is not plain: an error, nesting, a name with an escape, a number of 19 digits or more, a
//! time that is not a whole number. Who is slow then is the line that is odd, not the others.

use super::{Block, Meaning};
use crate::scalar;
use memchr::{memchr, memchr2};

/// The value of one field.
pub(super) enum Field {
    /// Text, by its place in the line.
    Text(usize, usize),
    /// Text that had escapes.
    Owned(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Bytes of a text that are searched without a call.
const SHORT: usize = 32;
/// Digits that any 64-bit number has room for.
const SAFE_DIGITS: usize = 18;

impl Block {
    /// Adds the event of a plain line.
    pub(super) fn scan(&mut self, line: &[u8]) -> Option<()> {
        if line.len() > self.limits.body_bytes {
            return None;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Control characters may not stand inside of a text; outside they are rare.
        if line.iter().fold(false, |found, &byte| found | (byte < b' ')) {
            return None;
        }
        let line = std::str::from_utf8(line).ok()?;
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        let mut uuid = None;
        let scanned = self.fields(line, &mut fields, &mut uuid);
        if scanned.is_some() {
            self.put(line, &mut fields, uuid);
        }
        self.fields = fields;
        scanned
    }

    fn fields(&mut self, line: &str, fields: &mut Vec<(usize, Field)>, uuid: &mut Option<[u8; 16]>) -> Option<()> {
        let mut from = Scanner { json: line.as_bytes(), line, at: 0 };
        from.expect(b'{')?;
        if from.skip_if(b'}') {
            return from.end();
        }
        let (mut given, mut next) = (0, 0);
        loop {
            given += 1;
            if given > self.limits.attributes {
                return None;
            }
            // Lines of one sender mostly have the same names in the same order.
            let place = match self.columns.get(next) {
                Some(column) if from.skip_key(&column.key) => next,
                _ => self.place_of_good(from.name()?)?,
            };
            next = place + 1;
            from.expect(b':')?;
            let field = from.value()?;
            if let Some(field) = field {
                self.note(line, place, field, fields, uuid)?;
            }
            if from.skip_if(b',') {
                continue;
            }
            from.expect(b'}')?;
            return from.end();
        }
    }

    fn place_of_good(&mut self, name: &str) -> Option<usize> {
        if let Some(&place) = self.names.get(name) {
            return Some(place);
        }
        let good = !name.is_empty() && name.len() <= self.limits.name_bytes && !name.chars().any(char::is_control);
        good.then(|| self.place(name))
    }

    /// Keeps the value of a field until the line is known to be good.
    fn note(
        &mut self,
        line: &str,
        place: usize,
        field: Field,
        fields: &mut Vec<(usize, Field)>,
        uuid: &mut Option<[u8; 16]>,
    ) -> Option<()> {
        let column = &mut self.columns[place];
        if std::mem::replace(&mut column.line, self.lines) == self.lines {
            return None;
        }
        let length = match &field {
            Field::Text(start, end) => end - start,
            Field::Owned(text) => text.len(),
            _ => 0,
        };
        if length > self.limits.value_bytes {
            return None;
        }
        match (column.meaning, &field) {
            (Meaning::Attribute, _) | (Meaning::Time, Field::Int(_)) => fields.push((place, field)),
            (Meaning::Uuid, Field::Text(start, end)) => *uuid = Some(scalar::uuid(line.get(*start..*end)?).ok()?),
            (Meaning::Uuid | Meaning::Time, _) => return None,
        }
        Some(())
    }
}

struct Scanner<'a> {
    json: &'a [u8],
    line: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is not a space; control characters are not here to be skipped.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.json.get(self.at) {
            if byte != b' ' {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn skip_if(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_if(byte).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Skips a name in quotes if it is this one.
    fn skip_key(&mut self, key: &str) -> bool {
        let there = !key.is_empty() && self.peek() == Some(b'"') && self.json[self.at..].starts_with(key.as_bytes());
        self.at += if there { key.len() } else { 0 };
        there
    }

    fn name(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + memchr(b'"', &self.json[start..])?;
        let name = self.line.get(start..end)?;
        if name.as_bytes().contains(&b'\\') {
            return None;
        }
        self.at = end + 1;
        Some(name)
    }

    /// A value; none inside if it is null.
    fn value(&mut self) -> Option<Option<Field>> {
        let (word, field) = match self.peek()? {
            b'"' => return self.text().map(Some),
            b'-' | b'0'..=b'9' => return self.number().map(Some),
            b't' => ("true", Some(Field::Bool(true))),
            b'f' => ("false", Some(Field::Bool(false))),
            b'n' => ("null", None),
            _ => return None,
        };
        if !self.json[self.at..].starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(field)
    }

    fn text(&mut self) -> Option<Field> {
        let start = self.at + 1;
        let mut end = start + quote_or_escape(&self.json[start..])?;
        if self.json[end] == b'"' {
            self.at = end + 1;
            return Some(Field::Text(start, end));
        }
        while self.json[end] == b'\\' {
            let rest = end + 2;
            end = rest + memchr2(b'"', b'\\', self.json.get(rest..)?)?;
        }
        self.at = end + 1;
        scalar::text(self.line.get(start - 1..=end)?).ok().map(Field::Owned)
    }

    fn number(&mut self) -> Option<Field> {
        let start = self.at;
        self.at += usize::from(self.json[start] == b'-');
        let first = self.at;
        let whole = self.digits()?;
        if self.json[first] == b'0' && self.at > first + 1 {
            return None;
        }
        let mut next = self.json.get(self.at).copied();
        if !matches!(next, Some(b'.' | b'e' | b'E')) {
            let number = if first > start { whole.wrapping_neg() } else { whole };
            return (self.at - first <= SAFE_DIGITS).then_some(Field::Int(number));
        }
        if next == Some(b'.') {
            self.at += 1;
            self.digits()?;
            next = self.json.get(self.at).copied();
        }
        if let Some(b'e' | b'E') = next {
            self.at += 1;
            self.at += usize::from(matches!(self.json.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        let number: f64 = self.line.get(start..self.at)?.parse().ok()?;
        number.is_finite().then_some(Field::Float(number))
    }

    /// One digit or more, as a number that means something up to [`SAFE_DIGITS`].
    fn digits(&mut self) -> Option<i64> {
        let (start, mut number) = (self.at, 0i64);
        while let Some(&digit @ b'0'..=b'9') = self.json.get(self.at) {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }
}

/// Where the first quote or backslash is.
fn quote_or_escape(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Zero bytes of a word have their high bit in what this gives; those above the first may have it, too.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    // Most values are short: then a call costs more than the search.
    let (words, _) = text.get(..SHORT).unwrap_or_default().as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(place * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let from = words.len() * 8;
    memchr2(b'"', b'\\', text.get(from..)?).map(|at| from + at)
}
