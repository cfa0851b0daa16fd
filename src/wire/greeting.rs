//! The packets of the handshake.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html>,
//! <https://mariadb.com/kb/en/connection/>

use super::auth::NONCE;
use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{put_lenenc_bytes, put_lenenc_int};
use bytes::{BufMut, BytesMut};

/// `Protocol::HandshakeV10`: what a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The server's version.
    pub version: Vec<u8>,
    /// The number of the connection.
    pub connection_id: u32,
    /// What proofs are made with.
    pub nonce: [u8; NONCE],
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The server's collation, its low byte.
    pub collation: u8,
    /// Status flags.
    pub status: Status,
    /// The plugin that the nonce is for.
    pub plugin: Vec<u8>,
}

impl Greeting {
    /// Decodes a payload.
    ///
    /// # Errors
    ///
    /// When it is no greeting of protocol 10, or ends early.
    pub fn parse(payload: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != 10 {
            return Err(Fault::Unexpected { expected: "a greeting of protocol 10" });
        }
        let version = cursor.nul_bytes()?.to_vec();
        let connection_id = cursor.u32()?;
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(cursor.bytes(8)?);
        cursor.skip(1)?;
        let mut flags = u64::from(cursor.u16()?);
        let collation = cursor.u8()?;
        let status = Status(cursor.u16()?);
        flags |= u64::from(cursor.u16()?) << 16;
        let _nonce_length = cursor.u8()?;
        cursor.skip(6)?;
        let extended = cursor.u32()?;
        if flags & Capabilities::LONG_PASSWORD.0 == 0 {
            flags |= u64::from(extended) << 32;
        }
        nonce[8..].copy_from_slice(cursor.bytes(NONCE - 8)?);
        cursor.skip(1)?;
        let rest = cursor.take_rest();
        let plugin = rest.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let capabilities = Capabilities(flags);
        Ok(Self { version, connection_id, nonce, capabilities, collation, status, plugin })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(10);
        out.put_slice(&self.version);
        out.put_u8(0);
        out.put_u32_le(self.connection_id);
        out.put_slice(&self.nonce[..8]);
        out.put_u8(0);
        out.put_u16_le(self.capabilities.mysql() as u16);
        out.put_u8(self.collation);
        out.put_u16_le(self.status.0);
        out.put_u16_le((self.capabilities.mysql() >> 16) as u16);
        out.put_u8(NONCE as u8 + 1);
        out.put_slice(&[0; 6]);
        let maria = !self.capabilities.has(Capabilities::LONG_PASSWORD);
        out.put_u32_le(if maria { self.capabilities.mariadb() } else { 0 });
        out.put_slice(&self.nonce[8..]);
        out.put_u8(0);
        out.put_slice(&self.plugin);
        out.put_u8(0);
    }
}

/// `Protocol::HandshakeResponse41`: what a client answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandshakeResponse {
    /// What the client wants.
    pub capabilities: Capabilities,
    /// The largest packet that it takes.
    pub max_packet: u32,
    /// Its collation.
    pub collation: u16,
    /// The user.
    pub user: Vec<u8>,
    /// The proof, made for [`Self::plugin`].
    pub proof: Vec<u8>,
    /// The database.
    pub database: Option<Vec<u8>>,
    /// The plugin that made the proof.
    pub plugin: Option<Vec<u8>>,
    /// Connection attributes: names and values.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Bytes of a response that only asks for TLS: up to the filler.
pub const SSL_REQUEST: usize = 32;

impl HandshakeResponse {
    /// The capabilities, which tell whether this only asks for TLS.
    ///
    /// # Errors
    ///
    /// When the payload is shorter than a request for TLS.
    pub fn capabilities(payload: &[u8]) -> Result<Capabilities, Fault> {
        let mut cursor = Cursor::new(payload);
        let mut flags = u64::from(cursor.u32()?);
        if flags & Capabilities::PROTOCOL_41.0 == 0 {
            // Protocol 320: two bytes of flags, three of packet size.
            return Ok(Capabilities(flags & 0xFFFF));
        }
        cursor.skip(4 + 1 + 19)?;
        let extended = cursor.u32()?;
        if flags & Capabilities::LONG_PASSWORD.0 == 0 {
            flags |= u64::from(extended) << 32;
        }
        Ok(Capabilities(flags))
    }

