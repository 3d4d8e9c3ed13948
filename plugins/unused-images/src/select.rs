//! The decision: the images to remove, their order, and the reasons. The README states the rules.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use holystone_core::text::rough_age;

use crate::config::{Config, Order};
use crate::parts::spoils;
use crate::rank::{LADDER, Rank, Series};
use crate::scope::{Repositories, Repository, Text, split};

/// An image as this plugin sees it. A trait avoids copying the records of the bindings.
pub trait ImageView {
    /// Returns the id.
    fn id(&self) -> &str;
    /// Returns the references with a tag.
    fn tags(&self) -> &[String];
    /// Returns the references with a digest.
    fn digests(&self) -> &[String];
    /// Returns whether the runtime has pinned the image.
    fn is_pinned(&self) -> bool;
    /// Returns whether something uses the image, or may use it.
    fn is_in_use(&self) -> bool;
    /// Returns when the image was first seen on this node, in nanoseconds since 1970, if known.
    fn first_seen(&self) -> Option<i64>;
    /// Returns when the image was last seen in use on this node, in nanoseconds since 1970, if known.
    fn last_used(&self) -> Option<i64>;
}

/// The result of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Images to remove, in this order; no image twice.
    pub choices: Vec<Choice>,
    /// Number of images that are kept because their age, or the time since their last use, is unknown.
    pub unknown_age: usize,
    /// Number of images, by repository, that stay only because newer ones are not known to be kept.
    pub unknown_order: Vec<(String, usize)>,
}

impl Selection {
    /// Reports how many images stay beyond `keepLast` because newer ones are not known to be kept.
    pub fn kept_for_unknown_order(&self) -> Option<String> {
        let ((repository, _), more) = self.unknown_order.split_first()?;
        let count: usize = self.unknown_order.iter().map(|(_, count)| count).sum();
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let (images, are, their, them) = match count {
            1 => ("image", "is", "its", "it"),
            _ => ("images", "are", "their", "them"),
        };
        Some(format!(
            "{count} {images} of {repository}{more} {are} kept beyond keepLast, because {their} order is not known; \
             say what orders {them} with `order`"
        ))
    }
}

/// An image to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index in the list of images.
    pub image: usize,
    /// Kind of the reason.
    pub kind: Kind,
    /// Reason, for people.
    pub text: String,
}

/// The reason why an image should be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unused image, while no number of images is to be kept.
    Unused,
    /// An unused image without a tag.
    Dangling,
    /// An unused image of which as many newer ones are kept as the config asks for.
    Superseded,
}

/// An image in one repository, by one of its tags there. An image has several members if none of its tags is known to
/// be the newest.
#[derive(Clone, Copy)]
struct Member<'a> {
    repository: usize,
    image: usize,
    rank: Rank<'a>,
    /// Number of images of the repository that are known to be newer.
    newer: usize,
    /// Set for the only member of its image in this repository that counts.
    counts: bool,
    /// Set for the only member of its image in this series that counts.
    counts_in_series: bool,
}

/// Selects the images of a node to remove at the time `now`, in nanoseconds since 1970.
pub fn select<I: ImageView>(images: &[I], now: i64, config: &Config) -> Selection {
    let mut survey = Survey::new(images.len(), config);
    for (index, image) in images.iter().enumerate() {
        survey.look(index, image);
    }
    let mut members = survey.settled();
    let Survey { repositories, mut orphans, mut open, .. } = survey;
    let names = sort(&mut members, repositories.into_all(), images);
    for group in members.chunk_by_mut(|a, b| a.repository == b.repository) {
        count_newer(group, 0, 0);
    }
    let mut chooser = Chooser { now, config, selection: Selection::default() };
    chooser.selection.unknown_order = close(&members, &names, config.keep_last, &mut open);
    chooser.selection.choices.reserve(members.len() + orphans.len());
    orphans.retain(|&index| open[index]);
    orphans.sort_by(|&a, &b| {
        let (a, b) = (&images[a], &images[b]);
        a.first_seen().cmp(&b.first_seen()).then_with(|| a.id().cmp(b.id()))
    });
    for index in orphans {
        chooser.consider(index, &images[index], Kind::Dangling, DANGLING);
    }
    for group in members.chunk_by(|a, b| a.repository == b.repository && a.rank.series() == b.rank.series()) {
        let (kind, text) = reason(group[0].rank.series(), &names[group[0].repository], config.keep_last);
        for member in group {
            if std::mem::take(&mut open[member.image]) {
                chooser.consider(member.image, &images[member.image], kind, &text);
            }
        }
    }
    chooser.selection
}

