//! Behind statements that may have done anything: the server is asked what the session's connection
//! holds, off the client's path.

use super::client::{Client, Stop};
use super::inspectors::NoAnswer;
use crate::backend::dialogue::{Content, Question, Reply, rows};
use crate::session::inspection::mariadb::Numbers;
use crate::session::inspection::{self, Found, Row, Untold, Verdict, mariadb, mysql};
use crate::session::residue::CapturedResult;
use crate::session::server::Flavor;
use crate::wire::capability::Status;

/// Without `autocommit`, the questions may begin a transaction. Theirs is none of the session's.
const END: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";

/// `ER_UNKNOWN_TABLE`: a plugin of MariaDB's is not installed.
const UNKNOWN_TABLE: u16 = 1109;

/// What came of a look at what a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PinCheck {
    /// Nothing that holds the session's connection.
    Unpinned,
    /// Something that holds it.
    Kept,
    /// It could not be told what is there.
    Untold,
    /// The server does not tell.
    Refused,
    /// It could not be asked.
    Failed,
}

impl PinCheck {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unpinned, Self::Kept, Self::Untold, Self::Refused, Self::Failed];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::Kept => "kept",
            Self::Untold => "untold",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why it is not known what is there.
enum Blind {
    /// The connection is gone.
    Lost,
    /// The server did not answer.
    Silent(NoAnswer),
    /// It did, and that does not tell.
    Untold(Untold),
}

impl From<Untold> for Blind {
    fn from(untold: Untold) -> Self {
        Self::Untold(untold)
    }
}

impl Client {
    /// Asks the server what the session's connection holds, and takes that in: what keeps the session
    /// there from now on is what was found.
    ///
    /// # Errors
    ///
    /// When the client went away while its answer was sent.
    pub(super) async fn inspect(&mut self) -> Result<(), Stop> {
        // What a failed statement has changed comes with the reply to the next one, which is the
        // client's on MySQL. (MariaDB keeps it back.)
        let late =
            self.session.dialect.flavor == Flavor::MySql && self.session.unsettled.is_after_error();
        if self.lease.is_none() || late || !self.service.inspectors.may_ask() {
            return Ok(());
        }
        self.channel.flush().await?;
        if !self.session.unsettled.is_settled() {
            self.settle().await;
        }
        if self.session.residue.has_answers_on_backend() {
            self.bring().await;
        }
        if self.lease.is_none() || !inspection::is_due(&self.session) {
            return Ok(());
        }
        let outcome = match self.look().await {
            Ok(found) => self.take_in_found(found).await,
            Err(blind) => self.not_found(&blind),
        };
        self.service.metrics.pin_checks[outcome as usize].inc();
        Ok(())
    }

    async fn take_in_found(&mut self, found: Found) -> PinCheck {
        let Some(lease) = &mut self.lease else { return PinCheck::Failed };
        let (role, sequences) = (found.role.is_some(), !found.sequences.is_empty());
        let traces = &mut lease.connection().traces;
        let verdict = inspection::take_in(&mut self.session, found, traces);
        if role {
            self.environment_follows(false);
        }
        if sequences {
            // Later, without autocommit, to ask them might begin a transaction.
            self.bring().await;
        }
        match verdict {
            Verdict::Known if self.session.pins.is_empty() => PinCheck::Unpinned,
            Verdict::Known | Verdict::Kept => PinCheck::Kept,
        }
    }

    fn not_found(&mut self, blind: &Blind) -> PinCheck {
        let flavor = self.session.dialect.flavor;
        match blind {
            Blind::Lost => {
                self.lost_between_statements();
                PinCheck::Failed
            }
            Blind::Silent(NoAnswer::Failed) => {
                self.service.inspectors.failed();
                PinCheck::Failed
            }
            Blind::Silent(NoAnswer::Refused(code)) => {
                self.service.inspection_refused(flavor, Some(*code));
                PinCheck::Refused
            }
            Blind::Untold(Untold::Blind) => {
                self.service.inspection_refused(flavor, None);
                PinCheck::Refused
            }
            Blind::Untold(untold) => {
                tracing::debug!(%untold, "it is not known what a session holds");
                // Until something changes, it would be told no better.
                self.session.unseen.open = false;
                PinCheck::Untold
            }
        }
    }

