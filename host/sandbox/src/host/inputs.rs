//! What an adapter reads beside columns: settings, outcomes, snapshots, the scraper's request.
//!
//! A secret has no way through here. Settings are asked twice, by what the store keeps and by what the description says of the
//! key, so a value that was stored before its setting became secret stays hidden too.

use super::State;
use super::columns::BatchHandle;
use crate::bindings::push::tidegate::adapter::model;
use crate::exchange::Outcome;
use std::sync::Arc;
use tidegate_model::adapter::{SettingKind, SettingSchema};
use tidegate_model::{BatchView, Period, SettingValue};
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
        let told = |schema: &SettingSchema| {
            let value = match self.reach.settings.get(&schema.key)? {
                SettingValue::Text(text) if schema.kind != SettingKind::Certificates => Some(text.clone()),
                SettingValue::Integer(number) => Some(number.to_string()),
                SettingValue::Boolean(yes) => Some(yes.to_string()),
                SettingValue::Text(_) | SettingValue::Secret(_) => None,
            };
            Some((schema.key.clone(), value.filter(|_| !schema.kind.is_secret())))
        };
        Ok(self.reach.description.settings.iter().filter_map(told).collect())
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
