//! Floor 9: which server a session's next statement goes to.
//!
//! Pure functions of a [`Snapshot`]; how to wait when there is no such server is the business of
//! whoever asks.

pub use crate::config::WithoutReaders;

use crate::failover::recovery::Share;
use crate::failover::snapshot::{Health, Role, ServerId, ServerState, Snapshot, Writer};
use std::time::Duration;

/// What a session came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads and writes: `listen`.
    Write,
    /// Reads: `reader_listen`.
    Read,
}

/// By what readers are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// The zone that Millpond itself is in: readers there come first.
    pub zone: Option<String>,
    /// A reader that is farther behind, or does not say how far, is not used; `None` takes any.
    pub max_lag: Option<Duration>,
    /// When no reader is left.
    pub without_readers: WithoutReaders,
}

/// Where a statement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this server.
    To(ServerId),
    /// Nowhere for now: it waits for another snapshot.
    Hold,
}

/// Chooses a server. `current` is where the session was before, which it does not leave without
/// need; `load` tells how busy a server is; `random` gives a number below its argument.
pub fn route(
    snapshot: &Snapshot,
    access: Access,
    preferences: &Preferences,
    current: ServerId,
    load: impl Fn(ServerId) -> usize,
    mut random: impl FnMut(usize) -> usize,
) -> Route {
    let orders = &snapshot.orders;
    let writer = match snapshot.writer {
        Writer::Confirmed(id) if orders.let_write(id) => Route::To(id),
        Writer::Confirmed(_) | Writer::Awaited => Route::Hold,
    };
    if access == Access::Write {
        return writer;
    }
    let mut usable: Vec<_> = snapshot.servers.iter().collect();
    usable.retain(|server| is_usable(server, preferences) && !orders.is_out(server.id));
    if orders.is_paused() || usable.iter().any(|s| s.id == current && orders.is_held(current)) {
        return Route::Hold;
    }
    // One that comes and goes is only used where there is no other.
    if usable.iter().any(|server| server.share != Share::NONE)
        || (preferences.without_readers == WithoutReaders::Writer && writer != Route::Hold)
    {
        usable.retain(|server| server.share != Share::NONE);
    }
    if usable.iter().any(|server| server.id == current) {
        return Route::To(current);
    }
    let could_be = usable.len();
    usable.retain(|server| !orders.is_held(server.id));
    if usable.len() < could_be && usable.is_empty() {
        return Route::Hold;
    }
    let near: Vec<_> = usable
        .iter()
        .filter(|server| preferences.zone.is_some() && server.endpoint.zone == preferences.zone)
        .copied()
        .collect();
    let choice = if near.is_empty() { usable } else { near };
    let instead = match preferences.without_readers {
        WithoutReaders::Writer => writer,
        WithoutReaders::Wait => Route::Hold,
    };
    if choice.is_empty() {
        return instead;
    }
    // The less busy of two at random: nearly as even as asking all, and no herd.
    match (draw(&choice, &mut random), draw(&choice, &mut random)) {
        (Some(one), Some(two)) => Route::To(if load(two) < load(one) { two } else { one }),
        (Some(one), None) | (None, Some(one)) => Route::To(one),
        // All have just come back, and are to be spared: as long as others can do their work.
        (None, None) if instead != Route::Hold => instead,
        (None, None) => Route::To(choice[random(choice.len())].id),
    }
}

/// One of these at random; one that has just come back as often as its share says. None when it was
/// not to be, and there is no other.
fn draw(choice: &[&ServerState], random: &mut impl FnMut(usize) -> usize) -> Option<ServerId> {
    let drawn = choice[random(choice.len())];
    if drawn.share == Share::FULL || random(100) < usize::from(drawn.share.percent()) {
        return Some(drawn.id);
    }
    let whole: Vec<_> = choice.iter().filter(|server| server.share == Share::FULL).collect();
    (!whole.is_empty()).then(|| whole[random(whole.len())].id)
}

/// Whether a server may be read from.
fn is_usable(server: &ServerState, preferences: &Preferences) -> bool {
    let fresh = match (preferences.max_lag, server.lag) {
        (None, _) => true,
        (Some(limit), Some(lag)) => lag <= limit,
        (Some(_), None) => false,
    };
    server.role == Role::Reader && server.health == Health::Up && fresh
}

#[cfg(test)]
mod tests;
