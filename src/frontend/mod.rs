//! Floor 10: clients.

mod addition;
pub mod borrow;
pub mod cancel;
pub mod catalogue;
pub mod change;
pub mod client;
pub mod dispatch;
pub mod disturbance;
pub mod failure;
pub mod greet;
pub mod kill;
pub mod listener;
pub mod metrics;
pub mod operate;
pub mod outcome;
pub mod pins;
pub mod prepared;
pub mod query;
pub mod reply;
pub mod restore;
pub mod run;
pub mod serve;
pub mod service;
pub mod settle;
pub mod told;
pub mod topology;
pub mod users;
