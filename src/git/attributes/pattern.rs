//! The patterns of `.gitattributes`: what git's wildmatch does, with a cost bounded by pattern times path.
//! Must not know of attributes, files or repositories.
//! Rules: gitattributes(5), gitignore(5), and git 2.39's dir.c and wildmatch.c by experiment.

/// A pattern, ready to be compared with paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Without a slash: compared with a path's last name, wherever it lies.
    Name(Glob),
    /// With a slash: compared with the path below the folder of its file. git compares the part before
    /// the first wildcard byte by byte and gives wildmatch only what follows, so that in `a**/b` the
    /// stars stand at a beginning and cross folders.
    Path { literal: Box<[u8]>, rest: Glob },
}

impl Pattern {
    /// Reads a pattern; `None` for one that matches no file: a negative one, one for folders only
    /// (attributes are asked of files, never of folders), a malformed one.
    pub fn parse(text: &[u8]) -> Option<Pattern> {
        // An octal escape in a quoted pattern may have brought a NUL, which ends it.
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        if text.is_empty() || text[0] == b'!' || text.ends_with(b"/") {
            return None;
        }
        if !text.contains(&b'/') {
            return Some(Pattern::Name(Glob::parse(text, Slash::Ordinary)?));
        }
        let text = text.strip_prefix(b"/").unwrap_or(text);
        let (literal, rest) = text.split_at(literal_length(text));
        Some(Pattern::Path { literal: literal.into(), rest: Glob::parse(rest, Slash::Separator)? })
    }

    /// Whether a file is meant: `name` is its last name, `below` its path below the pattern's folder.
    pub fn matches(&self, name: &[u8], below: &[u8]) -> bool {
        match self {
            Pattern::Name(glob) => glob.matches(name),
            Pattern::Path { literal, rest } => below.strip_prefix(&**literal).is_some_and(|below| rest.matches(below)),
        }
    }
}

/// What a slash in a path is to wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slash {
    Ordinary,
    Separator,
}

/// A text with wildcards; the shapes that nearly all patterns have are compared without a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Glob {
    Literal(Box<[u8]>),
    Suffix(Box<[u8]>),
    Steps(Box<[Step]>),
}

/// One step of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Byte(u8),
    Set(Box<Set>),
    /// Any run of bytes, slashes excluded.
    Star,
    /// Any run of bytes.
    Stars,
    /// `**/`: the two steps after this one, or nothing.
    MaybeFolders,
}

impl Glob {
    fn parse(text: &[u8], slash: Slash) -> Option<Glob> {
        if literal_length(text) == text.len() {
            return Some(Glob::Literal(text.into()));
        }
        if slash == Slash::Ordinary && text[0] == b'*' && literal_length(&text[1..]) == text.len() - 1 {
            return Some(Glob::Suffix(text[1..].into()));
        }
        Some(Glob::Steps(steps(text, slash)?.into()))
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Glob::Literal(literal) => **literal == *text,
            Glob::Suffix(suffix) => text.ends_with(suffix),
            Glob::Steps(steps) => walk(steps, text),
        }
    }
}

/// How many bytes stand before the first that may be a wildcard.
fn literal_length(text: &[u8]) -> usize {
    text.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')).unwrap_or(text.len())
}

/// The steps of a glob; `None` if it is malformed and so matches nothing.
fn steps(text: &[u8], slash: Slash) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => {
                steps.push(Step::Byte(*text.get(at + 1)?));
                at += 2;
            }
            b'?' => {
                steps.push(Step::Set(Box::new(Set::all(slash))));
                at += 1;
            }
            b'[' => {
                let (set, length) = Set::parse(&text[at..], slash)?;
                steps.push(Step::Set(Box::new(set)));
                at += length;
            }
            b'*' => at += stars(text, at, slash, &mut steps),
            byte => {
                steps.push(Step::Byte(byte));
                at += 1;
            }
        }
    }
    Some(steps)
}

/// Reads the stars at `at` and says how many bytes were read.
fn stars(text: &[u8], at: usize, slash: Slash, steps: &mut Vec<Step>) -> usize {
    let count = text[at..].iter().take_while(|&&byte| byte == b'*').count();
    let after = &text[at + count..];
    let whole_folders = count > 1
        && (at == 0 || text[at - 1] == b'/')
        && (after.is_empty() || after[0] == b'/' || after.starts_with(b"\\/"));
    if slash == Slash::Ordinary {
        steps.push(Step::Stars);
    } else if !whole_folders {
        steps.push(Step::Star);
    } else if after.first() == Some(&b'/') {
        steps.extend([Step::MaybeFolders, Step::Stars, Step::Byte(b'/')]);
        return count + 1;
    } else {
        // Before an escaped slash the stars must leave that slash standing.
        steps.push(Step::Stars);
    }
    count
}

