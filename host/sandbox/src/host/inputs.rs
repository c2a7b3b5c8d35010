//! What an adapter reads beside columns: settings, outcomes, snapshots, the scraper's request.
//!
//! A secret has no way through here. Settings are asked twice, by what the store keeps and by what the description says of the
//! key, so a value that was stored before its setting became secret stays hidden too.

use super::State;
use super::columns::BatchHandle;
use crate::bindings::push::tidegate::adapter::model;
use crate::exchange::Outcome;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_model::adapter::SettingKind;
use tidegate_model::{BatchView, Period, SettingValue, StringPool};
use wasmtime::component::Resource;

/// The settings of the instance's store.
#[derive(Debug)]
pub struct SettingsHandle;

/// What came of an action.
#[derive(Debug)]
pub struct OutcomeHandle(pub(crate) Outcome);

/// The batches of a pull store.
#[derive(Debug)]
pub struct SnapshotHandle {
    pub(crate) batches: Vec<Arc<BatchView>>,
    pub(crate) period: Period,
}

/// Headers of the scraper.
#[derive(Debug)]
pub struct ScrapeHandle(pub(crate) Vec<(String, String)>);

fn header(headers: &[(String, String)], name: &str) -> Option<String> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
}

impl State {
    fn shows(&self, key: &str) -> bool {
        self.reach.description.setting(key).is_some_and(|schema| !schema.kind.is_secret())
    }

    /// Every setting that has a value, and the value if the adapter may know it.
    fn told(&self) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
        self.reach.description.settings.iter().filter_map(|schema| {
            let value = match self.reach.settings.get(&schema.key)? {
                SettingValue::Text(text) if schema.kind != SettingKind::Certificates => Some(text.as_str().into()),
                SettingValue::Integer(number) => Some(number.to_string().into()),
                SettingValue::Boolean(yes) => Some(yes.to_string().into()),
                SettingValue::Text(_) | SettingValue::Secret(_) => None,
            };
            Some((schema.key.as_str(), value.filter(|_| !schema.kind.is_secret())))
        })
    }
}

impl model::HostSettings for State {
    fn text(&mut self, _: Resource<SettingsHandle>, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.shows(&key).then(|| self.reach.settings.text(&key)).flatten().map(str::to_owned))
    }

    fn integer(&mut self, _: Resource<SettingsHandle>, key: String) -> wasmtime::Result<Option<i64>> {
        Ok(self.shows(&key).then(|| self.reach.settings.integer(&key)).flatten())
    }

    fn boolean(&mut self, _: Resource<SettingsHandle>, key: String) -> wasmtime::Result<Option<bool>> {
        Ok(self.shows(&key).then(|| self.reach.settings.boolean(&key)).flatten())
    }

    fn is_set(&mut self, _: Resource<SettingsHandle>, key: String) -> wasmtime::Result<bool> {
        Ok(self.reach.settings.get(&key).is_some())
    }

    fn all(&mut self, _: Resource<SettingsHandle>) -> wasmtime::Result<Vec<(String, Option<String>)>> {
        Ok(self.told().map(|(key, value)| (key.to_owned(), value.map(Cow::into_owned))).collect())
    }

    fn packed(&mut self, _: Resource<SettingsHandle>) -> wasmtime::Result<model::Strings> {
        let mut pool = StringPool::default();
        for (key, value) in self.told() {
            pool.push(key);
            pool.push(&value.map_or_else(String::new, |value| format!("={value}")));
        }
        let (utf8, ends) = pool.parts();
        Ok(model::Strings { utf8: utf8.as_bytes().to_vec(), ends: ends.to_vec() })
    }

    fn drop(&mut self, this: Resource<SettingsHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostOutcome for State {
    fn status(&mut self, this: Resource<OutcomeHandle>) -> wasmtime::Result<Option<u16>> {
        Ok(self.table.get(&this)?.0.status)
    }

    fn failure(&mut self, this: Resource<OutcomeHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&this)?.0.failure.clone())
    }

    fn header(&mut self, this: Resource<OutcomeHandle>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(header(&self.table.get(&this)?.0.headers, &name))
    }

    fn body_prefix(&mut self, this: Resource<OutcomeHandle>, max: u32) -> wasmtime::Result<Vec<u8>> {
        let body = &self.table.get(&this)?.0.body;
        Ok(body[..body.len().min(max as usize)].to_vec())
    }

    fn drop(&mut self, this: Resource<OutcomeHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostSnapshot for State {
    fn batches(&mut self, this: Resource<SnapshotHandle>) -> wasmtime::Result<Vec<Resource<BatchHandle>>> {
        let batches = self.table.get(&this)?.batches.clone();
        batches.into_iter().map(|view| self.push(BatchHandle::of(view))).collect()
    }

    fn period(&mut self, this: Resource<SnapshotHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.period.seconds())
    }

    fn drop(&mut self, this: Resource<SnapshotHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostScrape for State {
    fn header(&mut self, this: Resource<ScrapeHandle>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(header(&self.table.get(&this)?.0, &name))
    }

    fn drop(&mut self, this: Resource<ScrapeHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}
