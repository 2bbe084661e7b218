//! Which Secrets objects refer to, and which of their values are needed as they are.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{ModelDeployment, SecretKeyRef, VirtualKey, model_deployment::Credentials};
use turnpike_engine::{names, references};

/// A reference to a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) secret: ObjectRef,
    /// The data key whose value is sent to a provider; `None` = digests are enough.
    pub(super) plain: Option<String>,
}

/// Objects that refer to Secrets.
pub(super) trait Refers {
    /// Each reference, repeats included.
    fn references(&self) -> Vec<Reference>;
}

impl Refers for ModelDeployment {
    fn references(&self) -> Vec<Reference> {
        let namespace = self.namespace().unwrap_or_default();
        let secret = |name: &str| ObjectRef { namespace: namespace.clone(), name: name.to_owned() };
        let plain = |reference: &SecretKeyRef| Reference {
            secret: secret(&reference.name),
            plain: Some(reference.key.clone()),
        };
        let mut all: Vec<Reference> = Vec::new();
        if let Some(provider) = &self.spec.provider {
            all.extend(provider.credentials.iter().flat_map(Credentials::secrets).map(plain));
            all.extend(provider.headers.iter().filter_map(|header| header.secret_ref.as_ref()).map(plain));
        }
        if let Some(engine) = &self.spec.vllm {
            all.push(match &engine.api_key_secret_ref {
                Some(reference) => plain(reference),
                None => Reference {
                    secret: secret(&names::key_secret(&self.name_any())),
                    plain: Some(names::KEY.to_owned()),
                },
            });
            // Only the pods read these.
            let read = references::of(engine);
            all.extend(
                read.into_iter().map(|(_, reference)| Reference { secret: secret(&reference.name), plain: None }),
            );
        }
        all
    }
}

impl Refers for VirtualKey {
    fn references(&self) -> Vec<Reference> {
        let own = self.spec.secret_ref.as_ref().map(|reference| reference.name.clone());
        let minted =
            self.spec.generate.as_ref().map(|generate| generate.secret_name.clone().unwrap_or_else(|| self.name_any()));
        let namespace = self.namespace().unwrap_or_default();
        let secret = |name| ObjectRef { namespace: namespace.clone(), name };
        own.into_iter().chain(minted).map(|name| Reference { secret: secret(name), plain: None }).collect()
    }
}

/// Every reference, by Secret.
#[derive(Debug, Default)]
pub(super) struct References {
    by_secret: BTreeMap<ObjectRef, Uses>,
}

#[derive(Debug, Default)]
struct Uses {
    digests: usize,
    plain: BTreeMap<String, usize>,
}

impl References {
    pub(super) fn add(&mut self, reference: Reference) {
        let uses = self.by_secret.entry(reference.secret).or_default();
        match reference.plain {
            Some(key) => *uses.plain.entry(key).or_default() += 1,
            None => uses.digests += 1,
        }
    }

    pub(super) fn remove(&mut self, reference: &Reference) {
        let Some(uses) = self.by_secret.get_mut(&reference.secret) else { return };
        match &reference.plain {
            None => uses.digests = uses.digests.saturating_sub(1),
            Some(key) => {
                if let Some(count) = uses.plain.get_mut(key) {
                    *count = count.saturating_sub(1);
                }
                uses.plain.retain(|_, count| *count > 0);
            }
        }
        if uses.digests == 0 && uses.plain.is_empty() {
            self.by_secret.remove(&reference.secret);
        }
    }

    /// Whether anything refers to the Secret.
    pub(super) fn is_used(&self, secret: &ObjectRef) -> bool {
        self.by_secret.contains_key(secret)
    }

    /// The data keys whose values are sent to providers.
    pub(super) fn plain(&self, secret: &ObjectRef) -> BTreeSet<String> {
        self.by_secret.get(secret).map(|uses| uses.plain.keys().cloned().collect()).unwrap_or_default()
    }
}
