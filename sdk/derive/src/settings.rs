//! `#[derive(Settings)]`.

use crate::attributes::{EndpointAttribute, Setting};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Settings is for structs"));
    };
    let fields = match &data.fields {
        Fields::Named(fields) => fields.named.iter().map(Setting::parse).collect::<Result<Vec<_>>>()?,
        Fields::Unit => Vec::new(),
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(fields, "settings need a struct with named fields"));
        }
    };
    for field in &fields {
        check_when(field, &fields)?;
    }
    let declared = input.attrs.iter().filter(|a| a.path().is_ident("endpoint"));
    let declared = declared.map(EndpointAttribute::parse).collect::<Result<Vec<_>>>()?;
    let name = &input.ident;
    let settings = fields.iter().map(schema);
    let of_fields = fields.iter().filter(|f| is_endpoint(f)).map(|f| {
        let (key, url) = (&f.key, format!("{{{}}}", f.key));
        quote!(::tidegate_adapter::settings::EndpointSchema::Http { key: #key, url: #url })
    });
    let of_struct = declared.iter().map(|d| endpoint(d, &fields)).collect::<Result<Vec<_>>>()?;
    let endpoints = of_fields.chain(of_struct);
    let constants = declared.iter().map(|d| constant(d, &input.vis));
    let constants = (!declared.is_empty()).then(|| quote!(#[automatically_derived] impl #name { #(#constants)* }));
    let reads = fields.iter().map(read);
    // A name that is used even if the struct has no fields.
    let values = if fields.is_empty() { quote!(_) } else { quote!(values) };
    Ok(quote! {
        #[automatically_derived]
        impl ::tidegate_adapter::Settings for #name {
            fn schema() -> ::tidegate_adapter::settings::Schema {
                ::tidegate_adapter::settings::Schema {
                    settings: ::std::vec![#(#settings),*],
                    endpoints: ::std::vec![#(#endpoints),*],
                }
            }

            fn read(
                #values: &::tidegate_adapter::settings::Values<'_>,
            ) -> ::core::result::Result<Self, ::tidegate_adapter::settings::Unset> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }
        }

        #constants
    })
}

fn check_when(field: &Setting, all: &[Setting]) -> Result<()> {
    let Some((other, _)) = &field.when else { return Ok(()) };
    if *other == field.ident {
        return Err(Error::new(other.span(), "a setting cannot depend on itself"));
    }
    if all.iter().all(|f| f.ident != *other) {
        return Err(Error::new(other.span(), format!("there is no field `{other}` that this could depend on")));
    }
    Ok(())
}

/// The macro sees types by name only.
fn is_endpoint(field: &Setting) -> bool {
    matches!(&field.inner, syn::Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Endpoint"))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(::core::option::Option::None), |value| quote!(::core::option::Option::Some(#value)))
}

fn schema(field: &Setting) -> TokenStream {
    let Setting { key, inner, label, .. } = field;
    let help = field.help.clone().unwrap_or_else(|| LitStr::new("", label.span()));
    let required = field.required || (!field.optional && field.default.is_none());
    let of = quote_spanned!(inner.span()=> <#inner as ::tidegate_adapter::settings::SettingType>);
    let kind = if field.secret {
        quote_spanned!(inner.span()=> <#inner as ::tidegate_adapter::settings::SecretType>::SECRET_KIND)
    } else {
        quote!(#of::KIND)
    };
    let default = option(field.default.as_ref().map(|value| quote_spanned!(value.span()=> #of::literal(#value))));
    let bound = |given: &Option<syn::Expr>, of_type: TokenStream| match given {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(#of::RANGE.map(|(low, high)| #of_type)),
    };
    let min = bound(
        &field.min,
        quote!({
            let _ = high;
            low
        }),
    );
    let max = bound(
        &field.max,
        quote!({
            let _ = low;
            high
        }),
    );
    let when = option(field.when.as_ref().map(|(other, is)| {
        let other = other.to_string();
        quote!(::tidegate_adapter::settings::When { setting: #other, is: &[#(#is),*] })
    }));
    let must = &field.must;
    let placeholders = match &field.placeholders {
        Some(given) => quote!(&[#(#given),*]),
        None => quote!(#of::PLACEHOLDERS),
    };
    quote! {
        ::tidegate_adapter::settings::SettingSchema {
            key: #key,
            label: #label,
            help: #help,
            kind: #kind,
            required: #required,
            default: #default,
            choices: #of::choices(),
            min: #min,
            max: #max,
            placeholders: #placeholders,
            must: &[#(#must),*],
            when: #when,
        }
    }
}

fn read(field: &Setting) -> TokenStream {
    let Setting { ident, key, inner, .. } = field;
    if field.optional {
        let read = quote_spanned!(inner.span()=> <#inner as ::tidegate_adapter::settings::SettingType>::read);
        quote!(#ident: #read(*values, #key))
    } else {
        quote!(#ident: values.required(#key)?)
    }
}

fn endpoint(declared: &EndpointAttribute, fields: &[Setting]) -> Result<TokenStream> {
    let known = |key: &str| fields.iter().any(|f| f.key == key);
    match declared {
        EndpointAttribute::Http { name, url } => {
            if !url.value().starts_with("https://") {
                return Err(Error::new_spanned(
                    url,
                    "must start with https://; a URL that the admin types in is a field",
                ));
            }
            for part in url.value().split('{').skip(1) {
                let key = part.split('}').next().unwrap_or_default();
                if !known(key) {
                    return Err(Error::new_spanned(url, format!("there is no field `{key}`")));
                }
            }
            Ok(quote!(::tidegate_adapter::settings::EndpointSchema::Http { key: #name, url: #url }))
        }
        EndpointAttribute::Tcp { name, host, port } => {
            for field in [host, port] {
                if !known(&field.value()) {
                    return Err(Error::new_spanned(field, format!("there is no field `{}`", field.value())));
                }
            }
            Ok(quote!(::tidegate_adapter::settings::EndpointSchema::Tcp { key: #name, host: #host, port: #port }))
        }
    }
}

fn constant(declared: &EndpointAttribute, vis: &syn::Visibility) -> TokenStream {
    let (name, ty) = match declared {
        EndpointAttribute::Http { name, .. } => (name, quote!(::tidegate_adapter::Endpoint)),
        EndpointAttribute::Tcp { name, .. } => (name, quote!(::tidegate_adapter::TcpEndpoint)),
    };
    let constant = format_ident!("{}", name.value().to_ascii_uppercase().replace('-', "_"), span = name.span());
    let documentation = format!("The endpoint `{}`.", name.value());
    quote! {
        #[doc = #documentation]
        #vis const #constant: #ty = #ty::named(#name);
    }
}
