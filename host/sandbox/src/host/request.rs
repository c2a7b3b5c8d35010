//! Requests and streams as an adapter builds them, each part checked when it is given.
//!
//! An endpoint is one of the adapter's own description and a slot is one of its own secret settings; there is no way to name a
//! URL or another store's credential. A name that is not there is a fault that says so: the author reads it, and nothing is
//! sent half right.

use super::State;
use super::body::{Body, Sink};
use super::rules::{self, MAX_HEADER_BYTES, MAX_HEADERS, MAX_PARAMETERS, MAX_TARGET_BYTES};
use crate::action::{Credential, HttpRequest, Method, StreamBytes};
use crate::bindings::push::tidegate::adapter::model;
use crate::fault::Fault;
use crate::text::{listed, quoted};
use tidegate_model::adapter::{Endpoint, SettingKind};
use wasmtime::component::Resource;

/// An HTTP request that is being built.
#[derive(Debug)]
pub struct Draft {
    endpoint: String,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    target_bytes: usize,
    headers: Vec<(String, String)>,
    header_bytes: usize,
    credentials: Vec<Credential>,
    gzip: bool,
    body: Body,
}

/// Bytes for a TCP endpoint that are being written.
#[derive(Debug)]
pub struct StreamDraft {
    endpoint: String,
    body: Body,
}

impl Sink for Draft {
    fn body(&mut self) -> &mut Body {
        &mut self.body
    }
}

impl Sink for StreamDraft {
    fn body(&mut self) -> &mut Body {
        &mut self.body
    }
}

impl Draft {
    fn new(endpoint: String, method: Method) -> Self {
        Self {
            endpoint,
            method,
            path: String::new(),
            query: Vec::new(),
            target_bytes: 0,
            headers: Vec::new(),
            header_bytes: 0,
            credentials: Vec::new(),
            gzip: false,
            body: Body::default(),
        }
    }

    /// The request as it will be sent.
    pub(crate) fn finish(self) -> HttpRequest {
        HttpRequest {
            endpoint: self.endpoint,
            method: self.method,
            path: self.path,
            query: self.query,
            headers: self.headers,
            credentials: self.credentials,
            gzip: self.gzip,
            body: self.body.finish(),
        }
    }

    fn lengthen_target(&mut self, bytes: usize) -> Result<(), Fault> {
        self.target_bytes = self.target_bytes.saturating_add(bytes);
        within("bytes of path and query", self.target_bytes, MAX_TARGET_BYTES)
    }

    /// Enters a header called `name`, in lower case, that the request must not have yet.
    fn enter_header(&mut self, name: &str, bytes: usize) -> Result<(), Fault> {
        let basic = |c: &Credential| matches!(c, Credential::Basic { .. }) && name == "authorization";
        let placed = |c: &Credential| matches!(c, Credential::Header { header, .. } if header == name);
        let packed = self.gzip && name == "content-encoding";
        if packed
            || self.headers.iter().any(|(n, _)| n == name)
            || self.credentials.iter().any(|c| basic(c) || placed(c))
        {
            return Err(Fault::contract(format!("header {name} is set twice")));
        }
        within("headers", self.headers.len() + self.credentials.len() + 1, MAX_HEADERS)?;
        self.header_bytes = self.header_bytes.saturating_add(bytes);
        within("bytes of headers", self.header_bytes, MAX_HEADER_BYTES)
    }
}

fn within(what: &str, asked: usize, limit: usize) -> Result<(), Fault> {
    if asked > limit {
        return Err(Fault::contract(format!("a request may have {limit} {what}, this one has {asked}")));
    }
    Ok(())
}

impl State {
    /// Checks that the description has an endpoint `key` of the wanted kind and that the store's settings fill it.
    fn check_endpoint(&self, key: &str, http: bool) -> Result<(), Fault> {
        let (description, settings) = (&self.reach.description, &self.reach.settings);
        let fits = |e: &&Endpoint| matches!(e, Endpoint::Http { .. }) == http;
        let kind = if http { "an HTTP" } else { "a TCP" };
        if !description.endpoints.iter().filter(fits).any(|e| e.key() == key) {
            let known = listed(description.endpoints.iter().filter(fits).map(Endpoint::key));
            let what = format!("{} is not {kind} endpoint of its description, which has: {known}", quoted(key));
            return Err(Fault::contract(what));
        }
        if description.target(key, settings).is_none() {
            return Err(Fault::contract(format!("endpoint {} is used, but its setting has no value", quoted(key))));
        }
        Ok(())
    }

