//! Reads the header that a proxy puts in front of a client's connection.

use super::packet::PacketError;
use crate::wire::proxy_header::{LONGEST, Parsed, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Room for what comes at once in nearly every case.
const USUAL: usize = 256;

/// Reads a connection's header, and not one byte of what is behind it.
///
/// Not cancel safe: a part of it may have been read.
///
/// # Errors
///
/// When the other side leaves, or what it sends is no header.
pub async fn read_proxy_header(tcp: &mut TcpStream) -> Result<ProxyHeader, PacketError> {
    let mut bytes = vec![0; USUAL];
    let mut read = 0;
    loop {
        let seen = read + tcp.peek(&mut bytes[read..]).await?;
        if seen == read {
            return Err(PacketError::Closed);
        }
        match ProxyHeader::parse(&bytes[..seen])? {
            Parsed::Whole { header, length } => {
                tcp.read_exact(&mut bytes[read..length]).await?;
                return Ok(header);
            }
            // All that was seen belongs to the header, so it can be taken off.
            Parsed::Needs(length) => {
                tcp.read_exact(&mut bytes[read..seen]).await?;
                read = seen;
                bytes.resize(length.clamp(USUAL, LONGEST), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// What a connection says that is sent in these parts, and what is left behind the header.
    async fn read(parts: &[&[u8]]) -> (Result<ProxyHeader, PacketError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        far.set_nodelay(true).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        let send = async {
            for part in parts {
                far.write_all(part).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            far.shutdown().await.unwrap();
        };
        let (header, ()) = tokio::join!(read_proxy_header(&mut near), send);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        (header, rest)
    }

    #[tokio::test]
    async fn only_the_header_is_read_however_it_is_cut() {
        let mut long = BytesMut::new();
        ProxyHeader::Own.put_binary(&mut long);
        long[15] = 200;
        long.resize(16 + 200, 7);
        let (first, rest) = long.split_at(9);
        let (second, third) = rest.split_at(100);
        let (header, rest) = read(&[first, second, third, b"client"]).await;
        assert_eq!((header.unwrap(), &rest[..]), (ProxyHeader::Own, &b"client"[..]));
        let (header, rest) = read(&[b"PROXY UNK", b"NOWN\r", b"\nclient"]).await;
        assert_eq!((header.unwrap(), &rest[..]), (ProxyHeader::Own, &b"client"[..]));
    }

    #[tokio::test]
    async fn one_that_leaves_or_says_something_else_has_none() {
        assert!(matches!(read(&[b"PROXY TCP4 "]).await.0, Err(PacketError::Closed)));
        assert!(matches!(read(&[]).await.0, Err(PacketError::Closed)));
        assert!(matches!(read(&[b"\x20\0\0\x01"]).await.0, Err(PacketError::Fault(_))));
    }
}
