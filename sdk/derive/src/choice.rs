//! `#[derive(Choice)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Choice is for enums"));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "a choice needs at least one variant"));
    }
    let name = &input.ident;
    let variants = data.variants.iter().map(variant).collect::<Result<Vec<_>>>()?;
    for (at, (_, value, _)) in variants.iter().enumerate() {
        if variants[..at].iter().any(|(_, other, _)| other.value() == value.value()) {
            return Err(Error::new_spanned(value, "another variant has this value"));
        }
    }
    let all = variants.iter().map(|(ident, value, label)| quote!((#name::#ident, #value, #label)));
    let values = variants.iter().map(|(ident, value, _)| quote!(#name::#ident => #value));
    Ok(quote! {
        #[automatically_derived]
        impl ::tidegate_adapter::Choice for #name {
            const ALL: &'static [(Self, &'static str, &'static str)] = &[#(#all),*];

            fn value(self) -> &'static str {
                match self { #(#values),* }
            }
        }

        #[automatically_derived]
        impl ::tidegate_adapter::settings::SettingType for #name {
            const KIND: ::tidegate_adapter::settings::Kind = ::tidegate_adapter::settings::Kind::Choice;
            type Default = Self;

            fn read(values: ::tidegate_adapter::settings::Values<'_>, key: &'static str) -> ::core::option::Option<Self> {
                <Self as ::tidegate_adapter::Choice>::from_value(&values.text(key)?)
            }

            fn literal(default: Self) -> ::tidegate_adapter::settings::Literal {
                ::tidegate_adapter::settings::Literal::Text(::tidegate_adapter::Choice::value(default))
            }

            fn choices() -> ::std::vec::Vec<::tidegate_adapter::settings::ChoiceSchema> {
                let all = <Self as ::tidegate_adapter::Choice>::ALL.iter();
                all.map(|&(_, value, label)| ::tidegate_adapter::settings::ChoiceSchema { value, label }).collect()
            }
        }
    })
}

fn variant(variant: &Variant) -> Result<(&syn::Ident, LitStr, LitStr)> {
    if !matches!(variant.fields, Fields::Unit) {
        return Err(Error::new_spanned(&variant.fields, "a variant of a choice has no fields"));
    }
    let wanted = "a variant of a choice needs #[choice(value = \"...\", label = \"...\")]";
    let Some(attribute) = variant.attrs.iter().find(|a| a.path().is_ident("choice")) else {
        return Err(Error::new_spanned(variant, wanted));
    };
    let (mut value, mut label) = (None, None);
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("value") {
            value = Some(meta.value()?.parse::<LitStr>()?);
        } else if meta.path.is_ident("label") {
            label = Some(meta.value()?.parse::<LitStr>()?);
        } else {
            return Err(meta.error(wanted));
        }
        Ok(())
    })?;
    match (value, label) {
        (Some(value), Some(label)) if !value.value().is_empty() => Ok((&variant.ident, value, label)),
        _ => Err(Error::new_spanned(attribute, wanted)),
    }
}
