//! `KILL` of a client's number: translated to where that client's statement runs now.

use super::cancel::{Farewell, Registry};
use super::client::{Client, Stop};
use super::run::Request;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
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
        let Some(victim) = self.service.registry.find(id) else {
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
        let target = victim.aim();
        let Some(target) = target else {
            // Nothing of it runs anywhere: only its own user may end it without asking the server.
            if *victim.user.lock() != self.user {
                return self.put_error(next, &Told::kill_denied(id));
            }
            if kill.connection {
                victim.dismiss(Farewell::Killed);
            }
            return self.put_ok(next);
        };
        // A connection of its own: a KILL must work when all others are busy. The server checks
        // whether this user may.
        let patience = self.service.wake(self.limits.load());
        let opened = self.pool.open_apart().await;
        let mut control = match opened {
            Ok(control) => control,
            Err(error) => {
                return self.put_error(next, &Told::not_acquired(&error, &patience));
            }
        };
        let words = String::from_utf8_lossy(&kill.words).into_owned();
        let sql = format!("KILL {words} {}", target.thread);
        let answer = control.ask(&[Question::Query(sql.as_bytes())]).await;
        drop(target);
        match answer.ok().and_then(|replies| replies.into_iter().next()).map(|r| r.content) {
            Some(Content::Err(error)) => self.put_error(next, &Told::passed_on(error)),
            Some(_) => {
                if kill.connection {
                    victim.dismiss(Farewell::Killed);
                }
                self.put_ok(next);
            }
            None => self.put_error(next, &Told::LOST_UNKNOWN),
        }
        control.quit().await;
    }
}
