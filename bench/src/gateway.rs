//! The gateway as users run it standalone: manifests in a folder, a key that is checked, prices, metrics, the access
//! log at its default, and a spend row per request in `SQLite`.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use anyhow::Context as _;

use crate::{process::Running, script::Traffic, wire::Wire};

/// The client's key; the manifest holds only its hash.
pub(crate) const KEY: &str = "sk-bench-2f6c1d9a7be04e53";

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Gateway {
    pub(crate) process: Running,
    pub(crate) address: SocketAddr,
    /// Where the spend database is.
    pub(crate) data: PathBuf,
}

/// Starts one in an empty folder; `models` = its manifests but for the key, which may call them all.
pub(crate) async fn start(program: &Path, folder: &Path, models: &str) -> anyhow::Result<Gateway> {
    let (address, internal) = (free_address()?, free_address()?);
    let manifests = folder.join("manifests");
    let data = folder.join("data");
    fs::create_dir(&manifests)?;
    fs::create_dir(&data)?;
    fs::create_dir(folder.join("logs"))?;
    fs::write(manifests.join("bench.yaml"), format!("{models}{}", key()))?;
    // Not beside the manifests: their parent is watched, too, and each line would be an event.
    let log = fs::File::create(log_file(folder))?;
    let mut command = Running::command(program);
    command
        .arg("--manifests")
        .arg(&manifests)
        .args(["--listen", &address.to_string(), "--internal-listen", &internal.to_string()])
        .arg("--data")
        .arg(&data)
        // Only what is given here decides how it runs.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut process = Running::start("the gateway", &mut command)?;
    let ready = async {
        while !is_ready(address).await {
            process.ensure_alive()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let Ok(ready) = tokio::time::timeout(STARTS_WITHIN, ready).await else {
        anyhow::bail!("the gateway was not ready within {STARTS_WITHIN:?}: {}", tail(folder));
    };
    ready.map_err(|error| error.context(tail(folder)))?;
    Ok(Gateway { process, address, data })
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut wire = Wire::connect(address).await?;
        wire.send(format!("GET /health/readiness HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
        anyhow::Ok(wire.head().await?.and_then(|head| head.status()))
    };
    matches!(ask.await, Ok(Some(200)))
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("logs/gateway.log")
}

fn tail(folder: &Path) -> String {
    let log = fs::read_to_string(log_file(folder)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("the gateway's last words:\n{}", lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n"))
}

fn key() -> String {
    let hash = Sha256::digest(KEY).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!(
        "apiVersion: turnpike.dev/v1alpha1
kind: VirtualKey
metadata: {{name: bench, namespace: default}}
spec:
  keyHash: sha256:{hash}
  subject: {{team: bench, user: bench}}
  allowedModels: [\"*\"]
"
    )
}

/// A `ModelDeployment` for `modelName`, ended by a document marker; `more` = further lines of its spec, indented.
pub(crate) fn model(name: &str, model_name: &str, upstream: SocketAddr, more: &str) -> String {
    format!(
        "apiVersion: turnpike.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}, namespace: default}}
spec:
  modelName: {model_name}
  provider: {{type: OpenAICompatible, baseURL: \"http://{upstream}/v1\"}}
  price: {{inputPerMillion: \"2.50\", cachedInputPerMillion: \"1.25\", outputPerMillion: \"10.00\"}}
{more}---
"
    )
}

/// A loopback address that is free now.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A request that must succeed before anything is measured: a mistake in the set-up should not read as a failed load.
pub(crate) async fn probe(address: SocketAddr, key: &str, traffic: Traffic) -> anyhow::Result<()> {
    tokio::time::timeout(ANSWERS_WITHIN, ask(address, key, traffic)).await.context("no answer")?
}

async fn ask(address: SocketAddr, key: &str, traffic: Traffic) -> anyhow::Result<()> {
    let mut wire = Wire::connect(address).await?;
    wire.send(&traffic.request(address, key)).await?;
    let head = wire.head().await?.with_context(|| format!("{address} closed the connection"))?;
    let mut body = Vec::new();
    wire.body(head.framing, &mut body, || ()).await?;
    let text = String::from_utf8_lossy(&body);
    anyhow::ensure!(head.status() == Some(200), "{address} answered {:?}: {text}", head.status());
    traffic.check(&body).map_err(|error| error.context(format!("{address} answered: {text}")))
}
