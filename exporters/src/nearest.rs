//! The known word nearest to a mistyped one.

/// The one of `known` that `word` was meant to be, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let near = |(distance, candidate): &(usize, &str)| *distance <= 1 + candidate.len() / 3;
    distances.min().filter(near).map(|(_, candidate)| candidate)
}

/// How many characters to insert, delete or replace to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, above) in to.iter().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(a != *b)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = best;
            left = best;
        }
        row.first_mut().into_iter().for_each(|first| *first = i + 1);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("primry", ["secondary", "primary"]), Some("primary"));
        assert_eq!(nearest("Datadog", ["datadog", "file"]), Some("datadog"));
        assert_eq!(nearest("colour", ["primary", "file"]), None);
        assert_eq!(nearest("file", []), None);
    }
}
