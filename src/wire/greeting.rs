//! The packets of the connection phase, as both sides write them.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html>,
//! <https://mariadb.com/kb/en/connection/>

use bytes::{BufMut, BytesMut};

use super::auth::NONCE;
use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::{put_lenenc_bytes, put_lenenc_int};

/// First byte of a packet that asks for another plugin.
pub const AUTH_SWITCH_HEADER: u8 = 0xFE;
/// First byte of a packet that goes on with a plugin's dialogue.
pub const AUTH_MORE_HEADER: u8 = 0x01;
/// `caching_sha2_password`: the proof was right and no more is needed.
pub const FAST_AUTH_OK: u8 = 0x03;
/// `caching_sha2_password`: the password itself is needed.
pub const FULL_AUTH: u8 = 0x04;
/// `caching_sha2_password`: the client asks for the server's RSA key.
pub const REQUEST_KEY: u8 = 0x02;
/// `sha256_password`: the client asks for the server's RSA key.
pub const REQUEST_KEY_SHA256: u8 = 0x01;

/// The server's first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The server's version, with MariaDB's `5.5.5-` in front where it is.
    pub server_version: &'a [u8],
    /// The server's number for this connection.
    pub connection_id: u32,
    /// What the client has to prove that it knows the password for.
    pub nonce: [u8; NONCE],
    /// What the server offers.
    pub capabilities: Capabilities,
    /// The server's default collation, its low eight bits.
    pub collation: u8,
    /// Status flags.
    pub status: Status,
    /// The plugin that the nonce is meant for; empty before 5.5.
    pub plugin: &'a [u8],
}

const PROTOCOL_VERSION: u8 = 10;
const FIRST_OF_NONCE: usize = 8;
/// The second part's length on the wire, its NUL included.
const REST_OF_NONCE: usize = NONCE - FIRST_OF_NONCE + 1;

impl<'a> Greeting<'a> {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// When it ends early, is of another protocol version or of a server before 4.1. An ERR packet,
    /// which a server may send in its place, is the caller's to recognise.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != PROTOCOL_VERSION {
            return Err(Fault::BadValue("protocol version"));
        }
        let server_version = cursor.nul_bytes()?;
        let connection_id = cursor.u32()?;
        let first: [u8; FIRST_OF_NONCE] = cursor.array()?;
        cursor.skip(1)?;
        let low = cursor.u16()?;
        let collation = cursor.u8()?;
        let status = Status(cursor.u16()?);
        let high = cursor.u16()?;
        let nonce_length = usize::from(cursor.u8()?);
        cursor.skip(6)?;
        let extended = cursor.u32()?;
        let mysql = Capabilities(u64::from(low) | u64::from(high) << 16);
        if !mysql.has(Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION) {
            return Err(Fault::BadValue("capabilities of a server before 4.1"));
        }
        // MariaDB says by a missing LONG_PASSWORD that the reserved bytes have a meaning.
        let capabilities = match mysql.has(Capabilities::LONG_PASSWORD) {
            true => mysql,
            false => Capabilities(mysql.0 | u64::from(extended) << 32),
        };
        let rest = cursor.bytes(nonce_length.saturating_sub(FIRST_OF_NONCE).max(REST_OF_NONCE))?;
        let mut nonce = [0; NONCE];
        nonce[..FIRST_OF_NONCE].copy_from_slice(&first);
        nonce[FIRST_OF_NONCE..].copy_from_slice(&rest[..NONCE - FIRST_OF_NONCE]);
        let plugin = match mysql.has(Capabilities::PLUGIN_AUTH) {
            true => lenient_nul_bytes(&mut cursor),
            false => b"",
        };
        Ok(Self { server_version, connection_id, nonce, capabilities, collation, status, plugin })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        let mysql = self.capabilities.mysql();
        out.put_u8(PROTOCOL_VERSION);
        out.put_slice(self.server_version);
        out.put_u8(0);
        out.put_u32_le(self.connection_id);
        out.put_slice(&self.nonce[..FIRST_OF_NONCE]);
        out.put_u8(0);
        out.put_u16_le(mysql as u16);
        out.put_u8(self.collation);
        out.put_u16_le(self.status.0);
        out.put_u16_le((mysql >> 16) as u16);
        out.put_u8(NONCE as u8 + 1);
        out.put_bytes(0, 6);
        out.put_u32_le(self.capabilities.mariadb());
        out.put_slice(&self.nonce[FIRST_OF_NONCE..]);
        out.put_u8(0);
        out.put_slice(self.plugin);
        out.put_u8(0);
    }
}

