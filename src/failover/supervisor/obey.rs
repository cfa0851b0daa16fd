//! What operators order, and when that ends.

use super::Supervisor;
use crate::failover::events::{Standing, What};
use crate::failover::orders::{Command, NotFollowed, Order};
use crate::failover::snapshot::Writer;
use std::sync::Arc;
use tokio::time::Instant;

impl Supervisor {
    /// Follows a command of an operator.
    pub(super) fn commanded(&mut self, command: Command) -> Result<(), NotFollowed> {
        let (orders, standing) = match command {
            Command::Give(Order::Succeed(id), _)
                if self.verdict.snapshot().writer != Writer::Confirmed(id) =>
            {
                return Err(NotFollowed::NotWriter);
            }
            Command::Give(order, limit) => {
                self.orders.give(order, limit.map(|limit| Instant::now() + limit));
                (vec![order], Standing::Given)
            }
            Command::Lift(order) => {
                (self.orders.lift(|standing, _| standing == order), Standing::Lifted)
            }
            Command::LiftAll(None) => (self.orders.lift(|_, _| true), Standing::Lifted),
            Command::LiftAll(server) => {
                (self.orders.lift(|order, _| order.server() == server), Standing::Lifted)
            }
            #[cfg(test)]
            Command::Panic => panic!("on purpose"),
        };
        self.tell_orders(orders, standing);
        Ok(())
    }

    /// Lifts the orders whose time is over.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let expired = self.orders.lift(|_, until| until.is_some_and(|until| until <= now));
        self.tell_orders(expired, Standing::Expired);
        self.publish();
    }

    pub(super) fn tell_orders(&self, orders: Vec<Order>, standing: Standing) {
        let snapshot = self.verdict.snapshot();
        let service = &self.parts.service;
        for order in orders {
            let server = order.server().and_then(|id| snapshot.server(id));
            let server: Option<Arc<str>> = server.map(|s| s.name().into());
            tracing::warn!(
                service = &**service,
                order = order.name(),
                server = server.as_deref(),
                standing = standing.name(),
                "an operator's order"
            );
            let what = What::Order { order, server, standing };
            self.parts.events.add(service, snapshot.epoch, what);
        }
    }
}
