//! Certificates that an admin trusts for one store: read when the store is saved, in force for its connections only.
//!
//! The trap is the shared client: a certificate that was added for one store must not open another store's connections. So each
//! distinct set of certificates has a client of its own, which is dropped when nobody has used it for a while.

use super::resolve::Guard;
use super::{EgressOptions, http};
use reqwest::Client;
use rustls::RootCertStore;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, pem};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidegate_model::adapter::SettingKind;
use tidegate_model::{Description, Settings, SettingsError};

/// Clients that were not used for so long are dropped, with their idle connections. Longer than the longest usual period.
const UNUSED: Duration = Duration::from_secs(900);

/// The certificate settings of an adapter.
fn keys(description: &Description) -> impl Iterator<Item = &str> {
    description.settings.iter().filter(|s| s.kind == SettingKind::Certificates).map(|s| s.key.as_str())
}

/// The label of the setting by which an admin can have an authority trusted, if the adapter has one.
pub(super) fn label(description: &Description) -> Option<&str> {
    description.settings.iter().find(|s| s.kind == SettingKind::Certificates).map(|s| s.label.as_str())
}

/// Checks the certificates in a store's settings.
///
/// # Errors
/// [`SettingsError::Invalid`] says which certificate cannot be used, and why.
pub(crate) fn check(description: &Description, settings: &Settings) -> Result<(), SettingsError> {
    for key in keys(description) {
        if let Some(text) = settings.text(key) {
            read(text).map_err(|problem| SettingsError::Invalid { key: key.to_owned(), problem })?;
        }
    }
    Ok(())
}

/// The certificates of a PEM text.
fn read(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    let mut roots = RootCertStore::empty();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|error| match error {
            pem::Error::MissingSectionEnd { .. } => {
                format!("certificate {} is cut off: its line -----END CERTIFICATE----- is missing", found.len() + 1)
            }
            other => format!("certificate {} is not valid PEM: {other}", found.len() + 1),
        })?;
        match kind {
            SectionKind::Certificate => {}
            SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => {
                return Err(
                    "there is a private key in it; it belongs to the server, and only certificates belong here".into(),
                );
            }
            other => return Err(format!("expected certificates, found {other:?}")),
        }
        let der = CertificateDer::from(der);
        roots
            .add(der.clone())
            .map_err(|error| format!("certificate {} cannot be used as an authority: {error}", found.len() + 1))?;
        found.push(der);
    }
    if found.is_empty() {
        return Err("expected certificates in PEM, which begin with -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(found)
}

/// The clients of stores with certificates of their own.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<[u8; 32], (Client, Instant)>>);

impl Clients {
    /// The client for a store; none if it has no certificates of its own.
    ///
    /// # Errors
    /// What is wrong with the certificates, which were good when the store was saved.
    pub(super) fn of(
        &self,
        description: &Description,
        settings: &Settings,
        guard: &Arc<Guard>,
        options: &EgressOptions,
    ) -> Result<Option<Client>, String> {
        let texts: Vec<&str> = keys(description).filter_map(|key| settings.text(key)).collect();
        let now = Instant::now();
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, (_, used)| now.saturating_duration_since(*used) < UNUSED);
        if texts.is_empty() {
            return Ok(None);
        }
        let digest: [u8; 32] = Sha256::digest(texts.join("\n").as_bytes()).into();
        if let Some((client, used)) = clients.get_mut(&digest) {
            *used = now;
            return Ok(Some(client.clone()));
        }
        let mut certificates = Vec::new();
        for text in texts {
            for der in read(text)? {
                certificates.push(reqwest::Certificate::from_der(&der).map_err(|e| e.to_string())?);
            }
        }
        let client = http::client(guard, options, &certificates).map_err(|e| e.to_string())?;
        clients.insert(digest, (client.clone(), now));
        Ok(Some(client))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A certificate authority, and what it signs.
    pub(in crate::egress) struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

    impl Authority {
        pub(in crate::egress) fn new() -> Self {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, "Tidegate test authority");
            Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
        }

        pub(in crate::egress) fn pem(&self) -> String {
            self.0.pem()
        }

        /// A server's certificate for `name`, and its key, both DER.
        pub(in crate::egress) fn sign(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &self.0).unwrap().der().to_vec(), key.serialize_der())
        }
    }

    #[test]
    fn one_certificate_and_several_are_taken_with_text_between_them() {
        let (a, b) = (Authority::new().pem(), Authority::new().pem());
        assert_eq!(read(&a).unwrap().len(), 1);
        assert_eq!(read(&format!("our root\n{a}\r\nthe old one\n{b}")).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_what_is_wrong() {
        let good = Authority::new().pem();
        let told = |text: &str| read(text).unwrap_err();
        assert!(told("hello").contains("-----BEGIN CERTIFICATE-----"));
        let cut = good.replace("-----END CERTIFICATE-----", "");
        assert!(told(&format!("{good}{cut}")).contains("certificate 2 is cut off"), "{}", told(&cut));
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(told(&format!("{good}{key}")).contains("there is a private key in it"));
        let nonsense = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(told(nonsense).contains("certificate 1 cannot be used as an authority"));
        let broken = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
        assert!(told(broken).contains("certificate 1 is not valid PEM"));
    }
}
