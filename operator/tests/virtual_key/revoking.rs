//! When a deleted key may go.

use std::{sync::Arc, time::Duration};

use turnpike_bundle::{
    Report,
    entry::ObjectRef,
    manifest::{Kind, Slots},
    problem::{ObjectId, ObjectKind},
    report::LoadedShard,
};
use turnpike_operator::{
    gateways::{Gateway, Gateways},
    publish::{Compiled, Published},
    virtual_key::revocation::{Progress, Verdict, progress, verdict},
};

pub(crate) fn published(object: &ObjectRef, digest: Option<&str>, since: u64) -> Published {
    let id = ObjectId { kind: ObjectKind::VirtualKey, object: object.clone() };
    let compiled = Compiled { digest: digest.map(str::to_owned), since, ..Compiled::default() };
    Published { objects: [(id, compiled)].into(), ..Published::default() }
}

pub(crate) fn gateway(ready: bool, running: bool, version: Option<u64>) -> Gateway {
    let report = version.map(|version| {
        let shard = LoadedShard { kind: Kind::Keys, slots: Slots::ALL, version, complete: true };
        Arc::new(Report { shards: [("keys-00".to_owned(), shard)].into(), ..Report::default() })
    });
    Gateway { uid: "u".to_owned(), ip: None, ready, running, report }
}

fn gateways(list: &[Gateway]) -> Gateways {
    list.iter().enumerate().map(|(number, gateway)| (format!("gateway-{number}"), gateway.clone())).collect()
}

#[test]
fn every_running_gateway_has_to_refuse_the_key() {
    let key = ObjectRef { namespace: "ml".to_owned(), name: "bot".to_owned() };
    let gone = published(&key, None, 7);
    let look = |published: &Published, list: &[Gateway]| progress(&key, published, &gateways(list));
    let all = [gateway(true, true, Some(7)), gateway(false, true, Some(9))];
    assert_eq!(look(&gone, &all), Progress { published: true, unconfirmed: 0, running: 2 });
    // Ready or not, silent or behind: it may still serve a client. One that does not run cannot.
    let some = [
        gateway(false, true, Some(6)),
        gateway(false, true, None),
        gateway(true, true, Some(7)),
        gateway(false, false, None),
    ];
    assert_eq!(look(&gone, &some), Progress { published: true, unconfirmed: 2, running: 3 });
    assert_eq!(look(&gone, &[]), Progress { published: true, unconfirmed: 0, running: 0 });
    for unpublished in [Published::default(), published(&key, Some("ab12"), 7)] {
        assert_eq!(look(&unpublished, &all), Progress { published: false, unconfirmed: 2, running: 2 });
    }
}

#[test]
fn the_wait_ends() {
    let timeout = Duration::from_mins(1);
    let seconds = Duration::from_secs;
    let progress = |published, unconfirmed, running| Progress { published, unconfirmed, running };
    assert_eq!(verdict(progress(true, 0, 3), seconds(0), timeout), Verdict::Confirmed);
    assert_eq!(verdict(progress(true, 0, 0), seconds(0), timeout), Verdict::Confirmed);
    assert_eq!(verdict(progress(true, 1, 3), seconds(20), timeout), Verdict::Wait(seconds(40)));
    assert_eq!(verdict(progress(true, 1, 3), seconds(60), timeout), Verdict::TimedOut);
    assert_eq!(verdict(progress(false, 3, 3), seconds(59), timeout), Verdict::Wait(seconds(1)));
    assert_eq!(verdict(progress(false, 0, 0), seconds(61), timeout), Verdict::TimedOut);
    assert_eq!(verdict(progress(true, 0, 3), seconds(99), timeout), Verdict::Confirmed);
    assert_eq!(progress(true, 1, 3).to_string(), "1 of 3 gateway pods have not confirmed that they refuse the key");
}
