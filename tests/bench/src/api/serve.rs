//! Tidegate's side, as a process of its own.

use super::fill;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_export::EgressPolicy;
use tidegate_export::catalog::{DEFAULT_TENANT, TokenSpec};
use tidegate_model::SystemClock;
use tidegate_server::serve::{Options, Running};

/// Serves what is in `dir`, which is filled first if `make` says so; prints address and token when it is ready.
pub(crate) fn serve(dir: &Path, make: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = Options::new(dir.to_owned());
        options.listen = ([127, 0, 0, 1], 0).into();
        options.egress = EgressPolicy::allowing(vec!["127.0.0.0/8".parse()?]);
        let running = Running::start(options, Arc::new(SystemClock)).await?;
        let catalog = Arc::clone(running.catalog());
        if make {
            tokio::task::spawn_blocking(move || fill::catalog(&catalog)).await??;
            running.stop().await;
            println!("made");
            return Ok(());
        }
        let token = catalog.edit(|edit| {
            let tenant = edit.tenant_named(DEFAULT_TENANT)?.id;
            edit.create_api_token(tenant, &TokenSpec { operator: true, ..TokenSpec::admin("bench") })
        });
        println!("{} {}", running.address(), token.context("a token")?.expose());
        loop {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
    })
}
