//! A credential that gateways cannot renew is a condition of the models that use it.

use serde_json::json;
use turnpike_operator::publish::Published;

use crate::place::{Place, condition, failing, gateway, now, of};

const REASON: &str = "sts.us-east-1.amazonaws.com answered 403: AccessDenied: not authorized to assume";

/// Two models, of which one has a credential.
fn place() -> (Place, Published) {
    let mock = json!({"mock": {"response": "hi"}});
    let place = Place::new().model("cloud", &mock).model("other", &mock).gateways(&[Some(10)]);
    let mut published = place.published();
    for (id, compiled) in &mut published.objects {
        compiled.credential = (id.object.name == "cloud").then(|| "d1".to_owned());
    }
    (place, published)
}

/// Status and reason of a condition; `None` = there is none of this kind.
fn told(place: &Place, published: &Published, name: &str, kind: &str) -> Option<String> {
    let survey = place.survey_with(published, now());
    let condition = condition(of(&survey, name), kind)?;
    Some(format!("{} {}", condition.status, condition.reason))
}

#[test]
fn a_failed_renewal_shows_with_the_cloud_s_words() {
    let (mut place, published) = place();
    place.gateways.insert("failing".to_owned(), failing("d1", REASON));
    let failed = Some("False CredentialRefreshFailed");
    assert_eq!(told(&place, &published, "cloud", "ResolvedRefs").as_deref(), failed);
    assert_eq!(told(&place, &published, "cloud", "Ready").as_deref(), failed);
    // What is valid still serves, and gateways try again.
    assert_eq!(told(&place, &published, "cloud", "Programmed").as_deref(), Some("True Programmed"));
    assert_eq!(told(&place, &published, "cloud", "Reconciling").as_deref(), Some("True CredentialRefreshFailed"));
    assert_eq!(told(&place, &published, "cloud", "Stalled").as_deref(), None);
    let survey = place.survey_with(&published, now());
    let message = &condition(of(&survey, "cloud"), "ResolvedRefs").unwrap().message;
    let expected = format!(
        "spec.provider.credentials: the gateways cannot renew this credential: {REASON}; correct it, or what the cloud \
         knows of it; gateways try again by themselves"
    );
    assert_eq!(*message, expected);
}

#[test]
fn others_are_not_concerned_and_it_passes() {
    let (mut place, published) = place();
    let ready = Some("True Ready");
    place.gateways.insert("failing".to_owned(), failing("d1", REASON));
    assert_eq!(told(&place, &published, "other", "Ready").as_deref(), ready);
    place.gateways.insert("failing".to_owned(), failing("d2", REASON));
    assert_eq!(told(&place, &published, "cloud", "Ready").as_deref(), ready);
    place.gateways.insert("failing".to_owned(), gateway(Some(10)));
    assert_eq!(told(&place, &published, "cloud", "Ready").as_deref(), ready);
}