    /// Checks that `key` is a setting with a value, and a secret one if `secret`.
    fn check_slot(&self, key: &str, secret: bool) -> Result<(), Fault> {
        let (description, settings) = (&self.reach.description, &self.reach.settings);
        let kinds = |kind: SettingKind| {
            if secret {
                kind == SettingKind::Secret
            } else {
                !matches!(kind, SettingKind::SecretUrl | SettingKind::Certificates)
            }
        };
        if !description.setting(key).is_some_and(|s| kinds(s.kind)) {
            let known = listed(description.settings.iter().filter(|s| kinds(s.kind)).map(|s| &s.key));
            let kind = if secret { "a secret setting" } else { "a setting for basic authentication" };
            let what = format!("credential slot {} is not {kind} of its description, which has: {known}", quoted(key));
            return Err(Fault::contract(what));
        }
        if settings.get(key).is_none() {
            return Err(Fault::contract(format!("credential slot {} is used, but has no value", quoted(key))));
        }
        Ok(())
    }

    fn draft(&mut self, this: &Resource<Draft>) -> wasmtime::Result<&mut Draft> {
        Ok(self.table.get_mut(this)?)
    }
}

impl model::HostRequest for State {
    fn new(&mut self, endpoint: String, method: String) -> wasmtime::Result<Resource<Draft>> {
        self.meter.charge_item(endpoint.len() + method.len())?;
        self.check_endpoint(&endpoint, true)?;
        let Some(method) = Method::of(&method) else {
            let what = format!("method {} is not one of GET, POST, PUT", quoted(&method));
            return Err(Fault::contract(what).into());
        };
        self.push(Draft::new(endpoint, method))
    }

    fn path(&mut self, this: Resource<Draft>, path: String) -> wasmtime::Result<()> {
        self.meter.charge_item(path.len())?;
        let draft = self.draft(&this)?;
        draft.lengthen_target(path.len())?;
        rules::path(&path)?;
        draft.path.push_str(&path);
        Ok(())
    }

    fn query(&mut self, this: Resource<Draft>, name: String, value: String) -> wasmtime::Result<()> {
        self.meter.charge_item(name.len() + value.len())?;
        let draft = self.draft(&this)?;
        within("query parameters", draft.query.len() + 1, MAX_PARAMETERS)?;
        draft.lengthen_target(name.len() + value.len() + 2)?;
        draft.query.push((name, value));
        Ok(())
    }

    fn header(&mut self, this: Resource<Draft>, name: String, value: String) -> wasmtime::Result<()> {
        let bytes = name.len() + value.len();
        self.meter.charge_item(bytes)?;
        let name = rules::header(&name, &value)?;
        let draft = self.draft(&this)?;
        draft.enter_header(&name, bytes)?;
        draft.headers.push((name, value));
        Ok(())
    }

    fn credential(
        &mut self,
        this: Resource<Draft>,
        slot: String,
        header: String,
        template: String,
    ) -> wasmtime::Result<()> {
        let bytes = header.len() + template.len();
        self.meter.charge_item(bytes + slot.len())?;
        self.check_slot(&slot, true)?;
        let header = rules::credential_header(&header, &template)?;
        let draft = self.draft(&this)?;
        draft.enter_header(&header, bytes)?;
        draft.credentials.push(Credential::Header { slot, header, template });
        Ok(())
    }

    fn basic_auth(&mut self, this: Resource<Draft>, user_key: String, password_key: String) -> wasmtime::Result<()> {
        self.meter.charge_item(user_key.len() + password_key.len())?;
        self.check_slot(&user_key, false)?;
        self.check_slot(&password_key, false)?;
        let draft = self.draft(&this)?;
        draft.enter_header("authorization", 0)?;
        draft.credentials.push(Credential::Basic { user_key, password_key });
        Ok(())
    }

    fn gzip(&mut self, this: Resource<Draft>) -> wasmtime::Result<()> {
        let draft = self.draft(&this)?;
        if draft.headers.iter().any(|(name, _)| name == "content-encoding") {
            return Err(Fault::contract("header content-encoding is set, so the host cannot compress the body").into());
        }
        draft.gzip = true;
        Ok(())
    }

    fn write(&mut self, _: Resource<Draft>, _: Vec<u8>) -> wasmtime::Result<()> {
        // The linker puts `body::write` in its place.
        Err(Fault::contract("write was not linked").into())
    }

    fn drop(&mut self, this: Resource<Draft>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostTcpStream for State {
    fn new(&mut self, endpoint: String) -> wasmtime::Result<Resource<StreamDraft>> {
        self.meter.charge_item(endpoint.len())?;
        self.check_endpoint(&endpoint, false)?;
        self.push(StreamDraft { endpoint, body: Body::default() })
    }

    fn write(&mut self, _: Resource<StreamDraft>, _: Vec<u8>) -> wasmtime::Result<()> {
        // The linker puts `body::write` in its place.
        Err(Fault::contract("write was not linked").into())
    }

    fn drop(&mut self, this: Resource<StreamDraft>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl StreamDraft {
    /// The bytes as they will be sent.
    pub(crate) fn finish(self) -> StreamBytes {
        StreamBytes { endpoint: self.endpoint, body: self.body.finish() }
    }
}
