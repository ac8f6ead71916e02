"""shannon.sandbox.SandboxService as its clients meet it: the files of a session, which
programs of that session have too."""
import base64
import os
import queue
import threading
import time

import pytest
from serve import Serve, failure, grpc, message, notebook, python

SANDBOX = "/shannon.sandbox.SandboxService/"
READ_MAX = (4 * 2**20 - 64 * 2**10) // 4 * 3


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for all that leave it as it was; each has sessions of its own."""
    home = tmp_path_factory.mktemp("sandbox")
    tokens = home / "tokens"
    tokens.write_text("red:token-of-the-red-one\nblue:token-of-the-blue-one\n")
    tokens.chmod(0o600)
    server = Serve(home, {"server.tokens_file": tokens, "session.workspace_bytes": "20M",
                          "enforcement.per_request_timeout_secs": 300})
    yield server
    assert server.stop() == 0, server.log.read_text()


class Files:
    """Calls as a client makes them: its limit for a reply is gRPC's own, 4 MiB."""

    def __init__(self, server, tenant="red", **ids):
        self.server = server
        self.tenant = tenant
        self.ids = ids
        self.client = server.client(options=[("grpc.max_receive_message_length", 4 << 20)])
        self.metadata = [("authorization", f"Bearer token-of-the-{tenant}-one")]

    def call(self, name, timeout=60, **fields):
        prefix = f"shannon.sandbox.{'Command' if name == 'ExecuteCommand' else name}"
        request = message(prefix + "Request")
        known = {field.name for field in request.DESCRIPTOR.fields}
        ids = {key: value for key, value in self.ids.items() if key in known}
        method = self.client.channel.unary_unary(
            SANDBOX + name, request.SerializeToString, message(prefix + "Response").FromString)
        return method(request(**{**ids, **fields}), timeout=timeout, metadata=self.metadata)

    def good(self, name, **fields):
        reply = self.call(name, **fields)
        assert reply.success and not reply.error, reply.error
        return reply

    def error(self, name, **fields):
        reply = self.call(name, **fields)
        assert not reply.success and reply.error
        return reply.error

    def run(self, code):
        """A turn of the session; what it printed."""
        request = notebook(code, session=self.ids["session_id"], user=self.ids.get("user_id", ""))
        reply = self.client.execute(request, timeout=120, metadata=self.metadata)
        assert reply.status == 1, reply.error_message
        return reply.result


@pytest.fixture
def files(shared, request):
    return Files(shared, session_id=request.node.originalname, user_id="ada")


def test_a_file_goes_to_a_turn_and_back(files):
    reply = files.good("FileWrite", path="d/in.txt", content="six\0 by nine", create_dirs=True,
                       encoding="utf-8")
    assert (reply.bytes_written, reply.absolute_path) == (12, "/workspace/d/in.txt")
    assert files.run("open('/workspace/d/in.txt').read()") == "'six\\x00 by nine'"
    files.run("open('d/out.txt', 'w').write('42'); import os; os.mkdir('/workspace/made')")
    reply = files.good("FileRead", path="/workspace/d/out.txt", encoding="utf-8")
    assert (reply.content, reply.size_bytes, reply.file_type) == ("42", 2, "txt")
    files.good("FileWrite", path="d/out.txt", content=" and more", append=True)
    assert files.run("open('d/out.txt').read()") == "'42 and more'"
    files.good("FileWrite", path="made/f", content="x")
    assert files.run("import os; os.remove('made/f'); os.listdir('made')") == "[]"
    files.run("open('d/out.txt', 'a').write('!')")
    assert files.good("FileRead", path="d/out.txt").content == "42 and more!"


def test_programs_of_code_executor_have_the_same_files(files):
    files.good("FileWrite", path="in", content="from the client")
    request = python("open('out', 'w').write(open('/workspace/in').read().upper())",
                     session=files.ids["session_id"], user="ada")
    assert files.client.execute(request, timeout=120, metadata=files.metadata).status == 1
    assert files.good("FileRead", path="out").content == "FROM THE CLIENT"


def test_memory_is_the_users(files, shared):
    files.good("FileWrite", path="/memory/note", content="remember")
    assert files.run("open('/memory/note').read()") == "'remember'"
    other = Files(shared, session_id="another-session", user_id="ada")
    assert other.good("FileRead", path="/memory/note").content == "remember"
    entry, = other.good("FileList", path="/memory").entries
    assert (entry.path, entry.is_file, entry.size_bytes) == ("/memory/note", True, 8)
    assert Files(shared, session_id="another-session", user_id="bob").error(
        "FileRead", path="/memory/note") == "/memory/note: there is no such file or directory"
    nobody = Files(shared, session_id="another-session")
    assert nobody.error("FileRead", path="/memory/note") == "/memory needs a user's id"
    files.good("FileWrite", path="f", content="")
    assert files.error("FileRead", path="/workspace/../memory/note").endswith(
        "leads out of its directory")