/// The client's wish to go on in TLS: the first 32 bytes of the response that it will send then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    /// What the client can do, [`Capabilities::SSL`] among it.
    pub capabilities: Capabilities,
    /// The largest packet that the client takes.
    pub max_packet: u32,
    /// The client's collation; both servers look at no more than eight bits.
    pub collation: u8,
}

/// Bytes of an [`SslRequest`].
pub const SSL_REQUEST: usize = 32;

impl SslRequest {
    /// Reads the head of a response, whatever follows.
    ///
    /// # Errors
    ///
    /// When it ends early.
    pub fn parse(payload: &[u8]) -> Result<Self, Fault> {
        Self::read(&mut Cursor::new(payload))
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let mysql = Capabilities(u64::from(cursor.u32()?));
        let max_packet = cursor.u32()?;
        let collation = cursor.u8()?;
        cursor.skip(19)?;
        let extended = cursor.u32()?;
        let capabilities = match mysql.has(Capabilities::LONG_PASSWORD) {
            true => mysql,
            false => Capabilities(mysql.0 | u64::from(extended) << 32),
        };
        Ok(Self { capabilities, max_packet, collation })
    }

    /// Appends the payload. MariaDB's capabilities are left out unless `LONG_PASSWORD` is: a MySQL
    /// server would take them for something else.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.capabilities.mysql());
        out.put_u32_le(self.max_packet);
        out.put_u8(self.collation);
        out.put_bytes(0, 19);
        match self.capabilities.has(Capabilities::LONG_PASSWORD) {
            true => out.put_u32_le(0),
            false => out.put_u32_le(self.capabilities.mariadb()),
        }
    }
}

/// The client's answer to the greeting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// What the client can do, the largest packet it takes, and its collation.
    pub head: SslRequest,
    /// The user's name, in the client's character set.
    pub user: &'a [u8],
    /// What the plugin computed from the greeting's nonce.
    pub auth_response: &'a [u8],
    /// The database to use; `None` also for an empty name.
    pub database: Option<&'a [u8]>,
    /// The plugin that computed the response, where the client names one.
    pub plugin: Option<&'a [u8]>,
    /// Connection attributes: length-encoded names and values in turn.
    pub attributes: &'a [u8],
    /// The zstd level that the client wants.
    pub zstd_level: Option<u8>,
}

impl std::fmt::Debug for HandshakeResponse<'_> {
    /// Without the response, which in some plugins is the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeResponse")
            .field("head", &self.head)
            .field("user", &String::from_utf8_lossy(self.user))
            .finish_non_exhaustive()
    }
}

