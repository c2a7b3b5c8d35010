//! Groups: from the rows that count to the rows of the answer.

use super::answer::{Answer, AnswerRows, Cell, GroupRow};
use super::coder::Coder;
use super::filter::Rows;
use super::folds::{Accumulator, Batch, Found};
use super::order::{condition, directed};
use super::plan::{OBJECT, Slots};
use super::{Columns, ExploreLimits, Texts, over_budget};
use crate::evaluate::{PairTable, Test};
use crate::source::SourceError;
use std::cmp::Ordering;
use tidegate_model::query::{Figure, Having, OrderTerm};
use tidegate_model::{Query, Value};

/// An aggregate of the query.
struct Measure {
    slot: usize,
    accumulator: Accumulator,
}

/// The groups of a query under way.
pub(super) struct Table {
    /// Slots of the group-by.
    group: Vec<usize>,
    measures: Vec<Measure>,
    /// By slot; none for attributes whose values nobody tells apart.
    coders: Vec<Option<Coder>>,
    /// Classes of the rows at hand, by slot.
    classes: Vec<Vec<u32>>,
    /// For each attribute of the group-by but the first: combinations of the group before it and its class.
    pairs: Vec<PairTable>,
    /// Events of each group.
    counts: Vec<u64>,
    codes: Vec<u32>,
}

impl Table {
    pub(super) fn new(query: &Query, slots: &Slots, group: &[usize], folds: &[usize]) -> Self {
        let measure = |(spec, &slot): (&tidegate_model::FoldSpec, &usize)| {
            let object = slots.names[slot] == OBJECT;
            Measure { slot, accumulator: Accumulator::new(spec.fold, object, !group.is_empty()) }
        };
        let measures: Vec<Measure> = query.fold.iter().zip(folds).map(measure).collect();
        let coded = |slot: usize| {
            let measured = measures.iter().any(|m| m.slot == slot && m.accumulator.wants_classes());
            (measured || group.contains(&slot)).then(|| Coder::new(slot, slots.mixed(slot)))
        };
        Self {
            coders: (0..slots.names.len()).map(coded).collect(),
            classes: vec![Vec::new(); slots.names.len()],
            pairs: group.iter().skip(1).map(|_| PairTable::default()).collect(),
            counts: if group.is_empty() { vec![0] } else { Vec::new() },
            codes: Vec::new(),
            group: group.to_vec(),
            measures,
        }
    }

    /// Takes in the rows of a segment that count.
    pub(super) fn push(
        &mut self,
        columns: &mut dyn Columns,
        rows: &Rows,
        texts: &dyn Texts,
        limits: &ExploreLimits,
        used: usize,
    ) -> Result<(), SourceError> {
        if self.count_unread(columns, rows)? {
            return Ok(());
        }
        for slot in 0..self.coders.len() {
            if let Some(coder) = &mut self.coders[slot] {
                let column = columns.column(slot)?;
                coder.encode(column.as_deref(), rows, texts, &mut self.classes[slot])?;
            }
        }
        self.number_groups(rows);
        let width = self.width();
        if width > limits.groups {
            let remedy = "filter for fewer events or group by fewer or coarser attributes";
            let (limit, need) = (limits.groups as u64, width as u64);
            return Err(SourceError::Budget { what: "groups", limit, need, remedy });
        }
        let wide: usize = self.measures.iter().map(|m| m.accumulator.bytes_for(width)).sum();
        check(limits, used + wide)?;
        self.counts.resize(width, 0);
        self.codes.iter().for_each(|&group| self.counts[group as usize] += 1);
        let batch = Batch { rows, groups: &self.codes, width, first_object: columns.first_object() };
        for Measure { slot, accumulator } in &mut self.measures {
            let column = if accumulator.wants_column() { columns.column(*slot)? } else { None };
            accumulator.push(&batch, column.as_deref(), &self.classes[*slot], *slot, texts)?;
        }
        check(limits, used + self.bytes())
    }

    /// Where all events count, in one group, and all that is asked is how many there are of them and how many have an attribute:
    /// takes them in without a look at any. Tells whether it did.
    fn count_unread(&mut self, columns: &mut dyn Columns, rows: &Rows) -> Result<bool, SourceError> {
        let &Rows::All(events) = rows else { return Ok(false) };
        if !self.group.is_empty() || !self.measures.iter().all(|measure| measure.accumulator.only_counts()) {
            return Ok(false);
        }
        let mut filled = Vec::with_capacity(self.measures.len());
        for measure in &self.measures {
            let Some(values) = columns.filled(measure.slot)? else { return Ok(false) };
            filled.push(values as u64);
        }
        self.counts[0] += events as u64;
        self.measures.iter_mut().zip(filled).for_each(|(measure, values)| measure.accumulator.count(values));
        Ok(true)
    }