def test_requests_that_cannot_name_a_user_find_the_session(files):
    files.good("FileWrite", path="a.py", content="import os\nprint(os.name)\n")
    match, = files.good("FileSearch", query="os.name", path=".", max_results=20).matches
    assert (match.file, match.line, match.content) == ("a.py", 2, "print(os.name)")
    reply = files.good("FileEdit", path="a.py", old_text="os.name", new_text="'é'")
    assert (reply.replacements, reply.snippet) == (1, "import os\nprint('é')\n")
    assert reply.file_size_after == 22
    assert files.run("exec(open('a.py').read())") == "é\n"
    reply = files.good("FileDelete", path="a.py")
    assert (reply.deleted_count, list(reply.deleted_paths)) == (1, ["a.py"])
    assert files.run("import os; os.listdir()") == "[]"


def test_another_tenants_session_is_not_there(files, shared):
    files.good("FileWrite", path="f", content="red's")
    for ids in ({"user_id": "ada"}, {"user_id": ""}, {"user_id": "bob"}):
        blue = Files(shared, "blue", session_id=files.ids["session_id"], **ids)
        assert blue.error("FileRead", path="f") == "f: there is no such file or directory"
        assert len(blue.good("FileList").entries) == 0
        assert blue.good("FileSearch", query="red").files_scanned == 0
        assert "no such file" in blue.error("FileDelete", path="f")
        assert "no such file" in blue.error("FileEdit", path="f", old_text="r", new_text="b")
    blue.good("FileWrite", path="f", content="blue's")
    assert files.good("FileRead", path="f").content == "red's"
    nobody = Files(shared, "green", session_id="s")
    assert failure(nobody.call, "FileRead", path="f")[0] == "UNAUTHENTICATED"


def test_looking_makes_nothing(shared, files):
    def count():
        return sum(len(names) for _, names, _ in os.walk(shared.home / "state"))

    before = count()
    assert files.good("FileList").file_count == 0
    files.error("FileRead", path="f")
    files.error("FileDelete", path="f")
    files.good("FileSearch", query="x")
    assert count() == before


@pytest.mark.parametrize("ids, words", [
    ({"session_id": "../x"}, "a session's id has 1 to 128"),
    ({"session_id": ""}, "a session's id has 1 to 128"),
    ({"session_id": ".memory"}, "a session's id has 1 to 128"),
    ({"session_id": "x" * 129}, "a session's id has 1 to 128"),
    ({"session_id": "x\0y"}, "no 0 byte among them"),
    ({"user_id": "x\0y"}, "a user's id has at most"),
])
def test_hostile_ids_are_told(files, ids, words):
    for name in ("FileRead", "FileWrite", "FileList"):
        assert words in files.error(name, path="f", **ids)


@pytest.mark.parametrize("name, fields, error", [
    ("FileRead", {"path": "no"}, "no: there is no such file or directory"),
    ("FileRead", {"path": ""}, "/workspace: it is a directory"),
    ("FileRead", {"path": "f/x"}, "f/x: it is not a directory, or something in its path is none"),
    ("FileRead", {"path": "../f"}, "../f: leads out of its directory"),
    ("FileRead", {"path": "/etc/passwd"},
     "/etc/passwd: a path is relative, or begins with /workspace or /memory"),
    ("FileRead", {"path": "f\0"}, "a path has at most 4095 bytes, and no 0 byte among them"),
    ("FileRead", {"path": "n" * 300}, "n" * 300 + ": the path is too long"),
    ("FileRead", {"path": "f", "encoding": "é"}, "encoding is 'utf-8' or 'base64', not 'é'"),
    ("FileRead", {"path": "f", "max_bytes": 1}, "File too large: 2 bytes (max 1)"),
    ("FileWrite", {"path": "no/f"}, "no/f: there is no such file or directory"),
    ("FileWrite", {"path": "d"}, "d: it is a directory"),
    ("FileWrite", {"path": "g", "content": "?", "encoding": "base64"},
     "the content is not base64"),
    ("FileList", {"path": "f"}, "f: it is not a directory, or something in its path is none"),
    ("FileList", {"pattern": "["}, "the pattern '[': missing terminating ] for character class"),
    ("FileSearch", {"query": ""}, "the query is empty"),
    ("FileSearch", {"query": "(", "regex": True}, "the query: missing closing parenthesis"),
    ("FileSearch", {"query": "x" * 1001}, "the query: a pattern has at most 1000 bytes"),
    ("FileEdit", {"path": "f", "old_text": "z"},
     "f: old_text is not there; it must be the same to the letter"),
    ("FileEdit", {"path": "f", "old_text": "a"},
     "f: old_text is there 2 times: give more of what is around it, or set replace_all"),
    ("FileEdit", {"path": "f"}, "old_text is empty"),
    ("FileDelete", {"path": ""}, "/workspace: name a file or directory in it"),
    ("FileDelete", {"path": "d"}, "d: the directory is not empty: that needs `recursive`"),
    ("FileDelete", {"path": "..", "recursive": True}, "..: leads out of its directory"),
])
def test_errors_are_in_the_reply(shared, name, fields, error):
    files = Files(shared, session_id="errors", user_id="ada")
    files.good("FileWrite", path="f", content="aa")
    files.good("FileWrite", path="d/f", content="", create_dirs=True)
    assert files.error(name, **fields) == error
    assert files.good("FileRead", path="f").content == "aa"


