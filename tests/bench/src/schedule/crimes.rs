//! What the hostile tenant of the bench does: by its adapters, by its sinks, and by its events.

use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_adapter_build::Build;
use tidegate_events::EventStore;
use tidegate_model::{Event, ProjectId, Value};

/// Its project.
pub(crate) const PROJECT: &str = "flooded";
/// Events of one submission, each with a group of its own; five times a second, and so ten times as many groups in each window as
/// a metric may have.
const FLOOD: u64 = 1_000;

/// What one store does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crime {
    /// Its adapter commits this.
    Adapter(&'static str),
    /// Its sink behaves like the name of this database says.
    Sink(&'static str),
}

/// Ten stores. All of them get every one of the flooded windows.
pub(crate) const ALL: [Crime; 10] = [
    Crime::Adapter("spin"),
    Crime::Adapter("burn"),
    Crime::Adapter("linger"),
    Crime::Adapter("greedy"),
    Crime::Adapter("creep"),
    Crime::Adapter("flood"),
    Crime::Adapter("chatter"),
    Crime::Sink("to-silent-1"),
    Crime::Sink("to-drip-1"),
    Crime::Sink("to-wide-1"),
];

/// Where the adapter that commits crimes is put.
pub(crate) fn component(dir: &Path) -> PathBuf {
    dir.join("evil.wasm")
}

/// Builds it and puts it there.
pub(crate) fn build(dir: &Path) -> anyhow::Result<()> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
    let target = std::env::temp_dir().join("tidegate-bench-guests");
    for (_, built) in Build::workspace(guests).target_dir(target).run(&["evil"])? {
        std::fs::copy(built, component(dir))?;
    }
    Ok(())
}

/// Sends events without end, no two of which share a group.
pub(crate) async fn flood(events: EventStore, project: ProjectId) {
    let mut number = 0_u64;
    loop {
        let event =
            |n: u64| Event { attributes: vec![("d".to_owned(), Value::Str(format!("group {n}")))], ..Event::default() };
        let batch = (number..number + FLOOD).map(event).collect();
        number += FLOOD;
        if let Err(error) = events.submit(project, batch).await {
            println!("the flood ended: {error}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
