//! Dates as arguments.

use jiff::civil::{Date, DateTime, Time};

use crate::cursor::{Cursor, Malformed, Parsed};

pub(crate) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn digits(cursor: &mut Cursor<'_>, count: usize) -> Option<u32> {
    let bytes = cursor.take(count)?;
    bytes.iter().try_fold(0u32, |number, b| {
        let digit = b.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(number * 10 + u32::from(digit))
    })
}

fn day_month_year(cursor: &mut Cursor<'_>, day: u32) -> Option<Date> {
    cursor.take_if(b'-').then_some(())?;
    let name = cursor.take(3)?;
    let month = MONTHS
        .iter()
        .position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    cursor.take_if(b'-').then_some(())?;
    let year = digits(cursor, 4)?;
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month + 1).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

/// `date = date-text / DQUOTE date-text DQUOTE`, with
/// `date-text = date-day "-" date-month "-" date-year` (RFC 3501 §9).
pub(crate) fn date(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let mut parse = || {
        let quoted = cursor.take_if(b'"');
        let day = cursor.take_while(|b| b.is_ascii_digit());
        let day = (1..=2)
            .contains(&day.len())
            .then(|| digits(&mut Cursor::new(day), day.len()))??;
        let date = day_month_year(cursor, day)?;
        (!quoted || cursor.take_if(b'"')).then_some(date)
    };
    parse().ok_or(Malformed("a date such as 1-Feb-1994"))
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`
/// (RFC 3501 §9), as seconds since the Unix epoch.
pub(crate) fn date_time(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    take_date_time(cursor).ok_or(Malformed(
        "a date and time such as \"17-Jul-1996 02:44:25 -0700\"",
    ))
}

fn take_date_time(cursor: &mut Cursor<'_>) -> Option<i64> {
    cursor.take_if(b'"').then_some(())?;
    let day = if cursor.take_if(b' ') {
        digits(cursor, 1)?
    } else {
        digits(cursor, 2)?
    };
    let date = day_month_year(cursor, day)?;
    cursor.take_if(b' ').then_some(())?;
    let hour = digits(cursor, 2)?;
    cursor.take_if(b':').then_some(())?;
    let minute = digits(cursor, 2)?;
    cursor.take_if(b':').then_some(())?;
    // RFC 5322 §3.3 allows a leap second, which Unix time cannot count.
    let second = digits(cursor, 2).filter(|second| *second <= 60)?.min(59);
    let time = Time::new(
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        0,
    );
    cursor.take_if(b' ').then_some(())?;
    let sign = match cursor.take(1)? {
        b"+" => 1,
        b"-" => -1,
        _ => return None,
    };
    let zone = digits(cursor, 4)?;
    let (zone_hours, zone_minutes) = (zone / 100, zone % 100);
    if zone_minutes > 59 {
        return None;
    }
    cursor.take_if(b'"').then_some(())?;
    let offset = sign * i64::from(zone_hours * 3600 + zone_minutes * 60);
    let local = DateTime::from_parts(date, time.ok()?);
    let utc = jiff::tz::Offset::UTC.to_timestamp(local).ok()?;
    utc.as_second().checked_sub(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_become_unix_seconds() {
        let unix = |text: &str| date_time(&mut Cursor::new(text.as_bytes()));
        assert_eq!(unix("\"17-Jul-1996 02:44:25 -0700\""), Ok(837_596_665));
        assert_eq!(unix("\" 1-Jan-1970 00:00:00 +0000\""), Ok(0));
        for text in [
            "\"1-Jan-1970 00:00:00 +0000\"",
            "\"31-Feb-2020 00:00:00 +0000\"",
            "\"01-Jan-2020 25:00:00 +0000\"",
            "\"01-Foo-2020 00:00:00 +0000\"",
            "\"01-Jan-2020 00:00:00\"",
            "01-Jan-2020 00:00:00 +0000",
        ] {
            assert!(unix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_may_be_quoted() {
        let parse = |text: &str| date(&mut Cursor::new(text.as_bytes()));
        let expected = Date::new(1994, 2, 1).unwrap();
        assert_eq!(parse("1-Feb-1994"), Ok(expected));
        assert_eq!(parse("\"01-feb-1994\""), Ok(expected));
        assert!(parse("\"1-Feb-1994").is_err());
        assert!(parse("1-Feb-94").is_err());
        assert!(parse("0-Feb-1994").is_err());
    }
}
