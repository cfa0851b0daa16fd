//! Floor 10: clients.

pub mod cancel;
pub mod catalogue;
pub mod change;
pub mod client;
pub mod dispatch;
pub mod greet;
pub mod kill;
pub mod listener;
pub mod metrics;
pub mod outcome;
pub mod prepared;
pub mod query;
pub mod reply;
pub mod run;
pub mod serve;
pub mod service;
pub mod settle;
pub mod told;
pub mod users;
