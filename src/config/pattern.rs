//! Texts in which `*` stands for any characters.

use std::fmt;
use std::str::FromStr;

/// A text in which `*` stands for any characters, none too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Whether a text is of this form.
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        // There is a first one, if an empty one.
        let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // The first place that fits leaves the most for what follows.
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        if text.is_empty() { Err(NoPattern) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected text that is not empty, in which * stands for any characters")]
pub struct NoPattern;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_characters() {
        for (pattern, fit, unfit) in [
            ("app", &["app"][..], &["", "ap", "apps", "xapp"][..]),
            ("*", &["", "x", "*"], &[]),
            ("a*", &["a", "abc"], &["", "ba"]),
            ("*a", &["a", "bca"], &["", "ab"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
            ("a*b*c", &["abc", "axbxbxc", "abbcc"], &["ac", "acb", "abcx"]),
            ("ä*ö", &["äö", "ä-ö"], &["ä"]),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            for text in fit {
                assert!(pattern.fits(text), "{pattern} {text}");
            }
            for text in unfit {
                assert!(!pattern.fits(text), "{pattern} {text}");
            }
        }
        assert_eq!("".parse::<Pattern>(), Err(NoPattern));
    }
}
