//! A client that has logged in: its channel, its session, and the backend connection that it has
//! at this moment.

use super::cancel::Entry;
use super::cut::Cut;
use super::failure::Again;
use super::guests::Guest;
use super::incident::Concerned;
use super::limits::Seat;
use super::peer::Peer;
use super::pins::SessionPins;
use super::repetition::{Repetition, Undone};
use super::reply::{shown, tells_trackers};
use super::service::{Admission, KnownLimits, Service};
use super::told::Told;
use crate::net::channel::Channel;
use crate::pool::Pool;
use crate::pool::deposit::Deposit;
use crate::pool::lease::Lease;
use crate::router::Access;
use crate::session::model::Session;
use crate::session::residue::{Counts, LastError};
use crate::session::server::Flavor;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::frame::put_packet_with;
use crate::wire::reply::{OkKind, OkPacket};
use bytes::BytesMut;
use std::io;
use std::sync::Arc;

/// A client that has logged in.
#[derive(Debug)]
pub struct Client {
    /// The service it came to.
    pub service: Arc<Service>,
    /// What it came for.
    pub access: Access,
    /// The version of the topology that [`Self::pool`] was chosen by.
    pub routed: u64,
    /// It may have read elsewhere what [`Self::pool`]'s server does not have yet.
    pub moved: bool,
    /// Where its backend connections come from.
    pub pool: Arc<Pool>,
    /// Its socket.
    pub channel: Channel,
    /// What it negotiated.
    pub capabilities: Capabilities,
    /// Its session.
    pub session: Session,
    /// Its place in the registry.
    pub entry: Entry,
    /// Its user.
    pub user: Arc<str>,
    /// Its place among the users that only the server knows, if it is one of them.
    pub guest: Option<Box<Guest>>,
    /// Where it came from.
    pub peer: Arc<Peer>,
    /// The nonce of its handshake, with which it proves a change of user.
    pub nonce: [u8; 20],
    /// The backend connection that it has at this moment.
    pub lease: Option<Lease>,
    /// The backend connection that it left as a deposit.
    pub deposit: Option<Arc<Deposit>>,
    /// The command under way is being run again.
    pub again: Option<Box<Again>>,
    /// What running the command under way again would do.
    pub repetition: Repetition,
    /// What becomes of the command under way if its transaction ends with its connection.
    pub undone: Undone,
    /// The connection that held its transaction, or more, ended between two commands, and it does not
    /// know yet.
    pub severed: bool,
    /// How long the command under way waited for a backend connection, in microseconds.
    pub waited: u32,
    /// Stored code was changed by the last statement.
    pub catalogue_changed: bool,
    /// Sessions that begin from now on have other values than those before.
    pub globals_changed: bool,
    /// What the metrics know of its pins.
    pub counted_pins: SessionPins,
    /// Its transaction was cut, and it does not know yet.
    pub cut: Option<Box<Cut>>,
    /// The service's limits.
    pub limits: KnownLimits,
    /// Its place among the service's clients.
    pub admission: Admission,
    /// Its place among those of its user.
    pub seat: Seat,
}

/// Why the serving of a client ends, from within a command.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The client went away.
    #[error("the connection to the client failed: {0}")]
    Client(#[from] io::Error),
    /// The client said `COM_QUIT`.
    #[error("the client quit")]
    Quit,
    /// The client broke the protocol; the error, if any, has been put into its output.
    #[error("the client broke the protocol: {0}")]
    Fault(#[from] crate::wire::fault::Fault),
    /// The client ended its session together with its transaction: `COMMIT RELEASE`.
    #[error("the client's transaction ended its session")]
    Released,
    /// The backend connection with the session's state is gone.
    #[error("the state of the session is lost")]
    StateLost,
    /// The client was killed, or Millpond stops.
    #[error("the client was dismissed")]
    Dismissed(super::cancel::Farewell),
    /// A change of user was refused.
    #[error("access denied")]
    Denied,
}

impl Client {
    /// Answers with an OK of Millpond's own.
    pub fn put_ok(&mut self, sequence: u8) {
        self.put_local_ok(sequence, OkKind::Ok);
    }

    /// Answers with an EOF of Millpond's own, or the OK that stands for it.
    pub fn put_eof(&mut self, sequence: u8) {
        self.put_local_ok(sequence, OkKind::ResultEnd);
    }

    fn put_local_ok(&mut self, sequence: u8, kind: OkKind) {
        let mut ok = OkPacket { status: self.session.status, ..OkPacket::default() };
        if self.session.dialect.flavor == Flavor::MySql {
            // MySQL counts here what the last statement left.
            ok.warnings = self.session.counted.conditions;
        }
        let owed = self.take_owed(kind);
        ok.state_changes = &owed;
        let mut sequence = sequence;
        let capabilities = self.capabilities;
        put_packet_with(&mut self.channel.output, &mut sequence, |out| {
            ok.encode(kind, capabilities, out);
        });
    }

    /// What is owed to the client, if a packet of this kind tells it.
    pub(super) fn take_owed(&mut self, kind: OkKind) -> BytesMut {
        if !tells_trackers(self.capabilities, kind) {
            return BytesMut::new();
        }
        match (self.session.residue.take_owed(), self.service.learned()) {
            (Some(owed), Some(learned)) => shown(&learned.server.trackers, &owed),
            _ => BytesMut::new(),
        }
    }

    /// Answers with an error of Millpond's own.
    pub fn put_error(&mut self, sequence: u8, told: &Told) {
        let mut sequence = sequence;
        let concerned = Concerned { user: &self.user, client: self.entry.handle().id };
        let told = self.service.metrics.incidents.note(told, concerned);
        told.put(&mut self.channel.output, &mut sequence);
        let error = LastError { code: told.code, sqlstate: told.sqlstate };
        self.session.residue.failed(error, self.session.dialect.flavor);
        let most = self.session.kept_conditions();
        self.session.residue.refused(told.code, &told.message, most);
        self.session.counted = Counts::ERROR;
    }

    /// The transaction, and whatever else a lost backend connection had, is over.
    pub fn forget_transaction(&mut self) {
        self.session.status = self
            .session
            .status
            .without(Status::IN_TRANS | Status::IN_TRANS_READONLY | Status::CURSOR_EXISTS);
        self.session.pins.clear();
        self.session.unsettled = Default::default();
    }

    /// Tells the metrics about the reasons to pin.
    pub fn count_pins(&mut self) {
        self.counted_pins.are(self.session.pins.bits());
    }
}

impl Drop for Client {
    /// Whatever the client leaves is put in order: an open transaction is rolled back at once, a
    /// deposit that holds nothing but values goes back as it is.
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            if self.session.is_dedicated() { lease.retire() } else { lease.clean_up() }
        }
        if let Some(lease) = self.deposit.take().and_then(|deposit| deposit.take_back()) {
            lease.release();
        }
    }
}
