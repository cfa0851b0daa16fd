//! One of two twins: a session on a direct connection, or through Millpond.

use std::collections::BTreeMap;
use std::io;

use mysql_common::constants::CapabilityFlags as Flags;

use crate::support::accounts::APP;
use crate::support::raw::login::{Encrypted, Login};
use crate::support::raw::reply::{Expect, Raw, Reply};

/// A logged-in client and its statements.
pub(crate) struct Side {
    raw: Raw,
    login: Login,
    statements: BTreeMap<u8, Statement>,
}

struct Statement {
    id: [u8; 4],
    parameters: u8,
    /// Whether types were sent once.
    bound: bool,
    /// Parameters whose value was sent beforehand.
    long: bool,
    /// It had a cursor.
    cursor: bool,
    /// It calls a procedure.
    calls: bool,
}

/// How many kinds of clients there are.
pub(crate) const GENERATIONS: usize = 4;

/// The session that logs in without a database.
const HOMELESS: usize = 5;

/// Whether a session's client is told of a result's end by an EOF packet.
pub(crate) fn has_eof(number: usize) -> bool {
    number % GENERATIONS == 2
}

/// How a client of each generation logs in; there are more of them than connections.
pub(crate) fn login(number: usize, database: &str) -> Login {
    let old = Flags::CLIENT_MULTI_RESULTS | Flags::CLIENT_PS_MULTI_RESULTS;
    let capabilities = match number % GENERATIONS {
        0 => old | Flags::CLIENT_DEPRECATE_EOF | Flags::CLIENT_MULTI_STATEMENTS,
        1 => old | Flags::CLIENT_DEPRECATE_EOF | Flags::CLIENT_SESSION_TRACK,
        2 => old | Flags::CLIENT_MULTI_STATEMENTS | Flags::CLIENT_LOCAL_FILES,
        _ => old | Flags::CLIENT_DEPRECATE_EOF | Flags::CLIENT_FOUND_ROWS,
    };
    Login {
        capabilities,
        database: (number != HOMELESS).then(|| database.to_owned()),
        encrypted: Encrypted::No,
        ..Login::of(&APP)
    }
}

impl Side {
    pub(crate) async fn log_in(number: usize, database: &str, port: u16) -> io::Result<Self> {
        let login = login(number, database);
        Ok(Self { raw: login.at(port).await?, login, statements: BTreeMap::new() })
    }

    /// What `CONNECTION_ID()` has to be.
    pub(crate) fn connection_id(&self) -> u32 {
        self.raw.connection_id
    }

    pub(crate) async fn quit(self) {
        self.raw.quit().await;
    }

    /// Says one step; `None` where it makes no sense without a statement.
    pub(crate) async fn say(&mut self, text: &str) -> io::Result<Option<Reply>> {
        let Some(command) = text.strip_prefix('!') else {
            return self.raw.query(text).await.map(Some);
        };
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let one = |payload: &[u8]| payload.to_vec();
        let payload = match verb {
            "ping" => one(b"\x0e"),
            "database" => [b"\x02", rest.as_bytes()].concat(),
            "option" => [b"\x1b", &[rest.as_bytes()[0] - b'0', 0][..]].concat(),
            "again" => {
                self.statements.clear();
                one(b"\x1f")
            }
            "change" => {
                self.statements.clear();
                return self.login.change_user(&mut self.raw).await.map(|()| None);
            }
            "fields" => {
                let payload = [b"\x04", rest.as_bytes(), b"\0"].concat();
                return self.raw.command(&payload, Expect::Rows).await.map(Some);
            }
            _ => return self.statement(verb, rest).await,
        };
        self.raw.command(&payload, Expect::One).await.map(Some)
    }

