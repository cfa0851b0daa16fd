//! Statements prepared by SQL text: their names are put in place where a statement uses them.

use super::borrow::Borrowed;
use super::client::{Client, Stop};
use super::failure::Sent;
use super::restore::Adopted;
use super::run::Placed;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::session::literal::put_identifier;
use crate::session::statement::{Action, Analysis, Marks};
use crate::session::text::{Found, Has, Preparation};

/// What has to be done about a name before a statement that uses it.
enum Task {
    /// Nothing.
    Nothing,
    /// Another session's statement must not be found.
    Hide,
    /// Some statement must be there, to be given up.
    Stand,
    /// The session's own statement must be there.
    Prepare(Preparation),
}

/// What names statements that were prepared by text.
const NAMES: Marks = Marks::TEXT_PREPARE.union(Marks::TEXT_EXECUTE).union(Marks::TEXT_DEALLOCATE);

/// What may name any of them out of sight.
const HIDDEN: Marks = Marks::IMPURE.union(Marks::OPAQUE);

impl Client {
    /// Whether a statement uses others that were prepared by text, or may use some of the session's.
    pub(super) fn uses_text_statements(&mut self, analysis: &Analysis) -> bool {
        let any = self.session.text_statements.as_ref().is_some_and(|own| !own.is_empty());
        analysis.marks.intersects(NAMES)
            || analysis.marks.intersects(HIDDEN) && (any || !self.foreign_names().is_empty())
    }

    /// The names under which the session's connection has statements of others.
    fn foreign_names(&mut self) -> Vec<Box<[u8]>> {
        let Some(lease) = &mut self.lease else { return Vec::new() };
        let own = self.session.text_statements.as_deref();
        let names = lease.connection().traces.text_statements.foreign_names(own);
        names.into_iter().map(Into::into).collect()
    }

    /// Sees to it that the names of statements which this one uses are the session's own on its
    /// connection. False when the client has been told that it does not work, or the command is run
    /// again.
    pub(super) async fn place_text_statements(
        &mut self,
        analysis: &Analysis,
        sequence: u8,
    ) -> Result<bool, Stop> {
        if self.borrow(sequence).await? == Borrowed::No
            || !self.make_fit(analysis, Placed::Anywhere, sequence).await?
        {
            return Ok(false);
        }
        if analysis.marks.has(Marks::TEXT_PREPARE) {
            self.settle_charsets().await;
        }
        self.give_up_surplus().await;
        if self.lease.is_none() {
            return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
        }
        let is_certain = analysis.count == 1 && !analysis.marks.has(Marks::UNCERTAIN);
        // What the text itself prepares before is the session's own.
        let mut own: Vec<&[u8]> = Vec::new();
        for placed in analysis.actions() {
            let mut given = None;
            let (name, executes) = match &placed.action {
                Action::Prepare { name, .. } => {
                    own.push(name);
                    continue;
                }
                Action::Execute { name, using } => {
                    given = Some(using.len());
                    (name, true)
                }
                // What may not come to that has to be there afterwards.
                Action::Deallocate(name) => (name, !is_certain),
                _ => continue,
            };
            if own.contains(&&**name) {
                continue;
            }
            own.push(name);
            let task = self.task(name, executes);
            if !matches!(task, Task::Nothing) {
                self.settle_error().await;
                if self.lease.is_none() {
                    return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
                }
            }
            let (worked, has) = match task {
                Task::Nothing => continue,
                Task::Hide => {
                    (self.tell(b"DEALLOCATE PREPARE ", name, b"", sequence).await?, Has::Nothing)
                }
                Task::Stand => {
                    (self.tell(b"PREPARE ", name, b" FROM 'DO 1'", sequence).await?, Has::Unknown)
                }
                Task::Prepare(preparation) => {
                    // Should it fail, whatever had the name is gone all the same.
                    self.has_text_statement(name, Has::Nothing);
                    let wrong = given.is_some_and(|given| {
                        let takes = preparation.parameters(&self.session.dialect);
                        takes.is_some_and(|takes| takes != given)
                    });
                    // What is wrong with the execution comes before what is with its preparation here, such
                    // as in a transaction that only reads.
                    let instead = wrong.then_some(Told::WRONG_ARGUMENTS);
                    match self.prepare_text(&preparation, instead.as_ref(), sequence).await? {
                        Some(worked) => (worked, Has::Statement(preparation.key.clone())),
                        // Another connection, on which nothing is in place yet.
                        None => {
                            return Box::pin(self.place_text_statements(analysis, sequence)).await;
                        }
                    }
                }
            };
            if !worked {
                return Ok(false);
            }
            self.has_text_statement(name, has);
        }
        if analysis.marks.intersects(HIDDEN) {
            return self.place_all_text_statements(analysis, &own, sequence).await;
        }
        Ok(true)
    }

