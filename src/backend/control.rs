//! A connection on which only Millpond itself talks: probes, kills, looking things up.

use super::dialogue::{Content, Question, Reply, ServerError, read_reply, rows};
use super::login::{LoggedIn, ServerIdentity};
use crate::net::buffer::ReadBuffer;
use crate::net::link::{LinkError, send};
use crate::net::stream::Stream;
use crate::wire::command::CommandCode;
use crate::wire::fault::Fault;
use crate::wire::resultset::ColumnDefinition;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;

/// A connection to a server that no client ever uses. Its session has no trackers and nothing else
/// that a pooled one is given.
#[derive(Debug)]
pub struct ControlConnection {
    stream: Stream,
    input: ReadBuffer,
    /// What the server said of itself.
    pub server: ServerIdentity,
}

/// Rows as text; `None` is NULL.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Rows as text with the names of their columns.
pub type NamedRows = Vec<Vec<(String, Option<Vec<u8>>)>>;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The connection is of no use any more.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server answered with an error; the connection can be used on.
    #[error(transparent)]
    Refused(ServerError),
}

impl ControlConnection {
    /// Takes over a connection that has logged in.
    pub fn new(login: LoggedIn) -> Self {
        let LoggedIn { stream, leftover, server, .. } = login;
        Self { stream, input: ReadBuffer::with(&leftover), server }
    }

    /// Runs one statement and gathers its rows, none for one without a result. Answers are small:
    /// one above the bound of [`read_reply`] breaks the connection off.
    ///
    /// Not cancel safe: a connection on which this was interrupted must be dropped.
    ///
    /// # Errors
    ///
    /// See [`ControlError`].
    pub async fn query(&mut self, sql: &str) -> Result<Rows, ControlError> {
        let reply = self.ask(Question::Query(sql.as_bytes())).await?;
        let Content::Rows(answer) = reply.content else { return Ok(Rows::new()) };
        let rows = rows(&answer.result).map_err(LinkError::from)?;
        let owned = |row: Vec<Option<&[u8]>>| {
            row.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect()
        };
        Ok(rows.into_iter().map(owned).collect())
    }

    /// Asks whether the server is there.
    ///
    /// Not cancel safe, as [`Self::query`].
    ///
    /// # Errors
    ///
    /// See [`ControlError`].
    pub async fn ping(&mut self) -> Result<(), ControlError> {
        self.ask(Question::Ping).await.map(|_| ())
    }

    /// As [`Self::query`], with each value's column name.
    ///
    /// Not cancel safe, as [`Self::query`].
    ///
    /// # Errors
    ///
    /// See [`ControlError`].
    pub async fn query_named(&mut self, sql: &str) -> Result<NamedRows, ControlError> {
        let reply = self.ask(Question::Query(sql.as_bytes())).await?;
        let Content::Rows(answer) = reply.content else { return Ok(NamedRows::new()) };
        let names = answer.result.columns.iter().map(|column| {
            let column = ColumnDefinition::parse(column)?;
            Ok(String::from_utf8_lossy(column.name).into_owned())
        });
        let names: Vec<String> = names.collect::<Result<_, Fault>>().map_err(LinkError::from)?;
        let rows = rows(&answer.result).map_err(LinkError::from)?;
        let named = |row: Vec<Option<&[u8]>>| {
            names.iter().cloned().zip(row.into_iter().map(|v| v.map(<[u8]>::to_vec))).collect()
        };
        Ok(rows.into_iter().map(named).collect())
    }

    /// Waits until the server closes the connection, or says something that it was not asked for.
    ///
    /// Cancel safe.
    pub async fn ended(&mut self) {
        // What it says, or that it fails, is the end either way.
        let _ = self.stream.read(&mut [0; 1]).await;
    }

    /// Says goodbye, so that the server does not count an aborted client, and closes.
    ///
    /// Cancel safe: an interrupted farewell closes the connection all the same.
    pub async fn quit(mut self) {
        // The connection ends either way.
        let _ = send(&mut self.stream, &[1, 0, 0, 0, CommandCode::Quit.byte()]).await;
    }

    async fn ask(&mut self, question: Question<'_>) -> Result<Reply, ControlError> {
        if !self.input.is_empty() {
            return Err(LinkError::from(Fault::Unexpected { expected: "silence" }).into());
        }
        let mut output = BytesMut::new();
        question.put(&mut output, self.server.capabilities);
        send(&mut self.stream, &output).await?;
        let shape = question.shape();
        let capabilities = self.server.capabilities;
        let reply = read_reply(&mut self.stream, &mut self.input, shape, capabilities).await?;
        self.input.rest();
        match reply.content {
            Content::Err(error) => Err(ControlError::Refused(error)),
            _ => Ok(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::server::ServerVersion;
    use crate::wire::capability::{Capabilities, Status};
    use crate::wire::frame::put_packet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A connection, and the server's end of it.
    async fn connected() -> (ControlConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let server = ServerIdentity {
            version: ServerVersion::parse(b"9.7.4"),
            connection_id: 7,
            capabilities: Capabilities::PROTOCOL_41 | Capabilities::DEPRECATE_EOF,
        };
        let login = LoggedIn {
            stream: Stream::Plain(near),
            leftover: BytesMut::new(),
            server,
            status: Status::AUTOCOMMIT,
            state_changes: Vec::new(),
        };
        (ControlConnection::new(login), far)
    }

    /// Reads one command and answers it.
    async fn answer(server: &mut TcpStream, packets: &[&[u8]]) -> Vec<u8> {
        let mut command = vec![0; 64];
        let length = server.read(&mut command).await.unwrap();
        command.truncate(length);
        let (mut out, mut sequence) = (BytesMut::new(), 1);
        for packet in packets {
            put_packet(&mut out, &mut sequence, packet);
        }
        server.write_all(&out).await.unwrap();
        command
    }

    #[tokio::test]
    async fn questions_are_answered_one_after_the_other() {
        let (mut control, mut server) = connected().await;
        let ok: &[&[u8]] = &[&[0, 0, 0, 2, 0, 0, 0]];
        let (rows, command) = tokio::join!(control.query("DO 1"), answer(&mut server, ok));
        assert_eq!(rows.unwrap(), Rows::new());
        assert_eq!(command, b"\x05\0\0\0\x03DO 1");

        let column = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0";
        let rows: [&[u8]; 5] = [&[1], column, b"\x021\x7f", b"\xFB", b"\xFE\0\0\x02\0\0\0"];
        let (rows, _) = tokio::join!(control.query("SELECT a"), answer(&mut server, &rows));
        assert_eq!(rows.unwrap(), [[Some(b"1\x7f".to_vec())], [None]]);

        let refusal = &[&b"\xFF\x28\x04#42000no"[..]];
        let (rows, _) = tokio::join!(control.query("x"), answer(&mut server, refusal));
        assert!(matches!(rows, Err(ControlError::Refused(error)) if error.code == 1064));
        let (pong, command) = tokio::join!(control.ping(), answer(&mut server, ok));
        assert!(pong.is_ok());
        assert_eq!(command, [1, 0, 0, 0, 14]);

        control.quit().await;
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [1, 0, 0, 0, 1]);
    }

    #[tokio::test]
    async fn a_server_that_says_more_than_it_was_asked_is_not_believed() {
        let (mut control, mut server) = connected().await;
        let ok: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
        let twice = [ok, ok];
        let (pong, _) = tokio::join!(control.ping(), answer(&mut server, &twice));
        assert!(pong.is_ok());
        assert!(matches!(control.ping().await, Err(ControlError::Link(LinkError::Fault(_)))));
    }
}
