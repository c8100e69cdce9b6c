//! When to ask again.
//! Rules: RFC 9110, section 10.2.3 (`Retry-After`).

use std::time::Duration;

use chrono::DateTime;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

/// The pause before the second try; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Whether a status says that the next moment may be better.
pub(super) fn is_passing(status: StatusCode) -> bool {
    use StatusCode as S;
    matches!(status, S::TOO_MANY_REQUESTS | S::BAD_GATEWAY | S::SERVICE_UNAVAILABLE | S::GATEWAY_TIMEOUT)
}

/// The pause after the `tried`-th try (from 1) without a word from the server.
pub(super) fn back_off(tried: usize) -> Duration {
    FIRST_PAUSE * 2u32.saturating_pow(u32::try_from(tried.saturating_sub(1)).unwrap_or(u32::MAX).min(10))
}

/// The pause that the server asks for. A date counts from the server's own.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let from = date(headers.get(DATE)?.to_str().ok()?)?;
    Some((date(text)? - from).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after() {
        let now = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        let table = [
            ("seconds", "2", None, Some(2)),
            ("a date", "Wed, 21 Oct 2015 07:28:30 GMT", now, Some(30)),
            ("a date that is over", "Wed, 21 Oct 2015 07:27:30 GMT", now, Some(0)),
            ("a date against no date", "Wed, 21 Oct 2015 07:28:30 GMT", None, None),
            ("nonsense", "soon", now, None),
            ("a negative number", "-1", now, None),
        ];
        for (row, after, date, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().expect(row));
            if let Some(date) = date {
                headers.insert(DATE, date.parse().expect(row));
            }
            assert_eq!(asked_for(&headers), expected.map(Duration::from_secs), "{row}");
        }
    }

    #[test]
    fn pauses_double() {
        assert_eq!([1, 2, 3].map(back_off), [250, 500, 1000].map(Duration::from_millis));
    }
}
