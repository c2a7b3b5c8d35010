//! The macros that make a type the adapter of its crate.
//!
//! Name, version, vendor, summary and documentation link come from the crate's `Cargo.toml`, so they cannot be forgotten in two
//! places. On other targets than a guest's only they are defined, which is what native tests need.

/// Exports a [`PushAdapter`](crate::PushAdapter). Its name is the package's, unless `name = "..."` follows.
#[macro_export]
macro_rules! export_push {
    ($adapter:ident $(, name = $name:expr)? $(,)?) => {
        $crate::__about!($adapter, [push] $(, $name)?);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)] // generated: a component's exports are raw functions
        const _: () = {
            type Exported = $crate::guest::Push<$adapter>;
            $crate::bindings::about::export_about!(Exported with_types_in $crate::bindings::about);
            $crate::bindings::push::export_push!(Exported with_types_in $crate::bindings::push);
        };
    };
}

/// Exports a [`PullAdapter`](crate::PullAdapter). Its name is the package's, unless `name = "..."` follows.
#[macro_export]
macro_rules! export_pull {
    ($adapter:ident $(, name = $name:expr)? $(,)?) => {
        $crate::__about!($adapter, [pull] $(, $name)?);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)] // generated: a component's exports are raw functions
        const _: () = {
            type Exported = $crate::guest::Pull<$adapter>;
            $crate::bindings::about::export_about!(Exported with_types_in $crate::bindings::about);
            $crate::bindings::pull::export_pull!(Exported with_types_in $crate::bindings::pull);
        };
    };
}

/// Exports a type that is both a [`PushAdapter`](crate::PushAdapter) and a [`PullAdapter`](crate::PullAdapter), with the same
/// settings. Its name is the package's, unless `name = "..."` follows.
#[macro_export]
macro_rules! export_push_pull {
    ($adapter:ident $(, name = $name:expr)? $(,)?) => {
        $crate::__about!($adapter, [push pull] $(, $name)?);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)] // generated: a component's exports are raw functions
        const _: () = {
            type Exported = $crate::guest::PushPull<$adapter>;
            $crate::bindings::about::export_about!(Exported with_types_in $crate::bindings::about);
            $crate::bindings::push::export_push!(Exported with_types_in $crate::bindings::push);
            $crate::bindings::pull::export_pull!(Exported with_types_in $crate::bindings::pull);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __about {
    ($adapter:ident, $ways:tt) => {
        $crate::__about!($adapter, $ways, env!("CARGO_PKG_NAME"));
    };
    (@push $adapter:ident) => {
        fn push() -> $crate::settings::PushTraits {
            $crate::settings::PushTraits::of::<$adapter>()
        }
    };
    (@pull $adapter:ident) => {
        fn pull() -> $crate::settings::PullTraits {
            $crate::settings::PullTraits::of::<$adapter>()
        }
    };
    ($adapter:ident, [$($way:ident)+], $name:expr) => {
        impl $crate::About for $adapter {
            const NAME: &'static str = $name;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");
            const VENDOR: &'static str = env!("CARGO_PKG_AUTHORS");
            const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
            const DOCUMENTATION: &'static str = if env!("CARGO_PKG_HOMEPAGE").is_empty() {
                env!("CARGO_PKG_REPOSITORY")
            } else {
                env!("CARGO_PKG_HOMEPAGE")
            };

            $($crate::__about!(@$way $adapter);)+
        }

        // Where nothing is exported, this is what uses a private adapter; without it the compiler calls the whole crate dead code.
        const _: fn() -> usize = ::core::mem::size_of::<$adapter>;

        const _: () = assert!(
            $crate::settings::is_key($name),
            "the name of an adapter must be 1 to 64 lower-case letters, digits, - or _, a letter first"
        );
    };
}
