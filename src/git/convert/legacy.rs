//! Where glibc's legacy encodings are not those of the WHATWG that `encoding_rs` writes.
//! Must not know names, nor how texts are encoded.
//! Rules: glibc 2.36 asked for every character of Unicode; the tests of `charset` ask git again.

/// How an encoding of glibc differs from the one that stands in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    Nothing,
    /// U+0080 to U+009F cannot be written; the WHATWG fills holes with them.
    NoControls,
    /// U+0080 to U+009F stand for themselves, and nothing else has their bytes.
    OwnControls,
    Tis620,
    Koi8U,
    Macintosh,
    MacCyrillic,
    ShiftJis,
    Cp932,
    EucKr,
    Gb2312,
    Gbk,
    Gb18030,
}

/// The rows of user-defined characters in CP932: from U+E000, 188 to a lead byte from 0xF0.
const CP932_USER_DEFINED: u32 = 188;

impl Difference {
    /// The bytes of a character for which glibc has its own: one if below 0x100, else two.
    pub fn own(self, character: char) -> Option<u16> {
        let code = u32::from(character);
        Some(match (self, code) {
            (Difference::OwnControls | Difference::EucKr, 0x80..=0x9f) => code as u16,
            (Difference::Koi8U, 0x255d) => 0xae,
            (Difference::Koi8U, 0x256c) => 0xbe,
            (Difference::Macintosh, 0x394) => 0xc6,
            (Difference::Macintosh, 0xe01e) => 0xf0,
            (Difference::MacCyrillic, 0xa4) => 0xff,
            (Difference::ShiftJis | Difference::Cp932, 0xa2) => 0x8191,
            (Difference::ShiftJis | Difference::Cp932, 0xa3) => 0x8192,
            (Difference::ShiftJis | Difference::Cp932, 0xac) => 0x81ca,
            (Difference::ShiftJis | Difference::Cp932, 0x2016) => 0x8161,
            (Difference::ShiftJis | Difference::Cp932, 0x301c) => 0x8160,
            (Difference::Cp932, 0x2014) => 0x815c,
            (Difference::Cp932, 0xe000..=0xe757) => {
                let (row, column) = ((code - 0xe000) / CP932_USER_DEFINED, (code - 0xe000) % CP932_USER_DEFINED);
                let trail = 0x40 + column + u32::from(column >= 0x3f);
                ((0xf0 + row) << 8 | trail) as u16
            }
            (Difference::EucKr, 0x20a9) => 0xa3dc,
            (Difference::EucKr, 0x327e) => 0xa2e8,
            (Difference::Gb2312, 0x2015) => 0xa1aa,
            (Difference::Gb2312, 0x30fb) => 0xa1a4,
            (Difference::Gb18030, 0xe5e5) => 0xa3a0,
            (Difference::Gb18030, 0x20087) => 0xfe51,
            (Difference::Gb18030, 0x20089) => 0xfe52,
            (Difference::Gb18030, 0x200cc) => 0xfe53,
            (Difference::Gb18030, 0x215d7) => 0xfe6c,
            (Difference::Gb18030, 0x2298f) => 0xfe76,
            (Difference::Gb18030, 0x241fe) => 0xfe91,
            _ => return None,
        })
    }

    /// Whether glibc too writes these bytes for a character.
    pub fn shares(self, character: char, bytes: &[u8]) -> bool {
        let code = u32::from(character);
        let (lead, trail) = (bytes[0], bytes.get(1).copied());
        match self {
            Difference::Nothing => true,
            Difference::NoControls => !matches!(code, 0x80..=0x9f),
            Difference::OwnControls => !matches!(lead, 0x80..=0x9f),
            Difference::Tis620 => !matches!(lead, 0x80..=0xa0),
            Difference::Koi8U => !matches!(code, 0x40e | 0x45e),
            Difference::Macintosh => !matches!(code, 0x2206 | 0xf8ff),
            Difference::MacCyrillic => code != 0x20ac,
            Difference::ShiftJis => {
                !matches!(lead, 0x80 | 0x87 | 0xed..=0xee | 0xfa..=0xfc) && !matches!(code, 0x2225 | 0xff0d | 0xff5e)
            }
            Difference::Cp932 => code != 0x80,
            Difference::EucKr => trail.is_none_or(|trail| lead >= 0xa1 && trail >= 0xa1),
            Difference::Gb2312 => trail.map_or(lead < 0x80, |trail| trail >= 0xa1) && !is_new_in_gbk(code, lead),
            Difference::Gbk => {
                let is_new = matches!((lead, trail), (0xfe, Some(0x50..)) | (0xa9, Some(0x89..=0x95)));
                !is_new && !matches!(code, 0x1f9 | 0x1e3f | 0xe000..=0xf8ff | 0xfe10..=0xfe19)
            }
            Difference::Gb18030 => !GB18030_REFUSED.contains(&code),
        }
    }
}

/// Whether a character came into the rows and cells of GB 2312 only with GBK.
fn is_new_in_gbk(code: u32, lead: u8) -> bool {
    let newer_row = matches!(lead, 0x80..=0xa0 | 0xaa..=0xaf | 0xf8..);
    newer_row
        || matches!(code, 0xb7 | 0x144 | 0x148 | 0x1f9 | 0x251 | 0x261 | 0x1e3f | 0x2014 | 0x2170..=0x2179)
        || matches!(code, 0xe000..=0xf8ff | 0xfe10..=0xfe44)
}

/// What the WHATWG writes with the bytes that glibc keeps for other characters.
const GB18030_REFUSED: [u32; 24] = [
    0xe78d, 0xe78e, 0xe78f, 0xe790, 0xe791, 0xe792, 0xe793, 0xe794, 0xe795, 0xe796, 0xe816, 0xe817, 0xe818, 0xe81e,
    0xe826, 0xe82b, 0xe82c, 0xe831, 0xe832, 0xe83b, 0xe843, 0xe854, 0xe855, 0xe864,
];
