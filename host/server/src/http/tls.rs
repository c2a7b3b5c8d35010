//! TLS of the server: a certificate and a key from two files, read again when they change.
//!
//! The trap is the renewal. Whoever renews writes two files one after the other, so for a moment they do not fit together; what
//! cannot be used is said in the log, and the certificate that is in force stays in force.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and the authority, PEM, the server's first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not readable, or not what is expected in it.
    #[error("--tls-{what} {}: {problem}", file.display())]
    File {
        /// Which of the two.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Each is fine, and they do not fit.
    #[error("{} and {} cannot be used together: {problem}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// When the files were written, as far as the system tells.
type Stamps = [Option<(SystemTime, u64)>; 2];

/// The certificate in force.
pub(crate) struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from(read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// For one connection: the certificate of this moment.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again.
    fn renew(&self) {
        match read(&self.files) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the changed certificate cannot be used; the one before stays in force")
            }
        }
    }

    /// Looks for changes until `stop`; SIGHUP has it look at once.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut hangup = Hangup::listen();
        let mut known = stamps(&self.files);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = hangup.next() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let tls = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                let now = stamps(&tls.files);
                if asked || now != known {
                    tls.renew();
                }
                now
            });
            known = looked.await.unwrap_or(known);
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    let of = |file: &Path| std::fs::metadata(file).and_then(|m| Ok((m.modified()?, m.len()))).ok();
    [of(&files.certificate), of(&files.key)]
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |what, file: &Path, problem: String| TlsError::File { what, file: file.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong("cert", &files.certificate, e.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("cert", &files.certificate, "there is no certificate in it; expected PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong("key", &files.key, e.to_string()))?;
    let pair = |problem: rustls::Error| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        problem: problem.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// SIGHUP, where there is such a thing.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = signal(SignalKind::hangup());
        if let Err(error) = &signal {
            tracing::warn!(%error, "SIGHUP cannot be listened for; a changed certificate is found within seconds anyway");
        }
        Self { signal: signal.ok() }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