    async fn look(&mut self) -> Result<Found, Blind> {
        match self.session.dialect.flavor {
            Flavor::MySql => self.look_at_mysql().await,
            Flavor::MariaDb => self.look_at_mariadb().await,
        }
    }

    async fn look_at_mysql(&mut self) -> Result<Found, Blind> {
        let Some(lease) = &mut self.lease else { return Err(Blind::Lost) };
        let server = lease.pool().key().server;
        let thread = lease.connection().thread_id;
        // In this order: the answers say also that the last statement is over, and with it its own
        // locks.
        let mut questions = vec![mysql::COUNTS, mysql::TRACE, mysql::PROFILE];
        if inspection::minds_settings(&self.session) {
            questions.push(mysql::VARIABLES);
        }
        questions.push(mysql::ROLE);
        let replies = self.ask_itself(&questions).await?;
        let watched = self.service.ask_about(server, &mysql::watched(thread)).await;
        let watched = watched.map_err(Blind::Silent)?;
        let Some(lease) = &mut self.lease else { return Err(Blind::Lost) };
        let connection = lease.connection();
        let own = replies.iter().map(decoded).collect::<Result<Vec<_>, _>>()?;
        let [counts, trace, profile, variables @ .., role] = &*own else {
            return Err(Untold::Unreadable.into());
        };
        let answers = mysql::Answers {
            watched: &decoded(&watched)?,
            counts,
            role,
            trace,
            profile,
            variables: variables.first().map(|rows| &**rows),
            thread,
        };
        Ok(mysql::read(&answers, &self.session, &connection.traces, &connection.baseline)?)
    }

    async fn look_at_mariadb(&mut self) -> Result<Found, Blind> {
        let Some(lease) = &mut self.lease else { return Err(Blind::Lost) };
        let thread = lease.connection().thread_id;
        let reader = self.service.reader.load();
        let catalogue = reader.catalogue();
        let (sequences, packages) = (catalogue.has_sequences(), catalogue.has_packages());
        drop(reader);
        if packages {
            return Err(Untold::Package.into());
        }
        if sequences && !self.session.status.has(Status::AUTOCOMMIT) {
            // Whoever asks for their values begins a transaction.
            return Err(Untold::Sequence.into());
        }
        let questions = mariadb::Questions::new(thread, sequences);
        let texts: Vec<&[u8]> = questions.texts.iter().map(|sql| &**sql).collect();
        let replies = self.ask_itself(&texts).await?;
        let Some(lease) = &mut self.lease else { return Err(Blind::Lost) };
        let connection = lease.connection();
        let answers = replies.iter().map(decoded).collect::<Result<Vec<_>, _>>()?;
        let on = mariadb::Connection {
            thread,
            baseline: &connection.baseline,
            statements: connection.statements.numbers().count(),
        };
        let (found, numbers) = mariadb::read(&answers, &self.session, &connection.traces, &on)?;
        match numbers {
            Numbers::Follow(state) => connection.traces.random = Some(state),
            Numbers::Seeded(state) => drop(self.ask_itself(&[&state.put_back()]).await?),
        }
        Ok(found)
    }

    /// Asks on the session's own connection.
    async fn ask_itself(&mut self, texts: &[&[u8]]) -> Result<Vec<CapturedResult>, Blind> {
        let autocommit = self.session.status.has(Status::AUTOCOMMIT);
        let Some(lease) = &mut self.lease else { return Err(Blind::Lost) };
        let mut questions: Vec<_> = texts.iter().map(|sql| Question::Query(sql)).collect();
        if !autocommit {
            questions.push(Question::Query(END));
        }
        let replies = lease.connection().ask(&questions).await.map_err(|_| Blind::Lost)?;
        for reply in &replies {
            self.reported(&reply.changes, None);
        }
        replies.into_iter().take(texts.len()).map(result).collect()
    }
}

fn result(reply: Reply) -> Result<CapturedResult, Blind> {
    match reply.content {
        Content::Rows(answer) => Ok(answer.result),
        Content::Err(error) if error.code == UNKNOWN_TABLE => {
            Err(Blind::Silent(NoAnswer::Refused(error.code)))
        }
        Content::Ok(_) => Ok(CapturedResult::default()),
        Content::Err(_) | Content::Prepared { .. } => Err(Untold::Unreadable.into()),
    }
}

fn decoded(result: &CapturedResult) -> Result<Vec<Row<'_>>, Untold> {
    rows(result).map_err(|_| Untold::Unreadable)
}
