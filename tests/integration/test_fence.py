"""What Brig does on a kernel that gives less; and what a worker is, seen from outside."""
import json
import os
import signal
import subprocess
import time

from conftest import BRIG, BUILD, FD_WRITE, all_end, command, data, say

DENY = BUILD / "deny"


def denied(brig, calls, *args, env=None):
    return subprocess.run([DENY, *calls, "--", BRIG, *map(str, args)], capture_output=True,
                          timeout=60, env={**brig.env, **(env or {})})


def test_without_namespaces_it_runs_and_doctor_says_so(brig, wasm):
    module = wasm(command(say("hi"), FD_WRITE, data("hi")))
    assert denied(brig, ["unshare"], "run", module).stdout == b"hi"
    done = denied(brig, ["unshare"], "doctor", "--json")
    walls = {wall["name"]: wall for wall in json.loads(done.stdout)["walls"]}
    assert done.returncode == 0 and walls["seccomp"]["up"]
    assert not walls["net_namespace"]["up"] and walls["net_namespace"]["detail"]


def test_a_required_wall_that_is_missing_is_refused_with_its_name(brig, wasm, tmp_path):
    module = wasm(command(""))
    gone = ["landlock_create_ruleset"]
    done = denied(brig, gone, "run", module)
    assert done.returncode == 125 and b"landlock" in done.stderr and b"doctor" in done.stderr
    assert denied(brig, gone, "doctor").returncode != 0
    config = tmp_path / "agent.yaml"
    config.write_text("jail: {require: [seccomp]}\n")
    assert denied(brig, gone, "run", module, env={"AGENT_CONFIG_PATH": str(config)}).returncode == 0
    config.write_text("jail: {require: [pid_namespace]}\n")
    done = denied(brig, ["unshare"], "run", module, env={"AGENT_CONFIG_PATH": str(config)})
    assert done.returncode == 125 and b"pid_namespace" in done.stderr


def test_without_sealed_memory_nothing_runs(brig, wasm):
    done = denied(brig, ["memfd_create"], "run", wasm(command("")))
    assert done.returncode in (125, 126) and done.stderr and not done.stdout


def children_of(pid):
    return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def worker_of(process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            (launcher,) = children_of(process.pid)
            (zygote,) = children_of(launcher)
            (worker,) = children_of(zygote)
            if "Seccomp:\t2" in open(f"/proc/{worker}/status").read():
                return worker, zygote
        except (ValueError, FileNotFoundError):
            pass
        time.sleep(0.02)
    raise AssertionError("no worker")


def test_a_worker_seen_from_outside_has_nothing_of_the_host(brig, tmp_path):
    fds = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(5)]
    for fd in fds:
        os.set_inheritable(fd, True)  # what a careless host leaks
    with subprocess.Popen([BRIG, "python", "--dir-rw", f"{tmp_path}::/d", "-c",
                           "while True: pass"], close_fds=False,
                          env={**brig.env, "SECRET": "x"}) as process:
        worker, zygote = worker_of(process)
        status = dict(line.split(":\t", 1) for line in
                      open(f"/proc/{worker}/status").read().splitlines())
        assert status["NoNewPrivs"] == "1" and status["Threads"] == "1"
        assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
        assert int(status["Uid"].split()[0]) != 0
        if os.geteuid() == 0:  # to others the kernel shows nothing of what is undumpable
            assert open(f"/proc/{worker}/environ").read() == ""
            links = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")]
            assert not [link for link in links if "hostname" in link or "socket" in link]
            assert len(links) <= 10
            for name in ("user", "pid", "net", "ipc", "uts", "mnt"):
                assert os.stat(f"/proc/{worker}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino
        limits = open(f"/proc/{worker}/limits").read()
        for name in ("core file size", "processes", "locked memory", "msgqueue size"):
            (line,) = [line for line in limits.splitlines() if name in line]
            assert line.split("  ")[1:] and " 0 " in line
        process.send_signal(signal.SIGTERM)
    for fd in fds:
        os.close(fd)


def test_a_killed_worker_is_a_result_that_says_so(brig):
    with subprocess.Popen([BRIG, "python", "--json", "-c", "print('x', flush=True)\nwhile True: pass"],
                          stdout=subprocess.PIPE, env=brig.env) as process:
        worker, _ = worker_of(process)
        time.sleep(0.2)
        os.kill(worker, signal.SIGKILL)
        result = json.loads(process.stdout.read())
    assert (result["outcome"], result["signal"], result["stdout"]) == ("killed", 9, "x\n")
    assert process.returncode == 137


def test_a_zygote_that_stops_answering_is_ended(brig):
    with subprocess.Popen([BRIG, "python", "--timeout", "1", "-c", "while True: pass"],
                          stderr=subprocess.PIPE, env=brig.env) as process:
        worker, zygote = worker_of(process)
        os.kill(zygote, signal.SIGSTOP)
        assert process.wait(timeout=30) == 125
        assert b"stopped answering" in process.stderr.read()
    assert all_end([zygote, worker])


def test_two_runs_share_no_randomness(brig):
    code = "import os, random, uuid; print(os.urandom(8).hex(), random.random(), uuid.uuid4())"
    runs = [brig.python(code)["stdout"].split() for _ in range(4)]
    for values in zip(*runs):
        assert len(set(values)) == 4
