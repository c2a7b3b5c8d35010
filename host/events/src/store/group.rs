//! One group of submissions becomes one transaction: numbers, arrival times, duplicates, columns.
//!
//! Nothing here is visible or acknowledged before the transaction is committed, and whoever calls throws away the projects of
//! a group that failed. The trap is the clock: it may jump, and an event must not land in a window that was evaluated. So the
//! arrival is not simply now, but never before the latest arrival and never before the seal.

use super::error::Refusal;
use super::options::Receipt;
use super::project::{Project, signed, unsigned};
use super::stored;
use super::texts::{Draft, Texts};
use crate::segment::{Arrivals, Cell, Column, ColumnBuilder, Encoded, Encoder, MAX_ROWS};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tidegate_model::{EventLimits, Instant, ObjectId, ProjectId, Value};

/// An event that is ready to be stored: its large parts are compressed.
pub(super) struct Prepared {
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) attributes: Vec<(String, Value)>,
    pub(super) report: Option<Packed>,
    pub(super) attachments: Vec<PackedAttachment>,
}

/// Compressed bytes.
pub(super) struct Packed {
    /// Length before compression.
    pub(super) size: usize,
    pub(super) data: Vec<u8>,
}

/// A compressed attachment.
pub(super) struct PackedAttachment {
    pub(super) name: String,
    pub(super) content_type: Option<String>,
    pub(super) packed: Packed,
}

/// What one event came to.
pub(super) type Answer = Result<Receipt, Refusal>;

/// Columns of a segment that was written, for the cache.
pub(super) struct Written {
    pub(super) segment: i64,
    pub(super) columns: Vec<(u32, Arc<Column>)>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum GroupError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("compressing a segment: {0}")]
    Compress(#[from] std::io::Error),
    #[error("an attribute has {0} distinct texts, the most that can be numbered")]
    Codes(u32),
}

/// What a group needs besides its project.
pub(super) struct Context<'a> {
    pub(super) db: &'a Connection,
    pub(super) texts: &'a Texts,
    pub(super) draft: &'a mut Draft,
    pub(super) next_attribute: &'a mut u32,
    pub(super) limits: &'a EventLimits,
}

/// The events of one project in a group.
pub(super) struct Group<'a, 'b> {
    pub(super) context: &'a mut Context<'b>,
    pub(super) id: ProjectId,
    pub(super) project: &'a mut Project,
    pub(super) arrival: Instant,
    pub(super) first_object: u64,
    pub(super) rows: usize,
    pub(super) columns: Vec<Option<ColumnBuilder>>,
    pub(super) uuids: Vec<Option<[u8; 16]>>,
    pub(super) beside_bytes: u64,
    pub(super) written: Vec<Written>,
}

impl<'a, 'b> Group<'a, 'b> {
    /// Begins a group whose events arrive at `now`, or at `floor` or the latest arrival if those are later.
    pub(super) fn new(
        context: &'a mut Context<'b>,
        id: ProjectId,
        project: &'a mut Project,
        now: Instant,
        floor: Instant,
    ) -> Self {
        let arrival = now.max(floor).max(project.last_arrival);
        let first_object = project.next_object;
        let (columns, uuids, written) = (vec![], vec![], vec![]);
        Self { context, id, project, arrival, first_object, rows: 0, columns, uuids, beside_bytes: 0, written }
    }

    /// Takes an event into the group.
    pub(super) fn add(&mut self, event: &Prepared) -> Result<Answer, GroupError> {
        if let Err(refusal) = self.check(event) {
            return Ok(Err(refusal));
        }
        let object = ObjectId(self.project.next_object);
        if let Some(uuid) = &event.uuid
            && let Some(first) = self.claim(uuid, object)?
        {
            return Ok(Ok(first));
        }
        self.project.next_object += 1;
        self.project.last_arrival = self.arrival;
        let mut dated = false;
        for (name, value) in &event.attributes {
            // `_tx` is the event's number; whatever a client calls so is not.
            if name != "_tx" {
                dated |= name == "timestamp";
                self.put(name, value)?;
            }
        }
        if !dated {
            self.put("timestamp", &Value::Int(signed(self.arrival.seconds())))?;
        }
        self.uuids.push(event.uuid);
        self.rows += 1;
        self.keep(object, event)?;
        if self.rows == MAX_ROWS {
            self.flush()?;
        }
        Ok(Ok(Receipt { object, arrival: self.arrival, duplicate: false }))
    }

