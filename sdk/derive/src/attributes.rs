//! The attributes of a settings struct, parsed and checked one by one.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, ExprLit, Field, GenericArgument, Ident, Lit, LitStr, PathArguments, Result, Token, Type,
};

/// One field with what its attribute says.
pub(crate) struct Setting {
    pub(crate) ident: Ident,
    pub(crate) key: String,
    /// The type, or what is inside the `Option`.
    pub(crate) inner: Type,
    pub(crate) optional: bool,
    pub(crate) label: LitStr,
    pub(crate) help: Option<LitStr>,
    pub(crate) secret: bool,
    pub(crate) required: bool,
    pub(crate) default: Option<Expr>,
    pub(crate) min: Option<Expr>,
    pub(crate) max: Option<Expr>,
    pub(crate) placeholders: Option<Vec<LitStr>>,
    pub(crate) must: Vec<LitStr>,
    pub(crate) when: Option<(Ident, Vec<LitStr>)>,
}

/// One or several texts.
struct Texts(Vec<LitStr>);

impl Parse for Texts {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self(vec![input.parse()?]));
        }
        let list;
        syn::bracketed!(list in input);
        Ok(Self(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect()))
    }
}

impl Setting {
    pub(crate) fn parse(field: &Field) -> Result<Self> {
        let Some(ident) = field.ident.clone() else {
            return Err(Error::new_spanned(field, "settings need a struct with named fields"));
        };
        let wanted = "a setting needs a label: #[setting(label = \"...\")]";
        let Some(attribute) = field.attrs.iter().find(|a| a.path().is_ident("setting")) else {
            return Err(Error::new_spanned(field, wanted));
        };
        let key = key(&ident)?;
        let (inner, optional) = unwrap_option(&field.ty);
        let mut label = None;
        let mut setting = Self {
            ident,
            key,
            inner,
            optional,
            label: LitStr::new("", attribute.pound_token.span),
            help: None,
            secret: false,
            required: false,
            default: None,
            min: None,
            max: None,
            placeholders: None,
            must: Vec::new(),
            when: None,
        };
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match name.as_str() {
                "label" => label = Some(meta.value()?.parse::<LitStr>()?),
                "help" => setting.help = Some(meta.value()?.parse()?),
                "secret" => setting.secret = true,
                "required" => setting.required = true,
                "default" => setting.default = Some(meta.value()?.parse()?),
                "min" => setting.min = Some(meta.value()?.parse()?),
                "max" => setting.max = Some(meta.value()?.parse()?),
                "placeholders" => setting.placeholders = Some(meta.value()?.parse::<Texts>()?.0),
                "must" => setting.must = meta.value()?.parse::<Texts>()?.0,
                "when" => {
                    let inside;
                    syn::parenthesized!(inside in meta.input);
                    let other: Ident = inside.parse()?;
                    inside.parse::<Token![=]>()?;
                    setting.when = Some((other, inside.parse::<Texts>()?.0));
                }
                _ => {
                    let known = "label, help, secret, required, default, min, max, placeholders, must or when";
                    return Err(meta.error(format!("expected {known}")));
                }
            }
            Ok(())
        })?;
        setting.label = label.ok_or_else(|| Error::new_spanned(attribute, wanted))?;
        setting.check(attribute)?;
        Ok(setting)
    }

    fn check(&self, attribute: &Attribute) -> Result<()> {
        let wrong = |text: &str| Err(Error::new_spanned(attribute, text));
        for text in std::iter::once(&self.label).chain(&self.help) {
            if text.value().chars().any(char::is_control) {
                return Err(Error::new_spanned(text, "must be one line of text"));
            }
        }
        if self.label.value().is_empty() {
            return Err(Error::new_spanned(&self.label, "a label must not be empty"));
        }
        if self.secret && self.default.is_some() {
            return wrong("a secret cannot have a default");
        }
        if let Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) = &self.default
            && text.value().is_empty()
        {
            return wrong("a default must not be empty; a setting that may be without a value is an Option");
        }
        if self.when.is_some() && !self.optional {
            return wrong("a setting with `when` may be without a value, so its type must be an Option");
        }
        if self.optional && self.default.is_some() {
            return wrong("a setting with a default always has a value, so its type need not be an Option");
        }
        self.check_template()?;
        if self.required && (!self.optional || self.when.is_none()) {
            return wrong("`required` is for an Option with `when`; without an Option a setting is required anyway");
        }
        Ok(())
    }
}

