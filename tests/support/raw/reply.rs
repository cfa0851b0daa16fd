//! Commands, and where their replies end.

use std::io;

use mysql_common::constants::CapabilityFlags;

use super::packets::{FULL, Packets};

const AUTOCOMMIT: u16 = 0x0002;
const MORE_RESULTS: u16 = 0x0008;
const CURSOR_EXISTS: u16 = 0x0040;

/// What kind of reply a command has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expect {
    /// One packet: OK, an error, or a statistics text.
    One,
    /// Result sets, `COM_QUERY` and `COM_STMT_EXECUTE`.
    Results,
    /// The columns of an open cursor, or result sets where none is opened: `COM_STMT_EXECUTE` that
    /// asks for one.
    Cursor,
    /// A prepared statement.
    Statement,
    /// Rows of an open cursor, `COM_STMT_FETCH`, or columns, `COM_FIELD_LIST`.
    Rows,
    /// Nothing at all.
    Nothing,
}

/// All packets of a reply, with their sequence numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) packets: Vec<(u8, Vec<u8>)>,
    /// Which of them are the ends of column definitions, for clients that have them.
    column_ends: Vec<usize>,
    /// Whether they are those of a prepared statement, whose warnings are known then.
    prepared: bool,
}

impl Reply {
    /// The error's number, if it ends with one.
    pub(crate) fn error(&self) -> Option<(u16, String)> {
        error_in(&self.packets.last()?.1)
    }

    /// The first column of the first row of a text result, if there is one.
    pub(crate) fn value(&self) -> Option<String> {
        let text = self.packets.iter().rev().nth(1).map(|(_, row)| &row[..])?;
        match text {
            [length @ 0..=250, rest @ ..] => {
                Some(String::from_utf8_lossy(&rest[..usize::from(*length)]).into_owned())
            }
            _ => None,
        }
    }

    /// Without what the ends of column definitions say about the rest of the reply: a server knows
    /// some of it before the first row, a proxy that sends rows on as they come does not.
    pub(crate) fn without_foresight(mut self) -> Self {
        const CERTAIN: u16 = AUTOCOMMIT | CURSOR_EXISTS | MORE_RESULTS;
        for end in &self.column_ends {
            if let Some((_, packet)) = self.packets.get_mut(*end) {
                let status = u16::from_le_bytes([packet[3], packet[4]]) & CERTAIN;
                packet[3..5].copy_from_slice(&status.to_le_bytes());
                if !self.prepared {
                    packet[1..3].fill(0);
                }
            }
        }
        self
    }

    /// Panics unless it is a success.
    pub(crate) fn must(self, what: &str) -> Self {
        assert_eq!(self.error(), None, "{what}");
        self
    }
}

/// A logged-in client.
pub(crate) struct Raw {
    pub(crate) packets: Packets,
    pub(crate) capabilities: CapabilityFlags,
    /// The id that the greeting told.
    pub(crate) connection_id: u32,
}

impl Raw {
    /// Runs a query.
    pub(crate) async fn query(&mut self, sql: &str) -> io::Result<Reply> {
        let attributes: &[u8] =
            if self.has(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES) { &[0, 1] } else { &[] };
        self.command(&[&[0x03], attributes, sql.as_bytes()].concat(), Expect::Results).await
    }

    /// Sends a command and receives its reply.
    pub(crate) async fn command(&mut self, payload: &[u8], expect: Expect) -> io::Result<Reply> {
        self.packets.send(0, payload).await?;
        self.reply(expect).await
    }

    /// Says goodbye.
    pub(crate) async fn quit(mut self) {
        let _ = self.packets.send(0, &[0x01]).await;
    }

    fn has(&self, capability: CapabilityFlags) -> bool {
        self.capabilities.contains(capability)
    }

    /// Receives a reply.
    pub(crate) async fn reply(&mut self, expect: Expect) -> io::Result<Reply> {
        let mut reply = Reply::default();
        match expect {
            Expect::Nothing => {}
            Expect::One => self.next(&mut reply).await.map(|_| ())?,
            Expect::Rows => self.rows(&mut reply).await.map(|_| ())?,
            Expect::Statement => self.statement(&mut reply).await?,
            Expect::Results => while self.result(&mut reply, false).await? {},
            Expect::Cursor => while self.result(&mut reply, true).await? {},
        }
        Ok(reply)
    }

