//! What a server's status variables say of a client's connection: its encryption and compression
//! are between it and Millpond, and drivers ask for them to see whether they are in force.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::query::{Form, Own, RowForm};
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::net::stream::Stream;
use crate::session::statement::{Analysis, StatementKind};
use crate::wire::cursor::Cursor;
use crate::wire::frame::put_lenenc_bytes;
use bytes::BytesMut;

/// What the names of these variables begin with.
const PREFIXES: [&str; 2] = ["ssl_", "compression"];

impl Client {
    /// Answers `SHOW STATUS LIKE` with one of these names: the server is asked for the form of the
    /// answer. False when it is another statement.
    pub(super) async fn answer_status(
        &mut self,
        sql: &[u8],
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        if analysis.kind != StatementKind::Show || analysis.count != 1 || !asks_of_connection(sql) {
            return Ok(false);
        }
        if self.borrow(sequence).await? == Borrowed::No
            || !self.align_now(analysis, sequence).await?
        {
            return Ok(true);
        }
        let Some(lease) = &mut self.lease else { return Ok(true) };
        let Ok(replies) = lease.connection().ask(&[Question::Query(sql)]).await else {
            self.connection_failed(sequence, Sent::Nothing)?;
            return Ok(true);
        };
        let Some(reply) = replies.into_iter().next() else { return Ok(true) };
        self.reported(&reply.changes, None);
        self.owe(&reply.trackers);
        match reply.content {
            Content::Rows(mut answer) => {
                let stream = &self.channel.stream;
                let rows = std::mem::take(&mut answer.result.rows);
                let rows = rows.into_iter().map(|row| of_client(row, stream)).collect();
                let status = reply.status.unwrap_or(self.session.status);
                let (result, warnings) = (answer.result, reply.warnings);
                let form = Form { result, warnings, status, rows: RowForm::Text };
                self.put_own(Own::Rows(rows), form, analysis, sequence)?;
            }
            Content::Err(error) => {
                self.put_error(sequence.wrapping_add(1), &Told::passed_on(error));
            }
            Content::Ok(_) | Content::Prepared { .. } => {}
        }
        Ok(true)
    }
}

/// Whether a text is `SHOW [SESSION] STATUS LIKE 'name'` and nothing else, with such a name.
fn asks_of_connection(sql: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(sql) else { return false };
    let text = text.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().unwrap_or_default();
    let show = next();
    let mut word = next();
    if matches!(word, "session" | "local") {
        word = next();
    }
    let (like, pattern, rest) = (next(), next(), next());
    let quoted = |quote: char| pattern.strip_prefix(quote).and_then(|p| p.strip_suffix(quote));
    let named = quoted('\'').or_else(|| quoted('"'));
    show == "show"
        && word == "status"
        && like == "like"
        && rest.is_empty()
        && named.is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// A row of the server's answer, with what is true of the client's connection.
fn of_client(row: Box<[u8]>, stream: &Stream) -> Box<[u8]> {
    let Ok(Some(name)) = Cursor::new(&row).text_value() else { return row };
    let Some(value) = value(&name.to_ascii_lowercase(), stream) else { return row };
    let mut own = BytesMut::new();
    put_lenenc_bytes(&mut own, name);
    put_lenenc_bytes(&mut own, value.as_bytes());
    Box::from(&own[..])
}

fn value(name: &[u8], stream: &Stream) -> Option<String> {
    let tls = stream.tls_session();
    let compression = stream.compression();
    Some(match name {
        b"ssl_version" => tls.map_or("", |(version, _)| version).to_owned(),
        b"ssl_cipher" => tls.map_or("", |(_, cipher)| cipher).to_owned(),
        b"compression" => if compression.is_some() { "ON" } else { "OFF" }.to_owned(),
        b"compression_algorithm" => compression.map_or("", |a| a.name()).to_owned(),
        b"compression_level" => compression.map_or(0, |a| a.level()).to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::asks_of_connection;

    #[test]
    fn questions_for_the_connection_are_told_from_others() {
        for sql in [
            "SHOW STATUS LIKE 'Ssl_cipher'",
            " show session status\nlike \"ssl_version\" ; ",
            "SHOW LOCAL STATUS LIKE 'Compression%'",
        ] {
            assert!(asks_of_connection(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "SHOW GLOBAL STATUS LIKE 'Ssl_cipher'",
            "SHOW STATUS",
            "SHOW STATUS LIKE 'Threads_connected'",
            "SHOW STATUS WHERE Variable_name = 'Ssl_cipher'",
            "SHOW VARIABLES LIKE 'ssl_ca'",
            "SHOW STATUS LIKE 'ssl_cipher' -- and more",
        ] {
            assert!(!asks_of_connection(sql.as_bytes()), "{sql}");
        }
    }
}
