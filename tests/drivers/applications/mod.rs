//! Ordinary applications, each with its framework: whatever these set up by themselves, no session
//! keeps a backend connection outside its transactions.

mod with_sqlx;

use std::path::PathBuf;
use std::process::Command;

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::block_on;
use crate::support::{servers, testbed};

/// Fewer than an application's own pool has.
const CONNECTIONS: usize = 3;

/// Where an application is to work.
#[derive(Clone, Debug)]
struct Place {
    port: u16,
    database: String,
}

/// Lets an application work on both servers, by itself, and asserts that it kept no connection
/// beyond its transactions.
fn work(name: &str, application: impl Fn(&Place)) {
    servers::both(|server| {
        let database = format!("app_works_{name}");
        let create = format!("CREATE DATABASE {database}");
        server.run(&[&format!("DROP DATABASE IF EXISTS {database}"), &create]);
        let millpond = Millpond::start(server, &Settings::with_pool_of(CONNECTIONS));
        application(&Place { port: millpond.port, database });
        let page = millpond.page("/metrics");
        let counted = |line: &&str| line.starts_with("millpond_session_pins_total{");
        let (transactions, others): (Vec<_>, Vec<_>) = page
            .lines()
            .filter(counted)
            .filter(|line| !line.ends_with(" 0"))
            // What MySQL's status does not tell of a transaction belongs to it, too.
            .partition(|line| {
                ["transaction", "metadata_lock"]
                    .iter()
                    .any(|reason| line.contains(&format!("reason=\"{reason}\"")))
            });
        assert!(!transactions.is_empty(), "{name} had no transaction on {}", server.flavor);
        assert!(others.is_empty(), "{name} on {}: {others:?}", server.flavor);
    });
}

/// An application in another language.
fn program(name: &str, program: PathBuf, arguments: &[PathBuf], variables: &[(&str, PathBuf)]) {
    if !program.is_file() {
        testbed::skip(name, "not installed; tests/testbed/install clients does that");
        return;
    }
    work(name, |place| {
        let output = Command::new(&program)
            .args(arguments)
            .args(["127.0.0.1", &place.port.to_string(), APP.name, APP.password, &place.database])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the application to start");
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(told.ends_with("# the end\n"), "{name}: {}\n{told}{complaint}", output.status);
    });
}

fn script(name: &str) -> PathBuf {
    testbed::repository("tests/drivers/applications").join(name)
}

fn python(name: &str, file: &str) {
    let interpreter = testbed::folder().join("applications-python/bin/python");
    program(name, interpreter, &[script(file)], &[]);
}

fn node(name: &str, file: &str) {
    let modules = testbed::folder().join("applications-node/node_modules");
    let node = testbed::program("node").filter(|_| modules.is_dir()).unwrap_or_default();
    program(name, node, &[script(file)], &[("NODE_PATH", modules)]);
}

#[test]
fn sqlalchemy() {
    python("sqlalchemy", "with_sqlalchemy.py");
}

#[test]
fn django() {
    python("django", "with_django.py");
}

#[test]
fn mysql2_statements() {
    node("mysql2", "with_mysql2.js");
}

#[test]
fn sequelize() {
    node("sequelize", "with_sequelize.js");
}

#[test]
fn knex() {
    node("knex", "with_knex.js");
}

#[test]
fn go_without_interpolation() {
    program("go", testbed::folder().join("applications-go/driver"), &[], &[]);
}

#[test]
fn pdo() {
    let php = testbed::program("php").unwrap_or_default();
    program("pdo", php, &[script("with_pdo.php")], &[]);
}

#[test]
fn sqlx_pool() {
    work("sqlx", |place| block_on(with_sqlx::work(place.clone())));
}
