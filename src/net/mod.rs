//! Floor 4: bytes on sockets.

pub mod buffer;
pub mod channel;
pub mod compressed;
pub mod http;
pub mod link;
pub mod packet;
pub mod proxy_header;
pub mod relay;
pub mod stream;
pub mod tls;