    async fn next<'r>(&mut self, reply: &'r mut Reply) -> io::Result<&'r [u8]> {
        let packet = self.packets.receive().await?;
        reply.packets.push(packet);
        Ok(reply.packets.last().map(|(_, payload)| &payload[..]).unwrap_or_default())
    }

    async fn statement(&mut self, reply: &mut Reply) -> io::Result<()> {
        let packet = self.next(reply).await?;
        if packet.first() != Some(&0) {
            return Ok(());
        }
        let number = |at: usize| u16::from_le_bytes([packet[at], packet[at + 1]]);
        let counts = [number(7), number(5)];
        reply.prepared = true;
        for count in counts {
            let _ = self.definitions(count, reply).await?;
        }
        Ok(())
    }

    /// Column definitions, with the EOF after them if there is one: its status. `None` if there is an
    /// error in its place.
    async fn definitions(&mut self, count: u16, reply: &mut Reply) -> io::Result<Option<u16>> {
        for _ in 0..count {
            self.next(reply).await?;
        }
        if count == 0 || self.has(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            return Ok(Some(0));
        }
        let end = self.next(reply).await?;
        if end[0] == 0xff {
            return Ok(None);
        }
        let status = u16::from_le_bytes([end[3], end[4]]);
        reply.column_ends.push(reply.packets.len() - 1);
        Ok(Some(status))
    }

    /// One result, of which a cursor may have been asked for: whether another follows.
    async fn result(&mut self, reply: &mut Reply, cursor: bool) -> io::Result<bool> {
        let first = self.next(reply).await?;
        let columns = match first {
            [0x00, ..] => return Ok(ok_status(first) & MORE_RESULTS != 0),
            [0xff, ..] => return Ok(false),
            [0xfb, ..] => {
                // LOAD DATA LOCAL: the same small file, whatever its name.
                let sequence = reply.packets.last().map_or(0, |(sequence, _)| sequence + 1);
                self.packets.send(sequence, b"1\n2\n3\n").await?;
                self.packets.send(sequence + 1, b"").await?;
                let end = self.next(reply).await?;
                return Ok(end[0] == 0 && ok_status(end) & MORE_RESULTS != 0);
            }
            [0xfc, low, high, ..] => u16::from_le_bytes([*low, *high]),
            [count, ..] => u16::from(*count),
            [] => return Err(io::ErrorKind::InvalidData.into()),
        };
        let Some(status) = self.definitions(columns, reply).await? else { return Ok(false) };
        if cursor && status & CURSOR_EXISTS != 0 {
            return Ok(false);
        }
        self.rows(reply).await
    }

    async fn rows(&mut self, reply: &mut Reply) -> io::Result<bool> {
        loop {
            let deprecated = self.has(CapabilityFlags::CLIENT_DEPRECATE_EOF);
            let row = self.next(reply).await?;
            match row {
                [0xff, ..] => return Ok(false),
                [0xfe, ..] if deprecated && row.len() < FULL => {
                    return Ok(ok_status(row) & MORE_RESULTS != 0);
                }
                [0xfe, _, _, low, high] if !deprecated => {
                    return Ok(u16::from_le_bytes([*low, *high]) & MORE_RESULTS != 0);
                }
                _ => {}
            }
        }
    }
}

/// The status in an OK packet.
fn ok_status(packet: &[u8]) -> u16 {
    let after = |at: usize| match packet.get(at) {
        Some(0xfc) => at + 3,
        Some(0xfd) => at + 4,
        Some(0xfe) => at + 9,
        _ => at + 1,
    };
    // Past the header: affected rows, last insert id.
    let at = after(after(1));
    u16::from_le_bytes([packet[at], packet[at + 1]])
}

/// The error in a packet, if it is one.
pub(crate) fn error_in(packet: &[u8]) -> Option<(u16, String)> {
    let [0xff, low, high, rest @ ..] = packet else { return None };
    let message = if rest.first() == Some(&b'#') { &rest[rest.len().min(6)..] } else { rest };
    let code = u16::from_le_bytes([*low, *high]);
    Some((code, String::from_utf8_lossy(message).into_owned()))
}
