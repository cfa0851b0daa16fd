//! What is known about a server's routines, triggers and views.

mod effects;

pub use effects::{Effects, Reach, UserVariables};

/// The impure names of a server.
#[derive(Debug, Default)]
pub struct Catalogue {}

impl Catalogue {
    /// A catalogue that knows of nothing impure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it knows of nothing impure.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// What calling this stored function may do.
    pub fn function(&self, _name: &[u8]) -> Option<&Effects> {
        None
    }

    /// What calling this procedure may do.
    pub fn procedure(&self, _name: &[u8]) -> Option<&Effects> {
        None
    }

    /// What using this table or view may do.
    pub fn table(&self, _name: &[u8]) -> Option<&Effects> {
        None
    }
}