    /// The number of each row's group: its class, or the number of the combination of classes.
    fn number_groups(&mut self, rows: &Rows) {
        let mut codes = std::mem::take(&mut self.codes);
        codes.clear();
        match self.group.first() {
            None => codes.resize(rows.len(), 0),
            Some(&first) => codes.extend_from_slice(&self.classes[first]),
        }
        for (pairs, &slot) in self.pairs.iter_mut().zip(self.group.iter().skip(1)) {
            for (code, &class) in codes.iter_mut().zip(&self.classes[slot]) {
                *code = pairs.number(*code, class);
            }
        }
        self.codes = codes;
    }

    /// One more than the greatest group.
    fn width(&self) -> usize {
        match (self.pairs.last(), self.group.first()) {
            (Some(pairs), _) => pairs.len(),
            (None, Some(&slot)) => self.coders[slot].as_ref().map_or(1, Coder::len),
            (None, None) => 1,
        }
    }

    fn bytes(&self) -> usize {
        let coders: usize = self.coders.iter().flatten().map(Coder::bytes).sum();
        let measures: usize = self.measures.iter().map(|m| m.accumulator.bytes()).sum();
        let pairs: usize = self.pairs.iter().map(|pairs| pairs.len() * 24).sum();
        coders + measures + pairs + self.counts.capacity() * 8
    }

    /// The classes of a group, one for each attribute of the group-by.
    fn key(&self, mut group: u32) -> Vec<u32> {
        let mut key = vec![0; self.group.len()];
        for (place, pairs) in self.pairs.iter().enumerate().rev() {
            (group, key[place + 1]) = pairs.pair(group);
        }
        if let Some(first) = key.first_mut() {
            *first = group;
        }
        key
    }

    /// Makes the rows of the answer.
    pub(super) fn finish(
        mut self,
        query: &Query,
        texts: &dyn Texts,
        limits: &ExploreLimits,
        answer: &mut Answer,
    ) -> Result<(), SourceError> {
        let live = (0u32..).zip(&self.counts).filter(|(_, events)| self.group.is_empty() || **events > 0);
        let mut groups: Vec<u32> = live.map(|(group, _)| group).collect();
        answer.groups = groups.len() as u64;
        let shown = figures(query);
        let mut cells = self.some_cells(&shown, &groups, texts)?;
        if !query.having.is_empty() {
            let kept = self.having(query, &groups, &shown, &cells)?;
            retain(&mut groups, &kept);
            cells.iter_mut().for_each(|column| retain(column, &kept));
        }
        answer.groups_having = groups.len() as u64;
        answer.events_having = groups.iter().map(|&group| self.counts[group as usize]).sum();
        let keys = self.keys(&groups, texts, limits)?;
        let order = sorted(query, &keys, &shown, &cells, |place| self.counts[groups[place] as usize]);
        let skipped = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let most = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let chosen: Vec<usize> = order.into_iter().skip(skipped).take(most).collect();
        let groups: Vec<u32> = chosen.iter().map(|&place| groups[place]).collect();
        let all: Vec<usize> = (0..self.measures.len()).collect();
        drop(cells);
        let mut columns: Vec<_> = self.some_cells(&all, &groups, texts)?.into_iter().map(Vec::into_iter).collect();
        let row = |(place, &group): (usize, &u32)| GroupRow {
            key: keys[chosen[place]].clone(),
            events: self.counts[group as usize],
            cells: columns.iter_mut().filter_map(Iterator::next).collect(),
        };
        answer.rows = AnswerRows::Groups(groups.iter().enumerate().map(row).collect());
        Ok(())
    }

    /// The results of some aggregates for some groups.
    fn some_cells(
        &mut self,
        columns: &[usize],
        groups: &[u32],
        texts: &dyn Texts,
    ) -> Result<Vec<Vec<Cell>>, SourceError> {
        let none = Coder::new(0, false);
        let mut all = Vec::with_capacity(columns.len());
        for &column in columns {
            let Measure { slot, accumulator } = &mut self.measures[column];
            let coder = self.coders[*slot].as_ref().unwrap_or(&none);
            let found = Found { counts: &self.counts, coder, slot: *slot, texts };
            all.push(accumulator.cells(groups, &found)?);
        }
        Ok(all)
    }

