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

fn is_harmless(character: char) -> bool {
    // Bidirectional controls and invisible separators can make a line read as something else than it is.
    let invisible = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::shown;

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
