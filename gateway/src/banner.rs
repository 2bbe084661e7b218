//! What is printed when the gateway is there: where it is, how to call it, and where things lie.

use std::{net::SocketAddr, path::Path};

use crate::config::{
    snapshot::{Backend, Names, Snapshot},
    sources::minted::{AdminKeySource, MintedAdminKey, MintedKey},
};

/// Facts for whoever started the gateway.
pub struct Banner<'a> {
    /// Where clients call.
    pub public: SocketAddr,
    /// The admin key and where it came from.
    pub admin: &'a MintedAdminKey,
    /// The data folder.
    pub data: &'a Path,
    /// What is served.
    pub snapshot: &'a Snapshot,
    /// Client keys that were generated.
    pub keys: &'a [MintedKey],
}

/// Prints where the internal listener is, to standard output.
pub fn internal(address: SocketAddr) {
    println!("internal listener on http://{address}");
}

/// Prints where clients call, to standard output.
pub fn public(address: SocketAddr) {
    println!("listening on http://{address}");
}

/// Prints the rest to standard output, for a person who tries it out.
pub fn print(banner: &Banner<'_>) {
    let mut text = String::new();
    for line in banner.lines() {
        text.push_str(&line);
        text.push('\n');
    }
    print!("{text}");
}

impl Banner<'_> {
    fn lines(&self) -> Vec<String> {
        let base = format!("http://{}/v1", reachable(self.public));
        let mut lines = vec![String::new(), format!("base URL:    {base}")];
        let key = match self.admin.source {
            AdminKeySource::Given => {
                lines.push("admin key:   as given in the environment".to_owned());
                // Whichever of the two was set.
                "${TURNPIKE_ADMIN_KEY:-$LITELLM_MASTER_KEY}"
            }
            AdminKeySource::Generated(_) => {
                lines.push(format!("admin key:   {}", self.admin.key));
                self.admin.key.as_str()
            }
        };
        lines.push(format!("console:     http://{}/ui", reachable(self.public)));
        lines.push(format!("data folder: {}", self.data.display()));
        for minted in self.keys {
            lines.push(format!("client key:  VirtualKey {} is in {}", minted.object, minted.path.display()));
        }
        let mut models: Vec<String> = names(&self.snapshot.admin).into_iter().map(str::to_owned).collect();
        let wildcards = self.snapshot.admin.wildcards.iter();
        models.extend(wildcards.map(|one| format!("{}*{}", one.prefix, one.suffix)));
        lines.push(format!(
            "models:      {}",
            if models.is_empty() { "none yet".to_owned() } else { models.join(", ") }
        ));
        if let Some(model) = self.example() {
            lines.push(String::new());
            lines.push("Try it:".to_owned());
            lines.push(format!(
                "curl {base}/chat/completions -H 'Content-Type: application/json' -H \"Authorization: Bearer {key}\" \
                 -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'"
            ));
        }
        lines
    }

    /// A model that surely answers: a mock, else any.
    fn example(&self) -> Option<&str> {
        let names = names(&self.snapshot.admin);
        let mock = names.iter().find(|name| {
            let pool = self.snapshot.admin.exact.get(**name);
            pool.is_some_and(|pool| pool.models.iter().all(|model| matches!(model.backend, Backend::Mock { .. })))
        });
        mock.or_else(|| names.first()).copied()
    }
}

fn names(names: &Names) -> Vec<&str> {
    let mut sorted: Vec<&str> = names.exact.keys().map(|name| &**name).collect();
    sorted.sort_unstable();
    sorted
}

/// An address that a client on this machine can call.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
