//! nginx as the floor: one worker that proxies and does nothing else, configured as well as it can be for that.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpStream;

use crate::{gateway::free_address, process::Running};

pub(super) struct Nginx {
    pub(super) process: Running,
    pub(super) address: SocketAddr,
    /// Such as `nginx/1.22.1`.
    pub(super) version: String,
}

pub(super) async fn start(program: &Path, folder: &Path, upstream: SocketAddr) -> anyhow::Result<Nginx> {
    let address = free_address()?;
    let folder = folder.join("nginx");
    fs::create_dir(&folder)?;
    let path = folder.join("nginx.conf");
    fs::write(&path, configuration(&folder, address, upstream))?;
    let mut command = Running::command(program);
    command.arg("-c").arg(&path).arg("-e").arg(folder.join("error.log")).arg("-p").arg(&folder);
    let mut process = Running::start("nginx", &mut command)?;
    for _ in 0..250 {
        process.ensure_alive()?;
        if TcpStream::connect(address).await.is_ok() {
            return Ok(Nginx { process, address, version: version(program)? });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("nginx does not listen on {address}")
}

fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("-v").output()?;
    let text = String::from_utf8(output.stderr)?;
    Ok(text.trim().rsplit(' ').next().context("nginx -v says nothing")?.to_owned())
}

fn configuration(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream scripted {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://scripted;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
