//! What is the same.

use std::collections::BTreeMap;

use super::side::has_eof;
use crate::support::flavor::Flavor;
use crate::support::raw::reply::Reply;

/// What the databases of the two sides are called, before the client's number.
pub(crate) const DIRECT: &str = "app_d";
/// As long as the other, so that lengths agree.
pub(crate) const THROUGH: &str = "app_m";

/// The error of a statement without a cursor, which tells the statement's number.
const NO_CURSOR: &[u8] = b"The statement (";

/// In the second byte of the status: trackers follow.
const CHANGED: u8 = 0x40;

type Packet = (u8, Vec<u8>);

/// Whether what the replies report of the session's variables is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trackers {
    Compared,
    Ignored,
}

/// Text of what differs, if anything does.
pub(crate) fn difference(
    text: &str,
    ids: [u32; 2],
    trackers: Trackers,
    right: Reply,
    seen: Reply,
) -> Option<String> {
    if text == "SELECT CONNECTION_ID()" && right.error().is_none() {
        let told = [right.value(), seen.value()];
        let greeted = ids.map(|id| Some(id.to_string()));
        return (told != greeted).then(|| format!("  {told:?} is not {greeted:?}\n"));
    }
    let (mut right, mut seen) = (normal(right), normal(seen));
    if ["!database", "!fields", "!option", "!ping"].iter().any(|verb| text.starts_with(verb)) {
        right.iter_mut().chain(&mut seen).for_each(|(_, packet)| without_warnings(packet));
    }
    if trackers == Trackers::Ignored || tells_transaction(&right) {
        right.iter_mut().chain(&mut seen).for_each(|(_, packet)| without_trackers(packet));
    }
    let longest = right.len().max(seen.len());
    let places = (0..longest).filter(|at| match (right.get(*at), seen.get(*at)) {
        (Some(right), Some(seen)) => !alike(right, seen),
        _ => true,
    });
    let told: String = places
        .take(3)
        .map(|at| format!("  right: {}\n  seen:  {}\n", show(&right, at), show(&seen, at)))
        .collect();
    (!told.is_empty()).then_some(told)
}

/// Whether MySQL reports a transaction's state: no client here has asked for that.
fn tells_transaction(packets: &[Packet]) -> bool {
    const STATE: &[u8] = b"\x05\x09\x08";
    packets.iter().any(|(_, packet)| {
        matches!(packet.first(), Some(0 | 0xfe)) && memchr::memmem::find(packet, STATE).is_some()
    })
}

fn normal(reply: Reply) -> Vec<Packet> {
    let mut packets = reply.without_foresight().packets;
    for (_, packet) in &mut packets {
        replace(packet, THROUGH.as_bytes(), DIRECT.as_bytes());
        replace(packet, &wide(THROUGH), &wide(DIRECT));
        if let Some(at) = memchr::memmem::find(packet, b"data types point") {
            packet.splice(at + 11..at + 16, *b"geometry");
        }
        if let Some(at) = memchr::memmem::find(packet, b"for column ``.``.")
            && let Some(row) = packet.last_mut()
            && at > 0
        {
            *row = b'0';
        }
        if announces_nothing(packet) {
            without_trackers(packet);
        } else if let [0xfe, _, _, _, flags] = &mut packet[..] {
            *flags &= !CHANGED;
        }
        if let Some(at) = memchr::memmem::find(packet, NO_CURSOR) {
            // In a row, the length of the text stands in front of it.
            let mut text = packet.split_off(at);
            if packet.first() != Some(&0xff) {
                packet.pop();
            }
            text.retain(|byte| !byte.is_ascii_digit());
            packet.append(&mut text);
        }
    }
    packets
}

/// Takes the number of warnings out of an OK or EOF packet that tells nothing else.
fn without_warnings(packet: &mut [u8]) {
    match packet {
        [0 | 0xfe, 0, 0, _, _, low, high, ..] => (*low, *high) = (0, 0),
        [0xfe, low, high, _, _] => (*low, *high) = (0, 0),
        _ => {}
    }
}

