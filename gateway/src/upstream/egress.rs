//! Which addresses the gateway may dial. Checked on each resolved address at connect time, so that a name cannot be
//! re-pointed at an inner service between a check and its use.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use turnpike_bundle::entry::Egress as Reach;

/// What may be dialled.
#[derive(Clone, Debug, Default)]
pub enum Egress {
    /// Everything (the default of the standalone command).
    #[default]
    Open,
    /// Public addresses, and inner ones only inside these ranges, or for a Service of the model's own namespace.
    /// Loopback, link-local, metadata, multicast and unspecified addresses never.
    Guarded {
        /// Private ranges that may be dialled.
        allow: Vec<Cidr>,
    },
    /// Public addresses, and whatever lies inside these ranges.
    Public {
        /// Ranges of any kind that may be dialled.
        allow: Vec<Cidr>,
    },
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Not `ADDRESS/BITS`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address range such as 10.0.0.0/8")]
pub struct CidrError(String);

/// Addresses of cloud metadata services that are not link-local: Azure's wire server, Alibaba Cloud, AWS over IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
];

impl Egress {
    /// Whether this address may be dialled for a model of this reach.
    pub fn allows(&self, address: IpAddr, reach: Reach) -> bool {
        let address = address.to_canonical();
        let allow = match self {
            Self::Open => return true,
            Self::Public { allow } => {
                let is_public = !never(address) && !inner(address);
                return is_public || allow.iter().any(|range| range.contains(address));
            }
            Self::Guarded { allow } => allow,
        };
        if never(address) {
            return false;
        }
        match reach {
            Reach::Guarded => !inner(address) || allow.iter().any(|range| range.contains(address)),
            Reach::OwnService => true,
        }
    }
}

fn never(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || embedded_v4(v6).is_some_and(|v4| never(v4) || inner(v4)),
    };
    special
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || METADATA.contains(&address)
}

/// Private (RFC 1918, RFC 4193), shared (RFC 6598) and benchmark (RFC 2544) ranges.
fn inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b)) || (a == 198 && (b == 18 || b == 19)) || a >= 240
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// The IPv4 address inside a NAT64 (RFC 6052) or 6to4 (RFC 3056) one.
fn embedded_v4(address: Ipv6Addr) -> Option<IpAddr> {
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (address, bits) = text.split_once('/')?;
            let network: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            (bits <= most).then_some(Self { network, bits })
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(allow: &[&str]) -> Egress {
        Egress::Guarded { allow: allow.iter().filter_map(|range| range.parse().ok()).collect() }
    }

    fn allows(egress: &Egress, address: &str) -> bool {
        address.parse().is_ok_and(|address| egress.allows(address, Reach::Guarded))
    }

    fn allows_own(egress: &Egress, address: &str) -> bool {
        address.parse().is_ok_and(|address| egress.allows(address, Reach::OwnService))
    }

    #[test]
    fn guarded_refuses_what_is_never_a_provider() {
        let egress = guarded(&["10.0.0.0/8", "0.0.0.0/0", "::/0"]);
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
            "255.255.255.255",
            "0.1.2.3",
        ] {
            assert!(!allows(&egress, address), "{address} must be refused");
            assert!(!allows_own(&egress, address), "{address} must be refused even behind an own Service");
        }
    }

    #[test]
    fn own_services_may_be_private() {
        let egress = guarded(&[]);
        for address in ["10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd13::5", "104.18.7.192"] {
            assert!(allows_own(&egress, address), "{address} must be allowed");
        }
    }

    #[test]
    fn guarded_allows_public_and_listed_ranges_only() {
        let egress = guarded(&["10.96.0.0/12", "fd12::/16"]);
        for address in ["104.18.7.192", "2606:4700::6812:7c0", "10.96.0.10", "10.111.255.255", "fd12::5"] {
            assert!(allows(&egress, address), "{address} must be allowed");
        }
        for address in ["10.0.0.1", "10.112.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd13::5", "240.0.0.1"] {
            assert!(!allows(&egress, address), "{address} must be refused");
        }
    }

    #[test]
    fn public_allows_nothing_else_but_what_is_listed() {
        let nothing = Egress::Public { allow: Vec::new() };
        let loopback = Egress::Public { allow: "127.0.0.0/8".parse().into_iter().collect() };
        for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd13::5", "::ffff:127.0.0.1"] {
            assert!(!allows(&nothing, address), "{address} must be refused");
            assert!(!allows_own(&nothing, address), "{address} must be refused whatever the reach");
        }
        assert!(allows(&nothing, "104.18.7.192"));
        assert!(allows(&loopback, "127.0.0.1"));
        assert!(!allows(&loopback, "10.0.0.1"));
    }

    #[test]
    fn open_allows_all_and_bad_ranges_are_errors() {
        assert!(allows(&Egress::Open, "127.0.0.1"));
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
