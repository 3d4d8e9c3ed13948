use super::{Reference, is_in_full_form, is_none};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn full(text: &str) -> String {
    Reference::parse(text).unwrap().to_string()
}

#[test]
fn short_names_mean_docker_hub() {
    let cases = [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("minchou/rollout:v1", "docker.io/minchou/rollout:v1"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("docker.io/minchou/rollout", "docker.io/minchou/rollout"),
        ("localhost/pause:1", "localhost/pause:1"),
        ("localhost:5000/app", "localhost:5000/app"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("a/b/c", "docker.io/a/b/c"),
        ("Registry/app", "registry:443/app"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
    ];
    for (text, expected) in cases {
        assert_eq!(full(text), expected, "{text}");
    }
}

#[test]
fn ports_tags_and_digests_are_told_apart() {
    let reference = Reference::parse(&format!("reg.example:5000/team/app:v1.2@{DIGEST}")).unwrap();
    assert_eq!(reference.repository(), "reg.example:5000/team/app");
    assert_eq!(reference.tag(), Some("v1.2"));
    assert_eq!(reference.digest(), Some(DIGEST));

    let only_port = Reference::parse("reg.example:5000/app").unwrap();
    assert_eq!((only_port.tag(), only_port.digest()), (None, None));

    let only_digest = Reference::parse(&format!("app@{DIGEST}")).unwrap();
    assert_eq!(only_digest.repository(), "docker.io/library/app");
    assert_eq!((only_digest.tag(), only_digest.digest()), (None, Some(DIGEST)));
}

#[test]
fn what_breaks_the_grammar_is_refused() {
    let long_tag = format!("app:{}", "a".repeat(129));
    let long_repository = format!("example.com/{}", "a".repeat(260));
    let cases = [
        "",
        " ",
        "/app",
        "app/",
        "a//b",
        "App",
        "app:",
        "app:.x",
        "app:a/b:c",
        "app:v1+2",
        "app@",
        "app@sha256:12",
        "app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
        "app@sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "..io/app",
        "[::1/app",
        "[::1]5000/app",
        "[xyz::1]/app",
        "-app",
        "app-",
        "a..b",
        "a___b",
        "re_g.io:x/app",
        "-bad.io/app",
        "reg.io:/app",
        "app\n",
        "äpp",
        &long_tag,
        &long_repository,
    ];
    for text in cases {
        let error = Reference::parse(text).expect_err(text);
        assert!(error.to_string().contains("is not an image reference"), "{error}");
    }
}

#[test]
fn odd_but_valid_names_pass() {
    for text in ["a__b/c.d/e-f", "a--b", "example.com/x---y:_1", "0/1:2", "reg.io/a:A.B-C_d"] {
        assert!(Reference::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn the_full_form_parses_to_itself() {
    for text in ["nginx:1", "minchou/rollout", "localhost:5000/a:b", "registry.k8s.io/pause:3.9"] {
        let reference = Reference::parse(text).unwrap();
        assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
    }
}

#[test]
fn spellings_of_one_thing_are_equal() {
    let hex = "0123456789abcdef".repeat(4);
    for (one, other) in [
        ("Docker.IO/library/nginx:1", "nginx:1"),
        ("docker.io:443/nginx:1", "nginx:1"),
        ("index.docker.io/nginx:1", "nginx:1"),
        ("registry-1.docker.io/library/nginx:1", "nginx:1"),
        ("registry.hub.docker.com/library/nginx:1", "nginx:1"),
        ("Registry-1.Docker.IO:443/nginx:1", "nginx:1"),
        ("docker.io./nginx:1", "nginx:1"),
        ("docker.io.:443/nginx:1", "nginx:1"),
        ("Registry.Example.com/app", "registry.example.com/app"),
        ("registry.example.com:443/app", "registry.example.com/app"),
        ("registry.example.com:0443/app", "registry.example.com/app"),
        ("registry.example.com:05000/app", "registry.example.com:5000/app"),
        ("registry.example.com:00/app", "registry.example.com:0/app"),
        ("registry.example.com./app", "registry.example.com/app"),
        ("registry.example.com.:5000/app", "registry.example.com:5000/app"),
        ("LOCALHOST/app", "localhost/app"),
        ("localhost:443/app", "localhost/app"),
        ("REG/app", "reg:443/app"),
        ("reg./app", "reg:443/app"),
        ("[2001:DB8:0:0:0:0:0:1]:5000/app", "[2001:db8::1]:5000/app"),
        ("[2001:db8::1]:443/app", "[2001:db8::1]/app"),
        ("[::FFFF:a00:1]/app", "[0:0:0:0:0:ffff:a00:1]/app"),
        (&format!("app@SHA256:{}", hex.to_uppercase()), &format!("app@sha256:{hex}")),
        (&format!("app@sha512:{}", hex.repeat(2).to_uppercase()), &format!("app@sha512:{}", hex.repeat(2))),
    ] {
        let parse = |text: &str| Reference::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parse(one), parse(other), "{one}");
        assert_eq!(parse(&full(one)), parse(one), "the full form of {one} means the same");
    }
    for (one, other) in [
        ("registry.example.com:80/app", "registry.example.com/app"),
        ("registry.example.com:4430/app", "registry.example.com/app"),
        ("reg/app", "REG/app"),
        ("app:V1", "app:v1"),
        ("docker.io.example.com/nginx", "docker.io/nginx"),
    ] {
        assert_ne!(full(one), full(other), "{one}");
    }
}

#[test]
fn the_length_of_a_repository_is_that_of_its_path() {
    let host = format!("{}.example.com", "a".repeat(60));
    assert!(Reference::parse(&format!("{host}/{}", "b".repeat(255))).is_ok());
    assert!(Reference::parse(&format!("{host}/{}", "b".repeat(256))).is_err());
    assert!(Reference::parse(&"b".repeat(247)).is_ok(), "with library/ in front it has 255");
    assert!(Reference::parse(&"b".repeat(248)).is_err());
}

#[test]
fn the_longest_tag_is_taken() {
    let tag = "b".repeat(128);
    assert_eq!(Reference::parse(&format!("app:{tag}")).unwrap().tag(), Some(tag.as_str()));
    assert!(Reference::parse(&format!("app:{tag}b")).is_err());
}

#[test]
fn what_is_in_full_form_is_known_at_sight() {
    for text in ["docker.io/library/nginx:1", "quay.io/a/b:C", "a-b.example/c@sha256:0"] {
        assert!(is_in_full_form(text), "{text}");
    }
    for text in [
        "nginx:1",
        "a/b:1",
        "docker.io/nginx:1",
        "Docker.io/a/b",
        "index.docker.io/a/b",
        "quay.io./a",
        "quay.io:443/a",
        "localhost/a",
    ] {
        assert!(!is_in_full_form(text), "{text}");
    }
}

#[test]
fn what_docker_writes_for_nothing_is_none() {
    for text in ["", "<none>", "<none>:<none>", "<none>@<none>", "busybox:<none>", "a.b:5/busybox@<none>"] {
        assert!(is_none(text), "{text}");
    }
    for text in ["busybox", "none:none", "<none>:1", &format!("<none>@{DIGEST}"), "a<none>"] {
        assert!(!is_none(text), "{text}");
    }
}

#[test]
fn digests_of_every_algorithm_have_its_length() {
    let of = |algorithm: &str, length: usize| format!("app@{algorithm}:{}", &"0123456789abcdef".repeat(9)[..length]);
    for (algorithm, length) in [("sha256", 64), ("sha512", 128), ("sha384", 96), ("blake3", 32), ("sha256+b64u", 43)] {
        let text = of(algorithm, length);
        let reference = Reference::parse(&text).unwrap();
        assert_eq!(reference.digest(), text.split_once('@').map(|(_, digest)| digest), "{text}");
        assert_eq!(reference.repository(), "docker.io/library/app");
    }
    for (algorithm, length) in [
        ("sha256", 63),
        ("sha256", 65),
        ("sha256", 128),
        ("sha512", 127),
        ("sha512", 129),
        ("sha512", 64),
        ("sha384", 31),
        ("sha384", 95),
        ("sha384", 97),
    ] {
        assert!(Reference::parse(&of(algorithm, length)).is_err(), "{algorithm} {length}");
    }
    for wrong in ["512", "", "-a", "sha 512", "sha/512"] {
        assert!(Reference::parse(&of(wrong, 128)).is_err(), "{wrong}");
    }
}

#[test]
fn registries_by_ipv6_address_are_known() {
    for (text, repository, tag) in [
        ("[::1]/app", "[::1]/app", None),
        ("[::1]:5000/team/app:v1", "[::1]:5000/team/app", Some("v1")),
        ("[2001:db8::a]:5000/app:1", "[2001:db8::a]:5000/app", Some("1")),
    ] {
        let reference = Reference::parse(text).unwrap();
        assert_eq!((reference.repository(), reference.tag()), (repository, tag), "{text}");
    }
    for wrong in
        ["[]/app", "[::1/app", "::1]/app", "[::1]5000/app", "[::1]:/app", "[::1]:x/app", "[::g]/app", "[:: 1]/app"]
    {
        assert!(Reference::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn hosts_of_other_characters_are_none() {
    for host in ["a_b.c", "\u{1b}.b", "ä.example", "A_B", "a b.c", "a.b:443:x", "a_b.c:443", "_.", "%.c:5000"] {
        let error = Reference::parse(&format!("{host}/app")).unwrap_err().to_string();
        assert!(error.ends_with("the registry is not a host name with an optional port"), "{host}: {error}");
    }
}