/// Whether an OK packet announces trackers, and has an empty list of them.
fn announces_nothing(packet: &[u8]) -> bool {
    if !matches!(packet, [0, ..] | [0xfe, _, _, _, _, _, _, ..]) {
        return false;
    }
    let status = after_length(packet, after_length(packet, 1)) + 1;
    packet.get(status).is_some_and(|flags| flags & CHANGED != 0)
        && packet.get(after_text(packet, status + 3)..) == Some(&[0])
}

/// Takes the trackers out of an OK packet of a client that gets any.
fn without_trackers(packet: &mut Vec<u8>) {
    let end = packet.first() == Some(&0xfe) && packet.len() >= 7;
    if packet.first() != Some(&0) && !end {
        return;
    }
    // Affected rows, the id, then the status, the warnings, and a text in front of the trackers.
    let status = after_length(packet, after_length(packet, 1)) + 1;
    let Some(flags) = packet.get_mut(status) else { return };
    if *flags & CHANGED != 0 {
        *flags &= !CHANGED;
        packet.truncate(after_text(packet, status + 3));
    }
    // An empty text may be there or not.
    if packet.len() == status + 4 && packet.last() == Some(&0) {
        packet.pop();
    }
}

/// Where the bytes begin that follow a number in MySQL's own form.
fn after_length(packet: &[u8], at: usize) -> usize {
    match packet.get(at) {
        Some(0xfc) => at + 3,
        Some(0xfd) => at + 4,
        Some(0xfe) => at + 9,
        _ => at + 1,
    }
}

fn after_text(packet: &[u8], at: usize) -> usize {
    at + 1 + packet.get(at).map_or(0, |length| usize::from(*length))
}

