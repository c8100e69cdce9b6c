//! go.sum and go.work.sum: one hash of one module version or of its go.mod a line.
//! Rules: go.dev/ref/mod#go-sum-files and `readGoSum` in `cmd/go/internal/modfetch/fetch.go`.

use super::literal::lossy;

/// A line of go.sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub module: String,
    /// Without `/go.mod` behind it.
    pub version: String,
    /// With its algorithm in front: `h1:…`.
    pub hash: String,
    /// Whether the hash is that of the go.mod file alone.
    pub go_mod: bool,
    /// From one.
    pub line: usize,
}

/// A line of go.sum that has not three words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// From one.
    pub line: usize,
    pub fields: usize,
}

/// The lines that say something.
pub fn read(data: &[u8]) -> Result<Vec<Sum>, Malformed> {
    let lines = lines(data).enumerate().map(|(at, line)| parse_line(line, at + 1));
    lines.filter_map(Result::transpose).collect()
}

/// The file without the lines of some module versions; all else byte for byte.
pub fn without(data: &[u8], is_dropped: impl Fn(&str, &str) -> bool) -> Vec<u8> {
    let kept = lines(data).filter(|line| match parse_line(line, 0) {
        Ok(Some(sum)) => !is_dropped(&sum.module, &sum.version),
        Ok(None) | Err(_) => true,
    });
    kept.flatten().copied().collect()
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split_inclusive(|byte| *byte == b'\n')
}

/// One line; `None` if nothing stands on it.
pub fn parse_line(bytes: &[u8], line: usize) -> Result<Option<Sum>, Malformed> {
    let text = lossy(bytes);
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields[..] {
        [] => Ok(None),
        [module, version, hash] => {
            let (version, go_mod) = match version.strip_suffix("/go.mod") {
                Some(version) => (version, true),
                None => (version, false),
            };
            Ok(Some(Sum {
                module: module.to_owned(),
                version: version.to_owned(),
                hash: hash.to_owned(),
                go_mod,
                line,
            }))
        }
        _ => Err(Malformed { line, fields: fields.len() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read_and_counted() {
        let text = b"example.com/a v1.0.0 h1:x\r\n\nexample.com/a v1.0.0/go.mod h1:y\n";
        let sums = read(text).expect("two lines");
        let seen: Vec<_> = sums.iter().map(|sum| (sum.version.as_str(), sum.go_mod, sum.line)).collect();
        assert_eq!(seen, [("v1.0.0", false, 1), ("v1.0.0", true, 3)]);
        assert_eq!(read(b"a b c\na b\n"), Err(Malformed { line: 2, fields: 2 }));
    }

    #[test]
    fn only_lines_of_the_version_go() {
        let text = b"a v1 x\r\na v1/go.mod x\n\nb v1 x\nrubbish\na v2 x";
        assert_eq!(without(text, |module, version| (module, version) == ("a", "v1")), b"\nb v1 x\nrubbish\na v2 x");
    }

    proptest! {
        #[test]
        fn what_is_not_dropped_stays_as_it_was(lines in prop::collection::vec("[ab]( v[12](/go.mod)? ?(h1:x)?)?(\r\n|\n)", 0..20)) {
            let text = lines.concat();
            prop_assert_eq!(without(text.as_bytes(), |_, _| false), text.as_bytes());
            let once = without(text.as_bytes(), |module, _| module == "a");
            let expected: String = lines.iter().filter(|line| {
                !(line.starts_with('a') && line.split_whitespace().count() == 3)
            }).map(String::as_str).collect();
            prop_assert_eq!(&once, expected.as_bytes());
            prop_assert_eq!(without(&once, |module, _| module == "a"), once);
        }
    }
}
