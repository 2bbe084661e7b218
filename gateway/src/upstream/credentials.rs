//! Identities in clouds, exchanged for keys and tokens that expire.
//!
//! ```text
//!  bundle's identities ─▶ Credentials ─▶ one task each: exchange, store, sleep until early, again
//!                                           │ (the only writer)
//!                                           ▼
//!                                        Renewed ◀─ requests read, and wait only where there is nothing valid yet
//! ```
//! One task an identity means one refresh at a time. What is still valid serves while its refresh fails; the failure is
//! told in the log, in metrics, to probes and to the operator.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};
use turnpike_bundle::{
    entry::{AwsIdentity, AwsKeys, CredentialEntry, EntraApplication, GoogleAccount, Identity},
    report::FailingCredential,
};
use turnpike_llm::splice::Splices;

use super::{
    Endpoint,
    sign::{self, Scope, Signer},
};

/// Hashing more bytes than this leaves the runtime.
const INLINE: usize = 256 * 1024;

mod aws;
mod entra;
mod exchange;
mod federated;
mod google;
mod renewed;

pub use exchange::Exchange;
pub use renewed::{Failure, Fresh, Renewed};

/// Every identity that models use.
pub struct Credentials {
    exchange: Arc<Exchange>,
    runtime: Handle,
    known: Mutex<HashMap<Identity, Known>>,
    changed: Arc<watch::Sender<()>>,
}

/// What an identity is exchanged for.
#[derive(Clone)]
pub enum Source {
    /// An access key.
    Keys(Arc<Renewed<AwsKeys>>),
    /// `Bearer` and a token.
    Token(Arc<Renewed<HeaderValue>>),
}

/// What identities are exchanged for, by the digest of the credential.
pub type Sources = BTreeMap<String, Source>;

/// An identity with the task that keeps it fresh.
struct Known {
    source: Source,
    _task: Task,
    /// Digests of the credentials that it stands in.
    digests: Vec<String>,
}

/// A task that ends when this is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Credentials {
    /// None yet. Their tasks run on `runtime`.
    pub fn new(exchange: Exchange, runtime: Handle) -> Self {
        let changed = Arc::new(watch::Sender::new(()));
        Self { exchange: Arc::new(exchange), runtime, known: Mutex::default(), changed }
    }

    /// Keeps exactly these fresh from now on; by digest. Those that were known keep what they have.
    pub fn follow(&self, entries: &BTreeMap<String, CredentialEntry>) -> Sources {
        let mut known = self.known();
        let mut next: HashMap<Identity, Known> = HashMap::new();
        let mut sources = Sources::new();
        for (digest, entry) in entries {
            let Some(identity) = &entry.identity else { continue };
            let now = next.entry(identity.clone()).or_insert_with(|| match known.remove(identity) {
                Some(kept) => Known { digests: Vec::new(), ..kept },
                None => self.start(identity.clone()),
            });
            now.digests.push(digest.clone());
            sources.insert(digest.clone(), now.source.clone());
        }
        *known = next;
        drop(known);
        // One that failed may be gone.
        self.changed.send_replace(());
        sources
    }

    /// Those that cannot be renewed, in the order of their digests.
    pub fn failing(&self) -> Vec<FailingCredential> {
        let known = self.known();
        let mut failing: Vec<FailingCredential> = known
            .values()
            .filter_map(|known| Some((known, known.source.failure()?)))
            .flat_map(|(known, failure)| {
                let entry = move |digest: &String| FailingCredential {
                    digest: digest.clone(),
                    since: failure.since.as_second(),
                    reason: failure.reason.to_string(),
                };
                known.digests.iter().map(entry)
            })
            .collect();
        failing.sort_by(|one, other| one.digest.cmp(&other.digest));
        failing
    }

    /// Calls `tell` whenever one fails or works again.
    pub fn tell(self: &Arc<Self>, tell: impl Fn(&Self) + Send + 'static) -> AbortHandle {
        let mut changes = self.changed.subscribe();
        let credentials = Arc::downgrade(self);
        let telling = async move {
            while changes.changed().await.is_ok() {
                let Some(credentials) = credentials.upgrade() else { return };
                tell(&credentials);
            }
        };
        self.runtime.spawn(telling).abort_handle()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Identity, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, identity: Identity) -> Known {
        let (exchange, changed) = (Arc::clone(&self.exchange), Arc::clone(&self.changed));
        let name = name_of(&identity);
        let (source, task) = match identity {
            Identity::Aws(identity) => {
                let keys = Arc::new(Renewed::new(name, changed));
                let keep = Arc::clone(&keys).keep(move || aws::keys(Arc::clone(&exchange), identity.clone()));
                (Source::Keys(keys), self.runtime.spawn(keep))
            }
            Identity::Google(account) => {
                let token = Arc::new(Renewed::new(name, changed));
                let keep = Arc::clone(&token).keep(move || google::token(Arc::clone(&exchange), account.clone()));
                (Source::Token(token), self.runtime.spawn(keep))
            }
            Identity::Entra(application) => {
                let token = Arc::new(Renewed::new(name, changed));
                let keep = Arc::clone(&token).keep(move || entra::token(Arc::clone(&exchange), application.clone()));
                (Source::Token(token), self.runtime.spawn(keep))
            }
        };
        Known { source, _task: Task(task.abort_handle()), digests: Vec::new() }
    }
}

