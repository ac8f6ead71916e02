"""The source keeps its rules: headers alone, layers, folders that are spoken of."""
import pathlib
import re
import subprocess

import pytest
from conftest import ROOT

HEADERS = sorted((ROOT / "include/brig").glob("*.h"))
C = ["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c"]
CXX = ["gcc", "-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++"]


@pytest.mark.parametrize("compiler", [C, CXX, ["clang", *C[1:]]], ids=["c99", "c++11", "clang"])
@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_a_public_header_compiles_alone(header, compiler, tmp_path):
    source = tmp_path / "one.c"
    source.write_text(f"#include <brig/{header.name}>\n#include <brig/{header.name}>\n"
                      "int main(void) { return 0; }\n")
    done = subprocess.run([*compiler, f"-I{ROOT}/include", source], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_folders_include_only_what_is_below_them():
    done = subprocess.run(["/usr/bin/python3", ROOT / "tests/include_direction.py", ROOT],
                          capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_a_wrong_include_is_found(tmp_path):
    (tmp_path / "src/base").mkdir(parents=True)
    (tmp_path / "src/base/x.c").write_text('#include "pool/pool.h"\n')
    (tmp_path / "ARCHITECTURE.md").write_text("| base |")
    done = subprocess.run(["/usr/bin/python3", ROOT / "tests/include_direction.py", tmp_path],
                          capture_output=True)
    assert done.returncode == 1 and b"src/base/x.c" in done.stdout


def test_no_file_has_grown_two_jobs():
    long = [path for path in (ROOT / "src").rglob("*.[ch]") if len(path.read_text().splitlines()) > 800]
    assert not long


def test_every_folder_is_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in (ROOT / "src").iterdir():
        assert re.search(rf"^\| {folder.name} \|", text, re.M), folder
