//! Reads whose client is gone: nobody wants the rows, and they keep the server at work, a connection from
//! others, and the locks of their transaction. Whatever changes something goes on, as on a server.

use super::repetition::Repetition;
use super::service::Service;
use crate::backend::dialogue::Question;
use crate::pool::lease::Lease;
use crate::runtime::Law;
use crate::session::statement::{Analysis, Marks};
use std::sync::Arc;

/// Whether a statement does nothing but to answer its client, or to hold it up.
pub(super) fn is_of_no_use(analysis: &Analysis, repetition: Repetition) -> bool {
    repetition == Repetition::Harmless
        || analysis.count == 1 && analysis.kind.is_read() && analysis.marks == Marks::GET_LOCK
}

/// Has the server end the statement that runs on this connection, and then closes that. Until then it
/// counts as open: clients that go away and come again must not pile up work on the server. So the
/// connections that say so are opened one at a time.
pub(super) fn end(mut lease: Lease, service: &Arc<Service>) {
    service.metrics.abandoned.inc();
    let tasks = service.tasks.clone();
    let service = service.clone();
    tasks.spawn("end of a read whose client is gone", Law::Mortal, async move {
        let _turn = service.ending.lock().await;
        match lease.pool().clone().open_apart().await {
            Ok(mut control) => {
                let sql = format!("KILL {}", lease.connection().thread_id);
                if let Err(error) = control.ask(&[Question::Query(sql.as_bytes())]).await {
                    tracing::debug!(%error, "a read whose client is gone could not be ended");
                }
                lease.discard();
                control.quit().await;
            }
            Err(error) => tracing::warn!(%error, "a read whose client is gone could not be ended"),
        }
    });
}
