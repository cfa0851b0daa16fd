//! What a fuzz target does with arbitrary bytes: a login must come to an end without a panic,
//! whatever a server says in it.

use super::prover::{Channel, Prover, Reaction};
use crate::config::secret::Secret;
use crate::session::server::Flavor;
use crate::wire::auth::NONCE;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::greeting::Greeting;

/// Packets of a server that asks for proofs: each begins with its length.
pub fn login(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let channel = if first & 1 == 0 { Channel::Plain } else { Channel::Encrypted };
    let flavor = if first & 2 == 0 { Flavor::MySql } else { Flavor::MariaDb };
    let secret = Secret::new(if first & 4 == 0 { "password" } else { "" });
    let plugin: &[u8] = match first >> 3 & 7 {
        0 => b"caching_sha2_password",
        1 => b"mysql_native_password",
        2 => b"sha256_password",
        3 => b"client_ed25519",
        _ => b"",
    };
    let greeting = Greeting {
        server_version: b"9.7.4",
        connection_id: 1,
        nonce: [7; NONCE],
        capabilities: Capabilities::PLUGIN_AUTH,
        collation: 255,
        status: Status::AUTOCOMMIT,
        plugin,
    };
    let (mut prover, _) = Prover::new(&secret, channel, &greeting, flavor);
    while let Some((&length, more)) = rest.split_first() {
        let (packet, more) = more.split_at(usize::from(length).min(more.len()));
        rest = more;
        match prover.react(packet) {
            // In clear it goes nowhere but into TLS.
            Ok(Reaction::Send(answer)) if channel == Channel::Plain => {
                let shown = answer.windows(8).any(|window| window == b"password");
                assert!(!shown, "the password goes out in clear");
            }
            Ok(Reaction::Send(_) | Reaction::Wait) => {}
            Err(_) => return,
        }
    }
}
