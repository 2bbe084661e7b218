//! Whether every gateway can read, and will take, what this build writes. Decisions only.

use turnpike_bundle::manifest::FORMAT;

use crate::gateways::Gateways;

/// Names of the running gateways that report that they read no format as new as the one that this build writes. While
/// there are any nothing new is published: they would serve what they have for ever.
pub fn too_old(gateways: &Gateways) -> Vec<String> {
    older_than(gateways, FORMAT)
}

/// As [`too_old`], for a format.
pub fn older_than(gateways: &Gateways, format: u32) -> Vec<String> {
    gateways
        .iter()
        .filter(|(_, gateway)| gateway.running)
        .filter(|(_, gateway)| gateway.report.as_ref().is_some_and(|report| report.newest_format < format))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The highest version that running gateways hold, where it is above `ours`: they take nothing older. It happens where the
/// manifest was damaged while nobody led, so that nobody knows its version. Beyond `believed` it is nobody's version.
pub fn ahead(gateways: &Gateways, ours: u64, believed: u64) -> Option<u64> {
    let running = gateways.iter().filter(|(_, gateway)| gateway.running);
    let versions = running.filter_map(|(_, gateway)| gateway.report.as_ref()).map(|report| report.version);
    versions.filter(|version| (ours.saturating_add(1)..=believed).contains(version)).max()
}
