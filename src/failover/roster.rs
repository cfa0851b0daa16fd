//! Which servers belong to the service: those that are configured, those that their names lead to,
//! and those that the servers tell of.
//!
//! A server that several names lead to is used under one of them; a server that is another one than
//! a name or a table says is used under none.

use super::probe::Pace;
use super::snapshot::{ServerId, Writer};
use super::verdict::{Answer, Claim};
use crate::config::Endpoint;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// No service has more servers; a table that says so is wrong.
const MOST: usize = 64;

/// By what servers of a kind tell themselves from one another.
pub type Identity = Arc<str>;

/// A server, as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How it is reached.
    pub endpoint: Arc<Endpoint>,
    /// The one address of the endpoint's host that it is, where that matters.
    pub address: Option<SocketAddr>,
    /// Who it has to be.
    pub identity: Option<Identity>,
}

impl Member {
    /// Whoever is there.
    pub fn at(endpoint: Endpoint) -> Self {
        Self { endpoint: Arc::new(endpoint), address: None, identity: None }
    }

    /// Whether both are reached in the same way.
    fn is(&self, other: &Self) -> bool {
        self.endpoint.port == other.endpoint.port
            && match (self.address, other.address) {
                (Some(one), Some(other)) => one == other,
                (None, None) => self.endpoint.host.eq_ignore_ascii_case(&other.endpoint.host),
                _ => false,
            }
    }
}

/// All that a server says when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of itself.
    pub answer: Answer,
    /// Who it is.
    pub identity: Option<Identity>,
    /// Of the others; none when its word about them does not count.
    pub members: Option<Vec<Member>>,
    /// How soon it should be asked again.
    pub pace: Pace,
}

impl From<Answer> for Finding {
    fn from(answer: Answer) -> Self {
        Self { answer, identity: None, members: None, pace: Pace::Calm }
    }
}

/// What a look at the roster changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New servers.
    pub joined: Vec<(ServerId, Member)>,
    /// Known servers that belong to the service.
    pub listed: Vec<ServerId>,
    /// Known servers that do not, any more.
    pub unlisted: Vec<ServerId>,
}

#[derive(Debug, Clone)]
struct View {
    members: Vec<Member>,
    /// Whoever said so still answers.
    fresh: bool,
}

/// The servers of a service.
#[derive(Debug, Default)]
pub struct Roster {
    /// What each configured endpoint leads to.
    configured: Vec<Vec<Member>>,
    known: Vec<(ServerId, Member)>,
    views: HashMap<ServerId, View>,
    identities: HashMap<ServerId, Identity>,
    next: u32,
}

impl Roster {
    /// With these configured; an endpoint whose name is yet to be resolved leads nowhere.
    pub fn new(configured: Vec<Vec<Member>>) -> Self {
        Self { configured, ..Self::default() }
    }

    /// The name of an endpoint leads to these.
    pub fn resolved(&mut self, number: usize, members: Vec<Member>) {
        if let Some(configured) = self.configured.get_mut(number) {
            *configured = members;
        }
    }

    /// A server was heard. Gives what its answer counts.
    pub fn heard(&mut self, id: ServerId, finding: Finding, writer: Writer) -> Answer {
        let Finding { mut answer, identity, members, .. } = finding;
        let Some((_, member)) = self.known.iter().find(|(known, _)| *known == id) else {
            return answer;
        };
        let impostor =
            member.identity.is_some() && identity.is_some() && member.identity != identity;
        match identity {
            Some(identity) => drop(self.identities.insert(id, identity)),
            None => drop(self.identities.remove(&id)),
        }
        if impostor {
            self.views.remove(&id);
            answer.claim = Claim::Unfit;
            return answer;
        }
        match members {
            Some(members) => drop(self.views.insert(id, View { members, fresh: true })),
            None => self.silent(id),
        }
        if self.is_alias(id, writer) {
            answer.claim = Claim::Unfit;
        }
        answer
    }

    /// A server does not answer: its word about others counts only while nobody else's does.
    pub fn failed(&mut self, id: ServerId) {
        self.identities.remove(&id);
        self.silent(id);
    }

    fn silent(&mut self, id: ServerId) {
        if let Some(view) = self.views.get_mut(&id) {
            view.fresh = false;
        }
    }

    /// Whether another known server is the same one, under a better name: that of the writer, one
    /// that the servers tell of, or the earlier one.
    fn is_alias(&self, id: ServerId, writer: Writer) -> bool {
        let Some(identity) = self.identities.get(&id) else { return false };
        let place = |(known, member): &(ServerId, Member)| {
            let told = self.views.values().any(|v| v.members.iter().any(|m| m.is(member)));
            (writer != Writer::Confirmed(*known), !told, *known)
        };
        let same = |known: &&(ServerId, Member)| self.identities.get(&known.0) == Some(identity);
        self.known.iter().filter(same).min_by_key(|known| place(known)).is_some_and(|k| k.0 != id)
    }

