//! HTTPS, with certificates that are made here.

use super::*;
use crate::http::TlsFiles;
use std::path::Path;

struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for 127.0.0.1 and its key.
    fn write(&self, folder: &Path) -> TlsFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.certificate, params.signed_by(&key, &self.0).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// A client that trusts this authority alone.
    fn client(&self) -> Client {
        let root = reqwest::Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        Client::builder().tls_certs_only([root]).pool_max_idle_per_host(0).build().unwrap()
    }
}

async fn reached(client: &Client, url: &str) -> bool {
    client.get(url).send().await.is_ok_and(|r| r.status() == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_served_over_tls_and_a_renewed_certificate_is_taken_up() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, first, second) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let files = first.write(folder.path());
    let server = Server::with(|o| o.tls = Some(files.clone())).await;
    let url = format!("https://{}/healthz", server.running.address());
    assert!(reached(&first.client(), &url).await);
    assert!(!reached(&second.client(), &url).await, "another authority's client must not be satisfied");
    let plain = client().get(url.replace("https:", "http:")).send().await;
    assert!(plain.is_err(), "{plain:?}");
    assert_eq!(server.running.public_url().scheme(), "https");

    // Half a renewal: the old certificate stays in force.
    std::fs::write(&files.key, "nothing").unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert!(reached(&first.client(), &url).await);
    second.write(folder.path());
    let mut renewed = false;
    for _ in 0..300 {
        renewed = reached(&second.client(), &url).await;
        if renewed {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(renewed, "the new certificate was never taken up");
    assert!(server.running.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new().write(folder.path());
    let told = |files: TlsFiles| {
        let options = Options { tls: Some(files), ..options(&folder) };
        async move {
            match Running::start(options, Arc::new(SystemClock)).await {
                Ok(_) => panic!("it started"),
                Err(error) => error.to_string(),
            }
        }
    };
    let missing = told(TlsFiles { key: folder.path().join("nowhere.pem"), ..files.clone() }).await;
    assert!(missing.contains("--tls-key") && missing.contains("nowhere.pem"), "{missing}");
    let swapped = told(TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() }).await;
    assert!(swapped.contains("--tls-cert"), "{swapped}");
    let other = Authority::new().write(tempfile::tempdir_in(folder.path()).unwrap().keep().as_path());
    let unfit = told(TlsFiles { key: other.key, ..files }).await;
    assert!(unfit.contains("cannot be used together"), "{unfit}");
}
