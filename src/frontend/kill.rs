//! `KILL` of a client's number: translated to where that client's statement runs now.

use super::cancel::{Farewell, Handle, Registry, Thread};
use super::client::{Client, Stop};
use super::run::Request;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
use crate::pool::PoolKey;
use crate::session::server::Flavor;
use crate::session::statement::{Action, Analysis, Kill, Placed};
use crate::wire::command::put_parts;
use crate::wire::cursor::Cursor;
use crate::wire::exchange::ReplyShape;

impl Client {
    /// Carries out a KILL of one of Millpond's numbers. False when the server has to.
    pub(super) async fn kill(&mut self, analysis: &Analysis, sequence: u8) -> Result<bool, Stop> {
        let [Placed { action: Action::Kill(kill), .. }] = analysis.actions() else {
            return Ok(false);
        };
        let id = kill.id.unwrap_or_else(|| self.entry.handle().id.into());
        if !Registry::is_own(id) {
            return Ok(false);
        }
        let kill = kill.clone();
        self.kill_own(&kill, id, sequence).await;
        Ok(true)
    }

    /// `COM_PROCESS_KILL`
    pub(super) async fn process_kill(&mut self, command: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = u64::from(Cursor::new(&command[1..]).u32()?);
        if Registry::is_own(id) {
            let kill = Kill { words: b"connection"[..].into(), connection: true, id: Some(id) };
            self.kill_own(&kill, id, sequence).await;
            return Ok(());
        }
        let analysis = Analysis::default();
        let request = Request::new(&analysis, ReplyShape::Ok, sequence);
        self.run(request, |out, _| put_parts(out, &[command])).await?;
        Ok(())
    }

    async fn kill_own(&mut self, kill: &Kill, id: u64, sequence: u8) {
        let next = sequence.wrapping_add(1);
        // What is behind another service is another server, whose threads are none of this one's.
        let found = self.service.registry.find(id).filter(|v| v.service == self.service.name);
        let Some(victim) = found else {
            return self.put_error(next, &Told::no_such_thread(id));
        };
        if victim.id == self.entry.handle().id {
            let told = match self.session.dialect.flavor {
                Flavor::MariaDb if kill.connection => Told::CONNECTION_KILLED,
                _ => Told::INTERRUPTED,
            };
            if kill.connection {
                victim.dismiss(Farewell::Killed);
            }
            return self.put_error(next, &told);
        }
        let killed = match victim.aim() {
            Some(target) => {
                let words = String::from_utf8_lossy(&kill.words).into_owned();
                let killed = self.have_killed(&words, target.thread).await;
                drop(target);
                killed
            }
            // Nothing of it runs anywhere. Its own user may end it without asking the server.
            None if *victim.user.lock() == self.user => Ok(()),
            None => self.may_kill(&victim).await,
        };
        match killed {
            Ok(()) => {
                if kill.connection {
                    victim.dismiss(Farewell::Killed);
                }
                self.put_ok(next);
            }
            Err(told) => {
                let told = match told.code {
                    // They name the server's number.
                    Told::NOT_OWNER => Told::kill_denied(id),
                    Told::NO_SUCH_THREAD => Told::no_such_thread(id),
                    _ => told,
                };
                self.put_error(next, &told);
            }
        }
    }

    /// Has a server end this, or what `words` say of it, in the name of this client's user. By a
    /// connection of its own: a KILL must work when all others are busy. The server checks whether the
    /// user may.
    async fn have_killed(&mut self, words: &str, thread: Thread) -> Result<(), Told> {
        let patience = self.service.wake(self.limits.load());
        let key = PoolKey { server: thread.server, ..self.pool.key().clone() };
        let denied = || Told::kill_denied(thread.id.into());
        let pool = match thread.server == self.pool.key().server {
            true => self.pool.clone(),
            // Never on another server: there, the number is a stranger's.
            false => self.service.pool(&key).ok_or_else(denied)?,
        };
        let opened = pool.open_apart().await;
        let mut control = opened.map_err(|error| Told::not_acquired(&error, &patience))?;
        let sql = format!("KILL {words} {}", thread.id);
        let answer = control.ask(&[Question::Query(sql.as_bytes())]).await;
        control.quit().await;
        match answer.ok().and_then(|replies| replies.into_iter().next()).map(|r| r.content) {
            Some(Content::Err(error)) => Err(Told::passed_on(error)),
            Some(_) => Ok(()),
            None => Err(Told::LOST_UNKNOWN),
        }
    }

    /// Whether this client's user may kill another's, of which nothing is on the server: it is asked to
    /// kill a connection of the other's that was opened for this.
    async fn may_kill(&mut self, victim: &Handle) -> Result<(), Told> {
        let user = victim.user.lock().clone();
        let denied = || Told::kill_denied(victim.id.into());
        let key = PoolKey { user, ..self.pool.key().clone() };
        let pool = self.service.pool(&key).ok_or_else(denied)?;
        let bait = pool.open_apart().await.map_err(|_| denied())?;
        let thread = Thread { server: key.server, id: bait.thread_id };
        let killed = self.have_killed("CONNECTION", thread).await;
        bait.quit().await;
        killed
    }
}
