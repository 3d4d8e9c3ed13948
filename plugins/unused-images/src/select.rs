//! The decision: which images should go, in which order, and why. The README states the rules.

use std::borrow::Cow;
use std::cmp::Ordering;

use holystone_core::text::rough_age;

use crate::config::Config;
use crate::scope::{Repositories, Repository, Text, split};
use crate::version::{Version, natural};

/// An image as this plugin sees it. A trait, so that the records of the bindings need not be copied.
pub trait ImageView {
    /// Identity.
    fn id(&self) -> &str;
    /// References with a tag.
    fn tags(&self) -> &[String];
    /// References with a digest.
    fn digests(&self) -> &[String];
    /// The runtime was told to keep it.
    fn is_pinned(&self) -> bool;
    /// Something uses it, or may.
    fn is_in_use(&self) -> bool;
    /// When it was first seen on this node, in nanoseconds since 1970, if known.
    fn first_seen(&self) -> Option<i64>;
    /// When it was last seen in use on this node, in nanoseconds since 1970, if known.
    fn last_used(&self) -> Option<i64>;
}

/// What came of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What should go, in this order; no image twice.
    pub choices: Vec<Choice>,
    /// How many more would be chosen if it were known for how long they have been there or unused.
    pub unknown_age: usize,
}

/// One image that should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the list of images.
    pub image: usize,
    /// Why, as a kind.
    pub kind: Kind,
    /// Why, for people.
    pub text: String,
}

/// Why an image should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing uses it, and no number of images is to be kept.
    Unused,
    /// The same, and it has no tag.
    Dangling,
    /// Nothing uses it, and as many newer ones are kept as the config asks for.
    Superseded,
}

/// One image in one repository.
struct Member<'a> {
    repository: usize,
    image: usize,
    /// Its newest tag in this repository; `None` for an image without tags.
    tag: Option<&'a str>,
    version: Option<Version<'a>>,
    first_seen: Option<i64>,
}

/// Decides about all images of a node at the time `now`, in nanoseconds since 1970.
pub fn select<I: ImageView>(images: &[I], now: i64, config: &Config) -> Selection {
    let mut survey = Survey::new(images.len(), config);
    for (index, image) in images.iter().enumerate() {
        survey.look(index, image);
    }
    let Survey { repositories, mut members, mut orphans, mut open, .. } = survey;
    let names = sort(&mut members, repositories.into_all(), images);
    let groups = || members.chunk_by(|a, b| a.repository == b.repository);
    for kept in groups().flat_map(|group| group.iter().rev().take(config.keep_last)) {
        open[kept.image] = false;
    }

    let mut chooser = Chooser { now, config, selection: Selection::default() };
    chooser.selection.choices.reserve(members.len() + orphans.len());
    orphans.retain(|&index| open[index]);
    orphans.sort_by(|&a, &b| {
        let (a, b) = (&images[a], &images[b]);
        a.first_seen().cmp(&b.first_seen()).then_with(|| a.id().cmp(b.id()))
    });
    for index in orphans {
        chooser.consider(index, &images[index], Kind::Dangling, DANGLING);
    }
    for group in groups() {
        let superseded = superseded(&names[group[0].repository], config.keep_last);
        for member in group {
            if std::mem::take(&mut open[member.image]) {
                let (kind, text) = match member.tag {
                    None => (Kind::Dangling, DANGLING),
                    Some(_) if config.keep_last == 0 => (Kind::Unused, UNUSED),
                    Some(_) => (Kind::Superseded, superseded.as_str()),
                };
                chooser.consider(member.image, &images[member.image], kind, text);
            }
        }
    }
    chooser.selection
}

const UNUSED: &str = "not used by any container";
const DANGLING: &str = "has no tag and is not used by any container";

fn superseded(repository: &str, kept: usize) -> String {
    let (versions, are) = if kept == 1 { ("version", "is") } else { ("versions", "are") };
    format!("{UNUSED}; {kept} newer {versions} of {repository} {are} kept")
}

/// What one look at every image finds out.
struct Survey<'a> {
    config: &'a Config,
    repositories: Repositories<'a>,
    /// Images in scope, once for each of their repositories.
    members: Vec<Member<'a>>,
    /// Images in scope without any reference.
    orphans: Vec<usize>,
    /// For each image whether nothing speaks against it yet.
    open: Vec<bool>,
}

impl<'a> Survey<'a> {
    fn new(images: usize, config: &'a Config) -> Self {
        Self {
            config,
            repositories: Repositories::new(config),
            members: Vec::with_capacity(images),
            orphans: Vec::new(),
            open: Vec::with_capacity(images),
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

    /// Whether every tag is in scope: removing an image drops all of them.
    fn look_at_tags<I: ImageView>(&mut self, index: usize, image: &'a I) -> bool {
        for text in image.tags() {
            let (name, tag) = split(text);
            let repository = self.repositories.number(name);
            let text = Text::new(text);
            if !self.repositories.in_scope(repository, &text) {
                return false;
            }
            if self.config.keep_tags.iter().any(|pattern| text.matches(pattern)) {
                self.open[index] = false;
                continue;
            }
            let (tag, version) = (tag.unwrap_or_default(), tag.and_then(Version::parse));
            self.add(Member { repository, image: index, tag: Some(tag), version, first_seen: image.first_seen() });
        }
        true
    }

    /// Whether the digests of a tagged image are in scope too. One in the repository of a tag goes with the tag.
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

    /// Whether every digest of an image without tags is in scope.
    fn look_at_digests<I: ImageView>(&mut self, index: usize, image: &'a I) -> bool {
        for text in image.digests() {
            let repository = self.repositories.number(split(text).0);
            if !self.repositories.in_scope(repository, &Text::new(text)) {
                return false;
            }
            self.add(Member { repository, image: index, tag: None, version: None, first_seen: image.first_seen() });
        }
        true
    }

    /// Adds an image to a repository, in which it counts once, by its newest tag.
    fn add(&mut self, member: Member<'a>) {
        let of_image = self.members.iter_mut().rev().take_while(|known| known.image == member.image);
        match of_image.into_iter().find(|known| known.repository == member.repository) {
            Some(known) if by_age(known, &member) == Ordering::Less => *known = member,
            Some(_) => {}
            None => self.members.push(member),
        }
    }
}

/// Older first: images without tags, then tags that are not versions, then versions. What is of unknown age was
/// there before Holystone came.
fn by_age(a: &Member<'_>, b: &Member<'_>) -> Ordering {
    let versions = match (&a.version, &b.version) {
        (Some(a), Some(b)) => a.compare(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    versions
        .then_with(|| a.tag.is_some().cmp(&b.tag.is_some()))
        .then_with(|| a.first_seen.cmp(&b.first_seen))
        .then_with(|| natural(a.tag.unwrap_or_default(), b.tag.unwrap_or_default()))
}

/// Sorts by the repositories' names and then by age, ids deciding last; numbers the repositories anew by their names
/// and gives the names.
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
        repositories.then_with(|| by_age(a, b)).then_with(|| images[a.image].id().cmp(images[b.image].id()))
    });
    by_name.into_iter().map(|(_, name)| name).collect()
}

/// Takes what is old enough.
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