    /// The same of all statements of the session's but these, for a statement that may use any. What
    /// cannot be prepared any more is not there, and nobody is told. Nor are those of others: a
    /// transaction keeps a connection that cannot be reset.
    async fn place_all_text_statements(
        &mut self,
        analysis: &Analysis,
        but: &[&[u8]],
        sequence: u8,
    ) -> Result<bool, Stop> {
        let own = self.session.text_statements.iter().flat_map(|own| own.names());
        let mut names: Vec<Box<[u8]>> =
            own.filter(|name| !but.contains(name)).map(Into::into).collect();
        let foreign = self.foreign_names();
        names.extend(foreign.into_iter().filter(|name| !but.contains(&&**name)));
        for name in names {
            let task = self.task(&name, true);
            if !matches!(task, Task::Prepare(_) | Task::Hide) {
                continue;
            }
            self.settle_error().await;
            if self.session.residue.has_answers_on_backend() {
                self.bring().await;
            }
            let Task::Prepare(preparation) = task else {
                if !self.tell(b"DEALLOCATE PREPARE ", &name, b"", sequence).await? {
                    return Ok(false);
                }
                self.has_text_statement(&name, Has::Nothing);
                continue;
            };
            self.has_text_statement(&name, Has::Nothing);
            match self.adopt(&preparation.environment, sequence).await? {
                Adopted::Exactly | Adopted::ButDatabase => {}
                Adopted::Elsewhere => {
                    return Box::pin(self.place_text_statements(analysis, sequence)).await;
                }
                Adopted::Not => return Ok(false),
            }
            let Some(lease) = &mut self.lease else { return Ok(false) };
            let question = Question::Query(preparation.key.sql());
            let Ok(replies) = lease.connection().ask(&[question]).await else {
                return self.connection_failed(sequence, Sent::Nothing).map(|()| false);
            };
            if !replies.iter().any(|reply| matches!(reply.content, Content::Err(_))) {
                self.has_text_statement(&name, Has::Statement(preparation.key.clone()));
            }
        }
        Ok(true)
    }

    fn has_text_statement(&mut self, name: &[u8], has: Has) {
        if let Some(lease) = &mut self.lease {
            lease.connection().traces.text_statements.put(name, has);
        }
    }

    fn task(&mut self, name: &[u8], executes: bool) -> Task {
        let Some(lease) = &mut self.lease else { return Task::Nothing };
        let wanted = self.session.text_statements.as_ref().and_then(|own| own.get(name));
        let found = lease.connection().traces.text_statements.find(name, wanted);
        match (wanted, found) {
            (None, Found::Nothing) | (Some(_), Found::Same) => Task::Nothing,
            (None, _) => Task::Hide,
            (Some(statement), found) => match &statement.preparation {
                // The session has kept the connection that has it.
                None => Task::Nothing,
                Some(preparation) if executes => Task::Prepare(preparation.clone()),
                Some(_) if found == Found::Nothing => Task::Stand,
                Some(_) => Task::Nothing,
            },
        }
    }

