//! The known word nearest to a mistyped one.

/// `; did you mean `x`?` if one of `known` is near enough to `word`, else the empty string.
pub(crate) fn hint(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(hint("atributes", &["attributes", "name"]), "; did you mean `attributes`?");
        assert_eq!(hint("anme", &["attributes", "name"]), "; did you mean `name`?");
        assert_eq!(hint("colour", &["attributes", "name"]), "");
    }
}