/// Keeps the images of which `keep_last` newer ones are not known to be kept, and counts by repository how many of
/// these are not among its newest by any order.
fn close(members: &[Member<'_>], names: &[Cow<'_, str>], keep_last: usize, open: &mut [bool]) -> Vec<(String, usize)> {
    let mut unknown = Vec::new();
    let mut kept = HashSet::new();
    for group in members.chunk_by(|a, b| a.repository == b.repository) {
        let (mut above, mut stay) = (0, 0);
        for member in group.iter().rev() {
            let stays = member.newer < keep_last;
            if stays && std::mem::take(&mut open[member.image]) {
                kept.insert(member.image);
            }
            stay += usize::from(stays && member.counts && above >= keep_last && kept.contains(&member.image));
            above += usize::from(member.counts);
        }
        if stay > 0 {
            unknown.push((names[group[0].repository].clone().into_owned(), stay));
        }
    }
    unknown
}

const UNUSED: &str = "not used by any container";
const DANGLING: &str = "has no tag and is not used by any container";

/// Returns the reason for the removal of images, with the order by which others are newer.
fn reason(series: Series, repository: &str, kept: usize) -> (Kind, Cow<'static, str>) {
    let (images, are, were) = if kept == 1 { ("image", "is", "was") } else { ("images", "are", "were") };
    let newer = match series {
        Series::Untagged => return (Kind::Dangling, Cow::Borrowed(DANGLING)),
        _ if kept == 0 => return (Kind::Unused, Cow::Borrowed(UNUSED)),
        Series::FirstSeen => format!("{were} first seen later"),
        Series::Date => format!("{are} newer by the date in the tag"),
        Series::Version => format!("{are} newer by version"),
        Series::ByTag => format!("{are} newer by the number in the tag"),
    };
    (Kind::Superseded, Cow::Owned(format!("{UNUSED}; {kept} {images} of {repository} that {newer} {are} kept")))
}