    /// Compares what is known with what there is.
    pub fn update(&mut self) -> Changes {
        let any_fresh = self.views.values().any(|view| view.fresh);
        let views = self.views.values().filter(|view| view.fresh || !any_fresh);
        let mut wanted: Vec<Member> = Vec::new();
        for member in self.configured.iter().flatten().chain(views.flat_map(|v| &v.members)) {
            match wanted.iter().position(|other| other.is(member)) {
                Some(place) => {
                    let identity = &mut wanted[place].identity;
                    *identity = identity.take().or(member.identity.clone());
                }
                None if wanted.len() < MOST => wanted.push(member.clone()),
                None => {}
            }
        }
        let mut changes = Changes::default();
        for (id, member) in &mut self.known {
            match wanted.iter().position(|other| other.is(member)) {
                Some(place) => {
                    // Who it has to be may have been told only now.
                    member.identity = wanted.swap_remove(place).identity;
                    changes.listed.push(*id);
                }
                None => changes.unlisted.push(*id),
            }
        }
        // In the order of the configuration, not of a map.
        wanted.sort_by_key(|member| {
            let place = self.configured.iter().flatten().position(|other| other.is(member));
            (place.unwrap_or(usize::MAX), member.endpoint.clone(), member.address)
        });
        for member in wanted {
            let id = ServerId(self.next);
            self.next += 1;
            self.known.push((id, member.clone()));
            changes.joined.push((id, member));
        }
        changes
    }

    /// A server is given up. Its number is not used again.
    pub fn forget(&mut self, id: ServerId) {
        self.known.retain(|(known, _)| *known != id);
        self.views.remove(&id);
        self.identities.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Member {
        Member::at(Endpoint { host: host.into(), port: 3306, zone: None })
    }

    fn says(identity: &str, members: Option<&[&str]>) -> Finding {
        Finding {
            identity: Some(identity.into()),
            members: members.map(|hosts| hosts.iter().map(|host| at(host)).collect()),
            ..Answer { claim: Claim::Writer, lag: None }.into()
        }
    }

    fn roster(hosts: &[&str]) -> Roster {
        let mut roster = Roster::new(hosts.iter().map(|host| vec![at(host)]).collect());
        assert_eq!(roster.update().joined.len(), hosts.len());
        roster
    }

    const A: ServerId = ServerId(0);
    const B: ServerId = ServerId(1);

    #[test]
    fn servers_that_others_tell_of_join_and_leave() {
        let mut roster = roster(&["a"]);
        roster.heard(A, says("1", Some(&["a", "b"])), Writer::Awaited);
        let changes = roster.update();
        assert_eq!(changes.joined, [(B, at("b"))]);
        // Nobody is left to say who belongs to the service: so all do that did.
        roster.failed(A);
        assert_eq!(roster.update().unlisted, []);
        roster.heard(A, says("1", Some(&["a"])), Writer::Awaited);
        assert_eq!(roster.update().unlisted, [B]);
        roster.forget(B);
        // Back, it is another server.
        roster.heard(A, says("1", Some(&["a", "b"])), Writer::Awaited);
        assert_eq!(roster.update().joined, [(ServerId(2), at("b"))]);
    }

    #[test]
    fn what_is_configured_stays_whatever_servers_say() {
        let mut roster = roster(&["a", "b"]);
        roster.heard(A, says("1", Some(&["x"])), Writer::Awaited);
        let changes = roster.update();
        assert_eq!((changes.listed, changes.unlisted), (vec![A, B], vec![]));
    }

    #[test]
    fn one_server_under_two_names_is_used_under_one() {
        let mut roster = roster(&["cluster", "b"]);
        let claim = |answer: Answer| answer.claim;
        let heard = roster.heard(A, says("1", Some(&["b"])), Writer::Awaited);
        assert_eq!(claim(heard), Claim::Writer);
        roster.update();
        assert_eq!(claim(roster.heard(B, says("1", None), Writer::Awaited)), Claim::Writer);
        // The name that the servers use is the better one, unless the other is in use.
        assert_eq!(claim(roster.heard(A, says("1", Some(&["b"])), Writer::Awaited)), Claim::Unfit);
        let using = Writer::Confirmed(A);
        assert_eq!(claim(roster.heard(A, says("1", Some(&["b"])), using)), Claim::Writer);
        roster.failed(A);
        assert_eq!(claim(roster.heard(B, says("1", None), using)), Claim::Writer);
    }

    #[test]
    fn a_server_that_is_another_than_the_table_says_is_not_used() {
        let mut roster = roster(&["a"]);
        let mut told = says("1", Some(&["a", "b"]));
        if let Some(members) = &mut told.members {
            members[1].identity = Some("2".into());
        }
        roster.heard(A, told, Writer::Awaited);
        roster.update();
        let stranger = roster.heard(B, says("77", Some(&["evil"])), Writer::Awaited);
        assert_eq!(stranger.claim, Claim::Unfit);
        assert_eq!(roster.update().joined, []);
        assert_eq!(roster.heard(B, says("2", None), Writer::Awaited).claim, Claim::Writer);
    }

    #[test]
    fn a_table_of_thousands_of_servers_is_bounded() {
        let mut roster = roster(&["a"]);
        let hosts: Vec<String> = (0..5_000).map(|n| format!("h{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        roster.heard(A, says("1", Some(&hosts)), Writer::Awaited);
        assert_eq!(roster.update().joined.len(), MOST - 1);
    }
}
