//! The same test against both servers.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use super::flavor::Flavor;
use super::pair::Pair;
use super::server::Server;
use super::testbed;

/// Runs `test` on a server of each kind. Says which one it failed on, and whether that crashed.
pub(crate) fn both(test: impl Fn(&'static Server)) {
    on_each(|flavor| {
        let server = shared(flavor);
        watched(server, || test(server));
    });
}

/// Runs the future that `test` makes, on a server of each kind, on a runtime of two threads.
pub(crate) fn both_async<F: Future<Output = ()>>(test: impl Fn(&'static Server) -> F) {
    both(|server| runtime().block_on(test(server)));
}

/// Runs `test` on a private server of each kind, started with these lines of configuration. For
/// tests that look at counters of the whole server, change its settings, or kill it.
pub(crate) fn both_private<F: Future<Output = ()>>(
    settings: &[&str],
    test: impl Fn(&'static Server) -> F,
) {
    on_each(|flavor| {
        // Leaked, so that futures may hold it without ceremony; the leash ends the process when the
        // test binary ends, and the kill below ends it now.
        let server: &'static Server = Box::leak(Box::new(Server::start(flavor, settings)));
        watched(server, || runtime().block_on(test(server)));
        server.kill();
    });
}

/// Runs `test` on a server of the first kind that there is: for what has nothing to do with the
/// server.
pub(crate) fn one_async<F: Future<Output = ()>>(test: impl FnOnce(&'static Server) -> F) {
    let server = shared(available()[0]);
    watched(server, || runtime().block_on(test(server)));
}

/// Runs `test` on a private pair of servers of each kind.
pub(crate) fn each_pair(test: impl AsyncFn(&'static Pair)) {
    each_pair_of(Pair::start, test);
}

/// As [`each_pair`], with pairs that are started otherwise.
pub(crate) fn each_pair_of(start: fn(Flavor) -> Pair, test: impl AsyncFn(&'static Pair)) {
    on_each(|flavor| {
        let pair: &'static Pair = Box::leak(Box::new(start(flavor)));
        runtime().block_on(test(pair));
        pair.writer.kill();
        pair.replica.kill();
    });
}

/// The kinds of server that can be had here. A missing one is named as skipped; where everything
/// must be tested it fails the test.
pub(crate) fn available() -> Vec<Flavor> {
    let mut flavors = Vec::new();
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        match flavor.program() {
            Ok(_) => flavors.push(flavor),
            Err(why) => testbed::skip(&flavor.to_string(), why),
        }
    }
    assert!(!flavors.is_empty(), "no database server at all: run tests/testbed/install servers");
    flavors
}

/// The instance of this kind that all tests of this process share.
pub(crate) fn shared(flavor: Flavor) -> &'static Server {
    static MARIADB: OnceLock<Server> = OnceLock::new();
    static MYSQL: OnceLock<Server> = OnceLock::new();
    let shared = match flavor {
        Flavor::MariaDb => &MARIADB,
        Flavor::MySql => &MYSQL,
    };
    shared.get_or_init(|| Server::start(flavor, &["max_connections=400"]))
}

/// Goes on to the next kind after a failure: it is good to know whether both fail.
fn on_each(run: impl Fn(Flavor)) {
    let mut failure = None;
    for flavor in available() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(flavor))) {
            failure.get_or_insert(panic);
        }
    }
    if let Some(panic) = failure {
        resume_unwind(panic);
    }
}

fn watched(server: &Server, test: impl FnOnce()) {
    let outcome = catch_unwind(AssertUnwindSafe(test));
    if let Some(crash) = server.crash() {
        panic!("{} CRASHED during this test; its last words:\n{crash}", server.flavor);
    }
    if let Err(panic) = outcome {
        eprintln!("the test failed on {}", server.flavor);
        resume_unwind(panic);
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
