//! From the rows of the server's own catalogue to the names that are impure.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{self, Scanned, Where};
use super::names::{Folded, Index};
use super::{Catalogue, Coverage, Effects, Knowledge};
use crate::session::lexer::Dialect;

/// What is known of a stored body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// It can't be seen, for want of a privilege.
    Hidden,
    /// It is not written in SQL.
    Foreign,
    /// Its text, in UTF-8, and the `sql_mode` that it was made under.
    Sql {
        /// From `BEGIN` to `END`, or the only statement.
        text: &'a [u8],
        /// As the server's catalogue has it.
        sql_mode: &'a [u8],
    },
}

/// The two sorts of routines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoutineKind {
    /// Called in expressions.
    Function,
    /// MariaDB's `PACKAGE BODY`, which holds routines.
    Package,
    /// Called by `CALL`.
    Procedure,
}

/// Gathers rows, in any order, and works out what follows from them.
#[derive(Debug)]
pub struct Builder {
    dialect: Dialect,
    triggers: Coverage,
    /// Where what comes now is, and what it names without a database.
    database: Vec<u8>,
    /// What is asked for its last value ([`Scanned::asks`]).
    asks: BTreeSet<Vec<u8>>,
    sequences: bool,
    packages: bool,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    class: Class,
    name: Folded,
    effects: Effects,
    /// Names of other things that it uses.
    uses: Vec<(Class, Folded)>,
}

/// What sort of thing a name means; routines and tables don't share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// A table as that which rows are put into: what its columns' defaults do.
    Default,
    Function,
    Procedure,
    Table,
}

impl Builder {
    /// Starts with nothing. `dialect` is the server's; character set and `sql_mode` in it don't
    /// matter.
    pub fn new(dialect: &Dialect) -> Self {
        Self {
            dialect: *dialect,
            triggers: Coverage::ALL,
            database: Vec::new(),
            asks: BTreeSet::new(),
            sequences: false,
            packages: false,
            nodes: Vec::new(),
        }
    }

    /// The database of the rows that come from now on.
    pub fn database(&mut self, name: &[u8]) {
        self.database = name.to_vec();
    }

    /// A column's default, as `information_schema.COLUMNS` has it.
    pub fn default_of(&mut self, table: &[u8], expression: &[u8]) {
        let body = Body::Sql { text: expression, sql_mode: b"" };
        self.add(Class::Default, table, Where::Nested, body);
    }

    /// A row of `information_schema.ROUTINES`.
    pub fn routine(&mut self, name: &[u8], kind: RoutineKind, body: Body<'_>) {
        match kind {
            RoutineKind::Function => self.add(Class::Function, name, Where::Nested, body),
            RoutineKind::Procedure => self.add(Class::Procedure, name, Where::Procedure, body),
            RoutineKind::Package => self.package(name, body),
        }
    }

    /// A row of `information_schema.TRIGGERS`: the table's name and the trigger's body.
    pub fn trigger(&mut self, table: &[u8], body: Body<'_>) {
        self.add(Class::Table, table, Where::Nested, body);
    }

    /// There may be sequences.
    pub fn sequences_exist(&mut self) {
        self.sequences = true;
    }

    /// Where triggers are listed; everywhere, if this is not said.
    pub fn triggers_of(&mut self, coverage: Coverage) {
        self.triggers = coverage;
    }

    /// A row of `information_schema.VIEWS`. A definition is shown without its `sql_mode`, and an
    /// empty one means that it can't be seen.
    pub fn view(&mut self, name: &[u8], definition: &[u8]) {
        let body = match definition {
            b"" => Body::Hidden,
            text => Body::Sql { text, sql_mode: b"" },
        };
        let Node { class, name, effects, uses } =
            self.node(Class::Table, name, Where::Nested, body);
        // Rows that are put into it are put into one of its tables; who looks at it puts none.
        let (defaults, uses) = uses.into_iter().partition(|(class, _)| *class == Class::Default);
        let (put, effect) = (name.clone(), Effects::default());
        self.nodes.push(Node { class: Class::Default, name: put, effects: effect, uses: defaults });
        self.nodes.push(Node { class, name, effects, uses });
    }