def test_what_a_guest_leaves_is_confined(files):
    files.run("import os\n"
              "os.symlink('../../../../../../etc', 'etc'); os.symlink('..', 'up')\n"
              "os.mkdir('d'); open('d/f', 'w').write('x'); os.symlink('d/f', 'in')")
    assert files.error("FileRead", path="etc/passwd") == "etc/passwd: leads out of its directory"
    assert files.error("FileList", path="up") == "up: leads out of its directory"
    assert files.good("FileRead", path="in").content == "x"
    names = {entry.path: entry.is_file for entry in
             files.good("FileList", recursive=True).entries}
    assert names == {"d": False, "d/f": True, "etc": False, "in": True, "up": False}
    files.good("FileDelete", path="up")
    assert files.good("FileDelete", path="d", recursive=True).deleted_count == 2
    assert files.run("import os; sorted(os.listdir())") == "['etc', 'in']"


def test_lists_are_of_what_was_asked_for(files):
    for path in ("a.py", "b.txt", ".hidden", "src/c.py", "src/deep/d.py"):
        files.good("FileWrite", path=path, content="x" * 3, create_dirs=True)

    def paths(**fields):
        return [entry.path for entry in files.good("FileList", **fields).entries]

    assert paths() == ["a.py", "b.txt", "src"]
    assert paths(include_hidden=True) == [".hidden", "a.py", "b.txt", "src"]
    assert paths(recursive=True, pattern="*.py") == ["a.py", "src/c.py", "src/deep/d.py"]
    assert paths(recursive=True, pattern="**/*.py") == paths(recursive=True, pattern="*.py")
    assert paths(recursive=True, pattern="src/*.py") == ["src/c.py"]
    assert paths(path="/workspace/src/", recursive=True) == ["src/c.py", "src/deep",
                                                            "src/deep/d.py"]
    reply = files.good("FileList")
    assert (reply.file_count, reply.dir_count) == (2, 1)
    entry = reply.entries[0]
    assert (entry.name, entry.size_bytes) == ("a.py", 3)
    assert abs(entry.modified_time - time.time()) < 3600
    reply = files.good("FileDelete", pattern="*.py", recursive=True)
    assert list(reply.deleted_paths) == ["a.py", "src/c.py", "src/deep/d.py"]
    assert paths() == ["b.txt", "src"]


def test_a_reply_fits_into_what_clients_take(files):
    files.run(f"open('big', 'wb').write(b'\\xff' * {READ_MAX}); open('one', 'wb').write(b'x' * "
              f"{READ_MAX + 1})")
    assert files.error("FileRead", path="big") == (
        "it is not text: ask for the encoding 'base64'")
    content = files.good("FileRead", path="big", encoding="base64").content
    assert base64.b64decode(content) == b"\xff" * READ_MAX
    assert files.error("FileRead", path="one") == (
        f"File too large: {READ_MAX + 1} bytes (max {READ_MAX})")
    files.run("open('lines', 'w').write('\\n'.join('x' * 1200 for _ in range(9000)))")
    reply = files.good("FileSearch", query="x", max_results=1000000, context_lines=1000000,
                       include="lines")
    assert reply.truncated and 100 < reply.matches_found < 1000
    assert len(reply.matches[0].content) == 1000 and len(reply.matches[20].context) == 20
    files.run("import os; os.mkdir('d')\nfor i in range(9000): open(f'd/{i:04}' + 'n' * 240, 'w')")
    assert "or than fit into a reply" in files.error("FileList", path="d")
    assert len(files.good("FileList", path="d", pattern="1*").entries) == 1000