/// For the log: nothing secret.
fn name_of(identity: &Identity) -> String {
    match identity {
        Identity::Aws(AwsIdentity { role: Some(role), .. }) => role.arn.clone(),
        Identity::Aws(AwsIdentity { keys: Some(keys), .. }) => format!("AWS key {}", keys.access_key_id),
        Identity::Aws(_) => "the gateways' own AWS identity".to_owned(),
        Identity::Google(GoogleAccount { key: Some(key) }) => key.client_email.clone(),
        Identity::Google(_) => "the gateways' own Google Cloud identity".to_owned(),
        Identity::Entra(EntraApplication { client_id: Some(id), .. }) => format!("Entra application {id}"),
        Identity::Entra(_) => "the gateways' own Entra identity".to_owned(),
    }
}

impl Source {
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Keys(keys) => keys.failure(),
            Self::Token(token) => token.failure(),
        }
    }
}

/// How calls of one upstream prove who makes them, where a fixed header does not.
pub enum Proof {
    /// `Authorization: Bearer` with a token.
    Token(Arc<Renewed<HeaderValue>>),
    /// A signature over the whole request.
    Signature {
        /// What signs.
        keys: Arc<Renewed<AwsKeys>>,
        /// AWS's region.
        region: Box<str>,
        /// AWS's name of the service.
        service: &'static str,
    },
}

impl Proof {
    /// Adds it to a request that is complete otherwise. Waits only where no token or key is valid yet.
    ///
    /// # Errors
    /// There is none, and the last attempt to get one failed.
    pub async fn add(
        &self,
        method: &Method,
        endpoint: &Endpoint,
        headers: &mut HeaderMap,
        body: &Splices,
    ) -> Result<(), Failure> {
        match self {
            Self::Token(token) => {
                headers.insert(AUTHORIZATION, HeaderValue::clone(&*token.get().await?));
                Ok(())
            }
            Self::Signature { keys, region, service } => {
                let hash = hash(body).await;
                let keys = keys.get().await?;
                let at = Timestamp::now();
                let signer = Signer { keys: &keys, scope: Scope { region, service }, at };
                let signed = signer.call(method, endpoint, headers, &hash);
                signed.ok_or_else(|| Failure { since: at, reason: "the access key cannot be part of a header".into() })
            }
        }
    }
}

/// The body's hash; a large one is not taken on the runtime.
async fn hash(body: &Splices) -> String {
    if body.len() > INLINE {
        let body = body.clone();
        let parts = move || sign::hash(body.parts());
        if let Ok(hash) = tokio::task::spawn_blocking(parts).await {
            return hash;
        }
    }
    sign::hash(body.parts())
}
