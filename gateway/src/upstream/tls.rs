//! TLS towards upstreams: the bundled Mozilla roots plus CAs that the operator of the gateway mounts.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A client configuration that trusts the bundled roots and every certificate in `extra` (PEM files).
///
/// # Errors
/// A file cannot be read or holds no certificate.
pub fn client_config(extra: &[impl AsRef<Path>]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for path in extra {
        let path = path.as_ref();
        let shown = path.display();
        let certificates =
            CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read CA file {shown}"))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("CA file {shown} is not PEM"))?;
            roots.add(certificate).with_context(|| format!("CA file {shown} holds an unusable certificate"))?;
            count += 1;
        }
        anyhow::ensure!(count > 0, "CA file {shown} holds no certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
