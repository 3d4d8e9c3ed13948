//! What is a schedule and what is not, and where the clocks change.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::super::{Schedule, zone};
use super::{at, in_zone, schedule};

/// The ticks after an instant.
fn ticks(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let first = schedule.next(at(after));
    let ticks = std::iter::successors(first, |tick| schedule.next(*tick));
    ticks.take(count).map(|tick| tick.strftime("%Y-%m-%d %H:%M").to_string()).collect()
}

fn same(one: &str, other: &str) {
    assert_eq!(schedule(one), schedule(other), "{one} and {other}");
}

fn refused(text: &str, because: &str) {
    let error = Schedule::parse(text, None).expect_err(text).to_string();
    assert!(error.contains(because), "{text}: {error}");
}

#[test]
fn a_question_mark_is_a_star_in_every_field() {
    same("? ? ? ? ?", "* * * * *");
    same("?/7 ?/5 ?/3 ?/2 ?/2", "*/7 */5 */3 */2 */2");
}

#[test]
fn a_number_with_a_step_runs_to_the_end_of_the_field() {
    same("5/15 * * * *", "5-59/15 * * * *");
    same("5/15 * * * *", "5,20,35,50 * * * *");
    same("0 0 * * Mon/2", "0 0 * * 1,3,5");
    same("0/100 * * * *", "0 * * * *");
    same("0/9223372036854775807 * * * *", "0 * * * *");
}

#[test]
fn names_have_three_letters_in_any_case() {
    same("0 0 * JAN-Mar,dec SUN,sat", "0 0 * 1-3,12 0,6");
    same("0 0 * * MON-FRI/2", "0 0 * * 1,3,5");
    refused("0 0 * * Monday", "\"Monday\" is not a number from 0 to 6 or SUN to SAT");
    refused("0 0 * FEB-JAN *", "ends before it starts");
    refused("0 MON * * *", "\"MON\" is not a number from 0 to 23 in the field hour");
}

#[test]
fn oddities_of_the_dialect_are_kept() {
    same("08 +5 * * *", "8 5 * * *");
    same("1,,2, * * * *", "1,2 * * * *");
    same("*-5 *-x * * *", "* * * * *");
    same("\t0  0\t* * * ", "0 0 * * *");
    assert!(schedule(",,, * * * *").is_impossible());
    // Blanks in front of a descriptor are fine where a zone stands in front of them.
    same("TZ=UTC  @daily ", "@daily");
    assert!(Schedule::parse(" @daily ", Some(TimeZone::UTC)).is_ok());
    assert!(Schedule::parse(" @daily", None).is_err());
}

#[test]
fn what_is_no_schedule_is_refused_with_the_reason() {
    for (text, because) in [
        ("", "it is empty"),
        ("* * * *", "it has 4 fields and needs five"),
        ("0 0 0 * * *", "no field for seconds or years"),
        ("0 0 * * 7", "(Sunday is 0)"),
        ("60 * * * *", "\"60\" is not a number from 0 to 59"),
        ("* 24 * * *", "from 0 to 23"),
        ("* * 0 * *", "from 1 to 31"),
        ("* * * 13 *", "from 1 to 12"),
        ("-5 * * * *", "in the field minute (\"-5\")"),
        ("5- * * * *", "\"\" is not a number"),
        ("1-2-3 * * * *", "one hyphen"),
        ("22-2 * * * *", "write 22-59,0-2"),
        ("/5 * * * *", "\"\" is not a number"),
        ("5/0 * * * *", "\"0\" is not a step"),
        ("5/-1 * * * *", "\"-1\" is not a step"),
        ("5/ * * * *", "\"\" is not a step"),
        ("1/2/3 * * * *", "\"2/3\" is not a step"),
        ("0 0 L * *", "\"L\" is not a number"),
        ("0 0 15W * *", "\"15W\" is not a number"),
        ("0 0 * * 5#3", "\"5#3\" is not a number"),
        ("99999999999999999999 * * * *", "is not a number from 0 to 59"),
        ("@Daily", "there is no @Daily; there are @yearly,"),
        ("@reboot", "there is no @reboot"),
        ("@every", "there is no @every;"),
        ("@every 5", "\"5\" is not a duration"),
        ("TZ=UTC", "after the time zone must come a blank"),
        ("TZ=Nowhere 0 0 * * *", "\"Nowhere\" is not a time zone"),
        ("tz=UTC 0 0 * * *", "it has 6 fields"),
        (" TZ=UTC 0 0 * * *", "it has 6 fields"),
        ("\u{1b}[2J * * * *", "\\u{1b}[2J"),
    ] {
        refused(text, because);
    }
}

