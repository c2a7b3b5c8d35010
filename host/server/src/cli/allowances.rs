//! `serve --tenant-limits FILE`: limits of single tenants.
//!
//! The flags are the ceiling: a file that asks for more is refused at the start, with both figures, rather than cut down in
//! silence.

use super::serve::size;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tidegate_export::Allowance;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenants: BTreeMap<String, Tenant>,
}

/// What may be said of a tenant; the names are those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Tenant {
    adapter_time: Option<u64>,
    adapter_memory: Option<Size>,
    adapter_output: Option<Size>,
    adapter_actions: Option<u32>,
    adapter_handles: Option<u32>,
    adapter_log_lines: Option<u32>,
    adapter_size: Option<Size>,
    adapter_cpu: Option<u64>,
    tenant_cpu: Option<u64>,
    tenant_instances: Option<u32>,
}

/// A number of bytes, or a text such as `16MiB`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(usize),
    Text(String),
}

impl Size {
    fn bytes(&self) -> Result<usize, String> {
        match self {
            Self::Bytes(0) => Err("expected more than nothing".to_owned()),
            Self::Bytes(bytes) => Ok(*bytes),
            Self::Text(text) => size(text),
        }
    }
}

/// Reads the file at `path`; none of its tenants gets more than `ceiling`.
pub(crate) fn read(path: &Path, ceiling: &Allowance) -> Result<BTreeMap<String, Allowance>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    parse(&text, ceiling)
}

fn parse(text: &str, ceiling: &Allowance) -> Result<BTreeMap<String, Allowance>, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let of = |(name, tenant): (String, Tenant)| {
        let allowance = tenant.allowance(ceiling).map_err(|why| format!("tenant {name}: {why}"))?;
        Ok((name, allowance))
    };
    file.tenants.into_iter().map(of).collect()
}

impl Tenant {
    fn allowance(&self, ceiling: &Allowance) -> Result<Allowance, String> {
        let bytes = |name: &str, size: &Option<Size>| {
            size.as_ref().map(|s| s.bytes().map_err(|why| format!("{name}: {why}"))).transpose()
        };
        let mut ours = ceiling.clone();
        let millis = Duration::from_millis;
        within("adapter-time", self.adapter_time.map(millis), &mut ours.call.call_time)?;
        within("adapter-memory", bytes("adapter-memory", &self.adapter_memory)?, &mut ours.call.memory_bytes)?;
        let output = bytes("adapter-output", &self.adapter_output)?.map(|b| b as u64);
        within("adapter-output", output, &mut ours.call.output_bytes)?;
        within("adapter-actions", self.adapter_actions, &mut ours.call.actions)?;
        within("adapter-handles", self.adapter_handles, &mut ours.call.handles)?;
        within("adapter-size", bytes("adapter-size", &self.adapter_size)?, &mut ours.component_bytes)?;
        within("adapter-log-lines", self.adapter_log_lines, &mut ours.call.log_lines)?;
        within("adapter-cpu", self.adapter_cpu.map(millis), &mut ours.store_cpu)?;
        within("tenant-cpu", self.tenant_cpu.map(millis), &mut ours.tenant_cpu)?;
        within("tenant-instances", self.tenant_instances, &mut ours.instances)?;
        Ok(ours)
    }
}

/// Puts `asked` in the place of the ceiling, if it is not above it.
fn within<T: PartialOrd + std::fmt::Debug>(name: &str, asked: Option<T>, ceiling: &mut T) -> Result<(), String> {
    let Some(asked) = asked else { return Ok(()) };
    if asked > *ceiling {
        return Err(format!("{name} is {asked:?}; the server allows no more than {ceiling:?} (raise its --{name})"));
    }
    *ceiling = asked;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_the_limits_of_its_own_and_the_servers_for_the_rest() {
        let ceiling = Allowance::default();
        let text = "tenants:\n  acme: {adapter-memory: 16MiB, adapter-cpu: 500, tenant-instances: 4}\n  other: {adapter-output: 1000}\n";
        let tenants = parse(text, &ceiling).unwrap();
        let acme = &tenants["acme"];
        assert_eq!((acme.call.memory_bytes, acme.instances), (16 << 20, 4));
        assert_eq!((acme.store_cpu, acme.call.call_time), (Duration::from_millis(500), ceiling.call.call_time));
        assert_eq!(tenants["other"].call.output_bytes, 1000);
    }

    #[test]
    fn more_than_the_server_allows_is_refused_with_both_figures() {
        let error = parse("tenants: {acme: {adapter-time: 5000}}", &Allowance::default()).unwrap_err();
        assert_eq!(
            error,
            "tenant acme: adapter-time is 5s; the server allows no more than 1s (raise its --adapter-time)"
        );
        let error = parse("tenants: {acme: {adapter-memory: 1GiB}}", &Allowance::default()).unwrap_err();
        assert!(error.contains("adapter-memory is 1073741824; the server allows no more than 67108864"), "{error}");
    }

    #[test]
    fn a_name_that_is_no_limit_is_refused() {
        let error = parse("tenants: {acme: {adapter-memroy: 1MiB}}", &Allowance::default()).unwrap_err();
        assert!(error.contains("adapter-memroy"), "{error}");
        assert!(parse("tenants: {acme: {adapter-memory: 5 parsec}}", &Allowance::default()).is_err());
        assert!(parse("tenants: {acme: {adapter-memory: 0}}", &Allowance::default()).is_err());
    }
}
