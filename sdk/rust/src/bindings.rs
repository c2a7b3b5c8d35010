//! The generated bindings of the contract, for guests.
//!
//! The contract's worlds share interfaces, and a crate can generate an interface's export macro only once; so each export has a
//! small world of its own here, and the component's world is the union of those that an adapter uses. All share one set of types
//! for what the host owns.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]

mod host {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "package tidegate:sdk-host; world host { import tidegate:adapter/model@1.0.0; }",
        runtime_path: "wit_bindgen::rt",
        generate_all,
    });
}

pub use host::tidegate::adapter::model;

pub mod about {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "package tidegate:sdk-about; world about { export tidegate:adapter/about@1.0.0; }",
        pub_export_macro: true,
        runtime_path: "wit_bindgen::rt",
        export_macro_name: "export_about",
        generate_all,
    });
}

pub mod push {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "package tidegate:sdk-push; world push { export tidegate:adapter/push@1.0.0; }",
        pub_export_macro: true,
        runtime_path: "wit_bindgen::rt",
        export_macro_name: "export_push",
        with: { "tidegate:adapter/model@1.0.0": crate::bindings::model },
        generate_all,
    });
}

pub mod pull {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "package tidegate:sdk-pull; world pull { export tidegate:adapter/pull@1.0.0; }",
        pub_export_macro: true,
        runtime_path: "wit_bindgen::rt",
        export_macro_name: "export_pull",
        with: { "tidegate:adapter/model@1.0.0": crate::bindings::model },
        generate_all,
    });
}
