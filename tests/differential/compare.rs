//! What is the same.

use crate::support::raw::reply::Reply;

/// What the databases of the two sides are called, before the client's number.
pub(crate) const DIRECT: &str = "app_d";
/// As long as the other, so that lengths agree.
pub(crate) const THROUGH: &str = "app_m";

type Packet = (u8, Vec<u8>);

/// Text of what differs, if anything does.
pub(crate) fn difference(text: &str, ids: [u32; 2], right: Reply, seen: Reply) -> Option<String> {
    if text == "SELECT CONNECTION_ID()" && right.error().is_none() {
        let told = [right.value(), seen.value()];
        let greeted = ids.map(|id| Some(id.to_string()));
        return (told != greeted).then(|| format!("  {told:?} is not {greeted:?}\n"));
    }
    let (right, seen) = (normal(right), normal(seen));
    let same = right.len() == seen.len()
        && right.iter().zip(&seen).all(|(right, seen)| alike(right, seen));
    (!same).then(|| format!("  right:  {}\n  seen:   {}\n", show(&right), show(&seen)))
}

fn normal(reply: Reply) -> Vec<Packet> {
    let mut packets = reply.without_foresight().packets;
    for (_, packet) in &mut packets {
        replace(packet, THROUGH.as_bytes(), DIRECT.as_bytes());
    }
    packets
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let found: Vec<_> = memchr::memmem::find_iter(bytes, from).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

fn alike((a, right): &Packet, (b, seen): &Packet) -> bool {
    let sorted = |packet: &[u8]| {
        let mut bytes = packet.to_vec();
        bytes.sort_unstable();
        bytes
    };
    let ok = right.first() == Some(&0) && seen.first() == Some(&0);
    a == b && (right == seen || ok && sorted(right) == sorted(seen))
}

fn show(packets: &[Packet]) -> String {
    let packet = |(sequence, packet): &Packet| {
        let mut text = packet.escape_ascii().to_string();
        text.truncate(400);
        format!("{sequence}:{text}")
    };
    packets.iter().map(packet).collect::<Vec<_>>().join("\n          ")
}
