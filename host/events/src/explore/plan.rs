//! What a query needs of the events: its attributes, each once, the virtual ones with what they are worked out from.

use super::{Known, filter::Filter};
use crate::source::SourceError;
use tidegate_model::Query;
use tidegate_model::query::{Figure, VirtualKind};

/// The name of the number of an event.
pub(super) const OBJECT: &str = "_tx";

/// Where the values of an attribute come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    /// A column of the store.
    Stored {
        /// Whether anything but text ever occurred in it.
        mixed: bool,
    },
    /// The number of the event.
    Object,
    /// Worked out from another slot.
    Virtual(usize, VirtualKind),
}

/// The attributes of a query.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) names: Vec<String>,
    pub(super) origins: Vec<Origin>,
    pub(super) unknown: Vec<String>,
}

impl Slots {
    /// The slot of an attribute, made if it is new.
    pub(super) fn slot(&mut self, query: &Query, known: &[Known], name: &str) -> usize {
        let is_virtual = |place: &usize| matches!(self.origins[*place], Origin::Virtual(..));
        let column = query.virtual_columns.iter().find(|column| column.name == name);
        let place = (0..self.names.len()).find(|p| self.names[*p] == name && is_virtual(p) == column.is_some());
        if let Some(place) = place {
            return place;
        }
        let origin = match column {
            Some(column) => Origin::Virtual(self.stored(known, &column.backing), column.kind),
            None => return self.stored(known, name),
        };
        self.push(name, origin)
    }

    fn stored(&mut self, known: &[Known], name: &str) -> usize {
        let same = |place: &usize| self.names[*place] == name && !matches!(self.origins[*place], Origin::Virtual(..));
        if let Some(place) = (0..self.names.len()).find(same) {
            return place;
        }
        if name == OBJECT {
            return self.push(name, Origin::Object);
        }
        let found = known.iter().find(|known| known.name == name);
        if found.is_none() {
            self.unknown.push(name.to_owned());
        }
        self.push(name, Origin::Stored { mixed: found.is_some_and(|known| known.mixed) })
    }

    fn push(&mut self, name: &str, origin: Origin) -> usize {
        self.names.push(name.to_owned());
        self.origins.push(origin);
        self.names.len() - 1
    }

    /// Whether values of the slot may be anything but text.
    pub(super) fn mixed(&self, slot: usize) -> bool {
        !matches!(self.origins[slot], Origin::Stored { mixed: false })
    }
}

/// What is done with the events that the filter lets through.
pub(super) enum Work {
    /// Group-by slots, and the slot of each aggregate.
    Groups { group: Vec<usize>, folds: Vec<usize> },
    /// Names and slots to show; slots to order by, each with whether it descends.
    Events { columns: Vec<(String, usize)>, order: Vec<(usize, bool)> },
}

/// A query taken apart.
pub(super) struct Plan {
    pub(super) slots: Slots,
    pub(super) filter: Filter,
    pub(super) work: Work,
}

impl Plan {
    pub(super) fn new(query: &Query, known: &[Known]) -> Result<Self, SourceError> {
        let mut slots = Slots::default();
        let filter = Filter::new(query, &mut |name| slots.slot(query, known, name))?;
        let work = if query.selects() {
            let mut names = query.select.clone();
            if query.wildcard.physical {
                names.extend(known.iter().map(|known| known.name.clone()));
            }
            if query.wildcard.virtuals {
                names.extend(query.virtual_columns.iter().map(|column| column.name.clone()));
            }
            let mut columns: Vec<(String, usize)> = Vec::with_capacity(names.len());
            for name in names {
                if columns.iter().all(|(other, _)| *other != name) {
                    let slot = slots.slot(query, known, &name);
                    columns.push((name, slot));
                }
            }
            let order = query.order.iter().filter_map(|term| match &term.by {
                Figure::Attribute(name) => Some((slots.slot(query, known, name), term.descending)),
                _ => None,
            });
            Work::Events { order: order.collect(), columns }
        } else {
            let group = query.group.iter().map(|name| slots.slot(query, known, name)).collect();
            let folds = query.fold.iter().map(|spec| slots.slot(query, known, &spec.attribute)).collect();
            Work::Groups { group, folds }
        };
        Ok(Self { slots, filter, work })
    }
}