/// Counts for each member how many images are known to be newer. The members are sorted, equal on all rungs before
/// this one, and `newer` images are newer than all of them.
fn count_newer(members: &mut [Member<'_>], place: usize, mut newer: usize) {
    let rung = LADDER.get(place).filter(|_| members.len() > 1);
    let Some(rung) = rung else {
        return members.iter_mut().for_each(|member| member.newer = newer);
    };
    let mut rest = members;
    while let Some(last) = rest.last().map(|member| member.rank) {
        let start = rest.partition_point(|member| (rung.compare)(&member.rank, &last).is_lt());
        let (before, group) = std::mem::take(&mut rest).split_at_mut(start);
        count_newer(group, place + 1, newer);
        if rung.known {
            // The first rung compares images of different series.
            let counts = |member: &&Member<'_>| if place == 0 { member.counts } else { member.counts_in_series };
            newer += group.iter().filter(|member| counts(member)).count();
        }
        rest = before;
    }
}

/// The findings of one pass over all images.
struct Survey<'a> {
    config: &'a Config,
    repositories: Repositories<'a>,
    /// Images in scope, once for each tag that ranks them, or for each digest if they have no tag.
    members: Vec<Member<'a>>,
    /// Images in scope without any reference.
    orphans: Vec<usize>,
    /// Flags by image, set while nothing rules out the removal.
    open: Vec<bool>,
    /// Beginnings of tags after which long numbers are no counts, by repository.
    spoilt: HashSet<(usize, &'a str)>,
}

impl<'a> Survey<'a> {
    fn new(images: usize, config: &'a Config) -> Self {
        Self {
            config,
            repositories: Repositories::new(config),
            members: Vec::with_capacity(images),
            orphans: Vec::new(),
            open: Vec::with_capacity(images),
            spoilt: HashSet::new(),
        }
    }

    fn look<I: ImageView>(&mut self, index: usize, image: &'a I) {
        self.open.push(!image.is_pinned() && !image.is_in_use());
        let before = self.members.len();
        let in_scope = if !image.tags().is_empty() {
            !self.config.include.is_empty() && self.look_at_tags(index, image) && self.digests_follow(image)
        } else if !self.config.dangling {
            false
        } else if image.digests().is_empty() {
            self.orphans.push(index);
            true
        } else {
            self.look_at_digests(index, image)
        };
        if !in_scope {
            self.members.truncate(before);
        }
    }

    /// Adds the tags of an image to the members, and returns whether every tag is in scope: removing an image drops all
    /// of them.
    fn look_at_tags<I: ImageView>(&mut self, index: usize, image: &'a I) -> bool {
        let mut in_scope = true;
        for text in image.tags() {
            let (name, tag) = split(text);
            let repository = self.repositories.number(name);
            let tag = tag.unwrap_or_default();
            if self.config.keep_last > 0 {
                self.spoilt.extend(spoils(tag).map(|beginning| (repository, beginning)));
            }
            let text = Text::new(text);
            in_scope = in_scope && self.repositories.in_scope(repository, &text);
            if self.config.keep_tags.iter().any(|pattern| text.matches(pattern)) {
                self.open[index] = false;
                continue;
            }
            self.add(repository, index, rank(tag, image.first_seen(), &self.config.order));
        }
        in_scope
    }

    /// Returns whether the digests of a tagged image are in scope too. A digest in the repository of a tag goes with
    /// the tag.
    fn digests_follow<I: ImageView>(&mut self, image: &'a I) -> bool {
        image.digests().iter().all(|text| {
            let (name, _) = split(text);
            if image.tags().iter().any(|tag| split(tag).0 == name) {
                return true;
            }
            let repository = self.repositories.number(name);
            self.repositories.in_scope(repository, &Text::new(text))
                || image.tags().iter().any(|tag| self.repositories.number(split(tag).0) == repository)
        })
    }

    /// Adds the digests of an image without tags to the members, and returns whether every digest is in scope.
    fn look_at_digests<I: ImageView>(&mut self, index: usize, image: &'a I) -> bool {
        for text in image.digests() {
            let repository = self.repositories.number(split(text).0);
            if !self.repositories.in_scope(repository, &Text::new(text)) {
                return false;
            }
            self.add(repository, index, Rank::first_seen(None, image.first_seen()));
        }
        true
    }

    fn add(&mut self, repository: usize, image: usize, rank: Rank<'a>) {
        let member = Member { repository, image, rank, newer: 0, counts: true, counts_in_series: true };
        self.members.push(member);
    }

    /// Ranks members whose number is taken for a commit hash by when they were first seen, then returns the members
    /// without those that say nothing about their image.
    fn settled(&mut self) -> Vec<Member<'a>> {
        for member in &mut self.members {
            let rank = &member.rank;
            let spoilt = || self.spoilt.contains(&(member.repository, rank.beginning()));
            if rank.may_be_hash() && (rank.is_padded() || spoilt()) {
                member.rank = rank.without_tag_order();
            }
        }
        let mut members = std::mem::take(&mut self.members);
        let mut settled = Vec::with_capacity(members.len());
        for image in members.chunk_by_mut(|a, b| a.image == b.image) {
            image.sort_by(|a, b| a.repository.cmp(&b.repository).then_with(|| b.rank.total(&a.rank)));
            for tags in image.chunk_by(|a, b| a.repository == b.repository) {
                settle(tags, &mut settled);
            }
        }
        settled
    }
}