#[test]
fn descriptors_are_short_for_fields() {
    same("@yearly", "0 0 1 1 *");
    same("@annually", "@yearly");
    same("@monthly", "0 0 1 * *");
    same("@weekly", "0 0 * * SUN");
    same("@daily", "0 0 * * *");
    same("@midnight", "@daily");
    same("@hourly", "0 * * * *");
    assert_eq!(schedule("CRON_TZ=Asia/Tokyo @daily"), in_zone("@daily", "Asia/Tokyo"));
}

#[test]
fn every_takes_durations_as_go_writes_them() {
    for (text, seconds) in [
        ("1h30m", 5_400),
        ("90s", 90),
        ("1.5h", 5_400),
        ("+.5m", 30),
        ("1h1h", 7_200),
        ("2500ms", 2),
        ("1999999µs", 1),
        ("1.9999999999999999999999s", 1),
        ("1s", 1),
        ("2562047h", 9_223_369_200),
    ] {
        let period = schedule(&format!("@every {text}")).period();
        assert_eq!(period, Some(SignedDuration::from_secs(seconds)), "{text}");
    }
    for text in
        ["", "1", "h", ".h", "1 h", " 1h", "1d", "1.2.3s", "1h-1m", "2562048h", "99999999999999999999h", "-", "1hm"]
    {
        refused(&format!("@every {text}"), "is not a duration for @every");
    }
    for text in ["1ns", "999ms", "0", "0s", "-1s", "-3h"] {
        refused(&format!("@every {text}"), &format!("\"{text}\" is no period for @every: the shortest is 1s"));
    }
}

#[test]
fn every_counts_from_whole_seconds() {
    let after = at("2026-03-01 00:00:00").checked_add(SignedDuration::from_millis(900)).unwrap();
    assert_eq!(schedule("@every 30s").next(after), Some(at("2026-03-01 00:00:30")));
    let before_1970 = at("1969-12-31 23:59:58").checked_add(SignedDuration::from_millis(900)).unwrap();
    assert_eq!(schedule("@every 1s").next(before_1970), Some(at("1969-12-31 23:59:59")));
}

#[test]
fn a_day_must_match_both_fields_when_one_of_them_is_any_and_either_otherwise() {
    // From Sunday, 2026-03-01.
    let days = |text, count| ticks(&schedule(text), "02-28 23:00:00", count);
    assert_eq!(days("0 0 13 * *", 2), ["2026-03-13 00:00", "2026-04-13 00:00"]);
    assert_eq!(days("0 0 * * 5", 2), ["2026-03-06 00:00", "2026-03-13 00:00"]);
    assert_eq!(days("0 0 13 * 1", 3), ["2026-03-02 00:00", "2026-03-09 00:00", "2026-03-13 00:00"]);
    // A step clears the star, unless it is 1; a star in a list counts.
    assert_eq!(days("0 0 */10 * 1", 3), ["2026-03-01 00:00", "2026-03-02 00:00", "2026-03-09 00:00"]);
    assert_eq!(days("0 0 */1 * 1", 2), ["2026-03-02 00:00", "2026-03-09 00:00"]);
    assert_eq!(days("0 0 1,* * 1", 2), ["2026-03-02 00:00", "2026-03-09 00:00"]);
}

