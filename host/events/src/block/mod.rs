//! Events of a bulk as columns, made before the writer sees them.
//!
//! Making an [`Event`] of every line costs more than all that comes after it: a name and a value of their own for each field,
//! and a look-up in the store's dictionary for each text. A block is filled straight from the lines, by as many threads as
//! there are senders. Its texts are numbered for themselves, so the one thread that writes looks up each distinct text once
//! and replaces numbers by numbers.
//!
//! The trap is a second parser that takes what the first refuses. So the quick scanner takes only what is plain; any line that
//! it has the least doubt about goes to [`ndjson::parse_line`], which alone says what is wrong with it.

mod scan;
#[cfg(test)]
mod tests;
mod texts;

use crate::ndjson::{self, LineError};
use crate::segment::{Cell, Column, ColumnBuilder, MAX_ROWS};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use scan::Field;
use texts::BlockTexts;
use tidegate_model::{Event, EventLimits, Value};

/// Most events of a block: enough that a text that occurs often is looked up seldom.
const MOST_ROWS: usize = 8_192;
/// Bytes of lines after which a block is full.
const MOST_BYTES: usize = 8 << 20;
/// Names after which a block is full: a flood of them must not fill the memory.
const MOST_COLUMNS: usize = 8_192;
const _: () = assert!(MOST_ROWS <= MAX_ROWS);

/// What a name means to a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Attribute,
    /// The id that a repeat is known by.
    Uuid,
    /// The event's own time, in whole seconds.
    Time,
}

struct BlockColumn {
    name: String,
    /// The name as a line has it, in quotes; empty if it would stand there with escapes.
    key: String,
    meaning: Meaning,
    values: ColumnBuilder,
    texts: BlockTexts,
    /// Number of the line that gave it a value last, to notice a second one in the same line.
    line: u64,
    used: bool,
}

/// Events of a bulk, parsed and turned into columns.
pub struct Block {
    limits: EventLimits,
    rows: usize,
    lines: u64,
    bytes: usize,
    columns: Vec<BlockColumn>,
    names: HashMap<String, usize, RandomState>,
    uuids: Vec<Option<[u8; 16]>>,
    /// Fields of the line at hand; kept for its memory.
    fields: Vec<(usize, Field)>,
}

/// One attribute of a block, done.
pub(crate) struct DoneColumn {
    pub(crate) name: String,
    /// Texts by their number in the block.
    pub(crate) column: Column,
    pub(crate) texts: BlockTexts,
}

/// A block that takes no more lines.
pub(crate) struct DoneBlock {
    pub(crate) rows: usize,
    /// In the order in which the names came; each has a value at least.
    pub(crate) columns: Vec<DoneColumn>,
    /// One for each event, or empty if no event has one.
    pub(crate) uuids: Vec<Option<[u8; 16]>>,
}

impl Block {
    /// A block without events.
    #[must_use]
    pub fn new(limits: &EventLimits) -> Self {
        let (columns, names, uuids, fields) = (Vec::new(), HashMap::default(), Vec::new(), Vec::new());
        Self { limits: *limits, rows: 0, lines: 0, bytes: 0, columns, names, uuids, fields }
    }

    /// Adds the event of one line, as [`ndjson::parse_line`] reads it.
    ///
    /// # Errors
    /// [`LineError`] names the field at fault; the block is as it was before.
    pub fn push_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        self.lines += 1;
        if self.scan(line).is_none() {
            let event = ndjson::parse_line(line, &self.limits)?;
            self.push(event);
        }
        self.bytes += line.len();
        Ok(())
    }

    /// Events so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it has as many events, bytes or names as a block should have. It takes more all the same.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES || self.columns.len() >= MOST_COLUMNS
    }

    /// Bytes of the lines that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event of attributes.
    fn push(&mut self, event: Event) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        for (name, value) in event.attributes {
            let place = self.place(&name);
            let field = match value {
                Value::Str(text) => Field::Owned(text),
                Value::Int(number) => Field::Int(number),
                Value::Float(number) => Field::Float(number),
                Value::Bool(flag) => Field::Bool(flag),
            };
            fields.push((place, field));
        }
        self.put("", &mut fields, event.uuid);
        self.fields = fields;
    }

    /// Makes one more row of the fields of a line.
    fn put(&mut self, line: &str, fields: &mut Vec<(usize, Field)>, uuid: Option<[u8; 16]>) {
        let row = self.rows;
        for (place, field) in fields.drain(..) {
            let column = &mut self.columns[place];
            column.used = true;
            let cell = match field {
                Field::Text(start, end) => Cell::Text(column.texts.code(line.get(start..end).unwrap_or_default())),
                Field::Owned(text) => Cell::Text(column.texts.code(&text)),
                Field::Int(number) => Cell::Int(number),
                Field::Float(number) => Cell::Float(number),
                Field::Bool(flag) => Cell::Bool(flag),
            };
            column.values.put(row, cell);
        }
        if uuid.is_some() || !self.uuids.is_empty() {
            self.uuids.resize(row, None);
            self.uuids.push(uuid);
        }
        self.rows += 1;
    }

    /// The place of a name among the columns; a new one is made for a new name.
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.names.get(name) {
            return place;
        }
        let place = self.columns.len();
        let meaning = match name {
            "uuid" => Meaning::Uuid,
            "timestamp" => Meaning::Time,
            _ => Meaning::Attribute,
        };
        let (values, texts) = (ColumnBuilder::default(), BlockTexts::default());
        let plain = !name.contains(|c: char| matches!(c, '"' | '\\') || c.is_control());
        let (name, key) = (name.to_owned(), if plain { format!("\"{name}\"") } else { String::new() });
        self.names.insert(name.clone(), place);
        self.columns.push(BlockColumn { name, key, meaning, values, texts, line: u64::MAX, used: false });
        place
    }

    /// The events, one by one, as a fuzzer compares them; the store takes the columns.
    #[doc(hidden)]
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.finish().events().collect()
    }

    /// The columns.
    pub(crate) fn finish(self) -> DoneBlock {
        let rows = self.rows;
        let done = |c: BlockColumn| DoneColumn { name: c.name, column: c.values.finish(rows), texts: c.texts };
        let columns = self.columns.into_iter().filter(|c| c.used).map(done).collect();
        DoneBlock { rows, columns, uuids: self.uuids }
    }
}

impl DoneBlock {
    /// The events, one by one.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> + '_ {
        (0..self.rows).map(|row| {
            let value = |c: &DoneColumn| {
                Some(match c.column.cell(row)? {
                    Cell::Text(code) => Value::Str(c.texts.text(code).to_owned()),
                    Cell::Int(number) => Value::Int(number),
                    Cell::Float(number) => Value::Float(number),
                    Cell::Bool(flag) => Value::Bool(flag),
                })
            };
            let attributes = self.columns.iter().filter_map(|c| Some((c.name.clone(), value(c)?))).collect();
            let uuid = self.uuids.get(row).copied().flatten();
            Event { uuid, attributes, report: None, attachments: Vec::new() }
        })
    }
}
