//! Names of other objects of the same namespace.

use turnpike_crds::Reason;

use crate::{entry::ObjectRef, problem::Report, render::Context};

impl Context<'_> {
    /// The model that a field of `object` names, which must be another one; `None` = reported.
    pub(super) fn other_model(
        self,
        object: &ObjectRef,
        name: &str,
        field: &str,
        report: &mut Report,
    ) -> Option<ObjectRef> {
        let model = ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() };
        if model == *object {
            report.invalid(field, "this ModelDeployment names itself", "name another ModelDeployment");
            return None;
        }
        self.exists(&model, field, report).then_some(model)
    }

    /// Whether the model that a field names is there; reported otherwise.
    pub(super) fn exists(self, model: &ObjectRef, field: &str, report: &mut Report) -> bool {
        let exists = self.models.contains(model);
        if !exists {
            report.problem(
                field,
                Reason::RefNotFound,
                format!("there is no ModelDeployment {} in namespace {}", model.name, model.namespace),
                "create it, or correct the name (it is the metadata.name, not the modelName)",
            );
        }
        exists
    }
}
