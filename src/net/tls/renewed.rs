//! What is made of files, and made anew when they change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::TlsError;

type Make<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

/// Something made of files. A clone is another handle of the same.
pub struct Renewed<T>(Arc<Inner<T>>);

struct Inner<T> {
    current: ArcSwap<T>,
    paths: Vec<PathBuf>,
    make: Make<T>,
    seen: Mutex<Seen>,
}

/// What the files held, as a digest.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Content([u8; 32]);

struct Seen {
    /// When something was last made of them, or tried to be.
    tried: Content,
    /// When they were looked at last.
    last: Content,
}

/// What a look at the files brought.
#[derive(Debug)]
pub enum Looked {
    /// They cannot be used; the former is kept. Told once for each content.
    Broken(TlsError),
    /// There is something new, which is in use from now on.
    Renewed,
    /// They are as they were, or are changing just now.
    Same,
}

impl<T> Clone for Renewed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Renewed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("paths", &self.0.paths).finish_non_exhaustive()
    }
}

impl<T> Renewed<T> {
    /// Makes it for the first time, of the files at `paths`.
    ///
    /// Reads files, as do all but [`Renewed::now`] and [`Renewed::put`].
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn first(
        paths: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        // Before they are read: what changes in between is seen as a change.
        let content = content(&paths);
        let current = ArcSwap::from_pointee(make()?);
        let seen = Mutex::new(Seen { tried: content, last: content });
        Ok(Self(Arc::new(Inner { current, paths, make: Box::new(make), seen })))
    }

    /// What there is now.
    pub fn now(&self) -> Arc<T> {
        self.0.current.load_full()
    }

    /// Makes another, to be [put](Self::put).
    ///
    /// # Errors
    ///
    /// When the files cannot be used.
    pub fn again(&self) -> Result<T, TlsError> {
        (self.0.make)()
    }

    /// Uses this from now on.
    pub fn put(&self, next: T) {
        self.0.current.store(Arc::new(next));
    }

    /// Looks whether the files have changed. They are used once they are the same at two looks: a
    /// certificate and its key are not written at the same moment.
    pub fn look(&self) -> Looked {
        let content = content(&self.0.paths);
        let mut seen = self.0.seen.lock();
        let settled = seen.last == content;
        seen.last = content;
        if !settled || seen.tried == content {
            return Looked::Same;
        }
        seen.tried = content;
        match self.again() {
            Ok(next) => {
                self.put(next);
                Looked::Renewed
            }
            Err(error) => Looked::Broken(error),
        }
    }
}

fn content(paths: &[PathBuf]) -> Content {
    let mut digest = Context::new(&SHA256);
    for path in paths {
        // A private key may be in it.
        match std::fs::read(path).map(Zeroizing::new) {
            Ok(bytes) => {
                digest.update(&bytes.len().to_le_bytes());
                digest.update(&bytes);
            }
            Err(_) => digest.update(b"not there"),
        }
    }
    let mut content = [0; 32];
    content.copy_from_slice(digest.finish().as_ref());
    Content(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_made_anew_once_the_files_rest_and_kept_while_they_are_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let write = |text: &str| fs::write(&path, text).unwrap();
        write("1");
        let number = {
            let path = path.clone();
            Renewed::first(vec![path.clone()], move || {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let path = path.clone();
                text.parse::<u8>().map_err(|_| TlsError::Content { path, what: "no number" })
            })
            .unwrap()
        };
        let look = || match number.look() {
            Looked::Broken(_) => "broken",
            Looked::Renewed => "renewed",
            Looked::Same => "same",
        };
        let now = || *number.now();
        assert_eq!((look(), now()), ("same", 1));
        write("2");
        assert_eq!((look(), now()), ("same", 1), "it may be half of a change");
        assert_eq!((look(), now()), ("renewed", 2));
        write("x");
        assert_eq!((look(), look(), look(), now()), ("same", "broken", "same", 2));
        fs::remove_file(&path).unwrap();
        assert_eq!((look(), look(), look(), now()), ("same", "broken", "same", 2));
        write("2");
        assert_eq!((look(), look(), now()), ("same", "renewed", 2));
        write("3");
        number.put(number.again().unwrap());
        assert_eq!(now(), 3, "at once where it is asked for");
    }
}