impl<'a> HandshakeResponse<'a> {
    /// Reads the payload of a response with `PROTOCOL_41`. Takes what both servers take: a last
    /// string without its NUL, and anything behind the end.
    ///
    /// # Errors
    ///
    /// When it ends early, or the client speaks the protocol of before 4.1.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let head = SslRequest::read(&mut cursor)?;
        let has = |flag| head.capabilities.has(flag);
        if !has(Capabilities::PROTOCOL_41) {
            return Err(Fault::BadValue("capabilities of a client before 4.1"));
        }
        let user = cursor.nul_bytes()?;
        let auth_response = if has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            cursor.lenenc_bytes()?
        } else if has(Capabilities::SECURE_CONNECTION) {
            let length = cursor.u8()?;
            cursor.bytes(usize::from(length))?
        } else {
            cursor.nul_bytes()?
        };
        let mut database = None;
        if has(Capabilities::CONNECT_WITH_DB) {
            database = Some(lenient_nul_bytes(&mut cursor)).filter(|name| !name.is_empty());
        }
        let mut plugin = None;
        if has(Capabilities::PLUGIN_AUTH) {
            plugin = Some(lenient_nul_bytes(&mut cursor));
        }
        let mut attributes = &b""[..];
        if has(Capabilities::CONNECT_ATTRS) {
            attributes = cursor.lenenc_bytes()?;
        }
        let mut zstd_level = None;
        if has(Capabilities::ZSTD_COMPRESSION) {
            zstd_level = cursor.u8().ok();
        }
        Ok(Self { head, user, auth_response, database, plugin, attributes, zstd_level })
    }

    /// Appends the payload. Which fields are written is said by the capabilities, as the server
    /// will read them.
    pub fn encode(&self, out: &mut BytesMut) {
        let has = |flag| self.head.capabilities.has(flag);
        self.head.encode(out);
        out.put_slice(self.user);
        out.put_u8(0);
        if has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            put_lenenc_bytes(out, self.auth_response);
        } else if has(Capabilities::SECURE_CONNECTION) {
            // No plugin's first response is longer than this form allows.
            let response = &self.auth_response[..self.auth_response.len().min(0xFF)];
            out.put_u8(response.len() as u8);
            out.put_slice(response);
        } else {
            out.put_slice(self.auth_response);
            out.put_u8(0);
        }
        if has(Capabilities::CONNECT_WITH_DB) {
            out.put_slice(self.database.unwrap_or_default());
            out.put_u8(0);
        }
        if has(Capabilities::PLUGIN_AUTH) {
            out.put_slice(self.plugin.unwrap_or_default());
            out.put_u8(0);
        }
        if has(Capabilities::CONNECT_ATTRS) {
            put_lenenc_int(out, self.attributes.len() as u64);
            out.put_slice(self.attributes);
        }
        if let Some(level) = self.zstd_level.filter(|_| has(Capabilities::ZSTD_COMPRESSION)) {
            out.put_u8(level);
        }
    }
}

/// The server asks for the proof of another plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthSwitchRequest<'a> {
    /// The plugin's name.
    pub plugin: &'a [u8],
    /// Its nonce, without a NUL at the end.
    pub nonce: &'a [u8],
}

impl<'a> AuthSwitchRequest<'a> {
    /// Reads the payload. One of a single byte asks for the password hash of before 4.1; it gives
    /// an empty name.
    ///
    /// # Errors
    ///
    /// When it is another packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != AUTH_SWITCH_HEADER {
            return Err(Fault::Unexpected { expected: "a request to switch the plugin" });
        }
        let plugin = lenient_nul_bytes(&mut cursor);
        let nonce = cursor.take_rest();
        // MySQL closes a nonce of 20 bytes with a NUL; that of `client_ed25519` may end with one.
        let nonce = match nonce {
            [nonce @ .., 0] if nonce.len() == NONCE => nonce,
            _ => nonce,
        };
        Ok(Self { plugin, nonce })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(AUTH_SWITCH_HEADER);
        out.put_slice(self.plugin);
        out.put_u8(0);
        out.put_slice(self.nonce);
        if self.nonce.len() == NONCE {
            out.put_u8(0);
        }
    }
}

/// The names and values of connection attributes; stops at the first that is broken.
pub fn attributes(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut cursor = Cursor::new(raw);
    std::iter::from_fn(move || Some((cursor.lenenc_bytes().ok()?, cursor.lenenc_bytes().ok()?)))
}

/// A string that ends with a NUL or with the packet: some clients and servers leave the NUL out.
fn lenient_nul_bytes<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    match cursor.nul_bytes() {
        Ok(bytes) => bytes,
        Err(_) => cursor.take_rest(),
    }
}

#[cfg(test)]
mod tests;
