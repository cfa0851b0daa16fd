//! The RSA key for passwords over plain connections.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use pem::{EncodeConfig, LineEnding, Pem};
use zeroize::Zeroizing;

use crate::runtime::Workers;

/// A key that is made when the first client asks for it. That is one whose fast proof was wrong, so
/// mostly nobody; and no number of such clients takes the time of the threads that serve the others.
#[derive(Clone)]
pub struct RsaKey {
    pair: Arc<OnceLock<Option<Pair>>>,
    workers: Workers,
}

struct Pair {
    private: OaepPrivateDecryptingKey,
    public: Arc<str>,
}

impl RsaKey {
    /// No key yet; what is to be computed is computed by `workers`.
    pub fn new(workers: Workers) -> Self {
        Self { pair: Arc::default(), workers }
    }

    /// The public key as PEM; `None` when the system could not make one.
    ///
    /// Cancel safe: the key is made all the same, for the next one who asks.
    pub async fn public(&self) -> Option<Arc<str>> {
        self.work(|pair| Some(pair.public.clone())).await
    }

    /// Decrypts what was encrypted with the public key; `None` when it was not.
    ///
    /// Cancel safe.
    pub async fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = sealed.to_vec();
        self.work(move |pair| {
            let mut opened = Zeroizing::new(vec![0; pair.private.min_output_size()]);
            let length =
                pair.private.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut opened, None).ok()?.len();
            opened.truncate(length);
            Some(opened)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pair) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let pair = self.pair.clone();
        let working = async move { work(pair.get_or_init(Pair::generate).as_ref()?) };
        self.workers.run(working).await.ok()?
    }
}

impl std::fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RsaKey").finish_non_exhaustive()
    }
}

impl Pair {
    fn generate() -> Option<Self> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).ok()?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(&private.public_key()).ok()?;
        let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let public = pem::encode_config(&Pem::new("PUBLIC KEY", public.as_ref()), lines).into();
        Some(Self { private: OaepPrivateDecryptingKey::new(private).ok()?, public })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::auth::{encrypt_password, mask};

    #[tokio::test]
    async fn what_a_client_encrypts_is_read() {
        let key = RsaKey::new(Workers::start("logins", 1).unwrap());
        let public = key.public().await.unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\nMII"), "{public}");
        assert!(public.ends_with("\n-----END PUBLIC KEY-----\n"));
        assert_eq!(key.public().await.unwrap(), public);
        let nonce = *b"abcdefghijklmnopqrst";
        let sealed = encrypt_password(b"secret", &nonce, public.as_bytes()).unwrap();
        let mut opened = key.open(&sealed).await.unwrap();
        mask(&mut opened, &nonce);
        assert_eq!(opened.as_slice(), b"secret\0");
        for broken in [&b""[..], b"x", &sealed[1..], &[0xFF; 256]] {
            assert!(key.open(broken).await.is_none());
        }
    }
}
