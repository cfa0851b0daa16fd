//! The load: clients that cost next to nothing, so that what is measured is the database and what
//! stands in front of it.
//!
//! They speak the protocol by hand, for a driver's work (decoding rows, keeping statements) would
//! take more of the two cores than the proxy. [`wire`] is one client, [`login`] its handshake,
//! [`figures`] what comes out.

// Each bench compiles these modules and uses a part of them.
#![allow(dead_code)]

pub(crate) mod figures;
pub(crate) mod login;
pub(crate) mod wire;
