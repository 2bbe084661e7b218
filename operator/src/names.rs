//! Names that the operator writes into the cluster: one place for each, all carrying the instance.

use turnpike_crds::GROUP;

/// The instance whose objects carry no label.
pub const DEFAULT_INSTANCE: &str = "turnpike";
/// Label that gives an object to an instance; absent = [`DEFAULT_INSTANCE`].
pub const INSTANCE_LABEL: &str = "turnpike.dev/instance";
/// Annotation whose change has a minted key replaced.
pub const ROTATE_ANNOTATION: &str = "turnpike.dev/rotate";
/// Annotation of a gateway pod that makes its kubelet look at the volumes now: the manifest's hash.
pub const BUNDLE_ANNOTATION: &str = "turnpike.dev/bundle";
/// Annotation of a namespace: the teams that its keys may claim, separated by commas.
pub const TEAMS_ANNOTATION: &str = "turnpike.dev/teams";

/// Label of everything that the operator makes; its value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "turnpike-operator";

/// What an instance's names are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `--instance`.
    pub instance: String,
    /// Where the operator and the gateways run.
    pub release_namespace: String,
}

impl Names {
    /// Field manager of every write.
    pub fn field_manager(&self) -> String {
        format!("{}-operator", self.instance)
    }

    /// Field manager of engines' replicas where demand sets them: what is applied otherwise leaves them alone.
    pub fn replicas_manager(&self) -> String {
        format!("{}-replicas", self.instance)
    }

    /// Name of the Lease that the leader holds.
    pub fn lease(&self) -> String {
        format!("{}-operator", self.instance)
    }

    /// Finalizer of `VirtualKey`s: gone once every gateway refuses the key.
    pub fn finalizer(&self) -> String {
        finalizer(&self.instance)
    }

    /// The chart's ConfigMap that owns whatever is made in the release namespace, so that it goes with the release.
    pub fn root(&self) -> String {
        format!("{}-root", self.instance)
    }

    /// ConfigMap or Secret of a part of the bundle: a shard, or [`turnpike_bundle::layout::MANIFEST`].
    pub fn bundle_object(&self, part: &str) -> String {
        turnpike_bundle::layout::object_name(&self.instance, part)
    }

    /// Secret that gateways mount: [`turnpike_bundle::layout::TOKEN`] and its neighbours.
    pub fn gateway_secret(&self) -> String {
        turnpike_bundle::layout::gateway_secret(&self.instance)
    }

    /// Secret with the admin key itself, under `key`.
    pub fn admin_secret(&self) -> String {
        turnpike_bundle::layout::admin_secret(&self.instance)
    }
}

/// Finalizer that the operator of an instance puts on `VirtualKey`s.
pub fn finalizer(instance: &str) -> String {
    format!("{instance}.{GROUP}/revocation")
}