/// What a template can hold.
const PLACEHOLDERS: [&str; 5] = ["project", "metric_set", "metric", "aggregate", "attribute"];

impl Setting {
    /// Whether this is a template by its type; the macro sees types by name only.
    fn is_template(&self) -> bool {
        matches!(&self.inner, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Template"))
    }

    /// The placeholders that are spoken of must exist, and the default must hold what every template must.
    fn check_template(&self) -> Result<()> {
        let spoken: Vec<&LitStr> = self.placeholders.iter().flatten().chain(&self.must).collect();
        if let Some(first) = spoken.first()
            && !self.is_template()
        {
            return Err(Error::new_spanned(first, "`placeholders` and `must` are for fields of type Template"));
        }
        for text in spoken {
            let name = text.value();
            let allowed = self.placeholders.as_ref().is_none_or(|all| all.iter().any(|other| other.value() == name));
            if !PLACEHOLDERS.contains(&name.as_str()) || !allowed {
                let known = PLACEHOLDERS.join(", ");
                return Err(Error::new_spanned(text, format!("`{name}` is no placeholder here; there are {known}")));
            }
        }
        if let Some(Expr::Lit(ExprLit { lit: Lit::Str(default), .. })) = &self.default
            && let Some(missing) = self.must.iter().find(|m| !default.value().contains(&format!("{{{}}}", m.value())))
        {
            return Err(Error::new_spanned(default, format!("the default must hold {{{}}}", missing.value())));
        }
        Ok(())
    }
}

/// The key of a field, if the host would take it.
fn key(ident: &Ident) -> Result<String> {
    let key = ident.to_string();
    let key = key.strip_prefix("r#").unwrap_or(&key).to_owned();
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if key.len() > 64 || !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(letters) {
        return Err(Error::new(ident.span(), "a key must be at most 64 of a-z, 0-9 and _, with a letter first"));
    }
    Ok(key)
}

/// What is inside an `Option`, and whether it was one.
fn unwrap_option(ty: &Type) -> (Type, bool) {
    if let Type::Path(path) = ty
        && let Some(last) = path.path.segments.last()
        && last.ident == "Option"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        return (inner.clone(), true);
    }
    (ty.clone(), false)
}

/// An endpoint that is declared on the struct.
pub(crate) enum EndpointAttribute {
    Http { name: LitStr, url: LitStr },
    Tcp { name: LitStr, host: LitStr, port: LitStr },
}

impl EndpointAttribute {
    pub(crate) fn parse(attribute: &Attribute) -> Result<Self> {
        let wanted = "expected #[endpoint(http, name = \"...\", url = \"https://...\")] or \
                      #[endpoint(tcp, name = \"...\", host = \"FIELD\", port = \"FIELD\")]";
        let mut kind = None;
        let mut texts: Vec<(String, LitStr)> = Vec::new();
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match name.as_str() {
                "http" | "tcp" => kind = Some(name),
                "name" | "url" | "host" | "port" => texts.push((name, meta.value()?.parse()?)),
                _ => return Err(meta.error(wanted)),
            }
            Ok(())
        })?;
        let mut take = |name: &str| {
            let at = texts.iter().position(|(known, _)| known == name)?;
            Some(texts.remove(at).1)
        };
        let parsed = match kind.as_deref() {
            Some("http") => take("name").zip(take("url")).map(|(name, url)| Self::Http { name, url }),
            Some("tcp") => {
                let named = take("name").zip(take("host")).zip(take("port"));
                named.map(|((name, host), port)| Self::Tcp { name, host, port })
            }
            _ => None,
        };
        match parsed {
            Some(endpoint) if texts.is_empty() => Ok(endpoint),
            _ => Err(Error::new_spanned(attribute, wanted)),
        }
    }
}
