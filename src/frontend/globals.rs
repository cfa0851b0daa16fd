//! Notices what was set globally behind Millpond's back: by an administrator on the server itself, or
//! by a cloud vendor's parameter group.

use super::catalogue::END;
use crate::backend::connection::Connection;
use crate::backend::dialogue::{Content, Question};
use crate::backend::server::ServerId;
use crate::net::link::LinkError;
use crate::session::inherited;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The global values that sessions take over, as each server gave them last.
#[derive(Debug, Default)]
pub(super) struct Globals(Mutex<HashMap<ServerId, u64>>);

impl Globals {
    /// Notes what a server gives now. Whether that is other than before.
    pub(super) fn have_changed(&self, server: ServerId, now: u64) -> bool {
        self.0.lock().insert(server, now).is_some_and(|before| before != now)
    }

    /// They are changed by somebody whose sessions know of it.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// Reads them; `None` where the server does not say.
///
/// Not cancel safe, as [`Connection::ask`].
///
/// # Errors
///
/// When the connection fails.
pub(super) async fn read(connection: &mut Connection) -> Result<Option<u64>, LinkError> {
    let names: Vec<_> = inherited::names().map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(","));
    let replies = connection.ask(&[Question::Query(sql.as_bytes()), Question::Query(END)]).await?;
    let Some(Content::Rows(answer)) = replies.into_iter().next().map(|reply| reply.content) else {
        return Ok(None);
    };
    let mut hasher = DefaultHasher::new();
    answer.result.rows.hash(&mut hasher);
    Ok(Some(hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_compared_with_itself() {
        let globals = Globals::default();
        let [one, other] = [ServerId(1), ServerId(2)];
        assert!(!globals.have_changed(one, 5), "nothing was known");
        assert!(!globals.have_changed(other, 6), "nothing was known of it");
        assert!(!globals.have_changed(one, 5));
        assert!(globals.have_changed(one, 6));
        globals.forget();
        assert!(!globals.have_changed(one, 7));
    }
}