    /// Writes what is left, and tells what was written.
    pub(super) fn finish(mut self) -> Result<Vec<Written>, GroupError> {
        self.flush()?;
        self.project.save(self.context.db, self.id)?;
        Ok(self.written)
    }

    fn check(&self, event: &Prepared) -> Result<(), Refusal> {
        let limits = self.context.limits;
        if event.attachments.len() > limits.attachments {
            return Err(Refusal::Attachments { limit: limits.attachments, asked: event.attachments.len() });
        }
        let known = self.project.attributes.len();
        let mut new = 0;
        let dated = event.attributes.iter().any(|(name, _)| name == "timestamp");
        let names = event.attributes.iter().map(|(name, _)| name.as_str()).filter(|&name| name != "_tx");
        for name in names.chain((!dated).then_some("timestamp")) {
            if self.project.place(name).is_none() {
                new += 1;
                if known + new > limits.project_attributes {
                    let limit = limits.project_attributes;
                    return Err(Refusal::ProjectAttributes { attribute: name.to_owned(), limit, asked: known + new });
                }
            }
        }
        Ok(())
    }

    /// Claims a uuid for an event, unless an earlier event has it: then that one's receipt.
    pub(super) fn claim(&self, uuid: &[u8; 16], object: ObjectId) -> Result<Option<Receipt>, GroupError> {
        let mut claim = self
            .context
            .db
            .prepare_cached("INSERT OR IGNORE INTO seen (project, uuid, object, arrival) VALUES (?1, ?2, ?3, ?4)")?;
        if claim.execute((self.id.0, uuid, signed(object.0), signed(self.arrival.micros())))? == 1 {
            return Ok(None);
        }
        let mut first =
            self.context.db.prepare_cached("SELECT object, arrival FROM seen WHERE project = ?1 AND uuid = ?2")?;
        let (object, arrival) = first.query_row((self.id.0, uuid), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let arrival = Instant::from_micros(unsigned(arrival));
        Ok(Some(Receipt { object: ObjectId(unsigned(object)), arrival, duplicate: true }))
    }

    fn put(&mut self, name: &str, value: &Value) -> Result<(), GroupError> {
        let place = self.project.place_or_new(name, self.context.next_attribute);
        self.project.attributes[place].note(value);
        let cell = match value {
            Value::Str(text) => Cell::Text(self.code(place, text)?),
            Value::Int(number) => Cell::Int(*number),
            Value::Bool(flag) => Cell::Bool(*flag),
            Value::Float(number) if number.is_finite() => Cell::Float(*number),
            // No parser makes one, and no column could say what it means.
            Value::Float(_) => return Ok(()),
        };
        if self.columns.len() <= place {
            self.columns.resize_with(place + 1, || None);
        }
        self.columns[place].get_or_insert_default().put(self.rows, cell);
        Ok(())
    }

    pub(super) fn code(&mut self, place: usize, text: &str) -> Result<u32, GroupError> {
        let context = &mut *self.context;
        let attribute = &mut self.project.attributes[place];
        if let Some(code) = context.texts.code(context.draft, attribute.id, text) {
            return Ok(code);
        }
        if !(attribute.young && context.texts.forgot_nothing())
            && let Some(code) = indexed_code(context.db, attribute.id, text)?
        {
            context.texts.remember(attribute.id, code, text);
            return Ok(code);
        }
        let code = attribute.next_code;
        attribute.next_code = code.checked_add(1).ok_or(GroupError::Codes(code))?;
        attribute.changed();
        context.texts.draft(context.draft, attribute.id, code, text);
        Ok(code)
    }

    fn keep(&mut self, object: ObjectId, event: &Prepared) -> Result<(), GroupError> {
        if let Some(report) = &event.report {
            self.beside_bytes += report.data.len() as u64;
            let mut insert = self
                .context
                .db
                .prepare_cached("INSERT INTO report (project, object, size, data) VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute((self.id.0, signed(object.0), signed(report.size as u64), &report.data))?;
        }
        for attachment in &event.attachments {
            self.beside_bytes += attachment.packed.data.len() as u64;
            insert_attachment(self.context.db, self.id, object, attachment)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), GroupError> {
        if self.rows == 0 {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let mut arrivals = Arrivals::default();
        arrivals.push(self.arrival, u32::try_from(rows).unwrap_or(u32::MAX));
        let mut encoder = Encoder::new(&arrivals)?;
        encoder.uuids(&std::mem::take(&mut self.uuids))?;
        let mut columns = Vec::new();
        let (dated, mut times) = (self.project.place("timestamp"), None);
        for (place, builder) in std::mem::take(&mut self.columns).into_iter().enumerate() {
            if let Some(builder) = builder {
                let column = builder.finish(rows);
                if Some(place) == dated {
                    times = column.whole_range(rows);
                }
                let attribute = self.project.attributes[place].id;
                encoder.column(attribute, &column)?;
                columns.push((attribute, Arc::new(column)));
            }
        }
        let beside_bytes = std::mem::take(&mut self.beside_bytes);
        let facts = SegmentFacts { first_object: self.first_object, arrivals: &arrivals, times, beside_bytes };
        let segment = insert_segment(self.context.db, self.id, &facts, &encoder.finish())?;
        self.first_object += rows as u64;
        self.written.push(Written { segment, columns });
        Ok(())
    }
}

/// What is known of a segment without a look inside.
pub(super) struct SegmentFacts<'a> {
    pub(super) first_object: u64,
    pub(super) arrivals: &'a Arrivals,
    /// Least and greatest `timestamp` of its events, if all of them have one that is a number.
    pub(super) times: Option<(i64, i64)>,
    /// Stored bytes of reports and attachments.
    pub(super) beside_bytes: u64,
}

/// Writes a segment and gives its row id.
pub(super) fn insert_segment(
    db: &Connection,
    project: ProjectId,
    facts: &SegmentFacts<'_>,
    encoded: &Encoded,
) -> Result<i64, rusqlite::Error> {
    let mut insert = db.prepare_cached(
        "INSERT INTO segment (project, first_object, rows, first_arrival, last_arrival,
                              first_time, last_time, data_bytes, beside_bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let arrivals = facts.arrivals;
    let id = insert.insert((
        project.0,
        signed(facts.first_object),
        arrivals.rows(),
        signed(arrivals.first().micros()),
        signed(arrivals.last().micros()),
        facts.times.map(|times| times.0),
        facts.times.map(|times| times.1),
        signed(encoded.len() as u64),
        signed(facts.beside_bytes),
    ))?;
    stored::insert(db, id, encoded)?;
    Ok(id)
}

/// Notes that so many bytes more are stored beside a segment.
pub(super) fn add_beside_bytes(db: &Connection, segment: i64, bytes: u64) -> Result<(), rusqlite::Error> {
    db.prepare_cached("UPDATE segment SET beside_bytes = beside_bytes + ?2 WHERE id = ?1")?
        .execute((segment, signed(bytes)))
        .map(drop)
}

/// Writes an attachment and gives its row id.
pub(super) fn insert_attachment(
    db: &Connection,
    project: ProjectId,
    object: ObjectId,
    attachment: &PackedAttachment,
) -> Result<i64, rusqlite::Error> {
    let mut insert = db.prepare_cached(
        "INSERT INTO attachment (project, object, name, content_type, size, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let PackedAttachment { name, content_type, packed } = attachment;
    insert.insert((project.0, signed(object.0), name, content_type, signed(packed.size as u64), &packed.data))
}

/// Writes the texts that got their codes in this transaction.
pub(super) fn insert_texts(db: &Connection, draft: &Draft) -> Result<(), rusqlite::Error> {
    let mut insert = db.prepare_cached("INSERT INTO dictionary (attribute, code, text) VALUES (?1, ?2, ?3)")?;
    draft.in_order().try_for_each(|text| insert.execute(text).map(drop))
}

/// The hash by which the database finds a text: the same in every process, and nobody can make many texts collide.
pub(super) fn text_hash(text: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(head)
}

/// The code of a text that is in the index. Those that are not yet are all in memory.
fn indexed_code(db: &Connection, attribute: u32, text: &str) -> Result<Option<u32>, rusqlite::Error> {
    let sql = "SELECT d.code FROM text_index i JOIN dictionary d ON d.attribute = i.attribute AND d.code = i.code
               WHERE i.attribute = ?1 AND i.hash = ?2 AND d.text = ?3";
    db.prepare_cached(sql)?.query_row((attribute, text_hash(text), text), |row| row.get(0)).optional()
}

/// The code of a text, as the database has it, indexed or not: for readers, whose snapshot need not be as new as the memory.
pub(super) fn stored_code(db: &Connection, attribute: u32, text: &str) -> Result<Option<u32>, rusqlite::Error> {
    if let Some(code) = indexed_code(db, attribute, text)? {
        return Ok(Some(code));
    }
    let sql = "SELECT d.code FROM attribute a JOIN dictionary d ON d.attribute = a.id AND d.code > a.indexed
               WHERE a.id = ?1 AND d.text = ?2";
    db.prepare_cached(sql)?.query_row((attribute, text), |row| row.get(0)).optional()
}
