//! A content made of another one and a delta. Rules: gitformat-pack(5), "Deltified representation".

use super::unpack::{Odd, Result};

/// The content that a delta makes of its base; nothing that does not fit to the byte is taken.
pub fn apply(base: &[u8], delta: &[u8], largest: usize) -> Result<Vec<u8>> {
    let mut rest = delta;
    if size(&mut rest)? != base.len() {
        return Err(Odd);
    }
    let length = size(&mut rest)?;
    if length > largest {
        return Err(Odd);
    }
    let mut content = Vec::with_capacity(length);
    while let Some((&instruction, behind)) = rest.split_first() {
        rest = behind;
        if instruction & 0x80 != 0 {
            let from = number(&mut rest, instruction, 4)?;
            let count = match number(&mut rest, instruction >> 4, 3)? {
                0 => 0x10000,
                count => count,
            };
            content.extend_from_slice(base.get(from..from + count).ok_or(Odd)?);
        } else if instruction != 0 {
            let (literal, behind) = rest.split_at_checked(usize::from(instruction)).ok_or(Odd)?;
            content.extend_from_slice(literal);
            rest = behind;
        } else {
            return Err(Odd);
        }
        if content.len() > length {
            return Err(Odd);
        }
    }
    if content.len() == length { Ok(content) } else { Err(Odd) }
}

/// Little-endian in groups of seven bits.
fn size(rest: &mut &[u8]) -> Result<usize> {
    let (mut size, mut shift) = (0, 0);
    loop {
        let (&byte, behind) = rest.split_first().ok_or(Odd)?;
        *rest = behind;
        if shift > 42 {
            return Err(Odd);
        }
        size |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
}

/// A number of which only the bytes that `present` names are there.
fn number(rest: &mut &[u8], present: u8, bytes: u32) -> Result<usize> {
    let mut number = 0;
    for place in 0..bytes {
        if present >> place & 1 == 1 {
            let (&byte, behind) = rest.split_first().ok_or(Odd)?;
            *rest = behind;
            number |= usize::from(byte) << (8 * place);
        }
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_the_instructions_say_or_nothing() {
        let base = b"0123456789";
        // name, delta, what it makes
        type Row<'a> = (&'a str, &'a [u8], Result<&'a [u8]>);
        let table: [Row<'_>; 10] = [
            ("copies and inserts", b"\x0a\x07\x91\x02\x03\x02ab\x90\x02", Ok(b"234ab01")),
            ("makes nothing", b"\x0a\x00", Ok(b"")),
            ("another base", b"\x09\x01\x01a", Err(Odd)),
            ("longer than said", b"\x0a\x01\x02ab", Err(Odd)),
            ("shorter than said", b"\x0a\x03\x02ab", Err(Odd)),
            ("copies beyond the end", b"\x0a\x03\x91\x08\x03", Err(Odd)),
            ("an insert that is cut off", b"\x0a\x03\x03ab", Err(Odd)),
            ("a copy that is cut off", b"\x0a\x03\x91\x08", Err(Odd)),
            ("reserved instruction", b"\x0a\x01\x00", Err(Odd)),
            ("no sizes", b"", Err(Odd)),
        ];
        for (name, delta, made) in table {
            assert_eq!(apply(base, delta, 100), made.map(<[u8]>::to_vec), "{name}");
        }
        assert_eq!(apply(base, b"\x0a\x02\x02ab", 1), Err(Odd), "too large");
        let long = vec![7; 0x10000];
        // 0x10000 in groups of seven bits; a copy of no bytes is one of so many.
        assert_eq!(apply(&long, b"\x80\x80\x04\x80\x80\x04\x80", 1 << 20), Ok(long.clone()));
    }
}
