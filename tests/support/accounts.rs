//! Who may log in to the throwaway servers.

use super::flavor::Flavor;

/// A user with a password, known to a server and, where a test says so, to Millpond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    /// The name.
    pub(crate) name: &'static str,
    /// The password.
    pub(crate) password: &'static str,
    /// The authentication plugin; `None` for the server's own default.
    plugin: Option<&'static str>,
}

/// An ordinary user, as an application has. It owns every database whose name begins with `app`.
pub(crate) const APP: Account = Account { name: "app", password: "app's Geheimnis", plugin: None };

/// A second ordinary user, to whom nothing of the first may be visible.
pub(crate) const OTHER: Account = Account { name: "other", password: "other-secret", plugin: None };

/// May do everything. Tests look behind the curtain by it; Millpond does not know it.
pub(crate) const ADMIN: Account = Account { name: "admin", password: "admin-secret", plugin: None };

const ED25519: Account = Account { name: "edward", password: "ed-secret", plugin: Some("ed25519") };
const SHA256: Account =
    Account { name: "shannon", password: "sha-secret", plugin: Some("sha256_password") };
const NATIVE: Account =
    Account { name: "nathan", password: "native-secret", plugin: Some("mysql_native_password") };
const CACHING_SHA2: Account =
    Account { name: "cash", password: "cash-secret", plugin: Some("caching_sha2_password") };

/// The ordinary users of a server: one for each plugin that it knows, and the first two.
pub(crate) fn ordinary(flavor: Flavor) -> Vec<Account> {
    let plugins = match flavor {
        Flavor::MariaDb => [NATIVE, ED25519],
        Flavor::MySql => [CACHING_SHA2, SHA256],
    };
    [APP, OTHER].into_iter().chain(plugins).collect()
}

/// Statements that create all accounts, one a line, as `init_file` wants them.
pub(crate) fn statements(flavor: Flavor) -> String {
    let mut text = String::from("CREATE DATABASE IF NOT EXISTS app;\n");
    for account in ordinary(flavor).iter().chain([&ADMIN]) {
        let user = format!("'{}'@'%'", account.name);
        let password = account.password.replace('\'', "''");
        let identified = match (flavor, account.plugin) {
            (_, None) => format!("IDENTIFIED BY '{password}'"),
            (Flavor::MySql, Some(plugin)) => format!("IDENTIFIED WITH {plugin} BY '{password}'"),
            (Flavor::MariaDb, Some(plugin)) => {
                format!("IDENTIFIED VIA {plugin} USING PASSWORD('{password}')")
            }
        };
        text += &format!("CREATE USER IF NOT EXISTS {user} {identified};\n");
        text += &format!("GRANT ALL ON `app%`.* TO {user};\n");
    }
    text += &format!("GRANT ALL ON *.* TO '{}'@'%' WITH GRANT OPTION;\n", ADMIN.name);
    text
}
