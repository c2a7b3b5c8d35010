//! A block of a bulk into a group: what [`Group::add`] does event by event, done column by column.
//!
//! Each distinct text of the block is looked up once. Whatever makes single events differ from each other, such as one that
//! would exceed the attributes of the project, sends the whole block the way of single events, so there is one place that refuses.

use super::group::{Answer, Group, GroupError, Prepared};
use super::options::Receipt;
use super::project::signed;
use crate::block::{DoneBlock, DoneColumn};
use crate::segment::{Cell, Column, ColumnBuilder, MAX_ROWS};
use tidegate_model::{Event, ObjectId};

impl Group<'_, '_> {
    /// Takes the events of a block into the group.
    pub(super) fn add_block(&mut self, block: &DoneBlock) -> Result<Vec<Answer>, GroupError> {
        if block.rows > MAX_ROWS || !self.fits(block) {
            return block.events().map(|event| self.add(&plain(event))).collect();
        }
        if self.rows + block.rows > MAX_ROWS {
            self.flush()?;
        }
        let (answers, kept) = self.number(block)?;
        let rows = kept.as_ref().map_or(block.rows, |kept| kept.iter().filter(|kept| **kept).count());
        if rows == 0 {
            return Ok(answers);
        }
        self.project.last_arrival = self.arrival;
        let mut dated = false;
        for column in &block.columns {
            // `_tx` is the event's number; whatever a client calls so is not.
            if column.name != "_tx" {
                let added = self.add_column(column, kept.as_deref(), rows)?;
                dated |= added && column.name == "timestamp";
            }
        }
        if !dated {
            let times = self.with_arrivals(&Column::default(), rows);
            self.append("timestamp", &times, rows);
        }
        self.uuids.resize(self.rows, None);
        match &kept {
            None if block.uuids.is_empty() => self.uuids.resize(self.rows + rows, None),
            None => self.uuids.extend(&block.uuids),
            Some(kept) => {
                let uuid = |row: usize| block.uuids.get(row).copied().flatten();
                self.uuids.extend((0..block.rows).filter(|&row| kept[row]).map(uuid));
            }
        }
        self.uuids.resize(self.rows + rows, None);
        self.rows += rows;
        Ok(answers)
    }

    /// Whether the project has room for all attributes of the block.
    fn fits(&self, block: &DoneBlock) -> bool {
        let names = block.columns.iter().map(|column| column.name.as_str());
        let names = names.filter(|&name| name != "_tx" && name != "timestamp").chain(["timestamp"]);
        let new = names.filter(|name| self.project.place(name).is_none()).count();
        self.project.attributes.len() + new <= self.context.limits.project_attributes
    }

    /// Gives each event its number, and tells which are kept: all, or those that no earlier event has the uuid of.
    fn number(&mut self, block: &DoneBlock) -> Result<(Vec<Answer>, Option<Vec<bool>>), GroupError> {
        let mut answers = Vec::with_capacity(block.rows);
        let mut kept = vec![true; block.rows];
        for (row, kept) in kept.iter_mut().enumerate() {
            let object = ObjectId(self.project.next_object);
            if let Some(Some(uuid)) = block.uuids.get(row)
                && let Some(first) = self.claim(uuid, object)?
            {
                *kept = false;
                answers.push(Ok(first));
                continue;
            }
            self.project.next_object += 1;
            answers.push(Ok(Receipt { object, arrival: self.arrival, duplicate: false }));
        }
        let all = kept.iter().all(|kept| *kept);
        Ok((answers, (!all).then_some(kept)))
    }

    /// Adds what is kept of a column; tells whether there was any.
    fn add_column(&mut self, given: &DoneColumn, kept: Option<&[bool]>, rows: usize) -> Result<bool, GroupError> {
        let mut column = match kept {
            Some(kept) => given.column.select(kept),
            None => given.column.clone(),
        };
        if column.is_empty() {
            return Ok(false);
        }
        let place = self.project.place_or_new(&given.name, self.context.next_attribute);
        if let Some(texts) = &mut column.texts {
            // 0 is no text here and there.
            let mut codes = vec![0; given.texts.len() + 1];
            for number in texts.iter_mut().filter(|number| **number != 0) {
                let code = &mut codes[*number as usize];
                if *code == 0 {
                    *code = self.code(place, given.texts.text(*number))?;
                }
                *number = *code;
            }
        }
        if given.name == "timestamp" {
            column = self.with_arrivals(&column, rows);
        }
        self.append(&given.name, &column, rows);
        Ok(true)
    }

    fn append(&mut self, name: &str, column: &Column, rows: usize) {
        let place = self.project.place_or_new(name, self.context.next_attribute);
        self.project.attributes[place].note_types(column.types());
        if self.columns.len() <= place {
            self.columns.resize_with(place + 1, || None);
        }
        self.columns[place].get_or_insert_default().append(self.rows, column, rows);
    }

    /// The column with the arrival time where an event has no time of its own.
    fn with_arrivals(&self, column: &Column, rows: usize) -> Column {
        if column.is_full(rows) {
            return column.clone();
        }
        let arrival = Cell::Int(signed(self.arrival.seconds()));
        let mut builder = ColumnBuilder::default();
        (0..rows).for_each(|row| builder.put(row, column.cell(row).unwrap_or(arrival)));
        builder.finish(rows)
    }
}

fn plain(event: Event) -> Prepared {
    Prepared { uuid: event.uuid, attributes: event.attributes, report: None, attachments: Vec::new() }
}
