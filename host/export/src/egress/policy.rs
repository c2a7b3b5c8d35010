//! Which addresses stores may reach. What an admin typed in names a host; what counts is the address that it stands for at the
//! moment of the connection.
//!
//! The trap is the name that resolves to something inside: a metadata service, a database on loopback, a neighbour. So every
//! address is checked after resolving, in the form in which the kernel would use it, and only a checked one is connected to.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stores may reach: public addresses, and what the operator allows beyond them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    allow: Vec<IpNet>,
}

/// An address that a store may not reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}, which stores may not reach; an operator can allow it with --allow-egress {address}/{bits}", bits = if address.is_ipv4() { 32 } else { 128 })]
pub struct Denied {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub what: &'static str,
}

impl EgressPolicy {
    /// Public addresses, and those in `allow`.
    #[must_use]
    pub fn allowing(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// The networks that the operator allows.
    #[must_use]
    pub fn allowed(&self) -> &[IpNet] {
        &self.allow
    }

    /// Whether a store may connect to `address`.
    ///
    /// # Errors
    /// [`Denied`] says what kind of address it is.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let Some(what) = guarded(address) else { return Ok(()) };
        // An IPv4 address in the clothes of an IPv6 one is allowed by the rules for either.
        let plain = embedded_v4(address);
        let allowed = |a: IpAddr| self.allow.iter().any(|net| net.contains(&a));
        if allowed(address) || plain.is_some_and(|v4| allowed(IpAddr::V4(v4))) {
            return Ok(());
        }
        Err(Denied { address, what })
    }
}

/// What is special about an address; none for public ones.
fn guarded(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => guarded_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(address) {
            Some(v4) => guarded_v4(v4).or_else(|| guarded_v6(v6)),
            None => guarded_v6(v6),
        },
    }
}

const METADATA: &str = "the metadata service of a cloud";
/// Where clouds tell a machine about itself, credentials included: most; Alibaba; Oracle's older one; Azure's platform, which is
/// among public addresses.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same by IPv6: Amazon, Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// IANA's registry of special-purpose IPv4 addresses (RFC 6890 and its updates), as far as it is not globally reachable.
fn guarded_v4(v4: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = v4.octets();
    let what = match (a, b, c) {
        (0, ..) => "an unspecified address",
        (127, ..) => "a loopback address",
        _ if METADATA_V4.contains(&v4) => METADATA,
        (169, 254, _) => "a link-local address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (100, 64..=127, _) => "an address behind a carrier's NAT",
        (192, 0, 0) | (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) => "a reserved address",
        (192, 88, 99) => "a relay address for IPv6",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved or broadcast address",
        _ => return None,
    };
    Some(what)
}

/// Likewise for IPv6; whatever lies outside of 2000::/3 is not globally routed.
fn guarded_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let segments = v6.segments();
    let what = match segments[0] {
        _ if v6.is_unspecified() => "an unspecified address",
        _ if v6.is_loopback() => "a loopback address",
        _ if METADATA_V6.contains(&v6) => METADATA,
        0xfe80..=0xfebf => "a link-local address",
        0xfec0..=0xfeff => "a site-local address",
        0xfc00..=0xfdff => "a private address",
        0xff00..=0xffff => "a multicast address",
        // NAT64 carries an IPv4 address, which was checked before this.
        0x0064 if segments[1] == 0xff9b && segments[2..6] == [0, 0, 0, 0] => return None,
        0x2001 if segments[1] == 0xdb8 => "a reserved address",
        0x2001 if segments[1] == 0 => "a Teredo tunnel address",
        // RFC 6890 and its updates: protocols, benchmarks, documentation.
        0x2001 if segments[1] < 0x200 => "a reserved address",
        0x3fff if segments[1] < 0x1000 => "a reserved address",
        0x2000..=0x3fff => return None,
        _ => "a reserved address",
    };
    Some(what)
}

