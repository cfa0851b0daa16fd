//! Applications' own drivers, telling the same story to a server directly and through Millpond.
//!
//! What the driver saw directly is what it must see through Millpond, to the letter: no test here
//! says what is right, the server does. Each driver runs at its defaults, with TLS and without.
//!
//! [`applications`] do ordinary work with ordinary frameworks: none of them may keep a connection
//! beyond its transactions.

// Tests panic, and say on standard error what they skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod applications;
#[path = "../support/mod.rs"]
mod support;
mod twin;

mod with_mysql_async;
mod with_sqlx;

use std::path::PathBuf;

use support::flavor::Flavor;
use support::testbed;
use twin::{Driver, Tls};

/// A Python driver, run by the testbed's own environment.
fn python(name: &'static str, script: &str) -> Driver {
    let interpreter = testbed::folder().join("python/bin/python");
    Driver::new(name, interpreter).argument(script_of("python", script))
}

/// A Node driver; its modules are in the testbed's cache.
fn node(name: &'static str, script: &str) -> Driver {
    let modules = testbed::folder().join("node/node_modules");
    let program = testbed::program("node").filter(|_| modules.is_dir()).unwrap_or_default();
    Driver::new(name, program).variable("NODE_PATH", modules).argument(script_of("node", script))
}

/// A database shell, with the program that dumps a database beside it.
fn shell(name: &'static str, kind: &str, shell: PathBuf, dump: PathBuf) -> Driver {
    let story = if shell.is_file() { script_of("shells", "story") } else { PathBuf::new() };
    Driver::new(name, story).argument(kind).argument(shell).argument(dump)
}

fn script_of(folder: &str, script: &str) -> PathBuf {
    testbed::repository("tests/drivers").join(folder).join(script)
}

#[test]
fn pymysql() {
    twin::tell(&python("pymysql", "with_pymysql.py"), &Tls::ALL);
}

#[test]
fn mysqlclient() {
    twin::tell(&python("mysqlclient", "with_mysqlclient.py"), &Tls::ALL);
}

#[test]
fn mysql_connector_python() {
    // Its default is TLS where the server has it.
    twin::tell(&python("connector", "with_connector.py"), &[Tls::Default, Tls::Off]);
}

#[test]
fn mysql2() {
    // Its default is no TLS.
    twin::tell(&node("mysql2", "with_mysql2.js"), &[Tls::Off, Tls::On]);
}

#[test]
fn mariadb_node() {
    // Its default is no TLS.
    twin::tell(&node("mariadb_node", "with_mariadb.js"), &[Tls::Off, Tls::On]);
}

#[test]
fn serverless_mysql() {
    twin::tell(&node("serverless", "with_serverless_mysql.js"), &[Tls::Off, Tls::On]);
}

#[test]
fn go() {
    let program = testbed::folder().join("go/driver");
    twin::tell(&Driver::new("go", program), &[Tls::Off, Tls::On]);
}

#[test]
fn mariadb_shell() {
    let program = |name| testbed::program(name).unwrap_or_default();
    let (mariadb, dump) = (program("mariadb"), program("mariadb-dump"));
    twin::tell(&shell("mariadb_shell", "mariadb", mariadb, dump), &Tls::ALL);
}

#[test]
fn mysql_shell() {
    let programs = testbed::folder().join("mysql/bin");
    let driver = shell("mysql_shell", "mysql", programs.join("mysql"), programs.join("mysqldump"));
    // The shell of 9.x has lost the plugin that MariaDB's users have. Millpond speaks one it has.
    twin::tell(&driver.cannot_directly(Flavor::MariaDb), &Tls::ALL);
}

#[test]
fn mysql_async() {
    twin::tell_in_rust("mysql_async", &[Tls::Off, Tls::On], with_mysql_async::tell);
}

#[test]
fn sqlx() {
    // Its default is TLS where the server has it.
    twin::tell_in_rust("sqlx", &[Tls::Default, Tls::Off], with_sqlx::tell);
}
