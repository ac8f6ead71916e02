"""Sessions on the command line: each turn another process, nothing between them but the store."""
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BRIG, ROOT, all_end


@pytest.fixture
def place(brig, tmp_path):
    """A store and workspaces of the test's own; other keys of the section are given as YAML."""
    def configure(**keys):
        values = {"store": f"{tmp_path}/sessions.db", "workspaces_directory": f"{tmp_path}/workspaces",
                  **keys}
        config = tmp_path / "agent.yaml"
        config.write_text(json.dumps({"session": values, "server": {"socket": "none"}}))
        brig.env["AGENT_CONFIG_PATH"] = str(config)
        return tmp_path
    configure()
    return configure


@pytest.fixture
def session(brig, place):
    def call(*words, status=0, **kwargs):
        done = brig("session", *words, **kwargs)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done
    return call


def turn(session, id, code, *options, **kwargs):
    return json.loads(session("run", id, "--json", *options, "-c", code, **kwargs).stdout)


def kept(place):
    return sorted(path.name for path in place().rglob("*") if "sessions.db" not in path.name)


def test_values_functions_classes_and_imports_are_there_in_the_next_process(session):
    first = session("run", "a", "-c", "import math\ndef area(r): return math.pi * r * r\n"
                    "class C:\n    v = 3\nc = C()\nprint('printed')\nround(area(1), 2)")
    assert first.stdout == b"printed\n3.14\n" and first.stderr == b""
    assert session("run", "a", "-c", "area(2) > 12, c.v, type(c) is C").stdout == b"(True, 3, True)\n"
    assert session("run", "a", "-c", "None").stdout == b""
    assert session("run", "a", "-c", "_").stdout == b"(True, 3, True)\n"


