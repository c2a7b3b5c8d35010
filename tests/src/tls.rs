//! A certificate authority of the test's own, made with OpenSSL: what Tidegate must trust, and must not trust without being told,
//! comes from a program that is none of ours.

use crate::process::run_well;
use crate::scratch::Scratch;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// An authority and one certificate of a server on loopback (`localhost` and 127.0.0.1).
#[derive(Debug)]
pub struct Authority {
    /// The authority's own certificate, PEM: what clients are told to trust.
    pub root: PathBuf,
    /// The server's certificate, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Makes both; `name` keeps several authorities of one test apart.
    ///
    /// # Panics
    /// If OpenSSL is missing or fails; the text has what it said.
    #[must_use]
    pub fn new(scratch: &Scratch, name: &str) -> Self {
        let file = |kind: &str| scratch.path(&format!("{name}-{kind}.pem"));
        let (root, root_key, request) = (file("root"), file("root-key"), file("request"));
        let own = Self { root, certificate: file("server"), key: file("key") };
        let subject = format!("/CN=Tests of Tidegate {name}");
        let key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256"];
        // What rustls wants of an authority and `-x509` does not say by itself in every version.
        let authority = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
        let mut root = openssl(&key);
        root.args(["-x509", "-days", "30", "-subj", &subject]).args(authority);
        run_well(root.arg("-keyout").arg(&root_key).arg("-out").arg(&own.root));
        let mut asked = openssl(&key);
        run_well(asked.args(["-subj", "/CN=localhost", "-keyout"]).arg(&own.key).arg("-out").arg(&request));
        let names =
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n";
        let names = scratch.file(&format!("{name}-names.cnf"), names);
        let mut signed = openssl(&["x509", "-req", "-days", "30", "-sha256", "-set_serial", "2", "-extfile"]);
        signed.arg(names).arg("-in").arg(&request).arg("-CA").arg(&own.root).arg("-CAkey").arg(&root_key);
        run_well(signed.arg("-out").arg(&own.certificate));
        own
    }

    /// The authority's certificate as text, for a setting.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn root_text(&self) -> String {
        std::fs::read_to_string(&self.root).unwrap_or_else(|e| panic!("{}: {e}", self.root.display()))
    }

    /// What a server of the tests needs to speak TLS with this certificate.
    ///
    /// # Panics
    /// If the files cannot be read.
    #[must_use]
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let chain =
            CertificateDer::from_pem_file(&self.certificate).unwrap_or_else(|e| unreadable(&self.certificate, &e));
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap_or_else(|e| unreadable(&self.key, &e));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![chain], key));
        Arc::new(config.unwrap_or_else(|e| panic!("no TLS with {}: {e}", self.certificate.display())))
    }
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments);
    command
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> ! {
    panic!("{}: {error}", path.display())
}
