//! Runs a driver's story twice and compares what it printed.
//!
//! Unknown users are left out: MySQL makes up an authentication plugin for each of them, another one
//! at every start, so that two servers do not even agree with each other.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::accounts::APP;
use crate::support::flavor::Flavor;
use crate::support::millpond::{Millpond, Settings};
use crate::support::server::{Server, block_on};
use crate::support::{servers, testbed};

/// The last line of every story.
const THE_END: &str = "# the end\n";

/// How a driver is told to use TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tls {
    /// Not told anything.
    Default,
    /// Told not to.
    Off,
    /// Told that it must.
    On,
}

impl Tls {
    pub(crate) const ALL: [Self; 3] = [Self::Default, Self::Off, Self::On];

    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

/// A program that tells the story through a driver.
pub(crate) struct Driver {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    cannot_directly: Option<Flavor>,
}

impl Driver {
    /// `name` is for its database too; `program` need not be there.
    pub(crate) fn new(name: &'static str, program: PathBuf) -> Self {
        Self { name, program, arguments: Vec::new(), variables: Vec::new(), cannot_directly: None }
    }

    /// Adds an argument, before those of the story.
    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds a variable to its environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// This driver cannot log in to such a server at all; through Millpond it can.
    pub(crate) fn cannot_directly(mut self, flavor: Flavor) -> Self {
        self.cannot_directly = Some(flavor);
        self
    }

    /// Tells the story once, to the server or proxy at `port`: what it printed.
    fn tell(&self, server: &Server, port: u16, tls: Tls) -> String {
        let database = fresh_database(server, self.name);
        // More than 16 MiB in one packet is slow: once for each driver and server is enough.
        let size = if tls == Tls::Off { "heavy" } else { "light" };
        let output = Command::new(&self.program)
            .args(&self.arguments)
            .args(["127.0.0.1", &port.to_string(), APP.name, APP.password, &database])
            .args([tls.name(), size])
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the driver's program to start");
        let mut told = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            told += &format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        told
    }
}

/// A story as a driver written in Rust tells it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: String,
}

impl Story {
    /// A heading.
    pub(crate) fn chapter(&mut self, name: &str) {
        self.lines += &format!("# {name}\n");
    }

    /// One step, with its result.
    pub(crate) fn show(&mut self, step: &str, result: impl fmt::Debug) {
        self.lines += &format!("{step}: {result:?}\n");
    }
}

/// Tells a program's story to both servers, directly and through Millpond, for each way to use TLS.
pub(crate) fn tell(driver: &Driver, ways: &[Tls]) {
    if !driver.program.is_file() {
        testbed::skip(driver.name, "not installed; tests/testbed/install clients does that");
        return;
    }
    let unable = |server: &Server| driver.cannot_directly == Some(server.flavor);
    compare_all(ways, unable, |server, port, tls| driver.tell(server, port, tls));
}

/// What a driver written in Rust is told.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where to connect, on 127.0.0.1, as the usual user.
    pub(crate) port: u16,
    /// The database, empty.
    pub(crate) database: String,
    /// How to use TLS.
    pub(crate) tls: Tls,
}

/// The same for a driver written in Rust.
pub(crate) fn tell_in_rust<F>(name: &str, ways: &[Tls], tell: impl Fn(Place) -> F)
where
    F: Future<Output = Story>,
{
    compare_all(
        ways,
        |_| false,
        |server, port, tls| {
            let database = fresh_database(server, name);
            block_on(tell(Place { port, database, tls })).lines + THE_END
        },
    );
}

fn compare_all(
    ways: &[Tls],
    unable: impl Fn(&Server) -> bool,
    tell: impl Fn(&Server, u16, Tls) -> String,
) {
    servers::both(|server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(20));
        let mut failures = String::new();
        for tls in ways {
            let through = tell(server, millpond.port, *tls);
            if unable(server) {
                assert!(
                    through.ends_with(THE_END),
                    "TLS {tls:?}: the story fails:\n{}\nMillpond's log:\n{}",
                    last(&through, 60),
                    last(&millpond.log(), 30)
                );
                continue;
            }
            let direct = tell(server, server.port, *tls);
            assert!(
                direct.ends_with(THE_END),
                "TLS {tls:?}: the story fails without Millpond already:\n{}",
                last(&direct, 60)
            );
            let differences = compare(&direct, &through);
            if !differences.is_empty() {
                failures += &format!("TLS {tls:?}:\n{differences}");
            }
        }
        assert!(
            failures.is_empty(),
            "what the driver saw directly (-) and through Millpond (+):\n{failures}\n\
             Millpond's log:\n{}",
            last(&millpond.log(), 30)
        );
    });
}

/// An empty database for this driver: stories run side by side, on the same servers.
fn fresh_database(server: &Server, driver: &str) -> String {
    let database = format!("app_{driver}");
    let create = format!("CREATE DATABASE {database}");
    server.run(&[&format!("DROP DATABASE IF EXISTS {database}"), &create]);
    database
}

/// The lines in which two tellings differ, the first few.
fn compare(direct: &str, through: &str) -> String {
    let mut differences = String::new();
    let mut chapter = "";
    let (mut direct, mut through) = (direct.lines(), through.lines());
    for _ in 0..12 {
        let pair = loop {
            match (direct.next(), through.next()) {
                (None, None) => return differences,
                (left, right) if left == right => {
                    chapter = left.filter(|line| line.starts_with('#')).unwrap_or(chapter);
                }
                pair => break pair,
            }
        };
        differences += &format!("{chapter}\n");
        for (sign, line) in [('-', pair.0), ('+', pair.1)] {
            differences += &format!("{sign} {}\n", line.unwrap_or("(nothing)"));
        }
    }
    // After a failure all that follows is its trace.
    differences + "...\n" + &through.map(|line| format!("+ {line}\n")).collect::<String>()
}

/// The last lines of a text.
fn last(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
