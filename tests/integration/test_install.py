"""What `make install` puts down works for others: CMake, pkg-config, the command."""
import os
import re
import subprocess

import pytest
from conftest import BUILD, ROOT

# The build may be inside /tmp, which the default configuration lets guests read,
# and then its cache may not be.
CONFIG = BUILD / "test-install.yaml"
CONFIG.write_text("wasi: {allowed_paths: []}\n")
ENV = {**os.environ, "XDG_CACHE_HOME": str(BUILD / "test-cache"), "AGENT_CONFIG_PATH": str(CONFIG)}


def sh(*args, **kwargs):
    done = subprocess.run(list(map(str, args)), capture_output=True, timeout=120,
                          **{"env": ENV, **kwargs})
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    where = tmp_path_factory.mktemp("prefix")
    sh("cmake", "--install", BUILD, "--prefix", where)
    return where


@pytest.fixture(scope="module")
def libdir(prefix):
    return next(prefix.rglob("libbrig.a")).parent


def pkg_config(libdir, prefix, *flags):
    env = {**ENV, "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
    return sh("pkg-config", f"--define-variable=prefix={prefix}", *flags, "brig", env=env).split()


def build_hello(where):
    sh("wat2wasm", ROOT / "examples/wasi_hello/hello.wat", "-o", where / "hello.wasm")
    return where / "hello.wasm"


def test_the_example_builds_and_runs_by_cmake(prefix, tmp_path):
    sh("cmake", "-S", ROOT / "examples/wasi_hello", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    sh("cmake", "--build", tmp_path)
    assert sh(tmp_path / "wasi_hello", tmp_path / "hello.wasm", "you\n") == "Hello, you\n"


@pytest.mark.parametrize("flags", [[], ["--static"]])
def test_the_example_builds_and_runs_by_pkg_config(prefix, libdir, tmp_path, flags):
    module = build_hello(tmp_path)
    libs = pkg_config(libdir, prefix, "--cflags", "--libs", *flags)
    if flags:
        libs = [str(libdir / "libbrig.a") if lib == "-lbrig" else lib for lib in libs]
    sh("gcc", "-Wall", "-Wextra", "-Werror", ROOT / "examples/wasi_hello/main.c", *libs,
       f"-Wl,-rpath,{libdir}", "-o", tmp_path / "main")
    env = ENV
    if flags:  # a program elsewhere says where the helper is
        config = tmp_path / "agent.yaml"
        config.write_text(f"sandbox: {{helper: {prefix}/libexec/brig/brig-helper}}\n"
                          "wasi: {allowed_paths: []}\n")
        env = {**ENV, "AGENT_CONFIG_PATH": str(config)}
    assert sh(tmp_path / "main", module, env=env) == "Hello, world\n"


def test_the_installed_command_finds_its_helper(prefix, tmp_path):
    module = build_hello(tmp_path)
    assert sh(prefix / "bin/brig", "run", module, input=b"all\n") == "Hello, all\n"


def test_the_installed_command_finds_its_server(prefix):
    assert "Usage: brig serve" in sh(prefix / "bin/brig", "serve", "--help")


def test_the_example_of_the_readme_is_a_program(prefix, libdir, tmp_path):
    text = (ROOT / "README.md").read_text()
    example = re.search(r"```c\n(/\* example: embed \*/\n.*?)```", text, re.S).group(1)
    assert len(example.splitlines()) <= 24
    (tmp_path / "main.c").write_text(example)
    sh("gcc", "-Wall", "-Wextra", "-Werror", tmp_path / "main.c",
       *pkg_config(libdir, prefix, "--cflags", "--libs"), f"-Wl,-rpath,{libdir}", "-o",
       tmp_path / "main")
    assert sh(tmp_path / "main") == "42\n"


def test_a_c_program_becomes_a_guest(prefix, tmp_path):
    sh("clang", "--target=wasm32-wasi", "-O2", ROOT / "examples/c_guest/words.c", "-o",
       tmp_path / "words.wasm")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a").write_text("three words here\n")
    out = sh(prefix / "bin/brig", "run", "--dir", f"{tmp_path}/texts::/texts",
             tmp_path / "words.wasm", "/texts/a")
    assert out == "3 /texts/a\n"
    done = subprocess.run([prefix / "bin/brig", "run", tmp_path / "words.wasm", "/texts/a"],
                          capture_output=True, env=ENV)
    assert done.returncode == 1 and b"/texts/a" in done.stderr


def test_the_library_exports_its_api_alone(libdir):
    symbols = [line.split()[-1] for line in
               sh("nm", "-D", "--defined-only", libdir / "libbrig.so").splitlines()]
    assert symbols and all(re.fullmatch(r"brig_[a-z0-9]\w*", name) for name in symbols), symbols


def test_pages_and_headers_are_there(prefix):
    assert (prefix / "share/man/man1/brig.1").exists()
    assert (prefix / "share/man/man5/brig.yaml.5").exists()
    assert (prefix / "share/man/man8/brig-serve.8").exists()
    assert (prefix / "include/brig/sandbox.h").exists()
