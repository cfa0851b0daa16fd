//! Millpond, a MySQL connection-pooling proxy: thousands of short-lived clients on a small shared
//! pool of backend connections.
//!
//! # The house
//!
//! The modules stand in the order of their floors. A file uses only lower floors (and its own);
//! `tests/floors.rs` holds that.
//!
//! | floor | room | what it is |
//! |---|---|---|
//! | 0 | [`wire`] | the MySQL protocol over byte slices: no I/O, no clock, no panic |
//! | 1 | [`session`] | what a session is: values, and pure functions over them |
//! | 2 | [`config`] | `proxy.toml` and the environment, checked |
//! | 3 | [`runtime`] | named tasks, signals, the log |
//! | 4 | [`net`] | bytes on sockets: TLS, commands in, replies relayed |
//! | 5 | [`backend`] | one connection to a server: login, set-up, Millpond's own questions |
//! | 6 | [`credentials`] | where passwords come from |
//! | 7 | [`pool`] | many backend connections, held by deadpool |
//! | 8 | [`failover`] | which server is the writer, and what the data path noticed |
//! | 9 | [`router`] | which server a session's next statement goes to |
//! | 10 | [`frontend`] | clients: greeting, the serving loop, one file for each kind of command |
//! | 11 | [`admin`] | metrics and health over HTTP |
//! | | [`app`] | the only file that knows every floor |
//!
//! # The way of one query
//!
//! 1. [`frontend::listener`] accepts and spawns; [`frontend::greet`] checks the password; the client
//!    becomes a [`frontend::client::Client`] with a [`session::model::Session`].
//! 2. [`frontend::serve`] waits without a buffer until the client speaks, and reads a command.
//! 3. [`frontend::dispatch`] looks at its first byte; for a query [`frontend::query`] has its text
//!    read by [`session::statement`].
//! 4. [`frontend::run`] takes the session's own backend connection if it has one (a pin, or a
//!    [deposit](pool::deposit)), otherwise [borrows](pool::Pool::acquire) one.
//! 5. [`session::align`] and [`session::need`] say what differs; it is put in front of the command
//!    in the same write, where it is [proven](pool::proven) to work.
//! 6. [`net::relay`] passes the reply on in chunks, under [`wire::exchange`];
//!    [`frontend::reply`] rewrites OK packets for the client and collects the session trackers.
//! 7. [`session::effect`] takes in what they and the text say.
//! 8. [`frontend::settle`] gives the connection back, deposits it, or keeps it, as
//!    [`session::pin`] says.
//!
//! # Invariants
//!
//! - A backend connection that is not known to be clean never returns to its pool: a lease that is
//!   dropped without a word is closed.
//! - A client's command never runs behind a restore that failed.
//! - A statement is sent again only where it provably did not run, or only reads. What became of
//!   any other when its connection fails is reported as unknown.
//! - Rows are neither decoded nor gathered.
//!
//! # Deliberately absent
//!
//! Rewriting of statements (but for [answers](session::answers) beside questions that only the
//! session can answer), routing by their text, caching of results, retries of anything that may have
//! changed something.
#![forbid(unsafe_code)]

pub mod wire;

pub mod session;

pub mod config;

pub mod runtime;

pub mod net;

pub mod backend;

pub mod credentials;

pub mod pool;

pub mod failover;

pub mod router;

pub mod frontend;

pub mod admin;

pub mod app;
