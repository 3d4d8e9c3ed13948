use super::Reference;

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
        ("Registry/app", "Registry/app"),
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
        "app@",
        "app@sha256:12",
        "app@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
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