def test_a_turn_is_given_as_code_a_file_or_standard_input(session, brig, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("x = 'a file'\nx")
    assert session("run", "a", script).stdout == b"'a file'\n"
    assert session("run", "a", stdin=b"y = x\ny").stdout == b"'a file'\n"
    assert session("run", "a", "-", stdin=b"y").stdout == b"'a file'\n"
    assert session("run", "a", "-c", "input()", stdin=b"a line\n").stdout == b"'a line'\n"
    assert session("run", "--stdin", script, "a", "-c", "input()", stdin=b"other").stdout == b'"x = \'a file\'"\n'
    assert session("run", "a", tmp_path / "none", status=2).stderr.startswith(b"brig: can't open file")
    for wrong in ([], ["a", "-c", "1", "word"], ["a", "b", "c"], ["a", "-c"], ["a", "--none"], ["a", "-c", ""],
                  ["../a", "-c", "1"], ["", "-c", "1"], ["x" * 129, "-c", "1"], ["a", "--guest", "none", "-c", "1"]):
        assert b"brig: " in session("run", *wrong, status=125).stderr, wrong


def test_an_exception_is_a_traceback_and_status_1_and_what_ran_before_it_stays(session):
    done = session("run", "a", "-c", "x = 1\nprint('out')\n1 / 0", status=1)
    assert done.stdout == b"out\n"
    assert done.stderr.startswith(b"Traceback") and done.stderr.endswith(b"ZeroDivisionError: division by zero\n")
    assert session("run", "a", "-c", "x").stdout == b"1\n"
    result = turn(session, "a", "nothing", status=1)
    assert result["error"]["type"] == "NameError" and "Traceback" in result["error"]["traceback"]
    assert result["ended_well"] and result["saved"] and result["value"] is None


@pytest.mark.parametrize("code, status, said", [
    ("import sys; sys.exit()", 0, b""), ("import sys; sys.exit(3)", 3, b""),
    ("import sys; sys.exit('why')", 1, b"why\n")])
def test_sys_exit_ends_the_command_as_it_ends_python(session, code, status, said):
    done = session("run", "a", "-c", f"x = 1\n{code}", status=status)
    assert done.stderr == said and done.stdout == b""
    assert session("run", "a", "-c", "x").stdout == b"1\n"


@pytest.mark.parametrize("code, options, status, said", [
    ("while True: pass", ["--timeout", "0.3"], 124, b"still running after 0.3 s"),
    ("while True: pass", ["--fuel", "100000000"], 137, b"fuel"),
    ("import os; os._exit(5)", [], 5, b"ended its process, with status 5"),
    ("import os; os._exit(0)", [], 1, b"ended its process, with status 0"),
])
def test_a_turn_that_ends_badly_leaves_the_session_and_says_so(session, code, options, status, said):
    session("run", "a", "-c", "x = 1")
    done = session("run", "a", *options, "-c", f"x = 2\nprint('began', flush=True)\n{code}", status=status)
    assert done.stdout == b"began\n" and said in done.stderr
    assert b"the session a is as it was before this turn" in done.stderr
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_a_signal_cancels_the_turn_and_leaves_the_session(session, brig, place):
    session("run", "a", "-c", "x = 1")
    running = subprocess.Popen([BRIG, "session", "run", "a", "-c", "x = 2\nprint('began', flush=True)\nwhile True: pass"],
                               env=brig.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout.readline() == b"began\n"
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert running.returncode == 128 + signal.SIGINT and b"as it was" in said
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_what_could_not_be_kept_is_told_when_saved_and_when_it_is_missed(session):
    done = session("run", "a", "-c", "g = (i for i in [1]); h = open(0, closefd=False); x = 1")
    assert b"brig: not kept: g: a generator cannot be saved\nbrig: not kept: h: it is an open file\n" == done.stderr
    shown = session("show", "a").stdout
    assert b"g: a generator cannot be saved" in shown and b"x = 1" in shown
    done = session("run", "a", "-c", "x")
    assert b"not brought back: g: a generator" in done.stderr and done.stdout == b"1\n"
    # Once: it is told, and the session goes on without them.
    assert session("run", "a", "-c", "x").stderr == b""
    result = turn(session, "b", "g = (i for i in [1])")
    assert result["not_saved"] == [{"name": "g", "reason": "a generator cannot be saved"}] and result["lost"] == []
    result = turn(session, "b", "1")
    assert [item["name"] for item in result["lost"]] == ["g"] and result["not_saved"] == [] and result["restored"]


def test_a_state_that_cannot_be_saved_is_an_error_and_the_one_before_stays(session, place):
    place(max_state_bytes=100000)
    session("run", "a", "-c", "x = 1")
    done = session("run", "a", "-c", "x = 2; big = 'a' * 10**6; len(big)", status=126)
    assert done.stdout == b"1000000\n"
    assert b"100000 may be kept" in done.stderr and b"what this turn changed is lost" in done.stderr
    result = turn(session, "a", "x = 3; big = 'a' * 10**6", status=126)
    assert result["ended_well"] and not result["saved"]
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_a_session_that_nothing_is_to_outlive_is_not_said_to_be_saved(session, place):
    place(in_memory=True)
    done = session("run", "a", "-c", "x = 1\nx", status=125)
    assert done.stdout == b"1\n" and b"session.in_memory is set" in done.stderr


def test_the_command_alone_saves_its_turn(session, place):
    place(save_interval_secs=0, max_state_bytes=100000)
    done = session("run", "a", "-c", "x = 1; big = 'a' * 10**6; len(big)", status=126)
    assert done.stdout == b"1000000\n" and b"what this turn changed is lost" in done.stderr


def test_the_json_of_a_turn_has_all_of_it(session):
    result = turn(session, "a", "import sys\nx, y = 1, 2\nprint('o'); print('e', file=sys.stderr)\n"
                  "open('f', 'w').write('abc')")
    assert result["session"] == "a" and result["turn"] == 1 and result["saved"] and not result["restored"]
    assert result["value"] == "3" and result["error"] is None and result["names"] == ["sys", "x", "y"]
    assert result["files"] == [{"path": "f", "size": 3}] and result["files_more"] == 0
    assert result["run"]["stdout"] == "o\n" and result["run"]["stderr"] == "e\n"
    assert result["run"]["outcome"] == "exited" and result["output_file"] is None
    assert turn(session, "a", "1")["turn"] == 2
    bad = turn(session, "a", "import os; os._exit(4)", status=4)
    assert not bad["ended_well"] and not bad["saved"] and bad["turn"] == 2 and bad["run"]["exit_code"] == 4


def test_output_beyond_the_limit_is_cut_and_kept_in_the_workspace(session, place):
    done = session("run", "a", "--stdout-limit", "1000", "-c", "print('x' * 5000)")
    assert done.stdout == b"x" * 1000 and b"stdout-1.txt" in done.stderr
    workspace = json.loads(session("show", "a", "--json").stdout)["workspace"]
    assert open(f"{workspace}/stdout-1.txt").read() == "x" * 5000 + "\n"


def test_files_are_shared_by_turns_and_a_user_has_a_memory(session):
    session("run", "a", "-c", "open('f', 'w').write('mine'); open('/memory/m', 'w').write('all')")
    assert session("run", "a", "-c", "open('/workspace/f').read()").stdout == b"'mine'\n"
    assert session("run", "b", "-c", "import os; os.listdir('.'), open('/memory/m').read()").stdout == b"([], 'all')\n"
    assert session("run", "a", "--user", "u", "-c", "os = __import__('os'); os.listdir('/memory')").stdout == b"[]\n"


def test_users_have_sessions_of_their_own(session):
    session("run", "a", "-c", "x = 'nobody in particular'")
    session("run", "a", "--user", "u", "-c", "x = 'u'")
    assert session("run", "a", "-c", "x").stdout == b"'nobody in particular'\n"
    assert session("--user", "u", status=125).stderr.startswith(b"brig: session: say")
    assert len(json.loads(session("list", "--json").stdout)) == 1
    assert json.loads(session("list", "--json", "--user", "v").stdout) == []
    assert session("show", "a", "--user", "v", status=125).stderr == b"brig: there is no session a\n"
    session("drop", "a", "--user", "u")
    assert session("run", "a", "-c", "x").stdout == b"'nobody in particular'\n"


def test_list_shows_the_one_used_last_first(session):
    assert session("list").stdout == b"" and json.loads(session("list", "--json").stdout) == []
    for id in "abc":
        session("run", id, "-c", "1")
    session("run", "a", "-c", "2")
    rows = json.loads(session("list", "--json").stdout)
    assert [row["id"] for row in rows] == ["a", "c", "b"] and [row["turns"] for row in rows] == [2, 1, 1]
    assert rows[0]["guest"] == "python" and rows[0]["saved_bytes"] > 0 and rows[0]["used"] >= rows[0]["created"]
    assert [line.split()[0] for line in session("list").stdout.splitlines()] == [b"a", b"c", b"b"]


def test_show_names_what_is_there(session):
    session("run", "a", "-c", "import json as j\nx = {'k': [1]}\ndef f(): pass\nclass C: pass")
    shown = json.loads(session("show", "a", "--json").stdout)
    assert shown["id"] == "a" and shown["turns"] == 1 and shown["not_kept"] == []
    assert shown["variables"] == [{"name": "x", "type": "dict", "repr": "{'k': [1]}"}]
    assert shown["imports"] == [{"name": "j", "module": "json"}]
    assert shown["functions"] == ["f"] and shown["classes"] == ["C"]
    text = session("show", "a").stdout.decode()
    assert "a: python, 1 turns\n" in text and "  x = {'k': [1]}\n" in text and "  j is json\n" in text
    # What a guest says of itself does not command the terminal of who looks at it.
    session("run", "a", "-c", r"class E:" "\n" r"    def __repr__(self): return '\33[2J\x9b2J\n'" "\ne = E()")
    assert b"  e = ?[2J?2J?\n" in session("show", "a").stdout


def test_a_branch_is_a_session_of_its_own(session):
    session("run", "a", "-c", "x = 1; open('f', 'w').close()")
    assert session("branch", "a", "b").stdout == b"b\n"
    session("run", "a", "-c", "x = 2")
    assert session("run", "b", "-c", "import os; x, os.listdir('.')").stdout == b"(1, [])\n"
    made = json.loads(session("branch", "a", "--json").stdout)["id"]
    assert session("run", made, "-c", "x").stdout == b"2\n" and len(made) == 32
    assert b"there is a session b already" in session("branch", "a", "b", status=125).stderr
    assert b"there is no session c" in session("branch", "c", "d", status=125).stderr


def test_undo_says_that_the_state_went_with_its_process(session):
    session("run", "a", "-c", "x = 1")
    session("run", "a", "-c", "x = 2")
    done = session("undo", "a", status=125)
    assert b"no earlier state of the session a: it is saved as it is" in done.stderr
    assert session("run", "a", "-c", "x").stdout == b"2\n"
    assert b"there is no session b" in session("undo", "b", status=125).stderr


def test_drop_removes_the_session_and_its_workspace(session, place):
    session("run", "a", "-c", "open('f', 'w').close()")
    session("save", "a")
    session("drop", "a")
    assert session("run", "a", "-c", "import os; 'x' in globals(), os.listdir('.')").stdout == b"(False, [])\n"
    session("drop", "a")
    session("drop", "a", status=125)
    # A session that no turn made leaves a workspace, by which it is known, and which goes the same way.
    session("run", "b", "-c", "open('left', 'w').close(); import os; os._exit(1)", status=1)
    assert "left" in kept(place)
    session("drop", "b")
    session("drop", "b", status=125)
    assert "left" not in kept(place) and "b" not in kept(place)


def test_processes_that_use_one_session_at_once_take_turns(session):
    session("run", "a", "-c", "n = 0")
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: session("run", "a", "-c", "n += 1; n").stdout, range(6)))
    assert sorted(done) == [b"%d\n" % n for n in range(1, 7)]
    assert session("run", "a", "-c", "n").stdout == b"6\n"


