//! What the writer knows of a project. It mirrors the database, so after a failed transaction it is thrown away and read again;
//! only the seal floor is not in the database.

use super::options::ValueType;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension};
use tidegate_model::{Instant, ProjectId, Value};

/// One attribute of a project.
pub(super) struct Attribute {
    /// Row id, in use by segments and dictionaries.
    pub(super) id: u32,
    /// Bits of the [`ValueType`]s that occurred.
    pub(super) types: u8,
    /// The code that the next new text gets; texts are counted from 1.
    pub(super) next_code: u32,
    /// Made since the store was opened, so that memory knows all of its texts unless some were forgotten.
    pub(super) young: bool,
    /// Made or changed in the transaction that is not committed yet.
    pub(super) change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Changed,
    New,
}

/// A project as the writer sees it.
pub(super) struct Project {
    /// The number that the next event gets.
    pub(super) next_object: u64,
    /// Arrival of the latest event.
    pub(super) last_arrival: Instant,
    /// In the order in which they were first seen.
    pub(super) attributes: Vec<Attribute>,
    names: HashMap<String, usize, RandomState>,
}

impl Project {
    /// Reads what the database has of the project, which may be nothing.
    pub(super) fn load(db: &Connection, id: ProjectId) -> Result<Self, rusqlite::Error> {
        let mut project = Self {
            next_object: 1,
            last_arrival: Instant::default(),
            attributes: Vec::new(),
            names: HashMap::default(),
        };
        let last = "SELECT first_object + rows, last_arrival FROM segment
                    WHERE project = ?1 ORDER BY last_arrival DESC, first_object DESC LIMIT 1";
        let last = db.prepare_cached(last)?.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((next, arrival)) = last {
            project.next_object = unsigned(next);
            project.last_arrival = Instant::from_micros(unsigned(arrival));
        }
        let mut all =
            db.prepare_cached("SELECT id, name, types, next_code FROM attribute WHERE project = ?1 ORDER BY id")?;
        let mut rows = all.query([id.0])?;
        while let Some(row) = rows.next()? {
            let attribute = Attribute {
                id: row.get(0)?,
                types: row.get(2)?,
                next_code: row.get(3)?,
                young: false,
                change: Change::None,
            };
            project.names.insert(row.get(1)?, project.attributes.len());
            project.attributes.push(attribute);
        }
        Ok(project)
    }

    /// The place of an attribute among [`attributes`](Self::attributes).
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The place of an attribute, which is made with the number from `next_id` if it is new.
    pub(super) fn place_or_new(&mut self, name: &str, next_id: &mut u32) -> usize {
        if let Some(place) = self.place(name) {
            return place;
        }
        let place = self.attributes.len();
        self.names.insert(name.to_owned(), place);
        self.attributes.push(Attribute { id: *next_id, types: 0, next_code: 1, young: true, change: Change::New });
        *next_id += 1;
        place
    }

    /// Writes the attributes that are new or changed.
    pub(super) fn save(&mut self, db: &Connection, id: ProjectId) -> Result<(), rusqlite::Error> {
        if self.attributes.iter().all(|attribute| attribute.change == Change::None) {
            return Ok(());
        }
        let mut insert = db.prepare_cached(
            "INSERT INTO attribute (id, project, name, types, next_code) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut update = db.prepare_cached("UPDATE attribute SET types = ?2, next_code = ?3 WHERE id = ?1")?;
        for (name, &place) in &self.names {
            let attribute = &mut self.attributes[place];
            match attribute.change {
                Change::None => continue,
                Change::New => insert.execute((attribute.id, id.0, name, attribute.types, attribute.next_code))?,
                Change::Changed => update.execute((attribute.id, attribute.types, attribute.next_code))?,
            };
            attribute.change = Change::None;
        }
        Ok(())
    }
}

impl Attribute {
    /// Notes that a value of this type occurred.
    pub(super) fn note(&mut self, value: &Value) {
        self.note_types(type_of(value).bit());
    }

    /// Notes that values of these types occurred, given as bits.
    pub(super) fn note_types(&mut self, bits: u8) {
        if self.types & bits != bits {
            self.types |= bits;
            self.changed();
        }
    }

    /// Notes that it must be written again.
    pub(super) fn changed(&mut self) {
        if self.change == Change::None {
            self.change = Change::Changed;
        }
    }
}

fn type_of(value: &Value) -> ValueType {
    match value {
        Value::Str(_) => ValueType::Text,
        Value::Int(_) => ValueType::Integer,
        Value::Float(_) => ValueType::Float,
        Value::Bool(_) => ValueType::Boolean,
    }
}

/// SQLite's integers have a sign; ours that are stored in them never use it.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// The reverse of [`unsigned`].
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
