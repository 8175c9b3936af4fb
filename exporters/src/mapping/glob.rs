//! Globs of names: `*` is any text, `?` any character.

/// A pattern that a whole name fits, or does not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glob(Vec<char>);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Goes back at most to the latest `*`, so that no pattern takes longer than its length times the name's.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let (pattern, name): (&[char], Vec<char>) = (&self.0, name.chars().collect());
        let (mut at, mut of_name) = (0, 0);
        let mut back = None;
        while let Some(c) = name.get(of_name) {
            match pattern.get(at) {
                Some('*') => {
                    back = Some((at + 1, of_name));
                    at += 1;
                }
                Some(p) if *p == '?' || p == c => {
                    at += 1;
                    of_name += 1;
                }
                _ => {
                    let Some((after, from)) = back else { return false };
                    back = Some((after, from + 1));
                    (at, of_name) = (after, from + 1);
                }
            }
        }
        pattern.iter().skip(at).all(|p| *p == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_any_text() {
        for (pattern, name, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a.b", true),
            ("function.*", "function.calls", true),
            ("function.*", "log.messages", false),
            ("*.calls", "function.calls", true),
            ("*.calls", "function.calls.duration", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a", "ab", false),
        ] {
            assert_eq!(Glob::new(pattern).fits(name), fits, "{pattern} {name}");
        }
        let long = "a".repeat(10_000);
        assert!(!Glob::new(&"a*".repeat(50)).fits(&format!("{long}b").replace('a', "b")));
    }
}
