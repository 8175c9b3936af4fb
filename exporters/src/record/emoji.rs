//! Whether a text has an emoji in it.
//!
//! An emoji is what is shown as a picture: a character that is one by default (`Emoji_Presentation`); any `Emoji` outside of
//! the basic plane, where none has a use as plain text; and any character before U+FE0F, which asks for the picture. So digits,
//! `#`, ©, ™ and ✔ are none until U+FE0F makes them one.

/// First and last character of each range; from Unicode 17.0's `emoji/emoji-data.txt`.
#[rustfmt::skip]
static EMOJI: [(u32, u32); 94] = [
    (0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE),
    (0x2614, 0x2615), (0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1),
    (0x26AA, 0x26AB), (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4),
    (0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5), (0x26FA, 0x26FA), (0x26FD, 0x26FD),
    (0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C), (0x274E, 0x274E),
    (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF),
    (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x1F004, 0x1F004), (0x1F0CF, 0x1F0CF),
    (0x1F170, 0x1F171), (0x1F17E, 0x1F17F), (0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1E6, 0x1F1FF),
    (0x1F201, 0x1F202), (0x1F21A, 0x1F21A), (0x1F22F, 0x1F22F), (0x1F232, 0x1F23A), (0x1F250, 0x1F251),
    (0x1F300, 0x1F321), (0x1F324, 0x1F393), (0x1F396, 0x1F397), (0x1F399, 0x1F39B), (0x1F39E, 0x1F3F0),
    (0x1F3F3, 0x1F3F5), (0x1F3F7, 0x1F4FD), (0x1F4FF, 0x1F53D), (0x1F549, 0x1F54E), (0x1F550, 0x1F567),
    (0x1F56F, 0x1F570), (0x1F573, 0x1F57A), (0x1F587, 0x1F587), (0x1F58A, 0x1F58D), (0x1F590, 0x1F590),
    (0x1F595, 0x1F596), (0x1F5A4, 0x1F5A5), (0x1F5A8, 0x1F5A8), (0x1F5B1, 0x1F5B2), (0x1F5BC, 0x1F5BC),
    (0x1F5C2, 0x1F5C4), (0x1F5D1, 0x1F5D3), (0x1F5DC, 0x1F5DE), (0x1F5E1, 0x1F5E1), (0x1F5E3, 0x1F5E3),
    (0x1F5E8, 0x1F5E8), (0x1F5EF, 0x1F5EF), (0x1F5F3, 0x1F5F3), (0x1F5FA, 0x1F64F), (0x1F680, 0x1F6C5),
    (0x1F6CB, 0x1F6D2), (0x1F6D5, 0x1F6D8), (0x1F6DC, 0x1F6E5), (0x1F6E9, 0x1F6E9), (0x1F6EB, 0x1F6EC),
    (0x1F6F0, 0x1F6F0), (0x1F6F3, 0x1F6FC), (0x1F7E0, 0x1F7EB), (0x1F7F0, 0x1F7F0), (0x1F90C, 0x1F93A),
    (0x1F93C, 0x1F945), (0x1F947, 0x1F9FF), (0x1FA70, 0x1FA7C), (0x1FA80, 0x1FA8A), (0x1FA8E, 0x1FAC6),
    (0x1FAC8, 0x1FAC8), (0x1FACD, 0x1FADC), (0x1FADF, 0x1FAEA), (0x1FAEF, 0x1FAF8),
];

/// Asks for the character before it to be shown as an emoji; nothing else uses it.
const EMOJI_STYLE: u32 = 0xFE0F;

/// Whether an emoji is in `text`.
pub(super) fn is_in(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(is_emoji)
}

fn is_emoji(character: char) -> bool {
    let code = u32::from(character);
    if code < EMOJI[0].0 {
        return false;
    }
    let at = EMOJI.partition_point(|(first, _)| *first <= code);
    EMOJI[..at].last().is_some_and(|(_, last)| code <= *last) || code == EMOJI_STYLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_complete() {
        assert!(EMOJI.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(EMOJI.iter().all(|(first, last)| first <= last));
        let count = |characters: std::ops::RangeInclusive<char>| characters.filter(|c| is_emoji(*c)).count();
        // As many as Unicode 17.0 has, and U+FE0F.
        assert_eq!(count('\0'..='\u{FFFF}'), 60 + 1);
        assert_eq!(count('\u{10000}'..=char::MAX), 1256);
    }

    #[test]
    fn pictures_are_emoji_and_symbols_are_not() {
        for text in [
            "🚀",
            "paid ✅",
            "❌ refused",
            "🇨🇭",
            "👍🏽",
            "👩‍💻",
            "🛠",
            "❤\u{FE0F}",
            "©\u{FE0F}",
            "1\u{FE0F}\u{20E3}",
            "日本🗾",
        ] {
            assert!(is_in(text), "{text}");
        }
        for text in
            ["", "#1 * 2", "© 2026 ® ™", "✔ ✓ ❤ ⚠ → ↔", "Zürich", "日本語", "مرحبا", "𝒳 𠀀", "1\u{20E3}"]
        {
            assert!(!is_in(text), "{text}");
        }
    }
}
