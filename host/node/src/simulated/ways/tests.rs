use super::Answered;
use crate::simulated::fixture::{container, id, image, snapshot};
use crate::simulated::store::Store;
use crate::simulated::{Faults, Flavour};
use holystone_core::image::Image;
use holystone_core::snapshot::Snapshot;

/// Returns the store of a node with six unused images under this runtime.
fn store(runtime: &str, faults: Faults) -> Store {
    let mut node = Snapshot { containers: Vec::new(), ..snapshot(6) };
    node.node.runtime_name = runtime.to_owned();
    Store::of(node, faults)
}

fn remove(store: &mut Store, name: &str) -> Result<(), String> {
    let id = store.find(name).map(|image| image.id.to_string());
    match id.map_or(Answered::Done, |id| store.remove_by(name, &id)) {
        Answered::Done => Ok(()),
        Answered::Refused(words) => Err(words),
        Answered::Never => Err("never".to_owned()),
    }
}

fn named(number: usize, tags: &[&str]) -> Image {
    Image { repo_tags: tags.iter().map(ToString::to_string).collect(), ..image(number) }
}

#[test]
fn the_flavour_is_that_of_the_runtimes_name() {
    let flavours = ["cri-o", "docker", "containerd", "other"].map(Flavour::of);
    assert_eq!(flavours, [Flavour::CriO, Flavour::Docker, Flavour::Containerd, Flavour::Containerd]);
}

#[test]
fn crio_says_that_it_removed_what_it_keeps() {
    let mut crio = store("cri-o", Faults::none().artifact(id(3)).read_only(id(4)));
    assert_eq!(remove(&mut crio, &id(3)), Ok(()));
    assert_eq!(remove(&mut crio, &id(4)), Ok(()));
    assert_eq!(crio.images.len(), 6, "neither went by its id");
    assert_eq!(remove(&mut crio, &image(3).repo_digests[0]), Ok(()));
    assert_eq!(crio.images.len(), 6, "it was pulled by its tag");
    assert_eq!(remove(&mut crio, "minchou/app:v3"), Ok(()));
    assert_eq!(crio.images.len(), 5, "the artifact went by its tag");
    assert!(remove(&mut crio, "minchou/app:v4").unwrap_err().contains("read-only store"));
}

#[test]
fn crio_refuses_what_is_used_and_takes_no_name_of_it() {
    let mut crio = store("cri-o", Faults::none().in_use(id(5)));
    crio.containers.insert("c".to_owned(), container("c", 3));
    for number in [3, 5] {
        assert!(remove(&mut crio, &id(number)).unwrap_err().ends_with("image is in use by a container"));
        assert_eq!(crio.images[&id(number)], image(number));
    }
    crio.add_image(named(2, &["docker.io/a/b:1", "docker.io/a/b:2"]));
    assert_eq!(remove(&mut crio, "docker.io/a/b:1"), Ok(()));
    assert_eq!(crio.images[&id(2)].repo_tags, ["docker.io/a/b:2"], "by one name, that name");
    assert_eq!(remove(&mut crio, &id(2)), Ok(()));
    assert!(!crio.images.contains_key(&id(2)));
}

#[test]
fn docker_takes_name_after_name_until_one_is_refused() {
    for (tags, left) in [
        (&["a/b:1"][..], &["a/b:1"][..]),
        (&["a/b:1", "a/b:2"], &["a/b:2"]),
        (&["a/b:1", "c/d:1", "e/f:1"], &["e/f:1"]),
    ] {
        let mut docker = store("docker", Faults::none().in_use(id(3)));
        docker.add_image(Image { repo_digests: Vec::new(), ..named(3, tags) });
        let words = remove(&mut docker, &id(3)).unwrap_err();
        assert!(words.starts_with("Error response from daemon: conflict: unable to remove repository"), "{words}");
        assert_eq!(docker.images[&id(3)].repo_tags, left, "{tags:?}");
    }
    let mut docker = store("docker", Faults::none());
    assert_eq!(remove(&mut docker, &id(3)), Ok(()));
    assert_eq!(docker.images.len(), 5);
}

#[test]
fn docker_keeps_parents_until_their_children_go_and_hides_them() {
    for (first, second, answers) in [(3, 4, [false, true]), (4, 3, [true, true])] {
        let mut docker = store("docker", Faults::none().built_on(id(4), id(3)));
        let listed = |docker: &Store| docker.listed().iter().filter(|image| image.id.as_str() == id(3)).count();
        assert_eq!(remove(&mut docker, &id(first)).is_ok(), answers[0], "{first}");
        if first == 3 {
            assert!(docker.images.contains_key(&id(3)) && listed(&docker) == 0, "there, and not to be seen");
        }
        assert_eq!(remove(&mut docker, &id(second)).is_ok(), answers[1], "{second}");
        assert!(!docker.images.contains_key(&id(3)) && !docker.images.contains_key(&id(4)));
    }
    let mut docker = store("docker", Faults::none().built_on(id(4), id(3)));
    let words = remove(&mut docker, &id(3)).unwrap_err();
    assert!(words.ends_with("(cannot be forced) - image has dependent child images"), "{words}");
}

#[test]
fn docker_lists_missing_names_as_none() {
    let mut docker = store("docker", Faults::none());
    docker.add_image(Image { repo_digests: Vec::new(), ..named(7, &[]) });
    let listed = docker.listed();
    let bare = listed.iter().find(|image| image.id.as_str() == id(7)).unwrap();
    assert_eq!(
        (&bare.repo_tags[..], &bare.repo_digests[..]),
        (&["<none>:<none>".to_owned()][..], &["<none>@<none>".to_owned()][..])
    );
}
