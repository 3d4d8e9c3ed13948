//! Text that comes from outside, made fit for a terminal or a log line.

/// How many characters of a foreign text are shown.
const SHOWN: usize = 200;

/// Escapes what could move a cursor, colour a screen, break a line or turn text around, and cuts what is long.
/// Whatever a plugin or a runtime says goes through here before a person sees it.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN));
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            out.push('…');
            break;
        }
        if is_harmless(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// The candidate that was probably meant: the same letters but for case, `-`, `_` and blanks, or so few letters off
/// that it is no accident.
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

/// An age in nanoseconds, in the largest unit of which there are two.
pub fn rough_age(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

/// The longest name that is looked at, in bytes.
const MISSPELT: usize = 64;

fn is_harmless(character: char) -> bool {
    // Bidirectional controls and invisible separators can make a line read as something else than it is.
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::{closest, rough_age, shown};

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
        assert_eq!(shown("docker.io/minchou/rollout:v1 – größer 🧽"), "docker.io/minchou/rollout:v1 – größer 🧽");
    }

    #[test]
    fn controls_are_escaped() {
        assert_eq!(shown("a\x1b[31mb\r\n\0\u{9b}\u{202e}"), "a\\u{1b}[31mb\\u{d}\\u{a}\\u{0}\\u{9b}\\u{202e}");
    }

    #[test]
    fn long_text_is_cut() {
        let cut = shown(&"x".repeat(10_000_000));
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
    }
}