/// The IPv4 address inside a mapped, compatible, translated (NAT64) or 6to4 IPv6 address.
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let s = v6.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => join(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => join(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => join(high, low),
        [0x2002, high, low, ..] => join(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_reached_without_a_rule() {
        let policy = EgressPolicy::default();
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.0.1",
            "168.63.129.15",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(policy.check(ip(address)), Ok(()), "{address}");
        }
    }

    #[test]
    fn each_kind_of_inner_address_is_denied_by_its_own_name_and_reached_once_it_is_allowed() {
        let cases = [
            ("127.0.0.1", "a loopback address"),
            ("127.255.0.9", "a loopback address"),
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:0:127.0.0.1", "a loopback address"),
            ("::127.0.0.1", "a loopback address"),
            ("64:ff9b::127.0.0.1", "a loopback address"),
            ("2002:7f00:1::", "a loopback address"),
            ("0.0.0.0", "an unspecified address"),
            ("0.1.2.3", "an unspecified address"),
            ("::", "an unspecified address"),
            ("169.254.169.254", "the metadata service of a cloud"),
            ("::ffff:169.254.169.254", "the metadata service of a cloud"),
            ("169.254.1.1", "a link-local address"),
            ("fe80::1", "a link-local address"),
            ("10.0.0.1", "a private address"),
            ("172.16.0.1", "a private address"),
            ("172.31.255.255", "a private address"),
            ("192.168.1.1", "a private address"),
            ("fd00:ec2::254", "the metadata service of a cloud"),
            ("fd20:ce::254", "the metadata service of a cloud"),
            ("168.63.129.16", "the metadata service of a cloud"),
            ("100.100.100.200", "the metadata service of a cloud"),
            ("64:ff9b::169.254.169.254", "the metadata service of a cloud"),
            ("fd00::1", "a private address"),
            ("64:ff9b::10.0.0.1", "a private address"),
            ("64:ff9b:1::8.8.8.8", "a reserved address"),
            ("::10.0.0.1", "a private address"),
            ("2002:a00:1::1", "a private address"),
            ("2002:6440:1::", "an address behind a carrier's NAT"),
            ("100.64.0.1", "an address behind a carrier's NAT"),
            ("100.127.255.255", "an address behind a carrier's NAT"),
            ("::ffff:100.64.0.1", "an address behind a carrier's NAT"),
            ("::ffff:224.0.0.1", "a multicast address"),
            ("::ffff:255.255.255.255", "a reserved or broadcast address"),
            ("::ffff:0.0.0.0", "an unspecified address"),
            ("224.0.0.1", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "a reserved or broadcast address"),
            ("198.18.0.1", "a reserved address"),
            ("2001:db8::1", "a reserved address"),
            ("2001:0:1::1", "a Teredo tunnel address"),
            ("2001:2::1", "a reserved address"),
            ("3fff::1", "a reserved address"),
            ("fec0::1", "a site-local address"),
            ("4000::1", "a reserved address"),
        ];
        for (text, what) in cases {
            let address = ip(text);
            assert_eq!(EgressPolicy::default().check(address), Err(Denied { address, what }));
            let allowing = EgressPolicy::allowing(vec![IpNet::from(address)]);
            assert_eq!(allowing.check(address), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_rule_for_an_ipv4_network_covers_the_same_addresses_in_ipv6_clothes_and_nothing_else() {
        let policy = EgressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        assert_eq!(policy.check(ip("::ffff:127.0.0.1")), Ok(()));
        assert!(policy.check(ip("::1")).is_err());
        assert!(policy.check(ip("10.0.0.1")).is_err());
    }

    #[test]
    fn a_denial_names_the_address_its_kind_and_the_rule_that_would_allow_it() {
        let told = EgressPolicy::default().check(ip("10.1.2.3")).unwrap_err().to_string();
        assert_eq!(
            told,
            "10.1.2.3 is a private address, which stores may not reach; an operator can allow it with --allow-egress 10.1.2.3/32"
        );
    }

    proptest! {
        #[test]
        fn no_clothes_of_an_address_in_ipv6_open_a_door(
            bits in prop_oneof![any::<u32>(), (0u32..0x100_0000).prop_map(|low| 0x0a00_0000 | low)], tail in any::<u64>(),
        ) {
            let v4 = Ipv4Addr::from(bits);
            let (high, low) = (u128::from(bits) << 80, u128::from(bits));
            let clothes = [
                v4.to_ipv6_mapped().to_bits(),
                low,
                0xffff_0000_0000_0000 | low,
                0x0064_ff9b_u128 << 96 | low,
                0x2002_u128 << 112 | high | u128::from(tail),
            ];
            let policy = EgressPolicy::default();
            if policy.check(IpAddr::V4(v4)).is_err() {
                for dressed in clothes.map(Ipv6Addr::from_bits) {
                    prop_assert!(policy.check(IpAddr::V6(dressed)).is_err(), "{} as {}", v4, dressed);
                }
            }
        }
    }
}
