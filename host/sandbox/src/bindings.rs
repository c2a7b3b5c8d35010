//! Host side of the contract, generated from `wit/v1`.
//!
//! The two worlds import the same interface, so the second takes the first one's; that way one linker and one set of host
//! resources serve both. Imports may trap, since whatever the host refuses must end the call and not only the host function.

/// The push direction, and the interface of host resources.
#[allow(missing_docs, unreachable_pub, reason = "generated from the contract, which is documented itself")]
pub(crate) mod push {
    wasmtime::component::bindgen!({
        path: "../../wit/v1",
        world: "push-adapter",
        imports: { default: trappable },
        with: {
            "tidegate:adapter/model.batch": crate::host::columns::BatchHandle,
            "tidegate:adapter/model.metric": crate::host::columns::MetricHandle,
            "tidegate:adapter/model.measure": crate::host::columns::MeasureHandle,
            "tidegate:adapter/model.settings": crate::host::inputs::SettingsHandle,
            "tidegate:adapter/model.request": crate::host::request::Draft,
            "tidegate:adapter/model.tcp-stream": crate::host::request::StreamDraft,
            "tidegate:adapter/model.outcome": crate::host::inputs::OutcomeHandle,
            "tidegate:adapter/model.verdict": crate::host::verdict::VerdictDraft,
            "tidegate:adapter/model.effect": crate::host::Effect,
            "tidegate:adapter/model.snapshot": crate::host::inputs::SnapshotHandle,
            "tidegate:adapter/model.scrape": crate::host::inputs::ScrapeHandle,
            "tidegate:adapter/model.page": crate::host::page::PageDraft,
        },
    });
}

/// The pull direction.
#[allow(missing_docs, unreachable_pub)] // generated from the contract, which is documented itself
pub(crate) mod pull {
    wasmtime::component::bindgen!({
        path: "../../wit/v1",
        world: "pull-adapter",
        imports: { default: trappable },
        with: { "tidegate:adapter/model": crate::bindings::push::tidegate::adapter::model },
    });
}
