//! The `Range` of a request. Rules: RFC 9110, section 14.

/// What part of a body is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// No range, or one that may be ignored: several ranges, another unit, malformed.
    Whole,
    /// From the first byte up to and including the last.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

impl Range {
    /// Reads the header's value for a body of `size` bytes.
    pub fn parse(value: &str, size: u64) -> Range {
        let Some((unit, spec)) = value.split_once('=') else { return Range::Whole };
        let Some((first, last)) = spec.trim().split_once('-') else { return Range::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Range::Whole;
        }
        match (number(first), number(last)) {
            (Number::None, Number::Some(0)) => Range::Unsatisfiable,
            (Number::None, Number::Some(_)) if size == 0 => Range::Unsatisfiable,
            (Number::None, Number::Some(suffix)) => Range::Part { first: size.saturating_sub(suffix), last: size - 1 },
            (Number::Some(first), Number::Some(last)) if last < first => Range::Whole,
            (Number::Some(first), Number::None | Number::Some(_)) if first >= size => Range::Unsatisfiable,
            (Number::Some(first), Number::None) => Range::Part { first, last: size - 1 },
            (Number::Some(first), Number::Some(last)) => Range::Part { first, last: last.min(size - 1) },
            _ => Range::Whole,
        }
    }
}

enum Number {
    None,
    Some(u64),
    Malformed,
}

fn number(text: &str) -> Number {
    match text {
        "" => Number::None,
        // More digits than a u64 has are beyond every body.
        _ if text.bytes().all(|b| b.is_ascii_digit()) => Number::Some(text.parse().unwrap_or(u64::MAX)),
        _ => Number::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_single_ranges() {
        let part = |first, last| Range::Part { first, last };
        let table = [
            ("first bytes", "bytes=0-9", 100, part(0, 9)),
            ("one byte", "bytes=99-99", 100, part(99, 99)),
            ("to the end", "bytes=90-", 100, part(90, 99)),
            ("beyond the end", "bytes=90-1000", 100, part(90, 99)),
            ("the last bytes", "bytes=-10", 100, part(90, 99)),
            ("more last bytes than there are", "bytes=-1000", 100, part(0, 99)),
            ("upper case unit", "Bytes=0-0", 100, part(0, 0)),
            ("a number of any length", "bytes=0-99999999999999999999999", 100, part(0, 99)),
            ("starts after the end", "bytes=100-", 100, Range::Unsatisfiable),
            ("no last bytes", "bytes=-0", 100, Range::Unsatisfiable),
            ("of nothing", "bytes=0-", 0, Range::Unsatisfiable),
            ("last of nothing", "bytes=-1", 0, Range::Unsatisfiable),
            ("backwards", "bytes=9-0", 100, Range::Whole),
            ("two ranges", "bytes=0-1,4-5", 100, Range::Whole),
            ("other unit", "lines=0-1", 100, Range::Whole),
            ("no numbers", "bytes=-", 100, Range::Whole),
            ("negative", "bytes=--5", 100, Range::Whole),
            ("nonsense", "bytes", 100, Range::Whole),
        ];
        for (row, value, size, range) in table {
            assert_eq!(Range::parse(value, size), range, "{row}");
        }
    }
}