def test_a_full_workspace_takes_no_more(files):
    chunk = "x" * (9 << 20)
    files.good("FileWrite", path="a", content=chunk)
    files.good("FileWrite", path="b", content=chunk)
    assert files.error("FileWrite", path="c", content=chunk) == (
        "Session workspace quota exceeded: 27.0 MB in it, 20.0 MB allowed")
    files.good("FileWrite", path="a", content="less")
    files.good("FileWrite", path="c", content=chunk)


def test_a_guest_never_sees_half_a_file(files):
    old, new = "a" * 200000, "b" * 200000
    files.good("FileWrite", path="f", content=old)
    done = threading.Event()

    def write():
        while not done.is_set():
            files.good("FileWrite", path="f", content=new)
            files.good("FileWrite", path="f", content=old)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = files.run("{(len(t), len(set(t))) for t in (open('f').read() for _ in range(300))}")
    finally:
        done.set()
        writer.join()
    assert seen == "{(200000, 1)}"


def test_a_hostile_query_holds_up_nobody(files, shared):
    files.run("open('f', 'w').write(('a' * 5000 + 'c\\n') * 2000)")
    errors = []
    searches = [threading.Thread(target=lambda: errors.append(
        files.error("FileSearch", query="(a+)+$", regex=True))) for _ in range(40)]
    for search in searches:
        search.start()
    other = Files(shared, "blue", session_id="calm")
    other.good("FileWrite", path="f", content="x")
    assert other.good("FileRead", path="f").content == "x"
    for search in searches:
        search.join()
    assert errors == ["f:1: the query takes too much work here"] * 40


def test_who_leaves_ends_the_work(files, shared):
    """Also where it has not begun: more than there are threads for."""
    files.run("open('f', 'w').write(('a' * 17 + 'c\\n') * 500000)")
    query = {"query": "(a+)+$", "regex": True}
    code, _ = failure(files.call, "FileSearch", timeout=0.3, **query)
    assert code == "DEADLINE_EXCEEDED"
    search = files.client.channel.unary_unary(SANDBOX + "FileSearch")
    request = message("shannon.sandbox.FileSearchRequest")(
        session_id=files.ids["session_id"], **query).SerializeToString()
    calls = [search.future(request, metadata=files.metadata) for _ in range(40)]
    time.sleep(0.2)
    for call in calls:
        call.cancel()
    assert files.good("FileSearch", query="c", max_results=1).matches_found == 1


def test_what_is_too_much_at_once_is_refused(files):
    """Of one tenant's requests 128 MiB may wait, and no more."""
    files.run("open('f', 'w').write(('a' * 17 + 'c\\n') * 500000)")
    files.good("FileWrite", path="g", content="")
    blocked = [files.client.channel.unary_unary(SANDBOX + "FileSearch").future(
        message("shannon.sandbox.FileSearchRequest")(
            session_id=files.ids["session_id"], query="(a+)+$", regex=True).SerializeToString(),
        metadata=files.metadata) for _ in range(8)]
    time.sleep(0.2)
    request = message("shannon.sandbox.FileWriteRequest")
    response = message("shannon.sandbox.FileWriteResponse")
    write = files.client.channel.unary_unary(SANDBOX + "FileWrite", request.SerializeToString,
                                             response.FromString)
    chunk = request(session_id=files.ids["session_id"], user_id="ada", path="g",
                    content="x" * (15 << 20))
    writes = [write.future(chunk, metadata=files.metadata) for _ in range(9)]
    done = queue.Queue()
    for call in writes:
        call.add_done_callback(done.put)
    assert done.get(timeout=60).result().error == (
        "too many files are worked on at once: try again later")
    for call in blocked + writes:
        call.cancel()


def test_commands_are_for_the_interpreter(files):
    code, text = failure(files.call, "ExecuteCommand", command="ls")
    assert code == "UNIMPLEMENTED" and "python_executor" in text


def test_before_it_serves_it_says_so(tmp_path):
    server = Serve(tmp_path, wait=False)
    try:
        server.event("starting")
        files = Files(server, session_id="s")
        try:
            files.good("FileList")
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == (
                grpc.StatusCode.UNAVAILABLE, "the server is starting: try again soon")
        server.event("serving")
        files.good("FileList")
    finally:
        assert server.stop() == 0


def test_a_drain_waits_for_nothing_that_is_done(tmp_path):
    server = Serve(tmp_path)
    files = Files(server, session_id="s")
    for i in range(20):
        files.good("FileWrite", path=f"f{i}", content="x")
    assert server.stop() == 0
    again = Serve(tmp_path)
    assert len(Files(again, session_id="s").good("FileList").entries) == 20
    assert again.stop() == 0
