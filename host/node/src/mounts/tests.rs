use super::*;

#[test]
fn tables_of_mounts_are_read() {
    let table = Table::parse(
        b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
              nonsense\n\
              40 27 254:0 /var/log\\040x/a /mnt/b rw shared:1 master:2 - ext4 /dev/vda rw\n\
              41 40 0:4 mnt:[4026532123] /mnt/b/ns rw - nsfs nsfs rw\n",
    );
    let [root, bind, pinned] = &table.mounts[..] else { panic!("{table:?}") };
    assert_eq!((bind.id, bind.parent, bind.device), (40, 27, rustix::fs::makedev(254, 0)));
    assert_eq!((bind.root.as_slice(), bind.kind.as_slice()), (&b"/var/log x/a"[..], &b"ext4"[..]));
    assert_eq!((pinned.pinned_namespace(), bind.pinned_namespace()), (Some(4_026_532_123), None));
    for (mount, path, expected) in [
        (bind, "/mnt/b", Some("/var/log x/a")),
        (bind, "/mnt/b/c", Some("/var/log x/a/c")),
        (bind, "/mnt/bc", None),
        (bind, "/mnt", None),
        (root, "/", Some("/")),
        (root, "/var/log", Some("/var/log")),
    ] {
        let found = mount.on_filesystem(path.as_bytes()).map(|path| String::from_utf8(path).unwrap());
        assert_eq!(found.as_deref(), expected, "{path}");
    }
    assert_eq!(unescape(br"a\040b\134c\9\04"), br"a b\c\9\04");
}

#[test]
fn the_layers_of_a_mount_are_read_as_kernels_write_them() {
    let layers = |line: &str| {
        let table = Table::parse(line.as_bytes());
        let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
        table.mounts[0].layers().iter().map(text).collect::<Vec<_>>()
    };
    let overlay = |options: &str| layers(&format!("50 27 0:40 / /m rw - overlay overlay rw,{options}\n"));
    assert_eq!(overlay("lowerdir=/a:/b,upperdir=/u,workdir=/w,uuid=on"), ["/a", "/b", "/u", "/w"]);
    assert_eq!(overlay("lowerdir=12/fs:11/fs::/data"), ["12/fs", "11/fs", "/data"]);
    assert_eq!(overlay(r"lowerdir=/a\134:b\040c:/d\054e"), ["/a:b c", "/d,e"]);
    assert_eq!(overlay("lowerdir+=/a:b,lowerdir+=/c,datadir+=/d"), ["/a:b", "/c", "/d"]);
    assert_eq!(layers("51 27 0:41 / /home/x rw - ecryptfs /home/.x rw\n"), ["/home/.x"]);
    assert_eq!(layers("27 1 254:0 / / rw - ext4 /dev/vda rw,lowerdir=/a\n"), [] as [&str; 0]);
}

#[test]
fn spots_know_what_lies_beneath_them() {
    let spot = |device: u64, path: &str| Spot { device, path: path.into() };
    let (log, app) = (spot(1, "/var/log"), spot(1, "/var/log/app"));
    assert_eq!(app.beneath(&log), Some(Path::new("app")));
    assert_eq!(log.beneath(&log), Some(Path::new("")));
    assert_eq!(log.beneath(&app), None);
    assert_eq!(spot(2, "/var/log/app").beneath(&log), None);
    assert_eq!(spot(1, "/var/logs").beneath(&log), None);
}

#[test]
fn links_are_followed_and_what_is_missing_is_beneath_its_parent() {
    let table = Table::own().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().canonicalize().unwrap();
    std::fs::create_dir(base.join("real")).unwrap();
    std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
    let real = table.find(&base.join("real")).unwrap();
    assert_eq!(table.find(&base.join("link")), Some(real.clone()));
    let missing = table.find(&base.join("link/a/b")).unwrap();
    assert_eq!(missing.beneath(&real), Some(Path::new("a/b")));
    let handle = std::fs::File::open(base.join("real")).unwrap();
    assert_eq!(table.filesystem_at(&base.join("link")), Some(filesystem_name(real.device)));
    assert_eq!(table.filesystem_at(&base.join("missing")), None);
    assert_eq!(table.spot(handle.as_fd()), Some(real));
}
