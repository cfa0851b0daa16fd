//! What of a new configuration a running process can take over, and in what two differ.

use super::user::UserSecret;
use super::{Config, ServiceConfig};
use std::collections::BTreeMap;
use toml::{Table, Value};

impl Config {
    /// The configuration `next` as far as a running process that has this one can take it over:
    /// what only a restart changes is as it is here.
    pub fn taking_over(&self, next: &Self) -> Self {
        let services = self.services.iter().map(|service| {
            let next = next.services.iter().find(|next| next.name == service.name);
            next.map_or_else(|| service.clone(), |next| service.taking_over(next))
        });
        let mut taken = Self {
            services: services.collect(),
            secrets: next.secrets.clone(),
            identity: next.identity.clone(),
            refresh: next.refresh.clone(),
            ..self.clone()
        };
        taken.log.slow = next.log.slow;
        // Stores may come, but the secrets that were fetched are kept from where they are.
        taken.secrets.extend(self.secrets.clone());
        taken.refresh.extend(self.refresh.clone());
        taken
    }

    /// The keys whose values differ between this configuration and another.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (one, two) = (self.settings(), other.settings());
        let mut keys: Vec<String> = one
            .iter()
            .filter(|(key, value)| two.get(*key) != Some(*value))
            .map(|(key, _)| key.clone())
            .chain(two.keys().filter(|key| !one.contains_key(*key)).cloned())
            .collect();
        keys.extend(self.changed_passwords(other));
        keys.extend(self.admin.changed_tokens(&other.admin));
        if self.events.webhook != other.events.webhook {
            keys.push("events.webhook".to_owned());
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// All settings by their full keys, secrets hidden.
    fn settings(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        flatten("", self.shown().into_table(), &mut all);
        all
    }

    /// What is hidden where settings are shown.
    fn changed_passwords(&self, other: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        for service in &self.services {
            let Some(next) = other.services.iter().find(|next| next.name == service.name) else {
                continue;
            };
            for (name, user) in &service.users {
                let next = next.users.get(name).map(|next| &next.secret);
                if let (UserSecret::Password(one), Some(UserSecret::Password(two))) =
                    (&user.secret, next)
                    && one != two
                {
                    keys.push(format!("services.{}.users.{name}.password", service.name));
                }
            }
        }
        keys
    }
}

impl ServiceConfig {
    fn taking_over(&self, next: &Self) -> Self {
        let mut taken = next.clone();
        taken.listen = self.listen;
        taken.reader_listen = self.reader_listen;
        taken.backend = self.backend.clone();
        taken.pool.parallel_connects = self.pool.parallel_connects;
        taken.pool.hand_over = self.pool.hand_over;
        taken.failover = self.failover.clone();
        taken.failover.retry = next.failover.retry;
        taken.failover.sleep_after = next.failover.sleep_after;
        taken.failover.resume_timeout = next.failover.resume_timeout;
        taken.failover.lost_statement = next.failover.lost_statement;
        taken
    }
}

fn flatten(path: &str, table: Table, all: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Table(table) => flatten(&key, table, all),
            value => {
                all.insert(key, value);
            }
        }
    }
}
