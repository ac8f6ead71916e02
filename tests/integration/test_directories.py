"""Every way out of a directory is closed, and a read-only one stays as it is."""
import os
import pathlib

import pytest

TRY = """
import os, sys
def t(name, f):
    try: r = f(); print(name, 'ok', r)
    except OSError as e: print(name, 'no', e.errno)
"""
PERM, NOENT, LOOP, XDEV, ROFS, ACCES, NOTCAPABLE = 63, 44, 32, 75, 69, 2, 76


@pytest.fixture
def tree(tmp_path):
    """root/ is granted; secret/ beside it is not."""
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir(), secret.mkdir()
    (secret / "f").write_text("secret")
    (root / "file").write_text("inside")
    (root / "sub").mkdir()
    (root / "esc").symlink_to(secret)
    (root / "rel").symlink_to("../secret")
    (root / "lf").symlink_to("../secret/f")
    (root / "dang").symlink_to("../new")
    (root / "magic").symlink_to("/proc/self/root")
    (root / "inner").symlink_to("sub")
    return tmp_path


def results(brig, code, *flags):
    done = brig.python(TRY + code, *flags)
    assert done["exit_code"] == 0, done["stderr"]
    return dict(line.split(" ", 1) for line in done["stdout"].splitlines())


OUTWARD = ["esc/f", "rel/f", "lf", "magic/etc/passwd", "../secret/f", "sub/../../secret/f",
           "esc/../secret/f", "inner/../../secret/f"]


@pytest.mark.parametrize("path", OUTWARD)
def test_no_call_reaches_outside(brig, tree, path):
    before = os.stat(tree / "secret/f"), os.stat(tree / "secret")
    got = results(brig, f"""
p = '/d/{path}'
t('open', lambda: open(p).read())
t('write', lambda: open(p, 'w'))
t('append', lambda: open(p, 'a'))
t('excl', lambda: open(p, 'x'))
t('stat', lambda: os.stat(p))
t('utime', lambda: os.utime(p, (1, 1)))
t('unlink_in', lambda: os.unlink('/d/{os.path.dirname(path) or 'esc'}/f'))
t('mkdir', lambda: os.mkdir(p + 'x/y'))
t('list', lambda: os.listdir(os.path.dirname(p) + '/../secret'))
t('link', lambda: os.link(p, '/d/l2'))
""", "--dir-rw", f"{tree}/root::/d")
    if path == "lf":  # a link of its own may be linked, not followed
        got.pop("link")
    if path in ("lf",):
        got.pop("mkdir"), got.pop("list")
    allowed = {name: what for name, what in got.items() if what.startswith("ok")}
    assert not allowed
    after = os.stat(tree / "secret/f"), os.stat(tree / "secret")
    assert [(s.st_mtime_ns, s.st_size) for s in before] == [(s.st_mtime_ns, s.st_size) for s in after]
    assert os.listdir(tree / "secret") == ["f"] and not (tree / "new").exists()


