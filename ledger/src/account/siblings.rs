//! Accounts that count the same as another one: of the same limit and pot, in another window, of another type or in another
//! time zone.

use jiff::tz::TimeZone;
use turnpike_crds::window::{zone, zones};

use super::{AccountId, Unit};
use crate::window::WindowSpec;

const COUNTED: [Unit; 3] = [Unit::NanoUsd, Unit::Tokens, Unit::Requests];

/// Names of accounts that differ in nothing but their windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Siblings<'a> {
    own: &'a str,
    begins: &'a str,
    /// What stands after the window.
    ends: &'a str,
}

impl AccountId {
    /// The accounts that count the same as this one; `None` = it is not made of this window.
    pub fn siblings(&self, window: &WindowSpec) -> Option<Siblings<'_>> {
        let (begins, rest) = self.split()?;
        let ends = rest.strip_prefix(&*window.to_string())?;
        Some(Siblings { own: self.as_str(), begins, ends })
    }

    /// Whether it counts an amount, and is no tally.
    pub fn is_amount(&self) -> bool {
        let unit = self.as_str().split('/').nth(3);
        unit.is_some_and(|unit| COUNTED.iter().any(|counted| counted.as_str() == unit))
    }

    /// The zone of its calendar; UTC where it has none.
    pub fn zone(&self) -> TimeZone {
        let named = |rest: &str| {
            let (_, rest) = rest.split_once("/Calendar/")?;
            // A zone's name may have slashes in it; no other zone's name is its beginning.
            rest.match_indices('/').find_map(|(end, _)| zone(rest.get(..end)?))
        };
        self.split().and_then(|(_, rest)| named(rest)).unwrap_or(TimeZone::UTC)
    }

    /// `kind/namespace/name/unit/` and what comes after it.
    fn split(&self) -> Option<(&str, &str)> {
        let (at, _) = self.0.match_indices('/').nth(3)?;
        self.0.split_at_checked(at + 1)
    }
}

impl Siblings<'_> {
    /// The account itself, with what its window is called.
    pub fn own(&self) -> (AccountId, String) {
        let window = self.own.strip_prefix(self.begins).and_then(|rest| rest.strip_suffix(self.ends));
        (AccountId(self.own.into()), window.unwrap_or_default().to_owned())
    }

    /// What the ids of all pots of the limit begin with, in any window; a slash is its end.
    pub fn begins(&self) -> &str {
        self.begins
    }

    /// The first id that is of none of these pots.
    pub fn end(&self) -> String {
        after(self.begins)
    }

    /// The first id after those in the same window as this one; of a calendar, also in zones of the same continent. So all windows
    /// that there are can be found without reading all pots.
    pub fn next(&self, id: &str) -> String {
        after(&format!("{}{}", self.begins, self.family(id)))
    }

    /// `Day/Calendar/Europe/`, `Day/Rolling/`, `Lifetime/`.
    fn family<'i>(&self, id: &'i str) -> &'i str {
        let rest = id.strip_prefix(self.begins).unwrap_or_default();
        let parts = match rest.split('/').nth(1) {
            Some("Calendar") => 3,
            Some("Rolling") => 2,
            _ => 1,
        };
        let end = rest.match_indices('/').nth(parts - 1).map_or(rest.len(), |(slash, _)| slash + 1);
        rest.get(..end).unwrap_or_default()
    }

    /// The accounts of this pot in other windows, each with what its window is called: in those that ids were found of, and perhaps
    /// in more of them.
    pub fn in_windows_of(&self, found: &[String]) -> Vec<(AccountId, String)> {
        let mut windows = Vec::new();
        for family in found.iter().map(|id| self.family(id)) {
            let name = family.strip_suffix('/').unwrap_or(family);
            match name.split_once("/Calendar/") {
                Some((window, begin)) => {
                    let of = |zone: &&str| {
                        *zone == begin || zone.strip_prefix(begin).is_some_and(|rest| rest.starts_with('/'))
                    };
                    windows.extend(zones().filter(of).map(|zone| format!("{window}/Calendar/{zone}")));
                }
                None => windows.push(name.to_owned()),
            }
        }
        let named = windows.into_iter().map(|window| (format!("{}{window}{}", self.begins, self.ends), window));
        named.filter(|(id, _)| id != self.own).map(|(id, window)| (AccountId(id.into()), window)).collect()
    }
}

/// The first text after all that begin with this one, which ends with a slash.
fn after(begin: &str) -> String {
    format!("{}0", begin.strip_suffix('/').unwrap_or(begin))
}
