//! Sanitizing of text from outside for a terminal or a log line.

use std::borrow::Cow;

use crate::percent::rounded_up;

/// The most characters of a foreign text that are shown.
const SHOWN: usize = 200;

/// Escapes harmful characters and truncates long text. Any text of a plugin or a runtime passes through here before a
/// person sees it. The function is idempotent.
pub fn shown(text: &str) -> String {
    beginning(text, SHOWN)
}

/// Escapes harmful characters, and keeps the beginning of a long text: at most `limit` characters, and an ellipsis for
/// the rest.
pub fn beginning(text: &str, limit: usize) -> String {
    let end = |text: &str| text.char_indices().nth(limit).map(|(end, _)| end);
    let head = escaped(end(text).map_or(text, |end| &text[..end]));
    // Escaping makes the text longer.
    match end(&head) {
        Some(end) => format!("{}…", &head[..end]),
        None if end(text).is_some() => format!("{head}…"),
        None => head.into_owned(),
    }
}

/// Escapes harmful characters, and keeps the beginning and the end of a long text. Runtimes name the image first,
/// however long its name is, and the problem last.
pub fn both_ends(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return escaped(text).into_owned();
    }
    let head: String = text.chars().take(limit / 2).collect();
    let tail: String = text.chars().skip(length - limit.saturating_sub(limit / 2 + 1)).collect();
    format!("{}…{}", escaped(&head), escaped(&tail))
}

/// Escapes harmful characters.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmful(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Returns the candidate that was probably meant: one that differs only in case, `-`, `_` and blanks, or in so few
/// letters that it is no accident.
pub fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    if text.len() > 2 * MISSPELT {
        return None;
    }
    let given = plain(text);
    let allowed = (given.chars().count() / 3).min(3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= MISSPELT)
        .map(|candidate| (strsim::damerau_levenshtein(&given, &plain(candidate)), candidate))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
}

/// Formats a number of things with the right word for one and for several.
pub fn counted(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Formats a part of all things, with its share in percent: `39 of 42 images (93 %)`. A part of zero things has no
/// share.
pub fn share(part: usize, whole: usize, one: &str, several: &str) -> String {
    let of = format!("{part} of {}", counted(whole, one, several));
    percent(part, whole).map_or_else(|| of.clone(), |percent| format!("{of} ({percent} %)"))
}

/// Returns the share in whole percent, rounded up as the limits in percent are. 0 and 100 are kept for none and all.
pub fn percent(part: usize, whole: usize) -> Option<u8> {
    let rounded = rounded_up(part as u64, whole as u64)?;
    let most = if part < whole { 99 } else { 100 };
    u8::try_from(rounded.min(most)).ok()
}

/// Formats a size in the largest binary unit of which there is one, with one decimal.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let place = (bytes.ilog2() / 10) as usize;
    let unit = 1_u128 << (10 * place);
    let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
    // A number that rounds up to 1024 is one of the next unit.
    if tenths >= 10_240 && place < UNITS.len() {
        return format!("1.0 {}", UNITS[place]);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[place - 1])
}

