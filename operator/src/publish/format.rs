//! In which format to write the bundle, so that every gateway can read it. Decisions only.

use turnpike_bundle::manifest::{FORMAT, OLDEST};

use crate::gateways::{Gateway, Gateways};

/// Running gateways that can read no format that this build writes. While there are any nothing new is published: they would
/// serve what they have for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooOld(pub Vec<String>);

/// The newest format that all running gateways read, and no newer one than this build writes. Of gateways that have not said
/// what they read, it is known only that they live with what is `written` (`None` = nothing yet): nothing changes for them, and
/// nothing goes back and forth while gateways restart. `gateways`: `None` = which there are is not known yet.
///
/// # Errors
/// One of them reads none that is old enough.
pub fn choose(gateways: Option<&Gateways>, written: Option<u32>) -> Result<u32, TooOld> {
    let unsaid = written.unwrap_or(FORMAT).max(OLDEST);
    let Some(gateways) = gateways else { return Ok(unsaid) };
    let newest = |gateway: &Gateway| gateway.report.as_ref().map(|report| report.newest_format);
    let too_old: Vec<String> = running(gateways)
        .filter(|(_, gateway)| newest(gateway).is_some_and(|newest| newest < OLDEST))
        .map(|(name, _)| name.clone())
        .collect();
    if !too_old.is_empty() {
        return Err(TooOld(too_old));
    }
    let read = running(gateways).map(|(_, gateway)| newest(gateway).unwrap_or(unsaid));
    Ok(read.fold(FORMAT, u32::min))
}

/// The highest version that running gateways hold, where it is above `ours`: they take nothing older. It happens where the
/// manifest was damaged while nobody led, so that nobody knows its version. Beyond `believed` it is nobody's version.
pub fn ahead(gateways: &Gateways, ours: u64, believed: u64) -> Option<u64> {
    let versions = running(gateways).filter_map(|(_, gateway)| gateway.report.as_ref()).map(|report| report.version);
    versions.filter(|version| (ours.saturating_add(1)..=believed).contains(version)).max()
}

fn running(gateways: &Gateways) -> impl Iterator<Item = (&String, &Gateway)> {
    gateways.iter().filter(|(_, gateway)| gateway.running)
}