    /// Any routine of a package may do what any part of the package does.
    fn package(&mut self, name: &[u8], body: Body<'_>) {
        self.packages = true;
        // Its own name stands in front of the dot, where any name may be a table's.
        self.add(Class::Table, name, Where::Procedure, body);
        let mut names = Vec::new();
        if let Body::Sql { text, sql_mode } = body {
            let dialect = self.dialect.with_sql_mode(sql_mode).with_charset(b"utf8mb4");
            names.extend(body::scan(text, &dialect, Where::Procedure, &self.database).defines);
        }
        for name in names {
            self.add(Class::Procedure, &name, Where::Procedure, body);
            self.add(Class::Function, &name, Where::Procedure, body);
        }
    }

    fn add(&mut self, class: Class, name: &[u8], place: Where, body: Body<'_>) {
        let node = self.node(class, name, place, body);
        self.nodes.push(node);
    }

    fn node(&mut self, class: Class, name: &[u8], place: Where, body: Body<'_>) -> Node {
        let scanned = match body {
            Body::Hidden | Body::Foreign => {
                Scanned { effects: Effects::EVERYTHING, ..Scanned::default() }
            }
            Body::Sql { text, sql_mode } => {
                let dialect = self.dialect.with_sql_mode(sql_mode).with_charset(b"utf8mb4");
                body::scan(text, &dialect, place, &self.database)
            }
        };
        self.asks.extend(scanned.asks);
        let named = |class, names: Vec<Vec<u8>>| {
            names.into_iter().map(move |name| (class, Folded::new(&name)))
        };
        let uses = named(Class::Function, scanned.calls)
            .chain(named(Class::Procedure, scanned.procedures))
            .chain(named(Class::Default, scanned.names.clone()))
            .chain(named(Class::Table, scanned.names))
            .collect();
        Node { class, name: Folded::new(name), effects: scanned.effects, uses }
    }

    /// Works out what each name may do, with all that it uses.
    pub fn build(mut self) -> Catalogue {
        let edges = self.edges();
        loop {
            let mut changed = false;
            for (from, to) in edges.iter().enumerate() {
                for &used in to {
                    changed |= self.inherit(from, used);
                }
            }
            if !changed {
                break;
            }
        }
        let impure = self.nodes.iter().filter(|node| !node.effects.is_empty()).count();
        let mut classes: BTreeMap<Class, BTreeMap<Folded, Effects>> = BTreeMap::new();
        for node in self.nodes {
            // Tables are many, and most are harmless; of routines all are known by name.
            let is_table = matches!(node.class, Class::Table | Class::Default);
            if !is_table || !node.effects.is_empty() {
                let names = classes.entry(node.class).or_default();
                names.entry(node.name).or_default().merge(&node.effects);
            }
        }
        let mut index = |class| Index::new(classes.remove(&class).unwrap_or_default());
        Catalogue {
            knowledge: Knowledge::Listed,
            triggers: self.triggers,
            impure,
            sequences: self.sequences,
            packages: self.packages,
            asks: self.asks,
            defaults: index(Class::Default),
            functions: index(Class::Function),
            procedures: index(Class::Procedure),
            tables: index(Class::Table),
        }
    }

    /// For each node the nodes that it uses.
    fn edges(&self) -> Vec<Vec<usize>> {
        let mut by_name: BTreeMap<Class, BTreeMap<Folded, Vec<usize>>> = BTreeMap::new();
        for (position, node) in self.nodes.iter().enumerate() {
            let names = by_name.entry(node.class).or_default();
            names.entry(node.name.clone()).or_default().push(position);
        }
        let indices: BTreeMap<Class, Index<Vec<usize>>> =
            by_name.into_iter().map(|(class, names)| (class, Index::new(names))).collect();
        self.nodes
            .iter()
            .map(|node| {
                let mut used: Vec<usize> = Vec::new();
                for (class, name) in &node.uses {
                    if let Some(index) = indices.get(class) {
                        used.extend(index.find_folded(name).flatten());
                    }
                }
                used.sort_unstable();
                used.dedup();
                used
            })
            .collect()
    }

    fn inherit(&mut self, from: usize, used: usize) -> bool {
        if from == used {
            return false;
        }
        let Some(effects) = self.nodes.get(used).map(|node| node.effects.clone()) else {
            return false;
        };
        self.nodes.get_mut(from).is_some_and(|node| node.effects.merge(&effects))
    }
}
