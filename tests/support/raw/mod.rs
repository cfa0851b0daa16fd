//! A client that speaks the protocol by hand: with capabilities, plugins and bytes that no driver
//! offers, and cheap enough for thousands at once.

pub(crate) mod login;
pub(crate) mod packets;
pub(crate) mod reply;
