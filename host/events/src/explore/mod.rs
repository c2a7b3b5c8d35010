//! Answers questions about all events of a project: any range of event time, any aggregate, or the events themselves.
//!
//! It reads one segment after the other, so memory holds one of them and what was found so far, and never more than a budget
//! that the error names when it does not suffice. Of a segment it asks for the columns of the filter first; where no event
//! passes, nothing else is read. Nothing here knows how events are stored: [`Columns`] and `Texts` are all it gets.
//!
//! The modules in the order of the work: `plan` finds the attributes, `filter` the rows that count, `coder` makes dense codes
//! of values, `folds` aggregates (with `extremes` and `bins`), `table` makes rows of groups, `events` lists events,
//! `order` says what comes first. What comes out is in `answer`.

mod answer;
mod bins;
mod coder;
mod events;
mod extremes;
mod filter;
mod folds;
mod order;
mod plan;
mod table;

pub use answer::{Answer, AnswerRows, Cell, EventRow, GroupRow};

use crate::evaluate::Texts;
use crate::segment::{Cell as Stored, Column};
use crate::source::SourceError;
use crate::store::ValueType;
use events::{Listing, Order};
use plan::{Origin, Plan, Work};
use std::ops::ControlFlow;
use std::sync::Arc;
use table::Table;
use tidegate_model::query::VirtualKind;
use tidegate_model::{Query, Value};

/// What one query may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExploreLimits {
    /// Bytes of memory for what is found, beside the segment at hand; 256 MiB.
    pub bytes: usize,
    /// Groups; 1,000,000.
    pub groups: usize,
}

impl Default for ExploreLimits {
    fn default() -> Self {
        Self { bytes: 256 << 20, groups: 1_000_000 }
    }
}

/// How far a query is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Portions of the events that are done.
    pub done: u64,
    /// Portions in all.
    pub total: u64,
    /// Events looked at.
    pub events: u64,
}

/// Who watches a query: called now and then with how far it is; the query ends if it breaks.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// An attribute that queries can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDescription {
    /// Its name.
    pub name: String,
    /// The types that occurred, at least one. More than one if events disagree.
    pub types: Vec<ValueType>,
    /// What its values mean, in Backtrace's words; `none` if nothing is known.
    pub format: &'static str,
    /// Distinct texts that ever occurred.
    pub texts: u64,
    /// Whether the product gives it to every event.
    pub built_in: bool,
}

/// An attribute that the project's events have.
pub(crate) struct Known {
    pub(crate) name: String,
    /// Whether anything but text ever occurred in it.
    pub(crate) mixed: bool,
}

/// The events of one segment, column by column.
pub(crate) trait Columns {
    /// How many events there are.
    fn rows(&self) -> usize;
    /// Number of the first event.
    fn first_object(&self) -> u64;
    /// Whole seconds between which the `timestamp` of every event lies, both inclusive; each of them has one then, and it is a
    /// number. None if that is not known.
    fn times(&self) -> Option<(i64, i64)>;
    /// How many events have a value in a slot; none if that is not known without the column.
    fn filled(&mut self, slot: usize) -> Result<Option<usize>, SourceError>;
    /// The column of a slot; none if no event has the attribute.
    fn column(&mut self, slot: usize) -> Result<Option<Arc<Column>>, SourceError>;
}

fn beyond(code: u32) -> SourceError {
    SourceError::Corrupt(format!("text {code} is beyond the dictionary of its attribute"))
}

fn over_budget(limit: usize, need: usize) -> SourceError {
    SourceError::Budget {
        what: "bytes of memory",
        limit: limit as u64,
        need: need as u64,
        remedy: "ask for a shorter time, fewer or coarser groups, or fewer rows (\"limit\")",
    }
}

/// The values of stored cells of one slot.
fn text_values(cells: &[Option<Stored>], slot: usize, texts: &dyn Texts) -> Result<Vec<Option<Value>>, SourceError> {
    let (mut codes, mut places) = (Vec::new(), Vec::new());
    let value = |(place, cell): (usize, &Option<Stored>)| match cell {
        None => None,
        Some(Stored::Int(int)) => Some(Value::Int(*int)),
        Some(Stored::Float(float)) => Some(Value::Float(*float)),
        Some(Stored::Bool(flag)) => Some(Value::Bool(*flag)),
        Some(Stored::Text(code)) => {
            codes.push(*code);
            places.push(place);
            None
        }
    };
    let mut values: Vec<Option<Value>> = cells.iter().enumerate().map(value).collect();
    texts.resolve(slot, &codes, &mut |at, text| values[places[at]] = Some(Value::Str(text.to_owned())))?;
    Ok(values)
}

/// Columns with those that are worked out from others.
struct Derived<'a> {
    stored: &'a mut dyn Columns,
    origins: &'a [Origin],
    made: Vec<Option<Arc<Column>>>,
}

impl<'a> Derived<'a> {
    fn new(stored: &'a mut dyn Columns, origins: &'a [Origin]) -> Self {
        Self { stored, origins, made: vec![None; origins.len()] }
    }

    fn derive(&mut self, backing: usize, kind: VirtualKind) -> Result<Option<Arc<Column>>, SourceError> {
        let Some(backing) = self.column(backing)? else { return Ok(None) };
        let rows = self.rows();
        let whole = |row| match backing.cell(row) {
            Some(Stored::Int(int)) => kind.apply(int),
            // Whatever its type, a whole number is one.
            Some(Stored::Float(float)) if float.trunc() == float && float.abs() < 9e15 => kind.apply(float as i64),
            _ => None,
        };
        Ok(Some(Arc::new(Column::of_ints((0..rows).map(whole), rows))))
    }
}

