//! Time zones by name, from the built-in database.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::text;

/// The error of a text that is not the name of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a time zone: {problem}")]
pub struct ZoneError {
    name: String,
    problem: String,
}

/// Returns the time zone with this name in the IANA database, such as `Europe/Berlin`. Names are case-sensitive, as in
/// AdvancedCronJob.
///
/// # Errors
/// Fails when there is no such zone.
pub fn zone(name: &str) -> Result<TimeZone, ZoneError> {
    let fail = |problem| ZoneError { name: text::shown(name), problem };
    if name.is_empty() {
        return Err(fail("it is empty; leave the field out for UTC".to_owned()));
    }
    if name.eq_ignore_ascii_case("local") {
        return Err(fail("it would be another one on every machine; name it, for example Europe/Berlin".to_owned()));
    }
    let database = TimeZoneDatabase::bundled();
    let found = database.get(name).ok().filter(|zone| zone.iana_name() == Some(name) && !zone.is_unknown());
    found.ok_or_else(|| {
        fail(match similar(name, &database) {
            Some(similar) => format!("did you mean {similar}?"),
            None => "names are those of the IANA database, for example Europe/Berlin".to_owned(),
        })
    })
}

/// Finds the zone that was probably meant: the zone with the same name in other case, the zone of a city like `Berlin`,
/// or a zone whose name differs in a few letters.
fn similar(name: &str, database: &TimeZoneDatabase) -> Option<String> {
    let names: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
    let same = |zone: &&String| zone.eq_ignore_ascii_case(name);
    let city = |zone: &&String| zone.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(name));
    let found = names.iter().find(same).or_else(|| names.iter().find(city));
    found.cloned().or_else(|| text::closest(name, names.iter().map(String::as_str)).map(str::to_owned))
}

/// Resolves the zone of a `TZ=` prefix. An empty name stands for UTC.
pub(super) fn of_prefix(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    zone(name).map_err(|error| error.to_string())
}