    async fn statement(&mut self, verb: &str, rest: &str) -> io::Result<Option<Reply>> {
        let (slot, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let slot = slot.as_bytes()[0];
        if verb == "prepare" {
            return self.prepare(slot, rest).await.map(Some);
        }
        let Some(statement) = self.statements.get_mut(&slot) else { return Ok(None) };
        if verb == "execute" {
            // MySQL gives no rows, and no end of them, to an execution without a cursor of a
            // statement that once had one.
            statement.cursor |= rest == "cursor" && !statement.calls;
            if statement.cursor && rest != "cursor" {
                return Ok(None);
            }
        }
        let (payload, expect) = match verb {
            // No procedure's results are put into a cursor; it may have one of its own.
            "execute" if rest == "cursor" && !statement.calls => {
                (statement.execute(rest), Expect::Cursor)
            }
            "execute" => (statement.execute(rest), Expect::Results),
            "fetch" => {
                let rows: u32 = rest.parse().expect("a number of rows");
                ([b"\x1c", &statement.id[..], &rows.to_le_bytes()].concat(), Expect::Rows)
            }
            "long" if statement.parameters > 0 => {
                statement.long = true;
                ([b"\x18", &statement.id[..], b"\0\0", b"12"].concat(), Expect::Nothing)
            }
            "reset" => {
                statement.long = false;
                ([b"\x1a", &statement.id[..]].concat(), Expect::One)
            }
            "close" => {
                let payload = [b"\x19", &statement.id[..]].concat();
                self.statements.remove(&slot);
                (payload, Expect::Nothing)
            }
            _ => return Ok(None),
        };
        self.raw.command(&payload, expect).await.map(Some)
    }

    /// The number is the side's own affair, and taken out of the reply.
    async fn prepare(&mut self, slot: u8, sql: &str) -> io::Result<Reply> {
        // A slot's former statement is closed, as drivers do.
        if let Some(former) = self.statements.remove(&slot) {
            self.raw.command(&[b"\x19", &former.id[..]].concat(), Expect::Nothing).await?;
        }
        let payload = [b"\x16", sql.as_bytes()].concat();
        let mut reply = self.raw.command(&payload, Expect::Statement).await?;
        if let [0, id @ ..] = &mut reply.packets[0].1[..] {
            let number = [id[0], id[1], id[2], id[3]];
            let parameters = id[6];
            id[..4].fill(0);
            let calls = sql.starts_with("CALL");
            let (bound, long, cursor) = (false, false, false);
            let statement = Statement { id: number, parameters, bound, long, cursor, calls };
            self.statements.insert(slot, statement);
        }
        Ok(reply)
    }
}

/// The type of a parameter, and its value; none is NULL.
fn typed(kind: u8) -> ([u8; 2], &'static [u8]) {
    match kind {
        b'i' => ([8, 0], b"\x05\0\0\0\0\0\0\0"),
        b'm' => ([3, 0], b"\xfe\xff\xff\xff"),
        b'u' => ([8, 0x80], b"\x06\0\0\0\0\0\0\0"),
        b'd' => ([5, 0], b"\0\0\0\0\0\0\xf8\x3f"),
        b'D' => ([246, 0], b"\x032.5"),
        b's' => ([253, 0], b"\x017"),
        b'f' => ([253, 0], b"\x02-7"),
        b'w' => ([253, 0], b"\x03abc"),
        b't' => ([10, 0], b"\x04\xe4\x07\x01\x02"),
        b'T' => ([12, 0], b"\x07\xe4\x07\x01\x02\x03\x04\x05"),
        _ => ([6, 0], b""),
    }
}

impl Statement {
    /// Values of these kinds, one after the other.
    fn put_typed(&self, kinds: &[u8], payload: &mut Vec<u8>) {
        let all =
            || kinds.iter().cycle().take(usize::from(self.parameters)).map(|kind| typed(*kind));
        let nulls = all().enumerate().filter(|(_, (_, value))| value.is_empty());
        payload.push(nulls.fold(0, |bits, (at, _)| bits | 1 << at));
        payload.push(1);
        all().for_each(|(kind, _)| payload.extend(kind));
        all().for_each(|(_, value)| payload.extend(value));
    }

    fn execute(&mut self, how: &str) -> Vec<u8> {
        let cursor = u8::from(how == "cursor");
        let mut payload = [&[0x17][..], &self.id, &[cursor, 1, 0, 0, 0]].concat();
        if self.parameters == 0 {
            return payload;
        }
        if let Some(kinds) = how.strip_prefix("as ").filter(|_| !self.long) {
            self.bound = true;
            self.put_typed(kinds.as_bytes(), &mut payload);
            return payload;
        }
        let nulls = how == "null" && !self.long;
        payload.push(if nulls { 0xff } else { 0 });
        // A driver sends the types at the first execution, and then when they change.
        let bind = how != "unbound" || !self.bound || self.long;
        payload.push(u8::from(bind));
        self.bound |= bind;
        for parameter in 0..self.parameters {
            let long = self.long && parameter == 0;
            if bind {
                payload.extend([if long { 0xfc } else { 0xfd }, 0]);
            }
        }
        for parameter in 0..self.parameters {
            if !(nulls || self.long && parameter == 0) {
                payload.extend([2, b'4', b'0' + parameter]);
            }
        }
        if self.long {
            // The next execution has types of its own again.
            self.bound = false;
            self.long = false;
        }
        payload
    }
}