impl Columns for Derived<'_> {
    fn rows(&self) -> usize {
        self.stored.rows()
    }

    fn first_object(&self) -> u64 {
        self.stored.first_object()
    }

    fn times(&self) -> Option<(i64, i64)> {
        self.stored.times()
    }

    fn filled(&mut self, slot: usize) -> Result<Option<usize>, SourceError> {
        match self.origins[slot] {
            Origin::Stored { .. } => self.stored.filled(slot),
            Origin::Object => Ok(Some(self.rows())),
            Origin::Virtual(..) => Ok(None),
        }
    }

    fn column(&mut self, slot: usize) -> Result<Option<Arc<Column>>, SourceError> {
        if let Some(made) = &self.made[slot] {
            return Ok(Some(made.clone()));
        }
        let column = match self.origins[slot] {
            Origin::Stored { .. } => self.stored.column(slot)?,
            Origin::Object => {
                let (first, rows) = (self.first_object(), self.rows());
                let number = |row: usize| i64::try_from(first + row as u64).ok();
                Some(Arc::new(Column::of_ints((0..rows).map(number), rows)))
            }
            Origin::Virtual(backing, kind) => self.derive(backing, kind)?,
        };
        self.made[slot].clone_from(&column);
        Ok(column)
    }
}

enum State {
    Groups(Box<Table>),
    Events(Listing),
}

/// A query under way.
pub(crate) struct Exploration {
    plan: Plan,
    state: State,
    limits: ExploreLimits,
    scanned: u64,
    passed: u64,
    newest: Option<u64>,
}

impl Exploration {
    /// Begins to answer `query`; `known` are the attributes of the project, sorted by name.
    pub(crate) fn new(query: &Query, known: &[Known], limits: &ExploreLimits) -> Result<Self, SourceError> {
        let plan = Plan::new(query, known)?;
        let state = match &plan.work {
            Work::Groups { group, folds } => State::Groups(Box::new(Table::new(query, &plan.slots, group, folds))),
            Work::Events { order, .. } => State::Events(Listing::new(query, Order::new(order, &plan.slots.origins))),
        };
        Ok(Self { plan, state, limits: *limits, scanned: 0, passed: 0, newest: None })
    }

    /// The attributes by slot; none for those that no column of the store holds.
    pub(crate) fn attributes(&self) -> Vec<Option<&str>> {
        let slots = &self.plan.slots;
        let stored = |slot: usize| matches!(slots.origins[slot], Origin::Stored { .. });
        (0..slots.names.len()).map(|slot| stored(slot).then(|| slots.names[slot].as_str())).collect()
    }

    /// Whether no event with a time from `first` to `last` can count.
    pub(crate) fn excludes(&self, first: i64, last: i64) -> bool {
        self.plan.filter.excludes(first, last)
    }

    /// Notes that there are events with numbers from `first` on, whether they are looked at or passed over.
    pub(crate) fn note(&mut self, first: u64, events: u64) {
        self.scanned += events;
        self.newest = self.newest.max((first + events).checked_sub(1));
    }

    /// Events looked at so far.
    pub(crate) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Takes in the next events, in the order of their numbers.
    pub(crate) fn push(&mut self, columns: &mut dyn Columns, texts: &dyn Texts) -> Result<(), SourceError> {
        let mut columns = Derived::new(columns, &self.plan.slots.origins);
        let rows = self.plan.filter.rows(&mut columns, texts)?;
        if rows.len() == 0 {
            return Ok(());
        }
        self.passed += rows.len() as u64;
        let used = self.plan.filter.bytes();
        match &mut self.state {
            State::Groups(table) => table.push(&mut columns, &rows, texts, &self.limits, used),
            State::Events(listing) => listing.push(&mut columns, &rows, texts, &self.limits, used),
        }
    }

    /// Once all events were taken in: the numbers, ascending, of the events that are wanted once more to be shown.
    pub(crate) fn wanted(&mut self, texts: &dyn Texts) -> Result<Vec<u64>, SourceError> {
        match &mut self.state {
            State::Groups(_) => Ok(Vec::new()),
            State::Events(listing) => listing.choose(texts),
        }
    }

    /// Takes what is to be shown of some of the wanted events, which are in one segment.
    pub(crate) fn show(
        &mut self,
        columns: &mut dyn Columns,
        objects: &[u64],
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        let (State::Events(listing), Work::Events { columns: shown, .. }) = (&mut self.state, &self.plan.work) else {
            return Ok(());
        };
        let mut columns = Derived::new(columns, &self.plan.slots.origins);
        listing.show(&mut columns, objects, shown, texts, &self.limits)
    }

    /// The answer.
    pub(crate) fn finish(self, query: &Query, texts: &dyn Texts) -> Result<Answer, SourceError> {
        let mut answer = Answer {
            rows: AnswerRows::Groups(Vec::new()),
            unknown: self.plan.slots.unknown,
            events: self.passed,
            scanned: self.scanned,
            newest: self.newest.map(tidegate_model::ObjectId),
            groups: 0,
            groups_having: 0,
            events_having: self.passed,
        };
        match (self.state, self.plan.work) {
            (State::Groups(table), _) => table.finish(query, texts, &self.limits, &mut answer)?,
            (State::Events(listing), Work::Events { columns, .. }) => {
                let columns = columns.into_iter().map(|(name, _)| name).collect();
                answer.rows = AnswerRows::Events { columns, rows: listing.finish() };
            }
            (State::Events(_), Work::Groups { .. }) => {}
        }
        Ok(answer)
    }
}
