//! From a command's first byte to what handles it.

use super::client::{Client, Stop};
use super::repetition::Undone;
use super::run::Request;
use super::told::Told;
use crate::session::state::MultiStatements;
use crate::session::statement::Analysis;
use crate::wire::command::{CommandCode, put_parts};
use crate::wire::exchange::ReplyShape;

/// Handles one command. Its answer is in the client's output afterwards, or on its way.
///
/// # Errors
///
/// When the client has to go.
pub async fn dispatch(client: &mut Client, command: &[u8], sequence: u8) -> Result<(), Stop> {
    if client.cut.is_some() && client.tell_cut(command, sequence)? {
        return Ok(());
    }
    loop {
        client.undone = Undone::default();
        handle(client, command, sequence).await?;
        client.conclude().await?;
        if !client.tries_again(sequence).await? {
            return Ok(());
        }
    }
}

async fn handle(client: &mut Client, command: &[u8], sequence: u8) -> Result<(), Stop> {
    let Some(code) = super::serve::code(command) else {
        return client.refuse(&Told::UNKNOWN_COMMAND, sequence).await;
    };
    let payload = &command[1..];
    match code {
        CommandCode::Quit => return Err(Stop::Quit),
        CommandCode::Query => client.query(payload, sequence).await?,
        CommandCode::Ping => ping(client, command, sequence).await?,
        CommandCode::InitDb => client.init_db(command, sequence).await?,
        CommandCode::SetOption => set_option(client, command, sequence).await?,
        CommandCode::StmtPrepare => client.prepare(payload, sequence).await?,
        CommandCode::StmtExecute => client.execute(payload, sequence).await?,
        CommandCode::StmtBulkExecute => client.bulk_execute(payload, sequence).await?,
        CommandCode::StmtSendLongData => client.send_long_data(payload),
        CommandCode::StmtFetch => client.fetch(payload, sequence).await?,
        CommandCode::StmtReset => client.reset_statement(payload, sequence).await?,
        CommandCode::StmtClose => client.close_statement(payload).await?,
        CommandCode::FieldList => client.field_list(command, sequence).await?,
        CommandCode::Statistics => {
            forward(client, command, ReplyShape::Statistics, sequence).await?;
        }
        CommandCode::ResetConnection => client.reset_session(sequence).await?,
        // In a box: it is rare, and takes more room than all others.
        CommandCode::ChangeUser => Box::pin(client.change_user(payload, sequence)).await?,
        CommandCode::ProcessKill => client.process_kill(command, sequence).await?,
        CommandCode::Debug | CommandCode::ProcessInfo | CommandCode::Refresh => {
            let shape =
                if code == CommandCode::ProcessInfo { ReplyShape::Query } else { ReplyShape::Ok };
            forward(client, command, shape, sequence).await?;
        }
        // Replication and cloning take a connection over for good; a proxy that multiplexes has
        // none to give.
        CommandCode::BinlogDump
        | CommandCode::BinlogDumpGtid
        | CommandCode::Clone
        | CommandCode::RegisterReplica
        | CommandCode::TableDump => {
            client.refuse(&Told::UNKNOWN_COMMAND, sequence).await?;
        }
    }
    Ok(())
}

/// Sends a command on as it is.
async fn forward(
    client: &mut Client,
    command: &[u8],
    shape: ReplyShape,
    sequence: u8,
) -> Result<(), Stop> {
    let analysis = Analysis::default();
    let request = Request::new(&analysis, shape, sequence);
    client.run(request, |out, _| put_parts(out, &[command])).await?;
    Ok(())
}

/// A client that has a backend connection asks that one; for any other, Millpond is the server
/// whose life it asks after.
async fn ping(client: &mut Client, command: &[u8], sequence: u8) -> Result<(), Stop> {
    if client.lease.is_some() {
        return forward(client, command, ReplyShape::Ok, sequence).await;
    }
    client.session.residue.row_count = 0;
    client.put_ok(sequence.wrapping_add(1));
    Ok(())
}

/// `COM_SET_OPTION`: restorable, and without effect until the next `COM_QUERY`. A server that has
/// something to report does so with its answer.
async fn set_option(client: &mut Client, command: &[u8], sequence: u8) -> Result<(), Stop> {
    let option = match command {
        [_, 0, 0] => MultiStatements::On,
        [_, 1, 0] => MultiStatements::Off,
        _ => {
            return client.refuse(&Told::UNKNOWN_COMMAND, sequence).await;
        }
    };
    if client.lease.is_none() {
        client.session.set_multi_statements(option);
        client.session.residue.row_count = -1;
        client.put_eof(sequence.wrapping_add(1));
        return Ok(());
    }
    let residue = &client.session.residue;
    let (diagnostics, found_rows) = (residue.diagnostics.clone(), residue.found_rows);
    let counted = client.session.counted;
    forward(client, command, ReplyShape::Ok, sequence).await?;
    client.session.set_multi_statements(option);
    if client.lease.is_some() {
        // It is no statement, but for ROW_COUNT() (measured).
        let residue = &mut client.session.residue;
        (residue.diagnostics, residue.found_rows) = (diagnostics, found_rows);
        residue.row_count = -1;
        client.session.counted = counted;
        client.environment_follows(false);
    }
    Ok(())
}