#[test]
fn the_search_ends_with_the_fifth_calendar_year_after() {
    let leap = schedule("0 0 29 2 *");
    assert_eq!(leap.next(at("2026-03-01 00:00:00")), Some(at("2028-02-29 00:00:00")));
    // There is no February 29 in 2100.
    assert_eq!(leap.next(at("2098-12-31 23:59:58")), None);
    assert_eq!(leap.next(at("2098-12-31 23:59:59")), Some(at("2104-02-29 00:00:00")));
    assert!(!leap.is_impossible());
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(schedule(text).next(at("2026-03-01 00:00:00")), None);
        assert!(schedule(text).is_impossible());
    }
    assert!(!schedule("0 0 30 2 1").is_impossible());
}

#[test]
fn the_end_of_time_is_no_trouble() {
    for text in ["* * * * *", "0 0 31 12 *", "0 0 30 2 *", "@every 2562047h"] {
        for after in [jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
            let schedule = schedule(text);
            assert!(schedule.next(after).is_none_or(|tick| tick > after));
            let _ = schedule.latest(jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        }
    }
}

#[test]
fn a_time_that_clocks_skip_has_no_tick() {
    let berlin = in_zone("30 2 * * *", "Europe/Berlin");
    assert_eq!(ticks(&berlin, "03-27 12:00:00", 2), ["2026-03-28 01:30", "2026-03-30 00:30"]);
    // Half an hour, at Lord Howe.
    let howe = in_zone("15 2 * * *", "Australia/Lord_Howe");
    assert_eq!(ticks(&howe, "2026-10-02 12:00:00", 2), ["2026-10-02 15:45", "2026-10-04 15:15"]);
    // Midnight itself, in São Paulo in 2018: no daily tick on that day.
    let paulo = in_zone("@daily", "America/Sao_Paulo");
    assert_eq!(ticks(&paulo, "2018-11-03 00:00:00", 2), ["2018-11-03 03:00", "2018-11-05 02:00"]);
    // A whole day, in Samoa: there was no 2011-12-30.
    let apia = in_zone("0 12 30 12 *", "Pacific/Apia");
    assert_eq!(ticks(&apia, "2011-01-01 00:00:00", 1), ["2012-12-29 22:00"]);
}

#[test]
fn a_time_that_clocks_show_twice_has_two_ticks() {
    let berlin = in_zone("30 2 * * *", "Europe/Berlin");
    assert_eq!(ticks(&berlin, "10-25 00:00:00", 3), ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-26 01:30"]);
    let minutes = in_zone("*/20 2 * * *", "Europe/Berlin");
    assert_eq!(
        ticks(&minutes, "10-25 00:00:00", 5),
        ["2026-10-25 00:20", "2026-10-25 00:40", "2026-10-25 01:00", "2026-10-25 01:20", "2026-10-25 01:40"]
    );
    // In Newfoundland clocks went back at 00:01, over midnight: that day began twice.
    let john = in_zone("@daily", "America/St_Johns");
    assert_eq!(ticks(&john, "2010-11-06 12:00:00", 3), ["2010-11-07 02:30", "2010-11-07 03:30", "2010-11-08 03:30"]);
}

#[test]
fn zones_are_named_exactly() {
    for (name, hint) in [
        ("", "leave the field out for UTC"),
        ("Local", "another one on every machine"),
        ("local", "another one on every machine"),
        ("broken", "names are those of the IANA database"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("utc", "did you mean UTC?"),
        ("Etc/Unknown", "is not a time zone"),
        ("../etc/passwd", "is not a time zone"),
    ] {
        let error = zone(name).unwrap_err().to_string();
        assert!(error.contains(hint), "{name}: {error}");
    }
    for name in ["UTC", "GMT", "Etc/GMT+5", "EST5EDT", "Asia/Kathmandu", "America/Argentina/Buenos_Aires"] {
        assert!(zone(name).is_ok(), "{name}");
    }
}
