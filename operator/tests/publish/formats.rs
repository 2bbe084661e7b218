//! Bundles are written in the newest format that every running gateway reads.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use turnpike_bundle::{Manifest, Report, layout::MANIFEST, manifest::FORMAT};
use turnpike_operator::{
    gateways::{Gateway, Gateways},
    publish::format::{TooOld, choose},
};

use crate::{
    apiserver::Apiserver,
    publishing::{Leader, writes},
};

/// A running gateway that says that it reads up to this format; `None` = it has said nothing.
fn reads(newest_format: impl Into<Option<u32>>) -> Gateway {
    let report = newest_format.into().map(|newest_format| Arc::new(Report { newest_format, ..Report::default() }));
    Gateway { running: true, report, ..Gateway::default() }
}

fn gone(gateway: Gateway) -> Gateway {
    Gateway { running: false, ..gateway }
}

fn named(gateways: impl IntoIterator<Item = Gateway>) -> Gateways {
    (1..).zip(gateways).map(|(number, gateway)| (format!("gateway-{number}"), gateway)).collect()
}

#[test]
fn the_format_is_the_newest_that_all_running_gateways_read() {
    let chosen = |gateways: Vec<Gateway>, written: Option<u32>| choose(Some(&named(gateways)), written);
    assert_eq!(FORMAT, 2);
    assert_eq!(chosen(vec![reads(2), reads(1), reads(2)], Some(2)), Ok(1));
    assert_eq!(chosen(vec![reads(2), gone(reads(1))], Some(1)), Ok(2));
    assert_eq!(chosen(vec![reads(3)], Some(2)), Ok(2), "no newer one than this build writes");
    assert_eq!(chosen(vec![], Some(1)), Ok(2), "without gateways there is nobody to mind");
}

#[test]
fn a_gateway_that_has_said_nothing_yet_changes_nothing() {
    for written in [1, 2] {
        assert_eq!(choose(Some(&named([reads(2), reads(None)])), Some(written)), Ok(written));
        assert_eq!(choose(None, Some(written)), Ok(written), "nor do gateways that are not known");
    }
    assert_eq!(choose(Some(&named([reads(1), reads(None)])), Some(2)), Ok(1));
    assert_eq!(choose(Some(&named([reads(None)])), None), Ok(2), "a first installation has one version of all");
    assert_eq!(choose(None, None), Ok(2));
}

#[test]
fn a_gateway_that_reads_none_of_what_can_be_written_holds_publication_back() {
    let gateways = named([reads(2), reads(0), gone(reads(0)), reads(None), reads(0)]);
    assert_eq!(choose(Some(&gateways), Some(2)), Err(TooOld(vec!["gateway-2".to_owned(), "gateway-5".to_owned()])));
}

fn format(server: &Apiserver) -> u32 {
    let manifest = server.with(|objects| objects.parts()).remove(MANIFEST).unwrap();
    Manifest::from_bytes(&manifest).unwrap().format
}

#[tokio::test(start_paused = true)]
async fn the_bundle_changes_over_with_the_last_old_gateway_and_only_by_what_differs() {
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    leader.gateways.send_replace(Arc::new(named([reads(1), reads(1)])));
    leader.show(&[("a", "1")]);
    let old = leader.published().await;
    assert_eq!((format(&server), writes(&server).len()), (1, 5));

    // One after the other is replaced, and each says nothing at first.
    for gateways in [[reads(1), reads(None)], [reads(1), reads(2)], [reads(None), reads(2)]] {
        leader.gateways.send_replace(Arc::new(named(gateways)));
        sleep(Duration::from_secs(5)).await;
        assert_eq!((format(&server), writes(&server)), (1, vec![]));
    }
    leader.gateways.send_replace(Arc::new(named([reads(2), reads(2)])));
    let new = leader.published().await;
    assert_eq!(format(&server), 2);
    assert_eq!(
        writes(&server),
        ["POST configmaps/turnpike-bundle-endpoints-00", "PATCH configmaps/turnpike-bundle-manifest"]
    );
    assert_eq!(new.objects, old.objects, "no object is asked about anew");

    // A restart of the operator finds gateways that it does not know yet, and leaves them what they have.
    drop(leader);
    let mut leader = Leader::start(&server);
    leader.show(&[("a", "1")]);
    leader.published().await;
    for gateways in [[reads(None), reads(None)], [reads(2), reads(2)]] {
        leader.gateways.send_replace(Arc::new(named(gateways)));
        sleep(Duration::from_secs(5)).await;
        assert_eq!((format(&server), writes(&server)), (2, vec![]));
    }

    // Back again, as where gateways are rolled back.
    leader.gateways.send_replace(Arc::new(named([reads(2), reads(1)])));
    leader.published().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(format(&server), 1);
    assert_eq!(
        writes(&server),
        ["PATCH configmaps/turnpike-bundle-manifest", "DELETE configmaps/turnpike-bundle-endpoints-00"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_to_gateways_that_are_too_old_and_then_all_at_once() {
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    leader.gateways.send_replace(Arc::new(named([reads(0)])));
    leader.show(&[("a", "1")]);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(writes(&server), Vec::<String>::new());
    let notes = server.with(|objects| objects.notes.join("\n"));
    assert!(notes.contains("gateway-1 cannot read any format"), "{notes}");
    leader.gateways.send_replace(Arc::new(named([reads(1)])));
    leader.published().await;
    assert_eq!(format(&server), 1);
}
