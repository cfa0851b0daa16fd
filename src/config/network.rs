//! Ranges of network addresses, as `10.0.0.0/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a list of them looks like, to follow "expected".
pub(super) const NETWORKS: &str = "addresses or networks such as \"10.0.0.0/8\"";

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, or a network such as \"10.0.0.0/8\" whose other bits are 0")]
pub struct NotANetwork;

impl Network {
    /// Whether an address is in it. An IPv4 address is the same when it is written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, bits) = number(self.address);
        let (other, other_bits) = number(address.to_canonical());
        let outside = u32::from(bits) - u32::from(self.prefix);
        // A shift by all bits is none in the processor's arithmetic, so it is checked.
        bits == other_bits && (own ^ other).checked_shr(outside).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let (value, bits) = number(address);
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| NotANetwork)?;
        let outside = bits.checked_sub(prefix).ok_or(NotANetwork)?;
        let inside = value.checked_shr(outside.into()).unwrap_or(0);
        // 10.0.0.1/8 is a mistake, and who made it may have meant either.
        let whole = inside.checked_shl(outside.into()).unwrap_or(0) == value;
        whole.then_some(Self { address, prefix }).ok_or(NotANetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_networks_or_not() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
            ("::/0", "2001:db8::", "10.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10", "10.0.0.0/33", "10.0.0.1/8", "::1/0", "::/129", "db/8", "10.0.0.0/"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }
}
