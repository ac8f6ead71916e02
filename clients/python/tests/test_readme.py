"""The examples of README.md do what they say."""
import pathlib
import re
import subprocess
import sys

import pytest

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example, shared):
    assert "127.0.0.1:50051" in example
    subprocess.run([sys.executable, "-W", "error", "-c",
                    example.replace("127.0.0.1:50051", shared.address)], check=True, timeout=60)


def test_there_are_examples():
    assert len(EXAMPLES) == 5
