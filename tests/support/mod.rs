//! What the tests and benches stand on: throwaway MariaDB and MySQL servers, Millpond itself as a
//! process in front of them, and the certainty that all of it is gone afterwards.
//!
//! - [`servers`]: runs a test against both servers; [`servers::shared`] is one instance of each for
//!   a whole test binary, [`server::Server::start`] a private one with other settings.
//! - [`millpond`]: the compiled binary with a generated configuration.
//! - [`pair`]: a writer and its replica.
//! - [`group`]: a group of MySQL servers that elect their primary.
//! - [`galera`]: a cluster of MariaDB servers.
//! - [`aurora`]: what stands in for instances of Amazon Aurora.
//! - [`island`]: a network of its own for a server.
//! - [`dns`]: a DNS server whose records move.
//! - [`doorman`]: a server that is only there when somebody connects.
//! - [`kubernetes`]: a cluster, as a vault asks it who has a token.
//! - [`leash`]: how a process is started so that it cannot outlive the test.
//! - [`raw`]: a client that speaks the protocol by hand.
//! - [`rds`]: a stand-in for a server that takes signatures of IAM.
//! - [`relay`]: a link to a server, which can be cut.
//! - [`http`]: pages of a port.
//! - [`stores`]: a vault, and a stand-in for AWS.
//! - [`issuer`]: keys, and tokens by them.
//! - [`web`]: a web service whose answers a test writes.
//! - [`testbed`]: where `tests/testbed/install` keeps what it fetched.

// Every test binary compiles these modules and uses a part of them.
#![allow(dead_code)]
// A support function that cannot do its work fails the test: that is what panics are for here, and
// standard error is where a test runner expects remarks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

pub(crate) mod accounts;
pub(crate) mod aurora;
pub(crate) mod certificates;
pub(crate) mod dns;
pub(crate) mod doorman;
pub(crate) mod flavor;
pub(crate) mod galera;
pub(crate) mod group;
pub(crate) mod http;
pub(crate) mod island;
pub(crate) mod issuer;
pub(crate) mod kubernetes;
pub(crate) mod leash;
pub(crate) mod limits;
pub(crate) mod millpond;
pub(crate) mod pair;
pub(crate) mod ports;
pub(crate) mod raw;
pub(crate) mod rds;
pub(crate) mod relay;
pub(crate) mod server;
pub(crate) mod servers;
pub(crate) mod stores;
pub(crate) mod testbed;
pub(crate) mod web;