    /// Says something about one name to the connection.
    async fn tell(
        &mut self,
        verb: &[u8],
        name: &[u8],
        rest: &[u8],
        sequence: u8,
    ) -> Result<bool, Stop> {
        let mut sql = verb.to_vec();
        put_identifier(&mut sql, name);
        sql.extend_from_slice(rest);
        self.ask_to_prepare(Question::Query(&sql), None, sequence).await.map(|done| done.is_some())
    }

    /// Prepares the session's own statement; `None` when its connection had to be given up.
    async fn prepare_text(
        &mut self,
        preparation: &Preparation,
        instead: Option<&Told>,
        sequence: u8,
    ) -> Result<Option<bool>, Stop> {
        match self.adopt(&preparation.environment, sequence).await? {
            Adopted::Exactly | Adopted::ButDatabase => {}
            Adopted::Elsewhere => return Ok(None),
            Adopted::Not => return Ok(Some(false)),
        }
        let question = Question::Query(preparation.key.sql());
        let done = self.ask_to_prepare(question, instead, sequence).await?;
        Ok(Some(done.is_some()))
    }

    /// Statements of others that nobody may ever ask for again.
    async fn give_up_surplus(&mut self) {
        let Some(lease) = &mut self.lease else { return };
        let connection = lease.connection();
        let own = self.session.text_statements.as_deref();
        let texts: Vec<Vec<u8>> = connection
            .traces
            .text_statements
            .surplus(own)
            .iter()
            .map(|name| {
                connection.traces.text_statements.put(name, Has::Nothing);
                let mut sql = b"DEALLOCATE PREPARE ".to_vec();
                put_identifier(&mut sql, name);
                sql
            })
            .collect();
        if texts.is_empty() {
            return;
        }
        self.settle_error().await;
        let Some(lease) = &mut self.lease else { return };
        let questions: Vec<_> = texts.iter().map(|sql| Question::Query(sql)).collect();
        if lease.connection().ask(&questions).await.is_err() {
            self.lost_between_statements();
        }
    }

    /// After a statement: what its connection has under the names that it used is what the session
    /// has.
    pub(super) fn text_statements_follow(&mut self, analysis: &Analysis) {
        for placed in analysis.actions() {
            if let Action::Prepare { name, .. } | Action::Deallocate(name) = &placed.action {
                let statement = self.session.text_statements.as_ref().and_then(|own| own.get(name));
                let has = match statement.map(|statement| &statement.preparation) {
                    None => Has::Nothing,
                    Some(None) => Has::Unknown,
                    Some(Some(preparation)) => Has::Statement(preparation.key.clone()),
                };
                self.has_text_statement(name, has);
            }
        }
    }

    /// Prepares something. Makes room where the server has too many statements; `None` when the
    /// client has been told what it said, or `instead` of that, or its command is run again.
    pub(super) async fn ask_to_prepare(
        &mut self,
        question: Question<'_>,
        instead: Option<&Told>,
        sequence: u8,
    ) -> Result<Option<Content>, Stop> {
        for attempt in 0..2 {
            let Some(lease) = &mut self.lease else { return Ok(None) };
            let Ok(replies) = lease.connection().ask(&[question]).await else {
                self.connection_failed(sequence, Sent::Nothing)?;
                return Ok(None);
            };
            match replies.into_iter().next().map(|reply| reply.content) {
                Some(Content::Err(error))
                    if error.code == Told::TOO_MANY_STATEMENTS && attempt == 0 =>
                {
                    let closed = lease.connection().close_some_statements().await;
                    lease.pool().metrics.statements_closed.inc_by(closed.unwrap_or(0) as u64);
                }
                Some(Content::Err(error)) => {
                    let told = instead.cloned().unwrap_or_else(|| Told::passed_on(error));
                    self.put_error(sequence.wrapping_add(1), &told);
                    return Ok(None);
                }
                Some(content) => {
                    lease.pool().metrics.executions_prepared.inc();
                    return Ok(Some(content));
                }
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}
