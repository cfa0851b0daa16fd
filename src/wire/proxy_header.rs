//! The header that proxies put in front of a connection, to tell whose it is: PROXY protocol,
//! versions 1 (a line of text) and 2 (binary).
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use super::fault::Fault;
use bytes::{BufMut, BytesMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What begins a header of version 1.
const TEXT: &[u8] = b"PROXY ";
/// What begins a header of version 2.
const BINARY: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its line end included.
const LONGEST_TEXT: usize = 107;
/// What stands in front of the addresses in version 2.
const FIXED: usize = 16;
/// The longest header that is read. What follows the addresses in version 2 is of no use here, and
/// is a few hundred bytes where there is any.
pub const LONGEST: usize = 4096;

/// What a header says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Somebody else's, from and to these addresses.
    For {
        /// Where the client is.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// The proxy's own, such as a health check, or one of which it knows nothing: the addresses of
    /// the connection itself count.
    Own,
}

/// How much of a header there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// More has to come; this many bytes in all at least.
    Needs(usize),
    /// All of it.
    Whole {
        /// What it says.
        header: ProxyHeader,
        /// How many bytes it has.
        length: usize,
    },
}

impl ProxyHeader {
    /// Reads the header at the front of `bytes`. It is not more than [`LONGEST`] bytes.
    ///
    /// # Errors
    ///
    /// When the bytes are not the beginning of a header, or one that is not understood to the last
    /// bit: who guesses here takes one client for another.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
        if begins(bytes, TEXT) {
            text(bytes)
        } else if begins(bytes, BINARY) {
            binary(bytes)
        } else {
            Err(NOT_A_HEADER)
        }
    }

    /// Appends it in version 1.
    pub fn put_text(&self, out: &mut BytesMut) {
        let line = match self {
            Self::For { source, destination } if source.is_ipv4() == destination.is_ipv4() => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.ip(), destination.ip());
                let (port, to_port) = (source.port(), destination.port());
                format!("PROXY {family} {from} {to} {port} {to_port}\r\n")
            }
            Self::For { .. } | Self::Own => "PROXY UNKNOWN\r\n".to_owned(),
        };
        out.put_slice(line.as_bytes());
    }

    /// Appends it in version 2.
    pub fn put_binary(&self, out: &mut BytesMut) {
        out.put_slice(BINARY);
        match self {
            Self::For { source, destination } => match (source.ip(), destination.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    out.put_slice(&[PROXY, TCP4, 0, 12]);
                    out.put_slice(&from.octets());
                    out.put_slice(&to.octets());
                }
                (from, to) => {
                    out.put_slice(&[PROXY, TCP6, 0, 36]);
                    out.put_slice(&as_ipv6(from).octets());
                    out.put_slice(&as_ipv6(to).octets());
                }
            },
            Self::Own => out.put_slice(&[LOCAL, 0, 0, 0]),
        }
        if let Self::For { source, destination } = self {
            out.put_u16(source.port());
            out.put_u16(destination.port());
        }
    }
}

/// Whether `bytes`, as far as they go, are `mark` or begin with it.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    let known = bytes.len().min(mark.len());
    bytes[..known] == mark[..known]
}

fn text(bytes: &[u8]) -> Result<Parsed, Fault> {
    let searched = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = memchr::memmem::find(searched, b"\r\n") else {
        let more = bytes.len() < LONGEST_TEXT && !searched[..].contains(&b'\n');
        return if more { Ok(Parsed::Needs(bytes.len() + 1)) } else { Err(NOT_A_HEADER) };
    };
    let line = std::str::from_utf8(&bytes[TEXT.len()..end]).map_err(|_| NOT_A_HEADER)?;
    let header = if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        ProxyHeader::Own
    } else {
        addresses(line).ok_or(NOT_A_HEADER)?
    };
    Ok(Parsed::Whole { header, length: end + 2 })
}

/// `TCP4 192.0.2.1 192.0.2.2 1024 3306`
fn addresses(line: &str) -> Option<ProxyHeader> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [family, from, to, port, to_port] = parts[..] else { return None };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    // `parse` alone would take "+1" and "01".
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == *text);
    Some(ProxyHeader::For {
        source: SocketAddr::new(address(from)?, number(port)?),
        destination: SocketAddr::new(address(to)?, number(to_port)?),
    })
}

fn binary(bytes: &[u8]) -> Result<Parsed, Fault> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else {
        return Ok(Parsed::Needs(FIXED));
    };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if !matches!(command, PROXY | LOCAL) {
        return Err(NOT_A_HEADER);
    }
    if FIXED + length > LONGEST {
        return Err(Fault::TooLarge { limit: LONGEST });
    }
    let Some(rest) = rest.get(..length) else { return Ok(Parsed::Needs(FIXED + length)) };
    let header = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED | UNIX) => ProxyHeader::Own,
        (PROXY, TCP4) => between::<4, Ipv4Addr>(rest)?,
        (PROXY, TCP6) => between::<16, Ipv6Addr>(rest)?,
        _ => return Err(NOT_A_HEADER),
    };
    Ok(Parsed::Whole { header, length: FIXED + length })
}