@pytest.mark.parametrize("link", ["esc", "rel", "lf", "dang"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_link_with_or_without_a_slash_is_never_followed_out(brig, tree, link, slash):
    before = os.stat(tree / "secret")
    got = results(brig, f"""
p = '/d/{link}{slash}'
t('stat', lambda: os.stat(p))
t('utime', lambda: os.utime(p, (1, 1)))
t('lutime', lambda: os.utime(p, (1, 1), follow_symlinks=False))
t('list', lambda: os.listdir(p))
t('create', lambda: open(p, 'w'))
t('rmdir', lambda: os.rmdir(p))
t('mkdir', lambda: os.mkdir(p))
""", "--dir-rw", f"{tree}/root::/d")
    if not slash:
        assert got.pop("lutime").startswith("ok")  # the link itself is the guest's
    assert all(what.startswith("no") for what in got.values()), got
    assert os.stat(tree / "secret").st_mtime_ns == before.st_mtime_ns
    assert not (tree / "new").exists()


def test_links_of_the_guests_own_may_point_anywhere_relative_and_lead_nowhere(brig, tree):
    got = results(brig, """
t('absolute', lambda: os.symlink('/etc/passwd', '/d/a'))
t('outward', lambda: os.symlink('../secret', '/d/o'))
t('through', lambda: os.listdir('/d/o'))
t('inside', lambda: os.symlink('sub', '/d/i'))
t('fine', lambda: os.listdir('/d/i'))
t('read', lambda: os.readlink('/d/o'))
""", "--dir-rw", f"{tree}/root::/d")
    assert got["absolute"] == f"no {PERM}" and got["outward"].startswith("ok")
    assert got["through"] == f"no {PERM}" and got["fine"] == "ok []"
    assert got["read"] == "ok ../secret"


def test_a_read_only_directory_cannot_be_changed_by_any_call(brig, tree):
    before = {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in (tree / "root").rglob("*")}
    got = results(brig, """
t('create', lambda: open('/d/n', 'w'))
t('truncate', lambda: open('/d/file', 'w'))
t('trunc_ro', lambda: os.open('/d/file', os.O_RDONLY | os.O_TRUNC))
t('append', lambda: open('/d/file', 'a'))
t('update', lambda: open('/d/file', 'r+'))
t('unlink', lambda: os.unlink('/d/file'))
t('rmdir', lambda: os.rmdir('/d/sub'))
t('mkdir', lambda: os.mkdir('/d/m'))
t('rename', lambda: os.rename('/d/file', '/d/file2'))
t('rename_out', lambda: os.rename('/d/file', '/w/file'))
t('rename_in', lambda: os.rename('/w/mine', '/d/mine'))
t('link_out', lambda: os.link('/d/file', '/w/file'))
t('link_in', lambda: os.link('/w/mine', '/d/mine'))
t('symlink', lambda: os.symlink('x', '/d/s'))
t('utime', lambda: os.utime('/d/file', (1, 1)))
t('futime', lambda: os.utime(os.open('/d/file', os.O_RDONLY), (1, 1)))
t('ftruncate', lambda: os.ftruncate(os.open('/d/file', os.O_RDONLY), 0))
""", "--dir", f"{tree}/root::/d", "--dir-rw", f"{writable(tree)}::/w")
    assert all(what.startswith("no") for what in got.values()), got
    assert got["create"] == f"no {ROFS}" and got["rename"] == f"no {ROFS}"
    after = {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in (tree / "root").rglob("*")}
    assert before == after


def writable(tree):
    path = tree / "writable"
    path.mkdir(exist_ok=True)
    (path / "mine").write_text("x")
    return path


def test_names_do_not_move_between_directories(brig, tree):
    got = results(brig, """
t('rename', lambda: os.rename('/d/file', '/w/file'))
t('link', lambda: os.link('/d/file', '/w/file'))
""", "--dir-rw", f"{tree}/root::/d", "--dir-rw", f"{writable(tree)}::/w")
    assert got == {"rename": f"no {XDEV}", "link": f"no {XDEV}"}


def test_fifos_sockets_and_devices_are_refused_at_once(brig, tree):
    import socket
    os.mkfifo(tree / "root/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "root/socket"))
        got = results(brig, """
t('fifo', lambda: open('/d/fifo').read())
t('fifo_w', lambda: open('/d/fifo', 'w'))
t('socket', lambda: open('/d/socket').read())
""", "--dir-rw", f"{tree}/root::/d", "--timeout", "10")
    assert all(what.startswith("no") for what in got.values()), got
    if os.geteuid() == 0:
        os.mknod(tree / "root/zero", 0o20666, os.makedev(1, 5))
        got = results(brig, "t('zero', lambda: open('/d/zero', 'rb').read(1))", "--dir",
                      f"{tree}/root::/d")
        assert got["zero"].startswith("no")


def test_nothing_is_there_that_was_not_granted(brig):
    got = results(brig, """
t('root', lambda: os.listdir('/etc'))
t('tmp', lambda: os.listdir('/tmp'))
print('env', dict(os.environ))
""")
    assert got["root"].startswith("no") and got["tmp"].startswith("no")
    assert got["env"] == "{}"


def test_files_that_a_guest_makes_are_private_and_its_users(brig, tree):
    results(brig, "open('/d/n', 'w').write('x'); os.mkdir('/d/m')", "--dir-rw", f"{tree}/root::/d")
    made = (tree / "root/n").stat()
    assert made.st_mode & 0o7777 == 0o600 and made.st_uid == os.geteuid()
    assert (tree / "root/m").stat().st_mode & 0o7777 == 0o700


def test_names_of_every_kind_come_back_as_they_were(brig, tree):
    names = ["-rf", "a\\b", "new\nline", "n" * 255, "\u202eabc", "e\u0301", "ü", " ", "con"]
    code = f"names = {names!r}\nfor n in names: open('/d/sub/' + n, 'w').close()\n" \
           "print('same', sorted(os.listdir('/d/sub')) == sorted(names))\n" \
           "t('long', lambda: open('/d/sub/' + 'n' * 256, 'w'))\n" \
           "t('path', lambda: open('/d/' + 'sub/../' * 700, 'w'))"
    got = results(brig, code, "--dir-rw", f"{tree}/root::/d")
    assert got["same"] == "True" and got["long"] == "no 37" and got["path"] == "no 37"


def test_a_large_directory_is_listed_whole(brig, tree):
    for i in range(3000):
        (tree / "root/sub" / f"{i:0{1 + i % 200}}").touch()
    got = results(brig, "n = os.listdir('/d/sub'); print('count', len(n), len(set(n)))", "--dir",
                  f"{tree}/root::/d")
    assert got["count"] == "3000 3000"


@pytest.mark.parametrize("path, says", [("none", b"No such"), ("root/file", b"not a directory")])
def test_what_is_no_directory_is_an_error(brig, tree, path, says):
    done = brig("python", "--dir", tree / path, "-c", "")
    assert done.returncode in (125, 126) and says.lower() in done.stderr.lower()


def test_a_directory_of_brigs_own_is_never_mounted(brig, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    for path in (tmp_path, tmp_path / "home" / "brig"):
        path.mkdir(parents=True, exist_ok=True)
        done = brig("python", "--dir-rw", f"{path}::/d", "-c", "", env=env)
        assert done.returncode == 126 and b"Brig's own" in done.stderr
