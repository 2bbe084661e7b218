//! A certificate authority of a test's own, so that no key lies in the repository and none can expire there.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

/// The authority; its files go when it is dropped.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority, unlike any other. Needs the `openssl` command, version 3.
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        authority.issue("ca", &["-subj", "/CN=authority of a test", "-addext", "basicConstraints=critical,CA:TRUE"]);
        authority
    }

    /// Its certificate as a PEM file, for `--ca-file`.
    pub fn ca_file(&self) -> String {
        self.path("ca.pem").to_str().expect("temporary folders have printable names").to_owned()
    }

    /// What a server for these names and addresses needs. It would rather speak HTTP/2, as many do: who offers that gets it.
    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let names: Vec<String> = names
            .iter()
            .map(|name| {
                let kind = if name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
                format!("{kind}:{name}")
            })
            .collect();
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let signed = [ca.to_str(), ca_key.to_str()].map(|path| path.expect("printable, as above"));
        let alternatives = format!("subjectAltName={}", names.join(","));
        let arguments =
            ["-subj", "/CN=server of a test", "-addext", &alternatives, "-CA", signed[0], "-CAkey", signed[1]];
        self.issue("server", &[&arguments[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
        let certificate = CertificateDer::from_pem_file(self.path("server.pem")).expect("openssl's own PEM");
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).expect("openssl's own PEM");
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .arg("-keyout")
            .arg(self.path(&format!("{name}.key")))
            .arg("-out")
            .arg(self.path(&format!("{name}.pem")))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the command `openssl` runs (Debian: apt-get install openssl)");
        assert!(output.status.success(), "openssl 3: {}", String::from_utf8_lossy(&output.stderr));
    }
}