/// As it stands in a result in UTF-16 of either order, but for the outermost byte.
fn wide(name: &str) -> Vec<u8> {
    let mut wide: Vec<_> = name.bytes().flat_map(|byte| [byte, 0]).collect();
    wide.pop();
    wide
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let found: Vec<_> = memchr::memmem::find_iter(bytes, from).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

fn alike((a, right): &Packet, (b, seen): &Packet) -> bool {
    let sorted = |packet: &[u8]| {
        let mut bytes = packet.to_vec();
        bytes.sort_unstable();
        bytes
    };
    let ok = right.first() == Some(&0) && seen.first() == Some(&0);
    a == b && (right == seen || ok && sorted(right) == sorted(seen))
}

fn show(packets: &[Packet], at: usize) -> String {
    let Some((sequence, packet)) = packets.get(at) else { return "nothing".to_owned() };
    let mut text = packet.escape_ascii().to_string();
    text.truncate(800);
    format!("{sequence}: {text}")
}

/// A prepared statement as far as it decides what is not to be asked.
struct Prepared {
    sql: String,
    /// How it was executed last.
    given: Option<String>,
    /// Whether a table was altered since its preparation.
    altered: bool,
}

/// Which questions about the last statement are not to be asked now.
pub(crate) struct Untold {
    flavor: Flavor,
    /// Whether its client can be told of a procedure's output parameters.
    outputs: bool,
    warnings: bool,
    rows: bool,
    /// Whether it has made a table of selected rows.
    made: bool,
    /// Whether its databases may have other character sets than the server.
    altered: bool,
    /// Whether the session was reset since it entered its database.
    reset: bool,
    /// Prepared statements by the slot's name.
    prepared: BTreeMap<String, Prepared>,
}

impl Prepared {
    /// Whether MySQL makes of this execution what former ones, on the same connection, decide.
    fn is_given_otherwise(&mut self, given: &str) -> bool {
        if self.altered && given.starts_with("as ") {
            return true;
        }
        let given = given.replace("unbound", "bound");
        let former = self.given.get_or_insert_with(|| given.clone());
        !self.sql.starts_with("SELECT") && *former != given
    }
}

impl Untold {
    /// Of the session of this number.
    pub(crate) fn new(flavor: Flavor, number: usize) -> Self {
        let prepared = BTreeMap::new();
        Self {
            flavor,
            outputs: flavor == Flavor::MariaDb || !has_eof(number),
            warnings: false,
            rows: false,
            made: false,
            altered: false,
            reset: false,
            prepared,
        }
    }

    /// Whether a statement is a question that was never answered.
    pub(crate) fn is_asked(&mut self, text: &str) -> bool {
        self.reset &= text != "!change";
        let asks = ["SHOW SESSION", "SET CHARACTER SET"].iter().any(|verb| text.starts_with(verb));
        if self.reset && (asks || text.contains("_database")) {
            return true;
        }
        let mut words = text.splitn(3, ' ');
        let text = match (words.next(), words.next(), words.next()) {
            (Some("!prepare"), Some(_), Some(sql))
                if !self.outputs && sql.starts_with("CALL outs") =>
            {
                return true;
            }
            (Some("!prepare"), Some(slot), Some(sql)) => {
                let prepared = Prepared { sql: sql.to_owned(), given: None, altered: false };
                self.prepared.insert(slot.to_owned(), prepared);
                return false;
            }
            (Some("!execute"), Some(slot), Some(given)) => {
                let Some(prepared) = self.prepared.get_mut(slot) else { return false };
                if self.flavor == Flavor::MySql && prepared.is_given_otherwise(given) {
                    return true;
                }
                &prepared.sql
            }
            _ if text.starts_with("SHOW SESSION") => return false,
            _ => text,
        };
        const WARNINGS: &[&str] =
            &["WARNINGS", "ERRORS", "DIAGNOSTICS", "warning_count", "error_count"];
        let warnings = WARNINGS.iter().any(|question| text.contains(question));
        self.warnings && warnings || self.rows && text.contains("FOUND_ROWS")
    }

    /// Takes in a statement and its reply.
    pub(crate) fn after(&mut self, text: &str, reply: &Reply) {
        let worked = reply.error().is_none();
        self.altered |= text.starts_with("ALTER DATABASE");
        self.reset |= self.altered && text == "!again";
        self.reset &= !(worked && (text.starts_with("USE ") || text.starts_with("!database ")));
        let mut words = text.splitn(3, ' ');
        let executed = match (words.next(), words.next()) {
            (Some("!execute"), Some(slot)) => self.prepared.get(slot).map(|p| p.sql.clone()),
            _ => None,
        };
        let text = executed.as_deref().unwrap_or(text);
        const INDIRECT: &[&str] =
            &["CALL", "SELECT adds(", "SELECT ins(", "SELECT tz(", "SELECT uv("];
        if self.flavor == Flavor::MySql {
            let counts = matches!(reply.packets.first(), Some((_, packet)) if packet[0] != 0);
            let alters = ["ALTER TABLE", "TRUNCATE"].iter().any(|verb| text.starts_with(verb));
            self.prepared.values_mut().for_each(|prepared| prepared.altered |= alters);
            let found = text.starts_with("UPDATE") && !worked;
            let changes = ["DELETE", "EXPLAIN", "INSERT", "REPLACE"];
            let shows = changes.iter().any(|verb| text.starts_with(verb));
            if found || text.contains("SET @a = (SELECT") || self.made && shows {
                self.rows = true;
            } else if text.starts_with("SELECT") && counts && reply.error().is_none() {
                (self.rows, self.made) = (false, false);
            }
            self.made |= text.starts_with("CREATE T") && text.contains("SELECT");
            return;
        }
        if text.contains("; SHOW") {
            self.warnings = reply.error().is_none();
        } else if text == "RESIGNAL" {
            // It adds to what was there before.
        } else if reply.error().is_some() || text.contains("INTO t ") {
            self.warnings = false;
        } else if text.contains(';') || INDIRECT.iter().any(|verb| text.starts_with(verb)) {
            self.warnings = true;
        }
    }
}