    /// The values of the keys of some groups.
    fn keys(
        &self,
        groups: &[u32],
        texts: &dyn Texts,
        limits: &ExploreLimits,
    ) -> Result<Vec<Vec<Option<Value>>>, SourceError> {
        let classes: Vec<Vec<u32>> = groups.iter().map(|&group| self.key(group)).collect();
        let mut keys = vec![Vec::with_capacity(self.group.len()); groups.len()];
        let mut bytes = self.bytes() + groups.len() * self.group.len() * (size_of::<Option<Value>>() + 4);
        for (place, &slot) in self.group.iter().enumerate() {
            let Some(coder) = &self.coders[slot] else { continue };
            let wanted: Vec<u32> = classes.iter().map(|key| key[place]).collect();
            let values = coder.values(&wanted, texts)?;
            bytes += values.iter().map(|v| if let Some(Value::Str(text)) = v { text.len() } else { 0 }).sum::<usize>();
            check(limits, bytes)?;
            keys.iter_mut().zip(values).for_each(|(key, value)| key.push(value));
        }
        Ok(keys)
    }

    /// Which groups `having` keeps.
    fn having(
        &self,
        query: &Query,
        groups: &[u32],
        shown: &[usize],
        cells: &[Vec<Cell>],
    ) -> Result<Vec<bool>, SourceError> {
        let mut stack: Vec<Vec<bool>> = Vec::new();
        for item in &query.having {
            if let Having::Compare { of, comparison, operand } = item {
                let condition = condition(*comparison, operand);
                let test = Test::new(&condition).map_err(|reason| SourceError::Unanswerable { reason })?;
                let holds = |place: usize| {
                    let count = || i64::try_from(self.counts[groups[place] as usize]).map(Value::Int).ok();
                    let held = match figure(of, place, shown, cells).or_else(|| (*of == Figure::Count).then(count)?) {
                        None => false,
                        Some(Value::Int(int)) => test.int_holds(int),
                        Some(Value::Float(float)) => test.float_holds(float),
                        Some(Value::Bool(flag)) => test.bool_holds(flag),
                        Some(Value::Str(text)) => test.text_holds(&text),
                    };
                    held != condition.operator.complement_of().is_some()
                };
                stack.push((0..groups.len()).map(holds).collect());
            } else if let (Some(right), Some(left)) = (stack.pop(), stack.last_mut()) {
                let and = *item == Having::And;
                left.iter_mut().zip(right).for_each(|(l, r)| *l = if and { *l && r } else { *l || r });
            }
        }
        // What nothing joins must all hold.
        Ok((0..groups.len()).map(|place| stack.iter().all(|held| held[place])).collect())
    }
}

fn check(limits: &ExploreLimits, bytes: usize) -> Result<(), SourceError> {
    if bytes > limits.bytes { Err(over_budget(limits.bytes, bytes)) } else { Ok(()) }
}

fn retain<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(false));
}

/// The aggregates that `having` and `order` look at, each once.
fn figures(query: &Query) -> Vec<usize> {
    let having =
        query.having.iter().filter_map(|item| if let Having::Compare { of, .. } = item { Some(of) } else { None });
    let all = having.chain(query.order.iter().map(|term| &term.by));
    let mut columns: Vec<usize> =
        all.filter_map(|figure| if let Figure::Fold { column, .. } = figure { Some(*column) } else { None }).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// A figure of an aggregate, if it is one.
fn figure(of: &Figure, place: usize, shown: &[usize], cells: &[Vec<Cell>]) -> Option<Value> {
    let Figure::Fold { column, part } = of else { return None };
    let at = shown.iter().position(|other| other == column)?;
    cells[at][place].figure(*part)
}

/// The places of the groups in the order asked for; what that leaves open is decided by the keys.
fn sorted(
    query: &Query,
    keys: &[Vec<Option<Value>>],
    shown: &[usize],
    cells: &[Vec<Cell>],
    events: impl Fn(usize) -> u64,
) -> Vec<usize> {
    let by_key = |a: usize, b: usize, descending: bool| {
        let both = keys[a].iter().zip(&keys[b]);
        both.map(|(a, b)| directed(a.as_ref(), b.as_ref(), descending)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| by_key(a, b, false));
    // One stable pass for each term, the last one first.
    for OrderTerm { by, descending } in query.order.iter().rev() {
        match by {
            Figure::Count if *descending => order.sort_by_key(|&place| std::cmp::Reverse(events(place))),
            Figure::Count => order.sort_by_key(|&place| events(place)),
            Figure::Group => order.sort_by(|&a, &b| by_key(a, b, *descending)),
            Figure::Fold { .. } => {
                let values: Vec<Option<Value>> = (0..keys.len()).map(|place| figure(by, place, shown, cells)).collect();
                order.sort_by(|&a, &b| directed(values[a].as_ref(), values[b].as_ref(), *descending));
            }
            Figure::Attribute(_) => {}
        }
    }
    order
}