    /// Decodes a payload.
    ///
    /// # Errors
    ///
    /// When it is of an older protocol, or ends early.
    pub fn parse(payload: &[u8]) -> Result<Self, Fault> {
        let capabilities = Self::capabilities(payload)?;
        if !capabilities.has(Capabilities::PROTOCOL_41) {
            return Err(Fault::Unexpected { expected: "a response of protocol 4.1" });
        }
        let mut cursor = Cursor::new(payload);
        cursor.skip(4)?;
        let max_packet = cursor.u32()?;
        let collation = cursor.u16()?;
        // MySQL's clients leave the high byte 0 or use it; the filler follows.
        cursor.skip(22)?;
        let user = cursor.nul_bytes()?.to_vec();
        let proof = if capabilities.has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            cursor.lenenc_bytes()?.to_vec()
        } else if capabilities.has(Capabilities::SECURE_CONNECTION) {
            let length = cursor.u8()?;
            cursor.bytes(usize::from(length))?.to_vec()
        } else {
            cursor.nul_bytes()?.to_vec()
        };
        let mut database = None;
        if capabilities.has(Capabilities::CONNECT_WITH_DB) && !cursor.is_empty() {
            let name = optional_nul(&mut cursor);
            database = (!name.is_empty()).then(|| name.to_vec());
        }
        let mut plugin = None;
        if capabilities.has(Capabilities::PLUGIN_AUTH) && !cursor.is_empty() {
            plugin = Some(optional_nul(&mut cursor).to_vec());
        }
        let mut attributes = Vec::new();
        if capabilities.has(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() {
            let mut pairs = Cursor::new(cursor.lenenc_bytes()?);
            while !pairs.is_empty() {
                let name = pairs.lenenc_bytes()?.to_vec();
                attributes.push((name, pairs.lenenc_bytes()?.to_vec()));
            }
        }
        Ok(Self { capabilities, max_packet, collation, user, proof, database, plugin, attributes })
    }

    /// Appends the first part of the payload, which alone asks for TLS.
    pub fn encode_head(&self, out: &mut BytesMut) {
        out.put_u32_le(self.capabilities.mysql());
        out.put_u32_le(self.max_packet);
        out.put_u8(self.collation as u8);
        out.put_slice(&[0; 19]);
        let maria = !self.capabilities.has(Capabilities::LONG_PASSWORD);
        out.put_u32_le(if maria { self.capabilities.mariadb() } else { 0 });
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_head(out);
        out.put_slice(&self.user);
        out.put_u8(0);
        if self.capabilities.has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            put_lenenc_bytes(out, &self.proof);
        } else {
            out.put_u8(self.proof.len() as u8);
            out.put_slice(&self.proof);
        }
        if let Some(database) = &self.database {
            out.put_slice(database);
            out.put_u8(0);
        }
        if let Some(plugin) = &self.plugin {
            out.put_slice(plugin);
            out.put_u8(0);
        }
        if self.capabilities.has(Capabilities::CONNECT_ATTRS) {
            let mut pairs = BytesMut::new();
            for (name, value) in &self.attributes {
                put_lenenc_bytes(&mut pairs, name);
                put_lenenc_bytes(&mut pairs, value);
            }
            put_lenenc_int(out, pairs.len() as u64);
            out.put_slice(&pairs);
        }
    }
}

/// A string that should end with NUL, and at the end of the packet at the latest.
fn optional_nul<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    cursor.nul_bytes().unwrap_or_else(|_| cursor.take_rest())
}

/// `Protocol::AuthSwitchRequest`: the server wants another plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSwitch {
    /// The plugin's name.
    pub plugin: Vec<u8>,
    /// Its nonce, without the terminator.
    pub nonce: Vec<u8>,
}

impl AuthSwitch {
    /// Decodes a payload that begins with `0xFE`.
    ///
    /// # Errors
    ///
    /// When it names no plugin: the method of before 4.1 is not supported.
    pub fn parse(payload: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        cursor.skip(1)?;
        let plugin = cursor.nul_bytes()?.to_vec();
        let nonce = cursor.take_rest();
        // MySQL ends the nonce with NUL, MariaDB's ed25519 does not.
        let nonce = if nonce.len() == NONCE + 1 { &nonce[..NONCE] } else { nonce };
        Ok(Self { plugin, nonce: nonce.to_vec() })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(0xFE);
        out.put_slice(&self.plugin);
        out.put_u8(0);
        out.put_slice(&self.nonce);
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capabilities() -> Capabilities {
        Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | Capabilities::CONNECT_ATTRS
            | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
    }

    #[test]
    fn a_greeting_is_read_back() {
        let greeting = Greeting {
            version: b"9.7.4".to_vec(),
            connection_id: 1 << 30,
            nonce: *b"abcdefghijklmnopqrst",
            capabilities: capabilities() | Capabilities::MARIADB_STMT_BULK_OPERATIONS,
            collation: 45,
            status: Status::AUTOCOMMIT,
            plugin: b"caching_sha2_password".to_vec(),
        };
        let mut out = BytesMut::new();
        greeting.encode(&mut out);
        assert_eq!(Greeting::parse(&out), Ok(greeting));
    }

    #[test]
    fn a_response_is_read_back_and_cut_anywhere_never_misread() {
        let response = HandshakeResponse {
            capabilities: capabilities()
                | Capabilities::CONNECT_WITH_DB
                | Capabilities::LONG_PASSWORD,
            max_packet: 1 << 24,
            collation: 255,
            user: b"app".to_vec(),
            proof: vec![9; 32],
            database: Some(b"shop".to_vec()),
            plugin: Some(b"caching_sha2_password".to_vec()),
            attributes: vec![(b"_client_name".to_vec(), b"test".to_vec())],
        };
        let mut out = BytesMut::new();
        response.encode(&mut out);
        assert_eq!(HandshakeResponse::parse(&out), Ok(response));
        for cut in 0..60 {
            assert!(HandshakeResponse::parse(&out[..cut]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Greeting::parse(&bytes);
            let _ = HandshakeResponse::parse(&bytes);
            let _ = AuthSwitch::parse(&bytes);
        }
    }
}