/// Formats an age given in nanoseconds, in the largest unit up to days of which there are two.
pub fn rough_age(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

/// The longest candidate that is considered, in bytes. A text may be twice as long.
const MISSPELT: usize = 64;

/// Returns whether a character could move a cursor, colour a screen, break a line, or make a line read as something
/// else: controls, bidirectional controls, and invisible characters.
pub fn is_harmful(character: char) -> bool {
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || invisible
}

#[cfg(test)]
mod tests {
    use super::{beginning, both_ends, closest, counted, escaped, percent, rough_age, share, shown, size};

    #[test]
    fn sizes_are_written_in_the_largest_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_075, "1.0 KiB"),
            (1_076, "1.1 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1 << 20, "1.0 MiB"),
            (3_650_722_202, "3.4 GiB"),
            (1 << 50, "1.0 PiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn a_share_is_rounded_and_says_none_and_all_only_when_it_is() {
        for (part, whole, expected) in [
            (39, 42, Some(93)),
            (1, 2, Some(50)),
            (1, 3, Some(34)),
            (851, 1_000, Some(86)),
            (2, 3, Some(67)),
            (0, 5, Some(0)),
            (5, 5, Some(100)),
            (1, 100_000, Some(1)),
            (99_999, 100_000, Some(99)),
            (0, 0, None),
            (usize::MAX - 1, usize::MAX, Some(99)),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
        assert_eq!(share(39, 42, "image", "images"), "39 of 42 images (93 %)");
        assert_eq!(share(1, 1, "image", "images"), "1 of 1 image (100 %)");
        assert_eq!(share(0, 0, "image", "images"), "0 of 0 images");
        assert_eq!((counted(1, "wish", "wishes"), counted(0, "wish", "wishes")), ("1 wish".into(), "0 wishes".into()));
    }

    #[test]
    fn ages_are_told_in_a_unit_that_fits() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(rough_age(seconds * 1_000_000_000 + 999_999_999), text);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not_made() {
        let fields = ["schedule", "timeZone", "paused", "mode", "plugins"];
        for (slip, meant) in [
            ("shedule", Some("schedule")),
            ("scheduel", Some("schedule")),
            ("timezone", Some("timeZone")),
            ("time_zone", Some("timeZone")),
            ("TimeZones", Some("timeZone")),
            ("plugin", Some("plugins")),
            ("mod", Some("mode")),
            ("", None),
            ("xy", None),
            ("replicas", None),
            (&"x".repeat(100_000), None),
        ] {
            assert_eq!(closest(slip, fields), meant, "{slip}");
        }
    }

    #[test]
    fn plain_text_stays() {
        let text = "docker.io/minchou/rollout:v1 – größer 🧽";
        assert_eq!(shown(text), text);
        assert!(matches!(escaped(text), std::borrow::Cow::Borrowed(_)), "nothing is copied");
    }

    #[test]
    fn controls_are_escaped() {
        let text = "a\x1b[31mb\r\n\0\u{9b}\u{202e}";
        assert_eq!(shown(text), "a\\u{1b}[31mb\\u{d}\\u{a}\\u{0}\\u{9b}\\u{202e}");
        assert_eq!(escaped(text), shown(text));
    }

    #[test]
    fn of_a_long_text_both_ends_are_kept() {
        assert_eq!(both_ends("short\n", 200), "short\\u{a}");
        let long = format!("conflict: {} is in use", "é".repeat(500));
        let cut = both_ends(&long, 50);
        assert!(cut.starts_with("conflict: é") && cut.ends_with("é is in use"), "{cut}");
        assert_eq!(cut.chars().count(), 50);
        assert_eq!(both_ends(&cut, 50), cut, "what was cut is not cut again");
        assert_eq!(both_ends("abcdef", 2), "a…");
        assert_eq!(both_ends("abcdef", 0), "…", "it has to say that something is missing");
    }

    #[test]
    fn long_text_is_cut() {
        let cut = shown(&"x".repeat(10_000_000));
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
        assert_eq!(shown(&cut), cut, "what was cut is not cut again");
        assert_eq!(escaped(&"x".repeat(1_000)).len(), 1_000);
        for (text, limit, cut) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc…"),
            ("abc\n", 3, "abc…"),
            ("\nabc", 3, "\\u{…"),
            ("é\u{202e}", 9, "é\\u{202e}"),
            ("", 0, ""),
            ("a", 0, "…"),
        ] {
            assert_eq!(beginning(text, limit), cut, "{text:?}");
            assert_eq!(beginning(cut, limit), cut, "what was cut is not cut again");
        }
        let controls = "\u{202e}".repeat(10_000_000);
        assert_eq!(shown(&controls).chars().count(), 201, "escaping makes nothing long");
        assert_eq!(shown(&shown(&controls)), shown(&controls));
    }
}
