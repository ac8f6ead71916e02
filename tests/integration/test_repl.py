"""`brig repl`: on a terminal, as people have it, and fed by a pipe."""
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time

import pytest
from conftest import BRIG, all_end

PROMPT, MORE = b">>> ", b"... "


@pytest.fixture
def home(brig, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(json.dumps({"session": {"store": f"{tmp_path}/sessions.db"}}))
    brig.env.update(AGENT_CONFIG_PATH=str(config), XDG_STATE_HOME=str(tmp_path / "state"), TERM="xterm",
                    LC_ALL="C.UTF-8")
    return tmp_path


class Terminal:
    """A terminal with `brig repl` on it."""

    def __init__(self, env, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(BRIG, [BRIG, "repl", *words], env)
        self.shown = b""

    def until(self, text, seconds=30):
        """What is shown up to and with `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], (text, self.shown)
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # how a terminal says that it has ended
                data = b""
            assert data, (text, self.shown)
            self.shown += data
        shown, text, self.shown = self.shown.partition(text)
        return shown + text

    def type(self, text):
        os.write(self.fd, text.encode())

    def line(self, text, until=PROMPT):
        """Type a line; what is shown from behind its echo to the next prompt."""
        self.type(text + "\n")
        self.until(b"\n")
        return self.until(until)[:-len(until)].replace(b"\r\n", b"\n")

    def ends(self):
        """Its exit status, and the rest of what was shown."""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.shown += data
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@pytest.fixture
def terminal(brig, home):
    opened = []

    def open_terminal(*words):
        opened.append(Terminal(brig.env, *words))
        opened[-1].until(PROMPT)
        return opened[-1]
    yield open_terminal
    for each in opened:
        each.close()


def test_values_output_and_tracebacks_are_shown(terminal):
    here = terminal()
    assert here.line("x = 6 * 7") == b""
    assert here.line("x") == b"42\n"
    assert here.line("print('a'); 'é'") == "a\n'é'\n".encode()
    assert here.line("1 / 0").endswith(b"ZeroDivisionError: division by zero\n")
    assert here.line("") == b""
    here.type("\x04")
    assert here.ends() == 0


def test_a_program_of_several_lines_is_asked_for_to_its_end(terminal):
    here = terminal()
    assert here.line("def f(a):", MORE) == b""
    assert here.line("\treturn [a,", MORE) == b""
    assert here.line("    1]", MORE) == b""
    assert here.line("") == b""
    assert here.line("f('''a", MORE) == b""
    assert here.line("", MORE) == b""
    assert here.line("b''')") == b"['a\\n\\nb', 1]\n"


def test_ctrl_c_lets_go_of_what_is_typed(terminal):
    here = terminal()
    here.line("x = [1,", MORE)
    here.type("2\x03")
    here.until(PROMPT)
    assert here.line("'fine'") == b"'fine'\n"
    here.type("unfinished\x03")
    here.until(PROMPT)
    assert here.line("'x' in globals()") == b"False\n"


def test_ctrl_c_cancels_the_turn_and_leaves_the_state(terminal):
    here = terminal()
    here.line("x = 1")
    here.type("x = 2; print('be' + 'gan', flush=True); exec('while 1: pass')\n")
    here.until(b"began\r\n")
    here.type("\x03")
    assert b"as it was before this turn" in here.until(PROMPT)
    assert here.line("x") == b"1\n"


def test_a_program_may_ask_at_the_terminal(terminal):
    here = terminal()
    assert here.line("name = input('who' + '? ')", b"who? ") == b""
    assert here.line("me") == b""
    assert here.line("name") == b"'me'\n"


def test_commands(terminal, brig):
    here = terminal("--session", "a")
    assert b":undo" in here.line(":help") and b"nothing" not in here.line(":help")
    here.line("x = 1")
    here.line("x = 2; y = 3")
    assert b"  x = 2\n  y = 3\n" in here.line(":show")
    assert b"undone" in here.line(":undo")
    assert here.line("x, 'y' in globals()") == b"(1, False)\n"
    assert here.line(":branch b") == b"b\n"
    assert b"there is a session b already" in here.line(":branch b")
    for wrong, said in (":undo x", b"say `:undo`"), (":none", b"there is no :none"), (":branch x y", b"say `:branch"):
        assert said in here.line(wrong)
    here.type(":quit\n")
    assert here.ends() == 0
    assert brig("session", "run", "b", "-c", "x").stdout == b"1\n"


def test_undo_with_nothing_before_it_says_so(terminal):
    here = terminal()
    assert b"nothing has been run yet" in here.line(":undo")
    here.line("x = 1")
    assert b"no earlier state" in here.line(":undo")
    assert here.line("x") == b"1\n"


def test_a_named_session_is_saved_and_one_without_a_name_is_gone(terminal, brig, home):
    here = terminal("--session", "a")
    here.line("x = 5; g = (i for i in [])")
    here.type("\x04")
    assert here.ends() == 0 and b"not kept: g: a generator" in here.shown
    here = terminal("--session", "a")
    assert b"not brought back: g" in here.line("x")
    here.type("\x04")
    assert here.ends() == 0
    here = terminal()
    here.line("open('left', 'w').close()")
    here.type("\x04")
    assert here.ends() == 0
    rows = json.loads(brig("session", "list", "--json").stdout)
    assert [row["id"] for row in rows] == ["a"]
    assert not list(home.rglob("left"))


def test_history_is_kept_for_this_user_alone_and_comes_back(terminal, home):
    here = terminal()
    here.line("'one'")
    here.line("'two'")
    here.type("\x1b[A\x1b[A\n")  # up, up
    here.until(b"\r\n'one'\r\n" + PROMPT)
    here.type("\x04")
    here.ends()
    history = home / "state" / "brig" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600 and "'two'" in history.read_text()
    # A link in its place is replaced, and what it leads to stays.
    kept = home / "kept"
    kept.write_bytes(history.read_bytes())
    before = kept.read_bytes()
    history.unlink()
    history.symlink_to(kept)
    here = terminal()
    here.type("\x1b[A\n")
    here.until(b"\r\n'one'\r\n" + PROMPT)
    here.type("\x04")
    here.ends()
    assert kept.read_bytes() == before and not history.is_symlink()


@pytest.mark.parametrize("code, status", [("raise SystemExit", 0), ("raise SystemExit(3)", 3)])
def test_system_exit_ends_it(terminal, code, status):
    here = terminal()
    here.type(code + "\n")
    assert here.ends() == status


def test_a_signal_ends_it_after_saving(terminal, brig):
    here = terminal("--session", "a")
    here.line("x = 7")
    os.kill(here.pid, signal.SIGTERM)
    assert here.ends() == 128 + signal.SIGTERM
    assert brig("session", "run", "a", "-c", "x").stdout == b"7\n"


def test_it_has_its_session_for_itself(terminal, brig):
    here = terminal("--session", "a")
    here.line("x = 1")
    done = brig("session", "run", "a", "-c", "x = 2")
    assert done.returncode == 125 and b"another process has the session a" in done.stderr
    assert here.line("x") == b"1\n"


def test_a_terminal_that_goes_away_ends_it_and_leaves_no_process(brig, home):
    here = Terminal(brig.env, "--session", "a")
    here.until(PROMPT)
    here.line("x = 1")
    below = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent(pid) == here.pid]
    assert below
    os.close(here.fd)
    assert os.waitstatus_to_exitcode(os.waitpid(here.pid, 0)[1]) == 125  # It cannot write any more.
    assert all_end(below)
    assert brig("session", "run", "a", "-c", "x").stdout == b"1\n"


def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_fed_by_a_pipe_it_runs_whole_programs_without_prompts(brig, home):
    done = brig("repl", stdin=b"x = 1\ndef f():\n    return [\n\n    2]\n\nf()\n1 / 0\nprint('on')\n"
                              b"for i in range(2):\n    print(i)\n\n'''a\n\nb'''\n:show\ninput()\nclass C:\n    v = 8\n")
    out = done.stdout.decode()
    assert done.returncode == 0 and PROMPT not in done.stdout and b"\x1b" not in done.stdout
    assert out.startswith("[2]\non\n0\n1\n'a\\n\\nb'\n") and "  x = 1\n" in out
    assert b"ZeroDivisionError" in done.stderr and b"EOFError" in done.stderr
    assert brig("repl", stdin=b"print(5)").stdout == b"5\n"
    assert brig("repl", stdin=b"").stdout == b""
    assert b"NUL byte" in brig("repl", stdin=b"x\0y\n").stderr
    assert not (home / "state" / "brig" / "history").exists()
    assert brig("repl", stdin=b"raise SystemExit(4)\nprint('never')\n").returncode == 4


def test_a_piped_one_is_ended_by_a_signal(brig, home):
    here = subprocess.Popen([BRIG, "repl"], env=brig.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    here.stdin.write(b"print('began', flush=True); exec('while 1: pass')\nprint('never')\n")
    here.stdin.flush()
    assert here.stdout.readline() == b"began\n"
    here.send_signal(signal.SIGINT)
    out, said = here.communicate()
    assert here.returncode == 128 + signal.SIGINT and out == b"" and b"as it was" in said


def test_wrong_use_is_told(brig, home):
    assert brig("repl", "--help").stdout.startswith(b"Usage: brig repl [OPTIONS]")
    for wrong in (["word"], ["--none"], ["--session", "../a"], ["--guest", "none"]):
        done = brig("repl", *wrong, stdin=b"1\n")
        assert done.returncode == 125 or wrong[0] == "--session", wrong
        assert b"brig: " in done.stderr
    brig("session", "run", "a", "-c", "1")
    assert b"is one of python, not of quickjs" in brig("repl", "--session", "a", "--guest", "quickjs", stdin=b"1\n").stderr
