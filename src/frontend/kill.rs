//! `KILL` of a client's number: translated to where that client's statement runs now.

use super::cancel::{Farewell, Registry};
use super::client::{Client, Stop};
use super::run::Request;
use super::told::Told;
use crate::backend::dialogue::{Content, Question};
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
        if !Registry::is_own(kill.id) {
            return Ok(false);
        }
        let kill = kill.clone();
        self.kill_own(&kill, sequence).await;
        Ok(true)
    }

    /// `COM_PROCESS_KILL`
    pub(super) async fn process_kill(&mut self, command: &[u8], sequence: u8) -> Result<(), Stop> {
        let id = u64::from(Cursor::new(&command[1..]).u32()?);
        if Registry::is_own(id) {
            let kill = Kill { words: b"connection"[..].into(), connection: true, id };
            self.kill_own(&kill, sequence).await;
            return Ok(());
        }
        let analysis = Analysis::default();
        let request = Request::new(&analysis, ReplyShape::Ok, sequence);
        self.run(request, |out, _| put_parts(out, &[command])).await?;
        Ok(())
    }

    async fn kill_own(&mut self, kill: &Kill, sequence: u8) {
        let next = sequence.wrapping_add(1);
        let Some(victim) = self.service.registry.find(kill.id) else {
            return self.put_error(next, &Told::no_such_thread(kill.id));
        };
        if victim.id == self.entry.handle().id {
            if kill.connection {
                victim.dismiss(Farewell::Killed);
            }
            return self.put_error(next, &Told::INTERRUPTED);
        }
        let target = victim.aim();
        let Some(target) = target else {
            // Nothing of it runs anywhere: only its own user may end it without asking the server.
            if *victim.user.lock() != self.user {
                return self.put_error(next, &Told::kill_denied(kill.id));
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
