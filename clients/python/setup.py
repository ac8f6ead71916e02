"""What pyproject.toml cannot say: messages.binpb is made of the .proto files at build time."""
import importlib.resources
import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
FILES = ("agent/agent.proto", "common/common.proto")


class BuildWithMessages(build_py):
    def messages(self):
        root = HERE / "src" if self.editable_mode else pathlib.Path(self.build_lib)
        return root / "brig_client" / "messages.binpb"

    def run(self):
        from grpc_tools import protoc
        super().run()
        self.messages().parent.mkdir(parents=True, exist_ok=True)
        google = importlib.resources.files("grpc_tools") / "_proto"
        if protoc.main(["protoc", f"-I{HERE / 'proto'}", f"-I{google}", "--include_imports",
                        f"--descriptor_set_out={self.messages()}", *FILES]) != 0:
            raise SystemExit("messages.binpb could not be made")

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), str(self.messages())]


setup(cmdclass={"build_py": BuildWithMessages})
