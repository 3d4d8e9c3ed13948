use super::{Pattern, glob};
use crate::fixture::image;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn matches(pattern: &str, text: &str) -> bool {
    pattern.parse::<Pattern>().unwrap().matches_text(text)
}

#[test]
fn a_repository_matches_all_its_tags_and_nothing_else() {
    let pattern = "docker.io/minchou/pw";
    assert!(matches(pattern, "docker.io/minchou/pw:1"));
    assert!(matches(pattern, &format!("docker.io/minchou/pw@sha256:{HEX}")));
    // The script's grep would have matched both.
    assert!(!matches(pattern, "docker.io/minchou/pw-app:1"));
    assert!(!matches(pattern, "example.com/docker.io/minchou/pw:1"));
}

#[test]
fn wildcards_cross_slashes() {
    for (pattern, text, expected) in [
        ("docker.io/minchou/*", "docker.io/minchou/rollout:v1", true),
        ("docker.io/minchou/*", "docker.io/minchou/a/b:v1", true),
        ("docker.io/minchou/*", "docker.io/minchou2/rollout:v1", false),
        ("*:br-*", "docker.io/minchou/rollout:br-17", true),
        ("*:br-*", "reg.example:5000/a:br-", true),
        ("*:br-*", "docker.io/minchou/rollout:main", false),
        ("*pause*", "registry.k8s.io/pause:3.9", true),
        ("*pause*", "example.com/a/pause-amd64:1", true),
        ("*pause*", "docker.io/library/app:pause", false),
        ("*", "anything/at-all:1", true),
        ("reg.example:5000/team-?/app:1.*", "reg.example:5000/team-a/app:1.9", true),
        ("reg.example:5000/team-?/app:1.*", "reg.example:5000/team-ab/app:1.9", false),
        ("reg.example:5000/*", "reg.example:5000/app:1", true),
        ("localhost/*", "localhost/pause:1", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
    }
}

#[test]
fn short_names_mean_docker_hub() {
    assert!(matches("nginx", "docker.io/library/nginx:1"));
    assert!(matches("nginx:1.*", "docker.io/library/nginx:1.27"));
    assert!(matches("nginx*", "docker.io/library/nginx-unprivileged:1"));
    assert!(!matches("nginx*", "docker.io/bitnami/nginx:1"));
    assert!(matches("minchou/*", "docker.io/minchou/rollout:1"));
    assert!(matches("minch?u/roll*:v1", "docker.io/minchou/rollout:v1"));
    assert!(matches("reg-?.example.com/a", "reg-1.example.com/a:1"));
    assert!(!matches("minchou/*", "quay.io/minchou/rollout:1"));
    assert!(matches("*/minchou/*", "quay.io/minchou/rollout:1"));
    // The other way round: a runtime that lists short names.
    assert!(matches("docker.io/library/nginx:*", "nginx:1"));
}

#[test]
fn digests_and_ids() {
    let tagless = image(&format!("sha256:{HEX}"), &[], &[]);
    let bare = image(HEX, &["a:1"], &[]);
    for pattern in [format!("sha256:{HEX}"), HEX.to_owned(), "sha256:0123456789ab".to_owned(), HEX[..13].to_owned()] {
        let parsed: Pattern = pattern.parse().unwrap();
        assert!(parsed.matches_image(&tagless) && parsed.matches_image(&bare), "{pattern}");
    }
    assert!(matches("sha256:0123456789ab", &format!("a/b@sha256:{HEX}")));
    assert!(!matches("sha256:0123456789ac", &format!("a/b@sha256:{HEX}")));
    assert!(matches(&format!("a/b@sha256:{HEX}"), &format!("a/b:1@sha256:{HEX}")));
    assert!(!matches(&format!("a/c@sha256:{HEX}"), &format!("a/b@sha256:{HEX}")));
    assert!(matches(&format!("a/b:1@sha256:{HEX}"), &format!("a/b@sha256:{HEX}")));
    assert!(!matches(&format!("a/b:1@sha256:{HEX}"), "a/b:1"));
    // A tag is asked for, and a digest alone has none.
    assert!(!matches("a/b:1", &format!("a/b@sha256:{HEX}")));
}

#[test]
fn a_star_matches_even_an_image_without_a_name() {
    let nameless = image(&format!("sha256:{HEX}"), &[], &[]);
    assert!("*".parse::<Pattern>().unwrap().matches_image(&nameless));
    assert!(!"*:1".parse::<Pattern>().unwrap().matches_image(&nameless));
}

#[test]
fn a_name_that_is_no_reference_can_still_be_matched() {
    assert!(matches("*pause*", "K8S pause!"));
    assert!(!matches("*nginx*", "K8S pause!"));
}

#[test]
fn an_image_is_matched_by_each_of_its_names() {
    let image = image(HEX, &["nginx:1", "acme/app:2", "odd name"], &[]);
    for (pattern, expected) in
        [("nginx", true), ("acme/*:2", true), ("odd?name", true), ("nginx:2", false), ("redis", false)]
    {
        assert_eq!(pattern.parse::<Pattern>().unwrap().matches_image(&image), expected, "{pattern}");
    }
}

#[test]
fn a_pattern_remembers_how_it_was_written() {
    for text in ["nginx", "Registry.Example.com:443/app*", "SHA256:0123456789AB", "*"] {
        let pattern: Pattern = text.parse().unwrap();
        assert_eq!((pattern.as_str(), pattern.to_string().as_str()), (text, text));
        assert_eq!(String::from(pattern), text);
    }
}

#[track_caller]
fn problem(pattern: &str) -> String {
    let error = pattern.parse::<Pattern>().expect_err(pattern).to_string();
    let problem = error.split_once(" is not an image pattern: ").map(|(_, problem)| problem.to_owned());
    problem.unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn what_can_never_match_is_refused_in_the_words_of_the_grammar() {
    let (long, long_tag, long_path) = ("a".repeat(1025), format!("a:{}*", "b".repeat(129)), "a".repeat(256));
    let (parts, upper) = ("no repository is like that", "repositories have no upper-case letters");
    let (tag, digest) = ("a tag has letters, digits, '_', '.' and '-'", "what follows the @ is a digest");
    let library = "a repository of Docker Hub is written docker.io/library/NAME";
    for (pattern, expected) in [
        ("", "it is empty"),
        (" ", "it has a character that no reference has"),
        ("a b", "it has a character that no reference has"),
        ("a\tb", "it has a character that no reference has"),
        ("größe", "it has a character that no reference has"),
        ("app:[12].*", "it has a character that no reference has"),
        ("a,b", "it has a character that no reference has"),
        ("!a", "it has a character that no reference has"),
        ("<none>", "it has a character that no reference has"),
        (":tag", "write *:TAG"),
        ("@sha256:0123456789ab", "leave out the @"),
        ("a:", "nothing follows"),
        ("a/b:", "nothing follows"),
        ("a@", "nothing follows"),
        ("a//b", "empty path component"),
        ("/a", "empty path component"),
        ("acme//", "empty path component"),
        ("docker.io/", "write docker.io/* for all that is beneath"),
        ("acme/", "write acme/* for all that is beneath"),
        ("https://registry.example.com/app", "leave out https://"),
        ("docker://nginx", "leave out docker://"),
        // Digests and ids.
        ("sha256:12", "sha256: must be followed by 12 to 64 hexadecimal digits"),
        ("sha256:xyz", "sha256: must be followed by 12 to 64 hexadecimal digits"),
        ("sha256:*", "sha256: must be followed by 12 to 64 hexadecimal digits"),
        (&format!("sha256:{HEX}0"), "sha256: must be followed by 12 to 64 hexadecimal digits"),
        ("sha512:0123", "sha512: must be followed by 12 to 128 hexadecimal digits"),
        ("6d9ac9237a8", library),
        ("6D9AC92", library),
        ("7", library),
        ("6d9ac9237a84a*", "need no *"),
        (&HEX.repeat(3), "more digits than any id"),
        ("app@latest", digest),
        ("app:v1@sha256:abc", digest),
        ("app@6d9ac9237a8", digest),
        ("app@sha256:abc*", digest),
        (&format!("app@sha256:{HEX}0"), digest),
        ("app@sha256:0123456789ab@sha256:0123456789ab", digest),
        ("app@sha?56:*", digest),
        (&format!("app@{}0", HEX.repeat(2)), digest),
        // Tags.
        ("acme/app:v1:v2", "it has two tags"),
        ("acme/app:v1:*", "it has two tags"),
        ("rancher/k3s:v1.31.5+k3s1", "no tag has a '+'"),
        ("acme/app:*+*", "no tag has a '+'"),
        ("app:.v1", tag),
        ("app:-v1", tag),
        ("app:.*", tag),
        ("app:[", "it has a character that no reference has"),
        (&long_tag, "no tag is longer than 128 characters"),
        ("rancher/k3s:v1+k3s1@sha256:0123456789ab", "no tag has a '+'"),
        // Repositories.
        ("docker.io/App", upper),
        ("Acme/app", upper),
        ("Acme/*", upper),
        ("acme/App*", upper),
        ("*/App", upper),
        ("*App*", upper),
        ("acme/..", parts),
        ("acme/app_-x", parts),
        ("acme/app-", parts),
        ("acme/-app*", parts),
        ("acme/a___b", parts),
        ("acme/*..*", parts),
        ("acme/app/.*", parts),
        ("?ar/app", parts),
        ("?oc/app", parts),
        ("*:5x00/app", parts),
        ("a+b", parts),
        ("*..*/app", parts),
        (&format!("registry.example.com/{long_path}*"), "no repository is longer than 255 characters"),
        (&long, "it is longer than 1024 characters"),
        // Registries alone.
        ("registry.example.com", "write registry.example.com/* for all of its images"),
        ("registry.example.com:5000", "write registry.example.com:5000/* for all of its images"),
        ("registry.example.com:latest", "write registry.example.com/* for all of its images"),
        ("registry.example.*", "write registry.example.*/* for all of its images"),
        ("docker.io", "write docker.io/* for all of its images"),
        ("10.0.0.1:5000", "write 10.0.0.1:5000/* for all of its images"),
        ("localhost", "write localhost/* for all of its images"),
        ("localhost:5000", "write localhost:5000/* for all of its images"),
        ("[::1]:5000", "write [::1]:5000/* for all of its images"),
    ] {
        let problem = problem(pattern);
        assert!(problem.contains(expected), "{pattern}: {problem}");
    }
}

#[test]
fn a_registry_that_could_be_a_repository_of_docker_hub_says_how_that_is_written() {
    let localhost = "localhost is a registry; write localhost/* for all of its images";
    assert_eq!(problem("localhost"), localhost);
    assert_eq!(
        problem("my.app"),
        "my.app is a registry; write my.app/* for all of its images, or docker.io/library/NAME for a repository of Docker Hub"
    );
}

#[test]
fn what_can_match_is_taken() {
    // As long as each part may be.
    let (long, tag, path) = ("*".repeat(1024), format!("a:{}*", "b".repeat(128)), "a".repeat(255));
    for pattern in [
        &long,
        &tag,
        &format!("registry.example.com/{path}*"),
        // What begins like an id and has too few digits for one may be a name.
        "6d9ac92*",
        "cafe",
        "cafe:1",
        "6d9ac9237a8:1",
        "docker.io/library/6d9ac9237a8",
        "docker.io/library/registry.example.com",
        "acme/my.app",
        "*.example.com/app",
        "*my.app*",
        "mysql:8",
        "a__b/c.d/e---f:_1",
        "*-*",
        "*:*-*",
        "*@*",
        "app@sha256:*",
        "?ocalhost/app",
        "localhos?:5000/app",
        "[::1]:5000/*",
        "[2001:db8::*]/app",
        "reg*.example.com:5???/app",
        "A.Example.com/app",
        "***",
    ] {
        if let Err(error) = pattern.parse::<Pattern>() {
            // A '[' stands around an address only.
            panic!("{error}");
        }
    }
}

#[test]
fn digests_may_be_shortened_after_a_repository_too() {
    let name = format!("docker.io/library/busybox@sha256:{HEX}");
    for pattern in [
        "docker.io/library/busybox@sha256:0123456789abc",
        "busybox@0123456789ab",
        &format!("busybox@{HEX}"),
        "busybox@SHA256:0123456789ABC",
        "busybox:1@sha256:0123456789ab",
        "*@sha256:0123456789ab",
        "busybox@sha256:0123456789ab*",
        "busybox@*",
        "busybox@sha256:*",
        "SHA256:0123456789ABC",
        "0123456789ABC",
    ] {
        assert!(matches(pattern, &name), "{pattern}");
    }
    for pattern in ["busybox@sha256:0123456789ac", "nginx@0123456789ab", "busybox@sha512:0123456789ab"] {
        assert!(!matches(pattern, &name), "{pattern}");
    }
    let other = format!("a/b@sha512:{}", HEX.repeat(2));
    assert!(matches("sha512:0123456789ab", &other) && matches("0123456789ab", &other) && matches("a/b@*", &other));
    assert!(!matches("sha256:0123456789ab", &other) && !matches("a/b@sha256:0123456789ab", &other));
    let bare = image(&HEX.to_uppercase(), &[], &[]);
    assert!("sha256:0123456789ab".parse::<Pattern>().unwrap().matches_image(&bare));
    assert!(!"sha512:0123456789ab".parse::<Pattern>().unwrap().matches_image(&bare));
}

#[test]
fn hosts_match_in_every_spelling() {
    for (pattern, text) in [
        ("Registry.Example.com/*", "registry.example.com/app:1"),
        ("registry.example.com:443/app", "registry.example.com/app:1"),
        ("registry.example.com/app", "registry.example.com:443/app:1"),
        ("reg-?.Example.com:443/app", "reg-1.example.com/app:1"),
        ("reg-*.example.com:443/app", "reg-1.example.com:443/app:1"),
        ("reg-?.example.com.:5000/app", "reg-1.example.com:5000/app:1"),
        ("index.docker.io/nginx", "docker.io/library/nginx:1"),
        ("index.docker.io/*", "docker.io/minchou/rollout:1"),
        ("docker.io/*", "docker.io/minchou/rollout:1"),
        ("docker.io/*", "nginx:1"),
        ("registry-1.docker.io/minchou/*", "minchou/rollout:1"),
        ("LOCALHOST/*", "localhost/app:1"),
        ("[2001:DB8::1]:5000/*", "[2001:db8:0::1]:5000/app:1"),
        ("nginx", "registry.hub.docker.com/library/nginx:1"),
        // Without a dot, the port is what makes it a registry.
        ("reg*:443/app", "reg-1:443/app:1"),
    ] {
        assert!(matches(pattern, text), "{pattern} against {text}");
    }
    assert!(!matches("reg*:443/app", "registry.example.com/app:1"));
}

#[test]
fn a_long_name_with_its_host_is_a_name() {
    let name = format!("{}.example.com/team/{}:1", "a".repeat(60), "b".repeat(200));
    let pattern: Pattern = format!("{}.example.com/team", "a".repeat(60)).parse().unwrap();
    assert!(!pattern.matches_text(&name));
    assert!(matches(&format!("{}.example.com/team/*", "a".repeat(60)), &name));
    assert!(matches("*/team/*:1", &name) && !matches("*/team/*:2", &name));
}

#[test]
fn a_pattern_without_its_tag_is_the_repository() {
    let reference = crate::reference::Reference::parse("docker.io/minchou/app").unwrap();
    let without: Pattern = "minchou/*:br-*".parse::<Pattern>().unwrap().without_tag().unwrap();
    assert!(without.matches_reference(&reference));
    assert_eq!("minchou/*".parse::<Pattern>().unwrap().without_tag(), None);
    for (pattern, has_hash) in [("a@*", true), ("0123456789ab", true), ("a:1", false), ("*", false)] {
        assert_eq!(pattern.parse::<Pattern>().unwrap().has_hash(), has_hash, "{pattern}");
    }
}

#[test]
fn globs() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", true),
        ("?", "", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "abcbc", true),
        ("a*b*c", "acb", false),
        ("**a", "a", true),
        ("*a*a*a*", "aa", false),
        ("a?c", "abc", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
    }
    // Would take exponential time with naive backtracking.
    assert!(!glob(&"*a".repeat(100), &"a".repeat(99)));
}
