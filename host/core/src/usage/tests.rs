use super::Usage;
use crate::container::ContainerState::{self, Created, Exited, Running};
use crate::container::{Container, ImageMentions, UNKNOWN_IMAGE};
use crate::fixture::{self, container, outside, sandbox, snapshot};
use crate::image::{Image, ImageId};

fn id(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn image(digit: char, tags: &[&str], digests: &[&str]) -> Image {
    fixture::image(&id(digit), tags, digests)
}

/// For a container with one mention: which of four images it uses, certainly (upper case) or possibly (lower case).
fn used_by(mention: &str) -> String {
    let digest_b = format!("quay.io/team/b@{}", id('9'));
    let images = vec![
        image('a', &["docker.io/library/nginx:1.27", "docker.io/library/nginx:latest"], &[]),
        image('b', &["quay.io/team/b:2"], &[&digest_b]),
        image('c', &[], &["quay.io/team/c@sha256:8888888888888888888888888888888888888888888888888888888888888888"]),
        image('d', &[], &[]),
    ];
    let mentions = ImageMentions { image: mention.to_owned(), ..ImageMentions::default() };
    let snapshot = snapshot(images, vec![container("c", mentions)]);
    let usage = Usage::of(&snapshot);
    (0..4)
        .filter_map(|place| {
            let letter = snapshot.images[place].id.as_str().chars().last()?;
            let user = usage.users(place).first()?;
            Some(if user.unresolved.is_none() { letter.to_ascii_uppercase() } else { letter })
        })
        .collect()
}

#[test]
fn every_way_to_name_an_image_resolves() {
    let cases = [
        (id('a'), "A"),
        ("a".repeat(64), "A"),
        ("nginx:1.27".to_owned(), "A"),
        ("nginx".to_owned(), "A"),
        ("docker.io/library/nginx:1.27".to_owned(), "A"),
        ("docker.io/nginx:1.27".to_owned(), "A"),
        ("quay.io/team/b:2".to_owned(), "B"),
        (format!("quay.io/team/b@{}", id('9')), "B"),
        (format!("quay.io/team/b:2@{}", id('9')), "B"),
        // Pulled from a mirror: the same digest is the same content.
        (format!("mirror.example/b@{}", id('9')), "B"),
        (id('9'), "B"),
        ("cccccccccccc".to_owned(), "C"),
        (format!("sha256:{}", "8".repeat(64)), "C"),
    ];
    for (mention, expected) in cases {
        assert_eq!(used_by(&mention), expected, "{mention}");
    }
}

#[test]
fn spellings_of_ids_and_digests_are_equal() {
    let nines = "9".repeat(64);
    for (mention, expected) in [
        (format!("docker://{}", id('a')), "A"),
        (format!("docker-pullable://quay.io/team/b@{}", id('9')), "B"),
        (format!("containerd://{}", id('c')), "C"),
        (format!("cri-o://{}", "d".repeat(64)), "D"),
        (format!("docker://{}", "nginx:1.27"), "A"),
        (id('a').to_uppercase(), "A"),
        ("C".repeat(64), "C"),
        (format!("quay.io/team/b@SHA256:{nines}"), "B"),
        ("sha256:cccccccccccc".to_owned(), "C"),
        ("SHA256:CCCC".to_owned(), "C"),
        (format!("sha256:{}", &nines[..63]), "B"),
        (format!("quay.io/team/b@sha256:{}", &nines[..13]), "B"),
        (format!("<none>@{}", id('9')), "B"),
        ("Docker.IO/library/nginx:1.27".to_owned(), "A"),
        ("index.docker.io/nginx:1.27".to_owned(), "A"),
        ("registry-1.docker.io/library/nginx:1.27".to_owned(), "A"),
        ("registry.hub.docker.com/library/nginx".to_owned(), "A"),
        ("docker.io:443/library/nginx:1.27".to_owned(), "A"),
        ("docker.io./library/nginx:1.27".to_owned(), "A"),
        ("QUAY.io:443/team/b:2".to_owned(), "B"),
        ("quay.io:0443/team/b:2".to_owned(), "B"),
    ] {
        assert_eq!(used_by(&mention), expected, "{mention}");
    }
}

#[test]
fn images_that_are_listed_under_other_spellings_are_found() {
    let find = |listed: &[&str], digests: &[&str], mention: &str| {
        let mentions = ImageMentions { image: mention.to_owned(), ..ImageMentions::default() };
        let other = image('e', &["quay.io/other:1"], &[&format!("quay.io/other@{}", id('e'))]);
        let snapshot = snapshot(vec![image('a', listed, digests), other], vec![container("c", mentions)]);
        let usage = Usage::of(&snapshot);
        let user = usage.users(0).first().map(|user| user.unresolved.is_none());
        (user, usage.users(1).len())
    };
    let long = "b".repeat(128);
    for (listed, mention) in [
        ("Docker.IO/library/nginx:1", "nginx:1"),
        ("index.docker.io/library/nginx:1", "docker.io/nginx:1"),
        ("registry.example:443/app:1", "registry.example/app:1"),
        ("registry.example:5000/app:1", "Registry.Example:5000/app:1"),
        ("[2001:db8::1]:5000/app:1", "[2001:DB8:0:0::1]:5000/app:1"),
        ("nginx:1", "docker.io/library/nginx:1"),
    ] {
        assert_eq!(find(&[listed], &[], mention), (Some(true), 0), "{mention} for {listed}");
    }
    for (listed, mention) in [
        (format!("a/b@sha512:{long}"), format!("sha512:{long}")),
        (format!("a/b@sha512:{long}"), long.clone()),
        (format!("a/b@sha512:{long}"), format!("a/b@sha512:{}", long.to_uppercase())),
        (format!("a/b@sha512:{long}"), "sha512:bbbbbbbbbbbb".to_owned()),
        (format!("a/b@sha512:{long}"), "bbbbbbbbbbbb".to_owned()),
        (format!("a/b@SHA256:{}", "F".repeat(64)), format!("x/y@{}", id('f'))),
    ] {
        assert_eq!(find(&[], &[&listed], &mention), (Some(true), 0), "{mention} for {listed}");
    }
    // By another algorithm the same digits are another digest.
    assert_eq!(find(&[], &[&format!("a/b@sha512:{long}")], "sha256:bbbbbbbbbbbb"), (Some(false), 0));
}

#[test]
fn an_unresolved_reference_protects_what_it_could_mean() {
    let sevens = "7".repeat(64);
    let cases = [
        // The tag has moved on: any image of that repository, or one that has lost its name.
        ("nginx:1.26", "ad"),
        ("index.docker.io/nginx:1.26", "ad"),
        ("quay.io/team/b:1", "bd"),
        ("quay.io:443/team/b:1", "bd"),
        ("quay.io/team/c:1", "cd"),
        ("quay.io/team/unheard-of:1", "d"),
        // Neither an id nor a known digest: an image whose digests are unknown may have it.
        (&id('7'), "ad"),
        (&sevens, "ad"),
        (&id('7').to_uppercase(), "ad"),
        (&format!("docker://{}", id('7')), "ad"),
        ("sha256:7777777", "ad"),
        // The beginning of an id, or a repository of Docker Hub.
        ("7777777", "ad"),
        // A digest by another algorithm is known of none.
        (&format!("sha512:{}", "9".repeat(128)), "abcd"),
        (&"9".repeat(128), "abcd"),
        // A digest within a repository: what is listed there may have had it, and so may what has no digest.
        (&format!("quay.io/team/b@{}", id('7')), "abd"),
        (&format!("docker-pullable://quay.io/team/c@{}", id('7')), "acd"),
        (&format!("mirror.example/unheard-of@{}", id('7')), "ad"),
        (&format!("<none>@{}", id('7')), "ad"),
        // A tag of 40 digits is not a digest by an algorithm called b.
        (&format!("quay.io/team/b:{}", "7".repeat(40)), "bd"),
        (&format!("nginx:{}", "7".repeat(40)), "ad"),
        ("[2001:db8::1]:5000/team/b:1", "d"),
        // No telling at all.
        ("%%%", "abcd"),
        ("quay.io/team/b:", "abcd"),
        ("quay.io/team/b:<none>", "abcd"),
        // No id, and no repository that is called like an algorithm either.
        (&format!("sha256:{}", "9".repeat(65)), "abcd"),
        (&format!("SHA256:{}", "9".repeat(65)), "abcd"),
        (&format!("sha512:{}", "g".repeat(128)), "abcd"),
        ("docker.io/library/sha256:7", "d"),
        // No digits follow, or others.
        ("sha256:", "abcd"),
        ("sha256:xyz", "abcd"),
        // What stands in front is no scheme.
        ("7x://nginx:1.27", "abcd"),
        ("a_b://nginx:1.27", "abcd"),
    ];
    for (mention, expected) in cases {
        assert_eq!(used_by(mention), expected, "{mention}");
    }
}

#[test]
fn an_id_or_tag_that_makes_no_sense_is_known_as_it_is_listed() {
    let images = [fixture::image("id-1", &["Odd Name!"], &[]), fixture::image("id-2", &["quay.io/a:1"], &[])];
    assert_eq!(used_by_all(&images, ["id-1", "", "", ""]), "1");
    assert_eq!(used_by_all(&images, ["", "", "", "Odd Name!"]), "1");
    assert_eq!(used_by_all(&images, ["", "", "", "Other Name!"]), "12");
}

#[test]
fn a_tag_does_not_make_up_for_the_digest_beside_it() {
    assert_eq!(used_by(&format!("quay.io/team/b:2@{}", id('7'))), "aBd");
    assert_eq!(used_by(&format!("nginx:1.27@{}", id('9'))), "AB");
    assert_eq!(used_by(&format!("nginx:unheard-of@{}", id('9'))), "B", "the digest decides");
}

#[test]
fn a_container_that_names_no_image_protects_all() {
    for mention in ["", "<none>", "<none>:<none>", "<none>@<none>"] {
        assert_eq!(used_by(mention), "abcd", "{mention:?}");
    }
}

/// For a container with these mentions in this order of fields: which of these images it uses, by their last digit.
fn used_by_all(images: &[Image], mentions: [&str; 4]) -> String {
    let [image_id, image_ref, image, user_specified_image] = mentions.map(str::to_owned);
    let mentions = ImageMentions { image_id, image_ref, image, user_specified_image };
    let mut images = images.to_vec();
    let used = |images: Vec<Image>| -> String {
        let snapshot = snapshot(images, vec![container("c", mentions.clone())]);
        let usage = Usage::of(&snapshot);
        let letter = |place: usize| {
            let letter = snapshot.images[place].id.as_str().chars().last()?;
            let user = usage.users(place).first()?;
            Some(if user.unresolved.is_none() { letter.to_ascii_uppercase() } else { letter })
        };
        (0..snapshot.images.len()).filter_map(letter).collect()
    };
    let listed = used(images.clone());
    images.reverse();
    assert_eq!(used(images), listed, "the order of the list says nothing");
    listed
}

#[test]
fn a_name_that_resolves_hides_no_mention_that_does_not() {
    let digest = |name: &str, digit| format!("{name}@{}", id(digit));
    // The tag has moved from a to b; a is listed without the digest that the container was created by.
    let images = [
        image('a', &["quay.io/team/app:old"], &[]),
        image('b', &["quay.io/team/app:v1"], &[&digest("quay.io/team/app", 'e')]),
        image('c', &["quay.io/team/other:1"], &[&digest("quay.io/team/other", 'f')]),
        image('d', &["mirror.example/team/app:v0"], &[]),
    ];
    let old = digest("quay.io/team/app", '7');
    for (mentions, expected) in [
        (["", &*old, &*old, "quay.io/team/app:v1"], "aBd"),
        (["", &*old, "", "quay.io/team/app:v1"], "aBd"),
        (["", "", &*old, "quay.io/team/app:v1"], "aBd"),
        (["", "quay.io/team/app:v1", "", &*old], "aBd"),
        (["", &*format!("docker-pullable://{old}"), "quay.io/team/app:v1", "quay.io/team/app:v1"], "aBd"),
        // An id that is listed, and a digest that is not.
        ([&*id('b'), &*old, "", ""], "aBd"),
        // A bare id beside a name.
        (["", &*id('7'), &*id('7'), "quay.io/team/app:v1"], "aBd"),
        (["", "7777777", "", "quay.io/team/app:v1"], "aBd"),
        // A name that does not resolve beside an id that does.
        ([&*id('c'), "", "", "quay.io/team/app:v9"], "abC"),
        // All resolve: nothing is left to be protected.
        ([&*id('b'), &*id('b'), &*id('b'), "quay.io/team/app:v1"], "B"),
        ([&*id('a'), &*id('a'), &*id('a'), "quay.io/team/app:v1"], "AB"),
        (["", "", "", &*digest("quay.io/team/app", 'e')], "B"),
    ] {
        assert_eq!(used_by_all(&images, mentions), expected, "{mentions:?}");
    }
}

#[test]
fn a_digest_is_that_of_the_image_a_container_was_created_with_if_nothing_else_is_known_of_it() {
    let digest = |name: &str, digit| format!("{name}@{}", id(digit));
    let images = [
        image('a', &["docker.io/library/nginx:1.24"], &[]),
        image('b', &["docker.io/library/nginx:1.25"], &[]),
        image('c', &[], &[]),
        image('d', &["docker.io/library/nginx:1.26"], &[&digest("docker.io/library/nginx", 'e')]),
        image('f', &["quay.io/team/app:v1"], &[]),
    ];
    let old = format!("docker-pullable://{}", digest("nginx", '7'));
    for (mentions, expected) in [
        (["", &*old, "nginx:1.24", ""], "A"),
        (["", &*old, "nginx:1.24", "nginx:1.26"], "AD"),
        (["", &*old, &*id('a'), ""], "A"),
        // Its digest is known, and is another one.
        (["", &*old, "nginx:1.26", ""], "abcDf"),
        // In another repository.
        (["", &*old, "quay.io/team/app:v1", ""], "abcdF"),
        // Only what the container was created with says so: the tag that the pod names may have moved.
        (["", &*old, &*old, "nginx:1.24"], "Abcdf"),
        (["", &*old, "nginx:1.99", ""], "abcdf"),
    ] {
        assert_eq!(used_by_all(&images, mentions), expected, "{mentions:?}");
    }
    // What is known of it by another algorithm says nothing of this one.
    let by_another = format!("docker.io/library/nginx@sha512:{}", "5".repeat(128));
    let images = [image('a', &["docker.io/library/nginx:1.24"], &[&by_another]), image('c', &[], &[])];
    assert_eq!(used_by_all(&images, ["", &*old, "nginx:1.24", ""]), "A");
}

#[test]
fn an_exact_id_that_is_gone_protects_nothing_else() {
    let digest = |name: &str, digit| format!("{name}@{}", id(digit));
    let images = [
        image('a', &["docker.io/library/nginx:1.27"], &[&digest("docker.io/library/nginx", 'e')]),
        image('b', &["docker.io/library/redis:7"], &[&digest("docker.io/library/redis", 'f')]),
        image('c', &[], &[]),
    ];
    let gone = id('7');
    for (mentions, expected) in [
        ([&*gone, &*gone, &*gone, "nginx:1.26"], ""),
        ([&*gone, &*format!("docker://{}", gone.to_uppercase()), "sha256:7777777", "nginx:1.26"], ""),
        ([&*format!("docker://{gone}"), &*gone, "", "nginx:1.26"], ""),
        ([&*gone["sha256:".len()..].to_uppercase(), &*gone, "", "nginx:1.26"], ""),
        (["7777777777777777777777777777777777777777777777777777777777777777", "", "", "nginx:1.26"], ""),
        // The tag has moved to another image.
        ([&*gone, &*gone, &*gone, "nginx:1.27"], "A"),
        // A digest may be that of an image which is listed without it.
        ([&*gone, &*digest("nginx", '6'), "", "nginx:1.26"], "ac"),
        ([&*gone, "", &*digest("mirror.example/x", '6'), "redis:7"], "Bc"),
        ([&*gone, &*id('6'), "", ""], "c"),
        // Not exact, so a name counts as well.
        (["sha256:777", "", "", "nginx:1.26"], "ac"),
        (["", &*gone, "", "nginx:1.26"], "ac"),
        // No runtime has such ids: it may be a digest, by an algorithm of which no image's digest is known.
        ([&*format!("sha512:{}", "7".repeat(128)), "", "", "nginx:1.26"], "abc"),
    ] {
        assert_eq!(used_by_all(&images, mentions), expected, "{mentions:?}");
    }
}

#[test]
fn an_image_that_may_be_any_protects_all_and_a_volume_counts_by_itself() {
    let images = vec![
        image('a', &["quay.io/a:1"], &[&format!("quay.io/a@{}", id('e'))]),
        image('b', &["quay.io/b:1"], &[&format!("quay.io/b@{}", id('f'))]),
    ];
    let mut unseen = container("c", ImageMentions { image_id: id('a'), ..ImageMentions::default() });
    unseen.image_volumes = vec!["quay.io/b:2".to_owned()];
    let node = snapshot(images.clone(), vec![unseen.clone()]);
    let usage = Usage::of(&node);
    assert_eq!(usage.users(0)[0].unresolved, None);
    assert_eq!(usage.users(1)[0].unresolved, Some("quay.io/b:2"));
    unseen.image_volumes = vec![UNKNOWN_IMAGE.to_owned()];
    let node = snapshot(images.clone(), vec![unseen]);
    let usage = Usage::of(&node);
    assert_eq!((usage.users(0).len(), usage.users(0)[0].unresolved), (1, None), "certain, and listed once");
    assert_eq!(usage.users(1)[0].unresolved, Some(""));
    let mut node = snapshot(images, Vec::new());
    node.sandboxes.push(sandbox("s", UNKNOWN_IMAGE));
    let usage = Usage::of(&node);
    assert_eq!(usage.users(0)[0].unresolved, Some(""));
    assert_eq!(usage.users(1)[0].unresolved, Some(""));
}

#[test]
fn a_container_outside_cri_uses_the_image_of_its_name() {
    let images = vec![image('a', &["quay.io/a:1"], &[]), image('b', &["quay.io/b:1"], &[]), image('c', &[], &[])];
    let users = |name: &str| {
        let mut node = snapshot(images.clone(), Vec::new());
        node.outside = vec![outside("o", name)];
        let usage = Usage::of(&node);
        let certain =
            |place| usage.users(place).first().map(|user| (user.holder.id() == "o", user.unresolved.is_none()));
        [certain(0), certain(1), certain(2)]
    };
    let (certain, possible) = (Some((true, true)), Some((true, false)));
    assert_eq!(users("quay.io/a:1"), [certain, None, None]);
    assert_eq!(users(&id('c')), [None, None, certain]);
    assert_eq!(users("quay.io/b:2"), [None, possible, possible], "a name that is gone");
    assert_eq!(users(UNKNOWN_IMAGE), [possible; 3]);
    let mut node = snapshot(images.clone(), Vec::new());
    node.outside = vec![outside("o", "quay.io/a:1")];
    let usage = Usage::of(&node);
    let holder = usage.users(0)[0].holder.to_string();
    assert_eq!(holder, "container o (outside CRI, in containerd namespace k8s.io)");
}

#[test]
fn all_mentions_count() {
    let mentions = ImageMentions {
        image_id: id('a'),
        image_ref: id('b'),
        image: "quay.io/x:1".to_owned(),
        user_specified_image: "quay.io/y:1".to_owned(),
    };
    let images = vec![
        image('a', &[], &[]),
        image('b', &[], &[]),
        image('c', &["quay.io/x:1"], &[]),
        image('d', &["quay.io/y:1"], &[]),
        image('e', &["quay.io/z:1"], &[]),
    ];
    let snapshot = snapshot(images, vec![container("c", mentions)]);
    let usage = Usage::of(&snapshot);
    let users: Vec<usize> = (0..5).map(|place| usage.users(place).len()).collect();
    assert_eq!(users, [1, 1, 1, 1, 0]);
    assert_eq!(usage.image_of(&snapshot.containers[0]).map(ImageId::as_str), Some(id('a').as_str()));
}

#[test]
fn image_volumes_and_sandboxes_count() {
    let mut mounting = container("c", ImageMentions { image_id: id('a'), ..ImageMentions::default() });
    mounting.image_volumes = vec!["quay.io/plugin:1".to_owned()];
    let images = vec![
        image('a', &[], &[]),
        image('b', &["quay.io/plugin:1"], &[]),
        image('c', &["registry.k8s.io/pause:3.9"], &[]),
        image('d', &["quay.io/other:1"], &[]),
    ];
    let mut snapshot = snapshot(images, vec![mounting]);
    snapshot.sandboxes.push(sandbox("s", "registry.k8s.io/pause:3.9"));
    let usage = Usage::of(&snapshot);
    let users: Vec<usize> = (0..4).map(|place| usage.users(place).len()).collect();
    assert_eq!(users, [1, 1, 1, 0]);
}

#[test]
fn certain_users_come_first() {
    let unsure = container("a", ImageMentions { image: "nginx:old".to_owned(), ..ImageMentions::default() });
    let sure = container("b", ImageMentions { image: "nginx:1".to_owned(), ..ImageMentions::default() });
    let snapshot = snapshot(vec![image('a', &["docker.io/library/nginx:1"], &[])], vec![unsure, sure]);
    let usage = Usage::of(&snapshot);
    let users: Vec<&str> = usage.users(0).iter().map(|user| user.holder.id()).collect();
    assert_eq!(users, ["b", "a"]);
}

#[test]
fn running_containers_come_before_others_and_then_ids_count() {
    let of = |name: &str, state: ContainerState| Container {
        state,
        ..container(name, ImageMentions { image: "nginx:1".to_owned(), ..ImageMentions::default() })
    };
    let mut containers = vec![of("a", Exited), of("b", Created), of("c", Running), of("d", Running)];
    for _ in 0..2 {
        let snapshot = snapshot(vec![image('a', &["docker.io/library/nginx:1"], &[])], containers.clone());
        let usage = Usage::of(&snapshot);
        let users: Vec<&str> = usage.users(0).iter().map(|user| user.holder.id()).collect();
        assert_eq!(users, ["c", "d", "a", "b"]);
        containers.reverse();
    }
}

#[test]
fn a_digest_counts_though_the_runtime_names_the_id_of_an_image_that_is_gone() {
    let gone = format!("sha256:{}", "9".repeat(64));
    for (mention, is_used) in [
        (format!("docker.io/library/nginx@{gone}"), true),
        (format!("docker-pullable://nginx@{gone}"), true),
        (gone.clone(), false),
        ("docker.io/library/nginx:2".to_owned(), false),
    ] {
        let mentions = ImageMentions { image_id: gone.clone(), image_ref: mention.clone(), ..ImageMentions::default() };
        let snapshot = snapshot(vec![image('a', &["docker.io/library/nginx:1"], &[])], vec![container("c", mentions)]);
        assert_eq!(!Usage::of(&snapshot).users(0).is_empty(), is_used, "{mention}");
    }
}

#[test]
fn an_unknown_bare_id_protects_what_it_could_mean() {
    // All digits of an id, with and without the algorithm: an image whose digests are unknown may have that one.
    for mention in ["7".repeat(64), id('7'), format!("0{}", "7".repeat(63))] {
        let used = used_by(&mention);
        assert!(used.contains('a') && used.contains('d'), "{mention}: {used}");
    }
    // Some digits, or a name: an image that has lost its name may be it.
    for mention in ["777777777777", "7777777", "sha256:7777777"] {
        assert!(used_by(mention).contains('d'), "{mention}: {}", used_by(mention));
    }
}

#[test]
fn an_id_without_its_algorithm_is_found_by_the_number_of_its_digits() {
    for (digits, algorithm) in [(64, "sha256"), (96, "sha384"), (128, "sha512")] {
        let hex = "5".repeat(digits);
        let others = ["sha256", "sha384", "sha512"].into_iter().filter(|other| *other != algorithm);
        let users = |mention: &str| {
            let mentions = ImageMentions { image: mention.to_owned(), ..ImageMentions::default() };
            let digest = format!("docker.io/a/b@{}", id('9'));
            let listed = fixture::image(&hex, &["docker.io/a/b:1"], &[&digest]);
            let snapshot = snapshot(vec![listed], vec![container("c", mentions)]);
            let unresolved: Vec<bool> =
                Usage::of(&snapshot).users(0).iter().map(|user| user.unresolved.is_some()).collect();
            unresolved
        };
        for mention in [hex.clone(), format!("{algorithm}:{hex}"), format!("docker://{hex}")] {
            assert_eq!(users(&mention), [false], "{mention}");
        }
        for other in others {
            assert_ne!(users(&format!("{other}:{hex}")), [false], "{other} {digits}");
        }
    }
}
