//! How a line looks. The lines of requests look as all others do, and are put together by hand: there is one for each
//! answer, and the general way costs as much as all the rest of a small one.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::http::line::REQUEST;

/// The general way, and the short one of requests.
pub(super) struct Lines {
    general: Format<Full>,
}

impl Lines {
    pub fn new(general: Format<Full>) -> Lines {
        Lines { general }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let is_plain = event.metadata().name() == REQUEST && !to.has_ansi_escapes();
        if !is_plain || context.lookup_current().is_some() {
            return self.general.format_event(context, to, event);
        }
        now(&mut to)?;
        to.write_str("  INFO ")?;
        let mut fields = Fields { to: &mut to, is_first: true, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        to.write_char('\n')
    }
}

thread_local! {
    /// The second in which a line was last written, as it stands in lines.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// The time to the microsecond: `2026-02-01T10:00:00.123456Z`.
fn now(to: &mut impl fmt::Write) -> fmt::Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() || text.is_empty() {
            let moment = i64::try_from(now.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            *text = moment.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S.").to_string();
            *second = now.as_secs();
        }
        to.write_str(text)
    })?;
    number(to, now.subsec_micros().into(), 6)?;
    to.write_char('Z')
}

/// A number with at least so many digits.
fn number(to: &mut impl fmt::Write, number: u64, digits: usize) -> fmt::Result {
    let mut text = [b'0'; 20];
    let (mut at, mut left) = (text.len(), number);
    while left > 0 || text.len() - at < digits.max(1) {
        at -= 1;
        text[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    to.write_str(str::from_utf8(&text[at..]).expect("digits are ASCII"))
}

struct Fields<'t, 'w> {
    to: &'t mut Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_err() {
            return;
        }
        let name = |to: &mut Writer<'_>| match field.name() {
            "message" => Ok(()),
            name => to.write_str(name).and_then(|()| to.write_char('=')),
        };
        let space = if std::mem::take(&mut self.is_first) { Ok(()) } else { self.to.write_char(' ') };
        self.result = space.and_then(|()| name(self.to)).and_then(|()| value(self.to));
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |to| text(to, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |to| number(to, value, 1));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |to| fraction(to, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |to| write!(to, "{value:?}"));
    }
}

/// A text in quotation marks.
fn text(to: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if !text.bytes().all(is_plain) {
        return write!(to, "{text:?}");
    }
    to.write_char('"')?;
    to.write_str(text)?;
    to.write_char('"')
}

/// A number with up to three digits behind the point, which milliseconds have.
fn fraction(to: &mut impl fmt::Write, value: f64) -> fmt::Result {
    let thousandths = (value * 1000.0).round();
    if !(0.0..1e12).contains(&thousandths) || thousandths / 1000.0 != value {
        return write!(to, "{value:?}");
    }
    let thousandths = thousandths as u64;
    number(to, thousandths / 1000, 1)?;
    to.write_char('.')?;
    match thousandths % 1000 {
        rest if rest % 100 == 0 => number(to, rest / 100, 1),
        rest if rest % 10 == 0 => number(to, rest / 10, 2),
        rest => number(to, rest, 3),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[test]
    fn numbers_look_as_everywhere() {
        let mut values: Vec<f64> = (0..5000_u32).map(|thousandths| f64::from(thousandths) / 1000.0).collect();
        values.extend([0.1 + 0.2, 1e15, -1.0, f64::NAN, f64::INFINITY, 123_456.789, 1.0 / 3.0]);
        for value in values {
            let mut found = String::new();
            fraction(&mut found, value).expect("a string takes all");
            assert_eq!(found, format!("{value:?}"));
        }
        for value in [0, 7, 10, 200, u64::MAX] {
            let mut found = String::new();
            number(&mut found, value, 1).expect("a string takes all");
            assert_eq!(found, value.to_string());
        }
    }

    #[test]
    fn texts_look_as_everywhere() {
        for value in ["", "example.com/m@v1.0.0", "a \"b\"", "back\\slash", "line\nbreak", "\u{1b}[31m", "é'"] {
            let mut found = String::new();
            text(&mut found, value).expect("a string takes all");
            assert_eq!(found, format!("{value:?}"));
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `Lines` or the general way makes of a request's line, without the time.
    fn shown(by_hand: bool) -> String {
        let log = Log::default();
        let (general, to) = (tracing_subscriber::fmt::format().with_target(false), log.clone());
        let start = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone());
        let dispatch = match by_hand {
            true => tracing::Dispatch::new(start.event_format(Lines::new(general)).finish()),
            false => tracing::Dispatch::new(start.event_format(general).finish()),
        };
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::dispatcher::with_default(&dispatch, || {
            let (nobody, word) = (None::<u8>, Some("x"));
            let kind = Some(tracing::field::display("not_found"));
            tracing::info!(name: REQUEST, method = %"GET", nobody, subject = "a\"b", status = 404_u16, kind, ms = 0.25, word = ?word, "request");
            tracing::warn!(subject = "a", "something else");
        });
        let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(bytes).expect("text");
        let without_time = |line: &str| {
            let (time, rest) = line.split_at(27);
            assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time:?}: {line}");
            format!("{rest}\n")
        };
        text.lines().map(without_time).collect()
    }

    #[test]
    fn a_request_looks_as_all_else() {
        let found = shown(true);
        assert_eq!(found, shown(false));
        let line = "  INFO request method=GET subject=\"a\\\"b\" status=404 kind=not_found ms=0.25 word=Some(\"x\")\n";
        assert!(found.starts_with(line), "{found:?}");
    }
}