/// Two addresses of `N` bytes, and the ports behind them.
fn between<const N: usize, A>(bytes: &[u8]) -> Result<ProxyHeader, Fault>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let (from, rest) = bytes.split_first_chunk::<N>().ok_or(NOT_A_HEADER)?;
    let (to, rest) = rest.split_first_chunk::<N>().ok_or(NOT_A_HEADER)?;
    let ([a, b, c, d], _) = rest.split_first_chunk().ok_or(NOT_A_HEADER)?;
    Ok(ProxyHeader::For {
        source: SocketAddr::new(A::from(*from).into(), u16::from_be_bytes([*a, *b])),
        destination: SocketAddr::new(A::from(*to).into(), u16::from_be_bytes([*c, *d])),
    })
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

const NOT_A_HEADER: Fault = Fault::Unexpected { expected: "a PROXY protocol header" };
/// Version 2, and what it is about.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families of addresses, each with TCP; what comes over UDP is no MySQL.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Option<(ProxyHeader, usize)> {
        match ProxyHeader::parse(bytes) {
            Ok(Parsed::Whole { header, length }) => Some((header, length)),
            Ok(Parsed::Needs(_)) | Err(_) => None,
        }
    }

    fn between(source: &str, destination: &str) -> ProxyHeader {
        let address = |text: &str| text.parse().unwrap();
        ProxyHeader::For { source: address(source), destination: address(destination) }
    }

    /// Examples of the specification.
    #[test]
    fn a_line_says_whose_connection_it_is() {
        let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(whole(line), Some((between("192.168.0.1:56324", "192.168.0.11:443"), 47)));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(whole(line), Some((between("[2001:db8::1]:1", "[::1]:65535"), line.len())));
        assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Some((ProxyHeader::Own, 15)));
        let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
        assert_eq!(whole(longest), Some((ProxyHeader::Own, longest.len())));
    }

    #[test]
    fn what_is_not_quite_a_line_is_refused() {
        for line in [
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
            "PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
            "PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 056324 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 +56324 443\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.168.0.1 192.168.0.11 1 2\r\n",
            "PROXY UDP4 192.168.0.1 192.168.0.11 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 1 2\n",
            "proxy TCP4 192.168.0.1 192.168.0.11 1 2\r\n",
            "\u{1}\0\0\u{1}\u{e}",
        ] {
            assert!(ProxyHeader::parse(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(
            ProxyHeader::parse(format!("PROXY UNKNOWN {}", "x".repeat(93)).as_bytes()).is_err()
        );
    }

    #[test]
    fn a_binary_header_says_it_too_and_what_follows_the_addresses_is_skipped() {
        let mut header = BINARY.to_vec();
        header.extend([PROXY, TCP4, 0, 16, 192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0, 0x0C, 0xEA]);
        header.extend([0x04, 0, 1, 0xFF]);
        let said = between("192.0.2.1:4096", "192.0.2.2:3306");
        assert_eq!(whole(&header), Some((said, 32)));
        for (command, family, length, said) in [
            (LOCAL, 0, 0, Some(ProxyHeader::Own)),
            (LOCAL, TCP4, 12, Some(ProxyHeader::Own)),
            (PROXY, UNIX, 216, Some(ProxyHeader::Own)),
            (PROXY, UNSPECIFIED, 3, Some(ProxyHeader::Own)),
            // Too short for its addresses, over UDP, of another version, an unknown command.
            (PROXY, TCP4, 11, None),
            (PROXY, TCP6, 35, None),
            (PROXY, 0x12, 12, None),
            (0x31, TCP4, 12, None),
            (0x22, TCP4, 12, None),
        ] {
            let mut header = BINARY.to_vec();
            header.extend([command, family, 0, length]);
            header.extend(vec![1; length.into()]);
            let expected = said.map(|said| (said, header.len()));
            assert_eq!(whole(&header), expected, "{command:x} {family:x} {length}");
        }
        let mut long = BINARY.to_vec();
        long.extend([LOCAL, 0, 0xFF, 0xFF]);
        assert_eq!(ProxyHeader::parse(&long), Err(Fault::TooLarge { limit: LONGEST }));
    }

    fn any_header() -> impl Strategy<Value = ProxyHeader> {
        let v4 = any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(a, b)| (a.into(), b.into()));
        let v6 = any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(a, b)| (a.into(), b.into()));
        let addresses = prop_oneof![v4, v6];
        prop_oneof![
            Just(ProxyHeader::Own),
            (addresses, any::<(u16, u16)>()).prop_map(
                |((from, to), (port, to_port)): ((IpAddr, IpAddr), _)| ProxyHeader::For {
                    source: SocketAddr::new(from, port),
                    destination: SocketAddr::new(to, to_port),
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in any_header(), more in any::<Vec<u8>>()) {
            for put in [ProxyHeader::put_text, ProxyHeader::put_binary] {
                let mut bytes = BytesMut::new();
                put(&header, &mut bytes);
                let length = bytes.len();
                for cut in 0..length {
                    let parsed = ProxyHeader::parse(&bytes[..cut]);
                    prop_assert!(
                        matches!(parsed, Ok(Parsed::Needs(n)) if n > cut && n <= length),
                        "{cut} of {length}: {parsed:?}"
                    );
                }
                bytes.put_slice(&more);
                prop_assert_eq!(whole(&bytes), Some((header, length)));
            }
        }

        #[test]
        fn whatever_comes_is_judged(bytes in any::<Vec<u8>>(), version in 0..3) {
            let mark: &[u8] = [&b""[..], TEXT, BINARY][version as usize];
            let bytes = [mark, &bytes].concat();
            if let Ok(Parsed::Whole { length, .. }) = ProxyHeader::parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
