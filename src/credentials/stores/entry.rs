//! One secret in a TOML or JSON document: a password, or a table with a user name and a password.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::directory::without_line_end;
use crate::config::secret::Secret;

/// A secret as it is written down.
///
/// Other members than `username` and `password` are left alone: AWS keeps host, port and engine
/// beside them.
pub(super) struct Entry {
    pub(super) username: Option<String>,
    pub(super) password: Secret,
}

impl Entry {
    /// A text that is the password itself, or a JSON object. A line feed at its end is not meant.
    pub(super) fn of_text(text: &[u8]) -> Result<Self, serde_json::Error> {
        if text.trim_ascii_start().starts_with(b"{") {
            return serde_json::from_slice(text);
        }
        Ok(Self { username: None, password: Secret::new(without_line_end(text)) })
    }
}

// By hand, because a derived untagged enum would keep copies of passwords that are never wiped.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a password, or a table with `username` and `password`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Entry, E> {
        Ok(Entry { username: None, password: Secret::new(text) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entry, A::Error> {
        let (mut username, mut password) = (None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "username" => username = Some(members.next_value()?),
                "password" => password = Some(members.next_value::<Password>()?.0),
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        let password = password.ok_or_else(|| A::Error::missing_field("password"))?;
        Ok(Entry { username, password })
    }
}

struct Password(Secret);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PasswordVisitor)
    }
}

struct PasswordVisitor;

impl Visitor<'_> for PasswordVisitor {
    type Value = Password;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a password")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Password, E> {
        Ok(Password(Secret::new(text)))
    }
}