/// Ranks an image by a tag.
fn rank<'a>(tag: &'a str, first_seen: Option<i64>, order: &Order) -> Rank<'a> {
    let picked = match order {
        Order::FirstSeen => return Rank::first_seen(Some(tag), first_seen),
        Order::ByTag(pattern) => pattern.pick(tag),
        Order::Version => None,
    };
    match picked {
        Some(numbers) => Rank::by_tag(tag, numbers, first_seen),
        None => Rank::of_tag(tag, first_seen),
    }
}

/// Selects, from the tags that an image has in one repository, newest first, those of which none is known to be older
/// than another: plain tags (see [`Rank::is_plain`]), else tags with an order of their own, else one of the others.
fn settle<'a>(tags: &[Member<'a>], settled: &mut Vec<Member<'a>>) {
    let first = settled.len();
    let some_plain = tags.iter().any(|tag| tag.rank.is_plain());
    for tag in tags.iter().filter(|tag| !some_plain || tag.rank.is_plain()) {
        let taken = &settled[first..];
        let says_nothing = tag.rank.series() <= Series::FirstSeen && !taken.is_empty();
        let is_older = taken.iter().any(|known| tag.rank.known(&known.rank).is_some_and(Ordering::is_lt));
        if says_nothing || is_older {
            continue;
        }
        let counts_in_series = !taken.iter().any(|known| known.rank.is_same_series(&tag.rank));
        settled.push(Member { counts: taken.is_empty(), counts_in_series, ..*tag });
    }
}

/// Sorts by the repositories' names and then by age, with ids as the tie-breaker. Renumbers the repositories by name,
/// and returns the names.
fn sort<'a, I: ImageView>(members: &mut [Member<'_>], all: Vec<Repository<'a>>, images: &[I]) -> Vec<Cow<'a, str>> {
    let mut by_name: Vec<(usize, Cow<'a, str>)> =
        all.into_iter().map(|repository| repository.name).enumerate().collect();
    by_name.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
    let mut places = vec![0; by_name.len()];
    for (place, (number, _)) in by_name.iter().enumerate() {
        places[*number] = place;
    }
    for member in members.iter_mut() {
        member.repository = places[member.repository];
    }
    members.sort_unstable_by(|a, b| {
        let repositories = a.repository.cmp(&b.repository);
        repositories.then_with(|| a.rank.total(&b.rank)).then_with(|| images[a.image].id().cmp(images[b.image].id()))
    });
    by_name.into_iter().map(|(_, name)| name).collect()
}

/// The choice of the images that are old enough.
struct Chooser<'a> {
    now: i64,
    config: &'a Config,
    selection: Selection,
}

impl Chooser<'_> {
    fn consider<I: ImageView>(&mut self, index: usize, image: &I, kind: Kind, text: &str) {
        let since = |time: i64| self.now.saturating_sub(time);
        let (seen, used) = (image.first_seen().map(since), image.last_used().map(since));
        let checks = [(self.config.max_age, seen), (self.config.unused_for, used.or(seen))];
        let checks = checks.iter().filter_map(|&(limit, age)| Some((limit?, age)));
        if checks.clone().any(|(limit, age)| age.is_some_and(|age| age <= limit)) {
            return;
        }
        if checks.clone().any(|(_, age)| age.is_none()) {
            self.selection.unknown_age += 1;
            return;
        }
        let seen = seen.filter(|_| checks.count() > 0);
        let seen = seen.map(|seen| format!("; first seen {} ago", rough_age(seen)));
        let used = self.config.unused_for.map(|_| match used {
            Some(used) => format!("; last used {} ago", rough_age(used)),
            None => "; never seen in use".to_owned(),
        });
        let text = [text, &used.unwrap_or_default(), &seen.unwrap_or_default()].concat();
        self.selection.choices.push(Choice { image: index, kind, text });
    }
}

#[cfg(test)]
mod tests;
