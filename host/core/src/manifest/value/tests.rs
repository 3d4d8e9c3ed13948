use std::fmt::{Debug, Display};
use std::str::FromStr;

use jiff::SignedDuration;
use proptest::prelude::any;
use proptest::{prop_assert_eq, proptest};

use super::{Bytes, Cpu, Duration, Parallelism, Percent};

/// Reads a text, and what is written of it again.
fn written<T: FromStr<Err: Debug> + Display>(text: &str) -> (T, String) {
    let value: T = text.parse().unwrap();
    let again = value.to_string();
    (value, again)
}

#[test]
fn durations_are_read_and_written() {
    for (text, seconds, again) in [
        ("0s", 0, "0s"),
        ("0m0s", 0, "0s"),
        ("30s", 30, "30s"),
        ("90s", 90, "1m30s"),
        ("10m", 600, "10m"),
        ("36h", 129_600, "1d12h"),
        ("7d12h", 648_000, "7d12h"),
        ("2w", 1_209_600, "14d"),
        ("1w1d1h1m1s", 694_861, "8d1h1m1s"),
    ] {
        let (duration, written) = written::<Duration>(text);
        assert_eq!((duration.get(), written.as_str()), (SignedDuration::from_secs(seconds), again), "{text}");
    }
    assert_eq!(written::<Duration>("1s500ms"), (Duration::from_millis(1_500), "1s500ms".to_owned()));
    assert_eq!("1m".parse(), Ok(Duration::from_millis(60_000)));
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in [
        "",
        "10",
        "s",
        "-1s",
        "+1s",
        "1.5h",
        "10 m",
        " 10m",
        "10m ",
        "1m1h",
        "1h1h",
        "1y",
        "1M",
        "1h-1m",
        "٣s",
        "999999999999999w",
        "18446744073709551616ms",
        "9223372036854775808ms",
    ] {
        let error = text.parse::<Duration>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?} is not a duration such as 30s, 10m or 7d12h")), "{error}");
    }
}

#[test]
fn bytes_are_read_and_written() {
    for (text, bytes, again) in [
        ("0", 0, "0"),
        ("1000", 1_000, "1000"),
        ("64Mi", 64 << 20, "64Mi"),
        ("64MiB", 64 << 20, "64Mi"),
        ("20Gi", 20 << 30, "20Gi"),
        ("1.5Gi", 3 << 29, "1536Mi"),
        ("1Ti", 1 << 40, "1Ti"),
        ("1k", 1_000, "1000"),
        ("1K", 1_000, "1000"),
        ("1.5G", 1_500_000_000, "1500000000"),
        ("20GB", 20_000_000_000, "19531250Ki"),
        ("2T", 2_000_000_000_000, "1953125000Ki"),
        ("0.1", 0, "0"),
        ("7B", 7, "7"),
        ("18446744073709551615", u64::MAX, "18446744073709551615"),
    ] {
        let (size, written) = written::<Bytes>(text);
        assert_eq!((size.get(), written.as_str()), (bytes, again), "{text}");
    }
}

#[test]
fn what_is_no_number_of_bytes_is_refused() {
    for text in [
        "",
        "Mi",
        "-1",
        "1 Gi",
        "1Pi",
        "1m",
        "1kib",
        "1GI",
        "1..5G",
        ".5G",
        "5.G",
        "1e3",
        "18446744073709551616",
        "16777216Ti",
    ] {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
}

#[test]
fn shares_are_whole_percents() {
    for (text, percent) in [("0", 0), ("85%", 85), ("85", 85), ("100%", 100), ("007%", 7)] {
        assert_eq!(written::<Percent>(text), (Percent(percent), format!("{percent}%")));
    }
    for text in ["", "%", "101%", "-1%", "+5%", "8.5%", "85 %", "85%%", "0.85", "9999999999999999999999%"] {
        assert!(text.parse::<Percent>().is_err(), "{text}");
    }
}

#[test]
fn a_parallelism_is_a_number_or_a_share_and_never_nothing() {
    assert_eq!(written::<Parallelism>("10"), (Parallelism::Nodes(10), "10".to_owned()));
    assert_eq!(written::<Parallelism>("10%"), (Parallelism::Share(Percent(10)), "10%".to_owned()));
    // OpenKruise takes the text "3" for 3 %, so a number stays a number.
    assert_eq!(serde_json::to_string(&Parallelism::Nodes(3)).unwrap(), "3");
    assert_eq!(serde_json::to_string(&Parallelism::Share(Percent(3))).unwrap(), "\"3%\"");
    assert_eq!(serde_json::from_str::<Parallelism>("\"3\"").unwrap(), Parallelism::Nodes(3));
    for text in ["", "0", "0%", "-1", "101%", "abc", "1.5", "4294967296"] {
        assert!(text.parse::<Parallelism>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(milliseconds in any::<u32>(), bytes in any::<u64>(), percent in 0..=100_u8) {
        let duration = Duration::from_millis(milliseconds);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let bytes = Bytes::new(bytes);
        prop_assert_eq!(bytes.to_string().parse(), Ok(bytes));
        prop_assert_eq!(Percent(percent).to_string().parse(), Ok(Percent(percent)));
    }

    #[test]
    fn no_text_makes_a_value_panic(text in "[-+.0-9a-zA-Z%µ]{0,24}") {
        let _ = (text.parse::<Duration>(), text.parse::<Bytes>(), text.parse::<Percent>(), text.parse::<Parallelism>());
    }
}

#[test]
fn cpus_are_counted_in_thousandths() {
    for (text, thousandths, shown) in [
        ("2", 2000, "2"),
        ("0", 0, "0"),
        ("500m", 500, "500m"),
        ("0.5", 500, "500m"),
        ("1.25", 1250, "1250m"),
        ("0.001", 1, "1m"),
        ("1000m", 1000, "1"),
    ] {
        let cpu: Cpu = text.parse().unwrap();
        assert_eq!((cpu.get(), cpu.to_string()), (thousandths, shown.to_owned()), "{text}");
        assert_eq!(cpu.to_string().parse(), Ok(cpu));
    }
    for text in ["", "m", "-1", "+1", "0.5m", ".5", "1.", "0.0001", "1e3", "1 ", "1234567890", "1k"] {
        assert!(text.parse::<Cpu>().is_err(), "{text}");
    }
}