/// Follows all ways through the steps at once, so that no pattern costs more than its length times the text's.
fn walk(steps: &[Step], text: &[u8]) -> bool {
    let mut here = vec![false; steps.len() + 1];
    let mut next = vec![false; steps.len() + 1];
    enter(steps, &mut here, 0);
    for &byte in text {
        next.fill(false);
        let mut alive = false;
        for (at, step) in steps.iter().enumerate().filter(|(at, _)| here[*at]) {
            let to = match step {
                Step::Byte(expected) if *expected == byte => at + 1,
                Step::Set(set) if set.contains(byte) => at + 1,
                Step::Star if byte != b'/' => at,
                Step::Stars => at,
                _ => continue,
            };
            enter(steps, &mut next, to);
            alive = true;
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut here, &mut next);
    }
    here[steps.len()]
}

/// Marks a place and all that can be reached from it without a byte of text.
fn enter(steps: &[Step], places: &mut [bool], from: usize) {
    let mut at = from;
    while !places[at] {
        places[at] = true;
        match steps.get(at) {
            Some(Step::Star | Step::Stars) => at += 1,
            Some(Step::MaybeFolders) => {
                enter(steps, places, at + 1);
                at += 3;
            }
            _ => return,
        }
    }
}

/// A set of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set([u64; 4]);

impl Set {
    const EMPTY: Set = Set([0; 4]);

    fn all(slash: Slash) -> Set {
        Set([u64::MAX; 4]).without_separator(slash)
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn without_separator(mut self, slash: Slash) -> Set {
        if slash == Slash::Separator {
            self.0[usize::from(b'/' >> 6)] &= !(1 << (b'/' & 63));
        }
        self
    }

    /// Reads the bracket expression that `text` begins with, and says how many bytes it has.
    fn parse(text: &[u8], slash: Slash) -> Option<(Set, usize)> {
        let negated = matches!(text.get(1), Some(b'!' | b'^'));
        let mut at = if negated { 2 } else { 1 };
        let mut set = Set::EMPTY;
        // The byte that a range may begin with: none after a range or a class.
        let mut previous = None;
        let first = at;
        loop {
            let byte = *text.get(at)?;
            if byte == b']' && at > first {
                break;
            }
            (previous, at) = match byte {
                b'\\' => {
                    let escaped = *text.get(at + 1)?;
                    set.add(escaped);
                    (Some(escaped), at + 2)
                }
                b'-' if previous.is_some() && text.get(at + 1).is_some_and(|&next| next != b']') => {
                    let escaped = usize::from(text[at + 1] == b'\\');
                    let last = *text.get(at + 1 + escaped)?;
                    previous.into_iter().flat_map(|from| from..=last).for_each(|byte| set.add(byte));
                    (None, at + 2 + escaped)
                }
                b'[' if text.get(at + 1) == Some(&b':') => {
                    let length = text[at + 2..].iter().position(|&byte| byte == b']')?;
                    match text[at + 2..at + 2 + length].strip_suffix(b":") {
                        Some(class) => {
                            set.add_class(class)?;
                            (None, at + 3 + length)
                        }
                        None => {
                            set.add(b'[');
                            (Some(b'['), at + 1)
                        }
                    }
                }
                byte => {
                    set.add(byte);
                    (Some(byte), at + 1)
                }
            };
        }
        if negated {
            set.0.iter_mut().for_each(|bits| *bits = !*bits);
        }
        Some((set.without_separator(slash), at + 1))
    }

    /// Adds a class such as `alpha`, ASCII only and with git's own idea of white space.
    fn add_class(&mut self, class: &[u8]) -> Option<()> {
        let belongs: fn(&u8) -> bool = match class {
            b"alnum" => u8::is_ascii_alphanumeric,
            b"alpha" => u8::is_ascii_alphabetic,
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => u8::is_ascii_control,
            b"digit" => u8::is_ascii_digit,
            b"graph" => u8::is_ascii_graphic,
            b"lower" => u8::is_ascii_lowercase,
            b"print" => |byte| matches!(byte, b' '..=b'~'),
            b"punct" => u8::is_ascii_punctuation,
            b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
            b"upper" => u8::is_ascii_uppercase,
            b"xdigit" => u8::is_ascii_hexdigit,
            _ => return None,
        };
        (0..=u8::MAX).filter(belongs).for_each(|byte| self.add(byte));
        Some(())
    }
}
