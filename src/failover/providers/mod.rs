//! What servers are asked, each in the terms of what they are, and what their answers mean.
//!
//! Every module turns the rows of a few questions into a [`Finding`](super::roster::Finding): what
//! the server claims to be, and which servers it says belong together. The questions bound their
//! rows, so that a table full of garbage costs no more than a short one.

pub mod aurora;
mod galera;
mod group_replication;
pub mod names;
mod plain;
mod rds;

use super::probe::{Asking, Questioned};
use crate::backend::control::{ControlConnection, ControlError, NamedRows};
use crate::config::Endpoint;
use aurora::InstanceHost;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Row = Vec<(String, Option<Vec<u8>>)>;
type Rows = NamedRows;

/// In whose terms a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Plain asynchronous or semi-synchronous replication.
    Plain,
    /// MySQL Group Replication.
    GroupReplication,
    /// MariaDB Galera Cluster, and its relatives.
    Galera,
    /// Amazon Aurora.
    Aurora,
    /// An Amazon RDS Multi-AZ cluster, or a blue/green deployment.
    Rds,
}

/// A connection on which one server is asked.
#[derive(Debug)]
pub struct Interview {
    connection: ControlConnection,
    /// None until the server has been recognised.
    dialect: Option<Dialect>,
    endpoint: Arc<Endpoint>,
    instances: Option<InstanceHost>,
}

impl Interview {
    /// Begins one with the server at `endpoint`; without a dialect, the server is asked for its
    /// own. `instances` is how Aurora's instances are called.
    pub fn new(
        connection: ControlConnection,
        dialect: Option<Dialect>,
        endpoint: Arc<Endpoint>,
        instances: Option<InstanceHost>,
    ) -> Self {
        Self { connection, dialect, endpoint, instances }
    }
}

impl Questioned for Interview {
    fn ask(&mut self) -> Asking<'_> {
        Box::pin(async move {
            let connection = &mut self.connection;
            let dialect = match self.dialect {
                Some(dialect) => dialect,
                None => *self.dialect.insert(recognise(connection).await?),
            };
            match dialect {
                Dialect::Plain => plain::ask(connection).await,
                Dialect::GroupReplication => group_replication::ask(connection).await,
                Dialect::Galera => galera::ask(connection).await,
                Dialect::Aurora => {
                    aurora::ask(connection, &self.endpoint, self.instances.as_ref()).await
                }
                Dialect::Rds => rds::ask(connection, &self.endpoint).await,
            }
        })
    }

    fn ended(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.connection.ended())
    }
}

const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('aurora_version', 'wsrep_on', 'group_replication_group_name')";
const HAS_RDS_TABLE: &str = "SELECT COUNT(*) AS tables_found FROM information_schema.tables \
    WHERE table_schema = 'mysql' AND table_name = 'rds_topology'";

/// Finds out what a server is.
async fn recognise(connection: &mut ControlConnection) -> Result<Dialect, ControlError> {
    let variables = settings(&connection.query_named(VARIABLES).await?);
    let is = |name: &str| variables.iter().any(|(known, _)| known == name);
    let value = |name| variables.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
    if is("aurora_version") {
        return Ok(Dialect::Aurora);
    }
    if value("wsrep_on").is_some_and(|on| on.eq_ignore_ascii_case("on")) {
        return Ok(Dialect::Galera);
    }
    if value("group_replication_group_name").is_some_and(|name| !name.is_empty()) {
        return Ok(Dialect::GroupReplication);
    }
    let tables = optional(connection, HAS_RDS_TABLE).await?;
    let has_table = tables.first().and_then(|row| text(row, "tables_found")) == Some("1");
    Ok(if has_table { Dialect::Rds } else { Dialect::Plain })
}

/// The rows of a question that the server may refuse: without the privilege, or without such a
/// table, it has nothing to say.
async fn optional(connection: &mut ControlConnection, sql: &str) -> Result<Rows, ControlError> {
    match connection.query_named(sql).await {
        Err(ControlError::Refused(_)) => Ok(Rows::new()),
        answered => answered,
    }
}

/// What `SHOW VARIABLES` and `SHOW STATUS` say, names in lower case.
fn settings(rows: &Rows) -> Vec<(String, String)> {
    let pair = |row: &Row| {
        let name = text(row, "Variable_name")?.to_ascii_lowercase();
        Some((name, text(row, "Value")?.to_owned()))
    };
    rows.iter().filter_map(pair).collect()
}

/// A column of a row; none for NULL, and for what is no text.
fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    let (_, value) = row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value.as_deref()?).ok()
}

/// A member at a host and port that a server tells; none for what is no address.
fn endpoint(host: &str, port: &str) -> Option<Endpoint> {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Endpoint::parse(&format!("{bracketed}:{port}"))
}

/// A row as a server would send it.
#[cfg(test)]
fn row(columns: &[(&str, &str)]) -> Row {
    let column = |(name, value): &(&str, &str)| {
        ((*name).to_owned(), (*value != "NULL").then(|| value.as_bytes().to_vec()))
    };
    columns.iter().map(column).collect()
}
