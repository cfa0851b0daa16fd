//! What a server, or the pool, says on each new connection is what each session begins with.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::raw::login::Login;
use crate::support::servers;
use mysql_async::prelude::Queryable;

const LOOKS: &[&str] = &[
    "SELECT @@sql_mode, @@div_precision_increment, 1 / 3, \"id\" FROM (SELECT 5 AS id) t",
    "SELECT @mine, @@SESSION.sql_mode",
    "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, \
     @@collation_connection, _binary x'e9', 'é'",
];

/// Clients one after another on one connection, each of which leaves something that the next must not
/// see, look at what they begin with; a direct one says what is right.
async fn all_begin_alike(direct: u16, through: u16, which: &str) {
    let mut right = Login::of(&APP).at(direct).await.unwrap();
    let leave = ["SET @mine = 5", "BEGIN", "SET @mine = NULL"];
    for said in leave {
        let mut client = Login::of(&APP).at(through).await.unwrap();
        for look in LOOKS {
            let expected = right.query(look).await.unwrap();
            let seen = client.query(look).await.unwrap();
            assert_eq!(seen.without_foresight(), expected.without_foresight(), "{which} {look}");
        }
        client.query(said).await.unwrap().must(said);
        client.quit().await;
    }
    right.quit().await;
}

fn one() -> Settings {
    Settings { pool: "max_size = 1\n".to_owned(), ..Settings::default() }
}

#[test]
fn what_a_server_says_at_each_login_is_there_for_every_session() {
    const SAID: &str = "init_connect=\"SET @@session.sql_mode = 'ANSI_QUOTES', \
                        @@session.div_precision_increment = 7\"";
    const NAMES: &str = "init_connect=\"SET NAMES latin1\"";
    for setting in [SAID, NAMES] {
        servers::both_private(&[setting], |server| async move {
            let millpond = Millpond::start(server, &one());
            all_begin_alike(server.port, millpond.port, setting).await;
        });
    }
}

#[test]
fn a_server_that_disregards_the_character_sets_of_clients_does_so_through_millpond() {
    // The newest of MySQL cannot.
    let settings = ["loose-skip-character-set-client-handshake", "character-set-server=latin1"];
    servers::both_private(&settings, |server| async move {
        let millpond = Millpond::start(server, &one());
        all_begin_alike(server.port, millpond.port, "skipped").await;
    });
}

/// `SELECT 1` in a transaction that is none, since nothing was read yet, tells of it.
#[test]
fn under_a_default_of_no_autocommit_no_session_begins_in_a_transaction() {
    servers::both_private(&["autocommit=0"], |server| async move {
        let millpond = Millpond::start(server, &one());
        all_begin_alike(server.port, millpond.port, "no autocommit").await;
    });
}

#[test]
fn what_the_pool_says_on_each_connection_is_there_for_every_session() {
    servers::both_async(async |server| {
        let said = "SET SESSION sql_mode = 'ANSI_QUOTES', SESSION div_precision_increment = 7";
        let pool = format!("max_size = 1\ninit_query = \"{said}\"\n");
        let millpond = Millpond::start(server, &Settings { pool, ..Settings::default() });
        for leave in ["SET @mine = 5", "BEGIN", "SET sql_mode = ''", "SET @mine = NULL"] {
            let mut client = Login::of(&APP).at(millpond.port).await.unwrap();
            let look = "SELECT CONCAT_WS(' ', @@sql_mode, @@div_precision_increment, @mine)";
            let seen = client.query(look).await.unwrap().must(look).value();
            assert_eq!(seen.as_deref(), Some("ANSI_QUOTES 7"), "{}", server.flavor);
            client.query(leave).await.unwrap().must(leave);
            client.quit().await;
        }
    });
}

/// An administrator on the server, or a cloud vendor's parameter group, sets a global value.
#[test]
fn what_is_set_on_the_server_itself_is_there_for_sessions_that_begin_later() {
    servers::both_private(&[], |server| async move {
        let millpond = Millpond::start(server, &one());
        let mut before = Login::of(&APP).at(millpond.port).await.unwrap();
        let look = "SELECT @@div_precision_increment";
        let now = before.query(look).await.unwrap().must(look).value();
        assert_eq!(now.as_deref(), Some("4"));
        let set = "SET GLOBAL div_precision_increment = 7";
        server.admin().await.query_drop(set).await.unwrap();
        // Stored code has it read at once what else is read twice a minute.
        let code = "CREATE OR REPLACE VIEW of_beginnings AS SELECT 1";
        before.query(code).await.unwrap().must(code);
        let mut later = Login::of(&APP).at(millpond.port).await.unwrap();
        let seen = later.query(look).await.unwrap().must(look).value();
        assert_eq!(seen.as_deref(), Some("7"), "{}", server.flavor);
        let kept = before.query(look).await.unwrap().must(look).value();
        assert_eq!(kept.as_deref(), Some("4"), "{}", server.flavor);
    });
}
