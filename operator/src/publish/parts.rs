//! A part of the bundle ⇄ the ConfigMap or Secret that holds it.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use turnpike_bundle::{
    layout::{self, MANIFEST},
    sha256_hex,
};

use crate::{
    names::{INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Names},
    publish::plan::Lying,
};

/// A part's object.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Of what anybody may read.
    Public(ConfigMap),
    /// Of keys and credentials.
    Secret(Secret),
}

/// What all objects of this instance carry.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Names and namespace.
    pub names: Names,
    /// The ConfigMap that owns them; `None` = it is not there, so nothing does.
    pub root: Option<OwnerReference>,
}

impl Stamp {
    /// Metadata of an object of this name.
    pub fn metadata(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.names.release_namespace.clone()),
            labels: Some(self.labels()),
            owner_references: self.root.clone().map(|root| vec![root]),
            ..ObjectMeta::default()
        }
    }

    /// The part's object; `resource_version`: only if it still is that one.
    pub fn part(&self, part: &str, bytes: &[u8], resource_version: Option<String>) -> Part {
        let metadata = ObjectMeta { resource_version, ..self.metadata(self.names.bundle_object(part)) };
        if is_secret(part) {
            let data = BTreeMap::from([(part.to_owned(), ByteString(bytes.to_vec()))]);
            return Part::Secret(Secret { metadata, data: Some(data), ..Secret::default() });
        }
        // Parts are JSON, so nothing is lost here.
        let text = String::from_utf8_lossy(bytes).into_owned();
        let data = BTreeMap::from([(part.to_owned(), text)]);
        Part::Public(ConfigMap { metadata, data: Some(data), ..ConfigMap::default() })
    }

    /// Whether nobody took labels or owner from an object.
    fn intact(&self, metadata: &ObjectMeta) -> bool {
        let labels = metadata.labels.as_ref();
        let labelled =
            self.labels().iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value));
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        labelled && self.root.as_ref().is_none_or(|root| owners.iter().any(|owner| owner.uid == root.uid))
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let labels = [(MANAGED_BY_LABEL, MANAGED_BY), (INSTANCE_LABEL, self.names.instance.as_str())];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Part {
    /// The part's bytes; `None` = the data key is absent.
    pub fn bytes(&self, part: &str) -> Option<&[u8]> {
        match self {
            Self::Public(object) => object.data.as_ref().and_then(|data| data.get(part)).map(String::as_bytes),
            Self::Secret(object) => {
                object.data.as_ref().and_then(|data| data.get(part)).map(|bytes| bytes.0.as_slice())
            }
        }
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Public(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
        }
    }

    /// What the plan needs to know of it.
    pub fn lying(&self, part: &str, stamp: &Stamp) -> Lying {
        let metadata = self.metadata();
        Lying {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            hash: self.bytes(part).map(sha256_hex).unwrap_or_default(),
            intact: stamp.intact(metadata),
        }
    }
}

/// Whether a part lies in a Secret. What is not known to be public does.
pub fn is_secret(part: &str) -> bool {
    let kind = turnpike_bundle::manifest::Kind::ALL
        .into_iter()
        .find(|kind| part.strip_prefix(kind.name()).is_some_and(|number| number.starts_with('-')));
    part != MANIFEST && kind.is_none_or(turnpike_bundle::manifest::Kind::is_secret)
}

/// The part that an object of this name and sort holds; `None` = it is no part of the bundle.
pub fn part_of(names: &Names, object: &str, secret: bool) -> Option<String> {
    let part = object.strip_prefix(&names.bundle_object(""))?;
    layout::parts().find(|(name, is_secret)| name == part && *is_secret == secret).map(|(name, _)| name)
}