def test_a_session_that_another_process_keeps_is_busy_and_free_once_that_is_killed(session, brig):
    session("run", "a", "-c", "x = 1")
    holder = subprocess.Popen([BRIG, "session", "run", "a", "-c", "x = 2\nprint('began', flush=True)\nwhile True: pass"],
                              env=brig.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert holder.stdout.readline() == b"began\n"
    with ThreadPoolExecutor(4) as pool:  # each waits for some seconds
        tries = [pool.submit(session, *words, status=125)
                 for words in (["run", "a", "-c", "x = 3"], ["drop", "a"], ["branch", "a", "b"], ["save", "a"])]
        for each in tries:
            assert b"busy: another process has the session a" in each.result().stderr
    waiting = subprocess.Popen([BRIG, "session", "run", "a", "-c", "x = 4"], env=brig.env, stderr=subprocess.PIPE)
    while not int(caught(waiting.pid), 16) & 1 << signal.SIGINT - 1:
        time.sleep(0.01)  # It heeds SIGINT from now on.
    waiting.send_signal(signal.SIGINT)
    assert b"as it was" in waiting.communicate()[1] and waiting.returncode == 128 + signal.SIGINT
    assert session("run", "other", "-c", "1").stdout == b"1\n"
    holder.kill()
    holder.communicate()
    assert session("run", "a", "-c", "x").stdout == b"1\n"


def test_python_runs_in_a_session_too(brig, session, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("x += 1\nprint(x)")
    assert brig("python", "--session", "a", "-c", "x = 1").returncode == 0
    assert brig("python", "--session", "a", script).stdout == b"2\n"
    assert brig("python", "--session", "a", stdin=b"x += 1; x").stdout == b"3\n"
    assert session("run", "a", "-c", "x").stdout == b"3\n"
    assert json.loads(brig("python", "--session", "a", "--json", "-c", "x").stdout)["value"] == "3"
    assert b"ms" in brig("python", "--session", "a", "--stats", "-c", "x").stderr
    assert brig("python", "--session", "a", "-c", "1 / 0").returncode == 1
    assert b"there is no" not in brig("python", "--session", "a", "--user", "u", "-c", "x = 9").stderr
    for wrong in (["--dir", tmp_path, "-c", "1"], ["--env", "A=1", "-c", "1"], ["-c", "1", "word"], [script, "word"]):
        done = brig("python", "--session", "a", *wrong)
        assert done.returncode == 125 and b"a session has directories of its own" in done.stderr
    done = brig("js", "--session", "a", "-e", "1")
    assert done.returncode == 125 and b"the session a has the interpreter python" in done.stderr
    other = brig("python", "--session", "a", "--guest", "python-science", "-c", "1")
    assert other.returncode == 125 and b"the session a is one of python, not of python-science" in other.stderr


def test_every_command_has_help(brig):
    shown = brig("session", "--help").stdout.decode()
    for name in ("list", "show", "run", "undo", "branch", "save", "drop"):
        assert f"  {name} " in shown
        done = brig("session", name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: brig session {name}".encode())
        assert brig("help", "session", name).stdout == done.stdout
    assert b"--timeout SECONDS" in brig("session", "run", "--help").stdout
    assert b"--timeout" not in brig("session", "drop", "--help").stdout
    for wrong in ([], ["none"], ["list", "word"], ["drop"], ["drop", "a", "b"]):
        assert brig("session", *wrong).returncode == 125


def test_a_store_that_cannot_be_used_is_an_error(session, place):
    place(store="/dev/null")
    assert b"not a regular file" in session("run", "a", "-c", "1", status=125).stderr


def test_nothing_is_left_behind(session, brig):
    started = subprocess.Popen([BRIG, "session", "run", "a", "-c", "print('began', flush=True)\nwhile True: pass"],
                               env=brig.env, stdout=subprocess.PIPE)
    started.stdout.readline()
    below = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent(pid) == started.pid]
    assert below
    started.kill()
    started.communicate()
    assert all_end(below)


def caught(pid):
    """The signals that a process has a handler for, as a mask."""
    return re.search(rb"SigCgt:\s*(\w+)", open(f"/proc/{pid}/status", "rb").read()).group(1)


def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def examples():
    """Commands in the documentation, and what it says they show."""
    text = (ROOT / "docs" / "sessions.md").read_text()
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            first, *rest = example.splitlines()
            more = [line[2:] for line in rest if line.startswith("> ")]
            yield "\n".join([first, *more]), "".join(line + "\n" for line in rest[len(more):])


def test_the_examples_of_the_documentation_do_what_they_show(brig, place):
    env = {**brig.env, "PATH": f"{BRIG.parent}:{brig.env['PATH']}"}
    shown = []
    for command, says in examples():
        done = subprocess.run(command, shell=True, env=env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.stdout == says, command
        shown.append(command)
    assert len(shown) > 12
