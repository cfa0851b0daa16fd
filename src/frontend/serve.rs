//! The loop: one command after another, until the client leaves.

use super::cancel::Farewell;
use super::client::{Client, Stop};
use super::cut::{CutReason, come};
use super::outcome::Left;
use super::told::Told;
use super::work::{Desk, at_work};
use crate::net::channel::{Framed, ReadError};
use crate::session::server::Flavor;
use crate::wire::command::CommandCode;
use crate::wire::fault::Fault;
use crate::wire::frame::Header;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a client that is told why it has to go may take to read it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a client until it leaves or has to go.
///
/// Cancel safe in the sense that nothing leaks: a backend connection in use is closed.
pub async fn serve(mut client: Box<Client>) -> Left {
    let mut finished = Instant::now();
    loop {
        // Between two commands nothing is kept but the session: no buffer, no lease that is not
        // pinned.
        let mut due = client.due_when_idle();
        let limit = client.session.environment.wait_timeout();
        let Client { channel, entry, .. } = &mut *client;
        channel.rest();
        entry.handle().idle_since(seconds_at(finished));
        let woken = tokio::select! {
            biased;
            farewell = entry.handle().dismissed() => Err(Stop::Dismissed(farewell)),
            spoken = channel.idle() => spoken.map(|()| Woken::Spoken).map_err(Stop::Client),
            reason = come(&mut due) => Ok(Woken::Due(reason)),
            () = beyond(limit) => Err(Stop::Dismissed(Farewell::Idle)),
        };
        entry.handle().busy();
        drop(due);
        let done = match woken {
            Ok(Woken::Spoken) => {
                let (back, done) = at_work(client).await;
                client = back;
                done
            }
            Ok(Woken::Due(reason)) => {
                Box::pin(cut(&mut client, reason)).await.map(|()| Instant::now())
            }
            Err(stop) => Err(stop),
        };
        match done {
            Ok(moment) => finished = moment,
            Err(stop) => return Box::pin(leave(client, stop)).await,
        }
    }
}

/// What ended the wait for a client.
enum Woken {
    /// It says something.
    Spoken,
    /// Its transaction is to be cut.
    Due(CutReason),
}

/// Cuts the client's transaction.
async fn cut(client: &mut Client, reason: CutReason) -> Result<(), Stop> {
    client.cut_transaction(reason).await;
    client.conclude().await
}

/// Returns when a session has been idle for as long as it wants; hardly any says how long.
async fn beyond(limit: Option<Duration>) {
    match limit {
        // In a box, because there are thousands without.
        Some(limit) => Box::pin(sleep(limit)).await,
        None => std::future::pending().await,
    }
}

/// Seconds since Millpond first asked.
pub fn seconds() -> u64 {
    seconds_at(Instant::now())
}

/// The same of a moment.
fn seconds_at(moment: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    moment.saturating_duration_since(*START.get_or_init(|| moment)).as_secs()
}

/// The commands that the client has sent by now, in their order; when it had the last answer.
pub(super) async fn burst(client: &mut Client, desk: &mut Desk) -> Result<Instant, Stop> {
    desk.lend(&mut client.channel);
    let done = commands(client, desk).await;
    desk.take_back(&mut client.channel);
    done
}

async fn commands(client: &mut Client, desk: &mut Desk) -> Result<Instant, Stop> {
    loop {
        let framed = next_command(client).await?;
        let started = Instant::now();
        client.waited = 0;
        let command = desk.take_command(&mut client.channel, framed);
        super::dispatch::dispatch(client, command, framed.sequence).await?;
        client.channel.flush().await?;
        let finished = Instant::now();
        count(client, command, framed, finished.saturating_duration_since(started));
        if client.is_overdue() {
            cut(client, CutReason::TooLong).await?;
        }
        if let Some(farewell) = client.entry.handle().farewell() {
            return Err(Stop::Dismissed(farewell));
        }
        if !client.channel.has_input() {
            return Ok(finished);
        }
    }
}

/// Counts a command that has its answer.
fn count(client: &mut Client, command: &[u8], framed: Framed, took: Duration) {
    client.log_if_slow(command, took);
    let metrics = &client.service.metrics;
    let transport = client.channel.stream.transport() as usize;
    metrics.command_seconds[transport].observe(took.as_secs_f64());
    metrics.bytes_received.inc_by(framed.length as u64);
    metrics.bytes_sent.inc_by(std::mem::take(&mut client.channel.sent) as u64);
}

/// Reads a whole command.
async fn next_command(client: &mut Client) -> Result<Framed, Stop> {
    let limit = client.limits.load().max_packet;
    let read = loop {
        let mut due = client.due_when_idle();
        let Client { channel, entry, .. } = &mut *client;
        let reason = tokio::select! {
            biased;
            read = channel.read_command(limit) => break read,
            farewell = entry.handle().dismissed() => return Err(Stop::Dismissed(farewell)),
            reason = come(&mut due) => reason,
        };
        // It has begun a command, and does not go on.
        cut(client, reason).await?;
    };
    match read {
        Ok(framed) => Ok(framed),
        Err(ReadError::Closed) => Err(Stop::Quit),
        Err(ReadError::Io(error)) => Err(Stop::Client(error)),
        Err(ReadError::Fault(fault)) => {
            // The reply goes on from the numbers that the client used.
            let sequence = Header::parse(client.channel.input.filled()).map_or(0, |h| h.sequence);
            let told = match fault {
                Fault::TooLarge { .. } => &Told::PACKET_TOO_LARGE,
                Fault::OutOfOrder { .. } => &Told::OUT_OF_ORDER,
                _ => &Told::MALFORMED,
            };
            client.put_error(sequence.wrapping_add(1), told);
            Err(Stop::Fault(fault))
        }
    }
}

/// Ends the connection, with a word to the client where it can still hear one.
pub(super) async fn leave(mut client: Box<Client>, stop: Stop) -> Left {
    let left = match &stop {
        Stop::Client(_) => Left::Disconnected,
        Stop::Denied => Left::Denied,
        Stop::Fault(_) => Left::Fault,
        Stop::Quit => Left::Quit,
        Stop::Released => Left::Released,
        Stop::StateLost => Left::Lost,
        Stop::Dismissed(Farewell::Idle) => Left::Idle,
        Stop::Dismissed(Farewell::Killed) => Left::Killed,
        Stop::Dismissed(Farewell::Shutdown) => Left::Shutdown,
    };
    if let Stop::Dismissed(farewell) = stop {
        match farewell {
            // MySQL says it under number 0, outside any exchange; drivers show it at the next use.
            // MariaDB closes without a word, which its drivers take for a lost connection.
            Farewell::Idle if client.session.dialect.flavor == Flavor::MySql => {
                client.put_error(0, &Told::IDLE);
            }
            Farewell::Idle | Farewell::Killed => {}
            Farewell::Shutdown => client.put_error(0, &Told::SHUTDOWN),
        }
    }
    if left != Left::Disconnected {
        // It may not listen any more.
        let _ = timeout(FAREWELL, client.channel.flush()).await;
    }
    left
}

/// The code of a command, or what to answer to a byte that is none.
pub(super) fn code(command: &[u8]) -> Option<CommandCode> {
    command.first().copied().and_then(CommandCode::from_byte)
}
