//! Galera: every node of the primary component takes writes, and one is chosen to.
//!
//! <https://mariadb.com/docs/galera-cluster/reference/galera-cluster-status-variables>

use super::{endpoint, optional, plain, settings};
use crate::backend::control::{ControlConnection, ControlError};
use crate::failover::roster::{Finding, Member};
use crate::failover::verdict::{Answer, Claim};
use std::time::Duration;

const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state', \
    'wsrep_cluster_status', 'wsrep_ready', 'wsrep_local_index', 'wsrep_incoming_addresses', \
    'wsrep_gcomm_uuid')";
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', \
    'wsrep_reject_queries')";

/// Asks a server what it is.
pub(super) async fn ask(connection: &mut ControlConnection) -> Result<Finding, ControlError> {
    let mut said = settings(&connection.query_named(STATUS).await?);
    said.extend(settings(&optional(connection, VARIABLES).await?));
    Ok(read(&said))
}

/// What a node says of itself and of its cluster.
fn read(said: &[(String, String)]) -> Finding {
    let value = |name| said.iter().find(|(known, _)| known == name).map(|(_, v)| v.as_str());
    let is = |name, wanted: &str| value(name).is_some_and(|v| v.eq_ignore_ascii_case(wanted));
    if !is("wsrep_cluster_status", "Primary") {
        return Answer { claim: Claim::Unfit, lag: None }.into();
    }
    // 4 is synced; a donor or a joiner is another number.
    let fit = is("wsrep_local_state", "4")
        && is("wsrep_ready", "ON")
        && value("wsrep_reject_queries").is_none_or(|v| v.eq_ignore_ascii_case("none"));
    let index = value("wsrep_local_index").and_then(|index| index.parse().ok());
    let claim = match index {
        _ if !fit => Claim::Unfit,
        Some(index) if plain::is_off(value("read_only").map(str::as_bytes)) => Claim::Able(index),
        _ => Claim::Reader,
    };
    let member = |address: &str| {
        let (host, port) = address.trim().rsplit_once(':')?;
        Some(Member::at(endpoint(host.trim_matches(['[', ']']), port)?))
    };
    let addresses = value("wsrep_incoming_addresses").unwrap_or_default();
    let members: Vec<_> = addresses.split(',').filter_map(member).take(64).collect();
    Finding {
        identity: value("wsrep_gcomm_uuid").filter(|id| !id.is_empty()).map(Into::into),
        // Nodes that were not told their address list it as AUTO.
        members: (!members.is_empty()).then_some(members),
        // A synced node is at most as far behind as flow control lets it.
        ..Answer { claim, lag: fit.then_some(Duration::ZERO) }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(changes: &[(&str, &str)]) -> Finding {
        let usual = [
            ("wsrep_local_state", "4"),
            ("wsrep_cluster_status", "Primary"),
            ("wsrep_ready", "ON"),
            ("wsrep_local_index", "1"),
            ("wsrep_incoming_addresses", "10.0.0.1:3306,[fd00::2]:3306,AUTO,db:0"),
            ("wsrep_gcomm_uuid", "5b1f"),
            ("read_only", "OFF"),
            ("wsrep_reject_queries", "NONE"),
        ];
        let mut said: Vec<_> = usual.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        for (name, value) in changes {
            said.iter_mut().filter(|(n, _)| n == name).for_each(|pair| pair.1 = (*value).into());
        }
        read(&said)
    }

    #[test]
    fn only_a_synced_node_of_the_primary_component_is_able() {
        assert_eq!(node(&[]).answer.claim, Claim::Able(1));
        for change in [
            ("wsrep_local_state", "2"),
            ("wsrep_cluster_status", "non-Primary"),
            ("wsrep_ready", "OFF"),
            ("wsrep_reject_queries", "ALL"),
        ] {
            assert_eq!(node(&[change]).answer.claim, Claim::Unfit, "{change:?}");
        }
        assert_eq!(node(&[("read_only", "ON")]).answer.claim, Claim::Reader);
        assert_eq!(node(&[("wsrep_local_index", "garbage")]).answer.claim, Claim::Reader);
        assert_eq!(read(&[]).answer.claim, Claim::Unfit);
    }

    #[test]
    fn members_are_those_with_an_address() {
        let hosts = |finding: Finding| {
            let members = finding.members.unwrap_or_default();
            members.iter().map(|member| member.endpoint.host.clone()).collect::<Vec<_>>()
        };
        assert_eq!(hosts(node(&[])), ["10.0.0.1", "fd00::2"]);
        assert_eq!(node(&[("wsrep_incoming_addresses", "AUTO,AUTO")]).members, None);
        assert_eq!(node(&[("wsrep_cluster_status", "non-Primary")]).members, None);
    }
}
