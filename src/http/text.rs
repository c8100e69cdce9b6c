//! The text of an error, within what the go command shows of it.
//! Rules: `formatErrorDetail` in `cmd/go/internal/web/api.go`: eight lines, 648 bytes with each line break
//! counted twice, nothing after a blank line, nothing at all with a character that is not graphic.

use crate::error::{Error, Kind};

const LINES: usize = 8;
const BYTES: usize = 600;

/// Lines of text that end in a line break; at least one, and only whole ones.
///
/// The line that names the right version is the last to be left out.
pub fn of(error: &Error) -> String {
    let mut lines: Vec<String> = first_line(error).into_iter().collect();
    // The first line of a wrong name's remedies names the right version.
    let vital = error.right_version().map(|_| lines.len());
    lines.extend(error.remedies().iter().flat_map(|remedy| remedy.lines().map(clean)));
    lines.retain(|line| !line.is_empty());

    let mut keep = vec![false; lines.len()];
    let (mut count, mut bytes) = (0, 0);
    let first_choice = vital.into_iter().filter(|at| *at < lines.len());
    for at in first_choice.chain(0..lines.len()) {
        let cost = lines[at].len() + 2;
        if !keep[at] && count < LINES && bytes + cost <= BYTES {
            keep[at] = true;
            count += 1;
            bytes += cost;
        }
    }
    let mut text = String::with_capacity(BYTES);
    for (line, _) in lines.iter().zip(&keep).filter(|(_, keep)| **keep) {
        text.push_str(line);
        text.push('\n');
    }
    match text.is_empty() {
        true => format!("{}\n", in_general(error.kind())),
        false => text,
    }
}

/// The same for a client that reads JSON, which shows all of it: what is the matter, and the way out.
pub fn in_full(error: &Error) -> (String, Vec<String>) {
    let what = first_line(error).join("\n");
    let what = if what.is_empty() { in_general(error.kind()).to_owned() } else { what };
    let remedies = error.remedies().iter().flat_map(|remedy| remedy.lines().map(clean));
    (what, remedies.filter(|line| !line.is_empty()).collect())
}

/// The subject is left out for a wrong name, since the go command prints it itself, and where it
/// takes the room of what is the matter.
fn first_line(error: &Error) -> Vec<String> {
    // Causes of our own troubles name files and folders of this machine: they are for the log.
    let what = match error.kind() {
        Kind::Internal => error.what().to_owned(),
        _ => error.chain(),
    };
    let mut lines: Vec<String> = what.lines().map(clean).filter(|line| !line.is_empty()).collect();
    if let (Some(subject), Some(first)) = (error.subject(), lines.first_mut()) {
        let whole = format!("{}: {first}", clean(subject));
        if error.kind() != Kind::Wrong && whole.len() + 2 <= BYTES {
            *first = whole;
        }
    }
    lines
}

fn clean(line: &str) -> String {
    let clean: String = line.chars().map(|c| if c == '\t' || is_graphic(c) { c } else { '?' }).collect();
    clean.trim().to_owned()
}

/// As Go's `unicode.IsGraphic`, the space of all separators being the only one.
fn is_graphic(c: char) -> bool {
    use unicode_general_category::{GeneralCategory as G, get_general_category};
    let hidden = matches!(
        get_general_category(c),
        G::Control
            | G::Format
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
            | G::LineSeparator
            | G::ParagraphSeparator
    );
    c == ' ' || (!hidden && !c.is_whitespace())
}

fn in_general(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "not found",
        Kind::Gone => "malformed request",
        Kind::Wrong => "invalid version",
        Kind::Forbidden => "forbidden",
        Kind::Conflict => "conflict",
        Kind::BadGateway => "upstream failed",
        Kind::Unavailable => "not available now",
        Kind::Internal => "internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(text: &str) -> usize {
        text.len() + text.matches('\n').count()
    }

    #[test]
    fn the_right_version_survives_every_cut() {
        for length in [10, 100, 200, 300, 500, 590, 5000] {
            let long = "x".repeat(length);
            let error = Error::new(Kind::Wrong, format!("invalid pseudo-version: {long}"))
                .right("v1.0.0")
                .remedy("use example.com/m@v1.0.0")
                .remedy(format!("in your own go.mod: {long}"))
                .remedy(format!("in a dependency's: {long}"));
            let text = of(&error);
            assert!(text.contains("use example.com/m@v1.0.0\n"), "{length}: {text}");
            assert!(cost(&text) <= 600, "{length}: {} bytes", cost(&text));
            for line in text.lines() {
                assert!(line.starts_with("use ") || line.ends_with(&long), "{length}: half a line: {line}");
            }
        }
    }

    #[test]
    fn a_line_that_nobody_would_see_is_replaced() {
        let table =
            [("too long", "y".repeat(700)), ("nothing", String::new()), ("blank lines only", " \n\n".to_owned())];
        for (row, what) in table {
            assert_eq!(of(&Error::bad_gateway(what)), "upstream failed\n", "{row}");
        }
        let long_subject = Error::not_found("unknown revision").about("z".repeat(700));
        assert_eq!(of(&long_subject), "unknown revision\n");
    }

    #[test]
    fn eight_lines_at_most_and_none_blank() {
        let error = (0..20).fold(Error::forbidden("no"), |error, n| error.remedy(format!("line {n}\n\n")));
        let text = of(&error);
        assert_eq!(text.lines().count(), 8);
        assert!(text.lines().all(|line| !line.is_empty()));
    }

    #[test]
    fn what_a_terminal_might_obey_is_replaced() {
        let error = Error::not_found("a\u{1b}[2J b\tc \u{202e}d \u{2028}e \u{200b}f é 世界");
        assert_eq!(of(&error), "a?[2J b\tc ?d ?e ?f é 世界\n");
    }

    #[test]
    fn paths_of_this_machine_stay_in_the_log() {
        let cause = std::io::Error::other("/secret/place: input/output error");
        assert_eq!(of(&Error::internal("the store cannot be read").because(cause)), "the store cannot be read\n");
    }
}
