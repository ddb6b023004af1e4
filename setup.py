"""The part of the build that pyproject.toml cannot say: the C library of the table kernel."""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildLibrary(build_ext):
    """Adds the options that the compiler at hand understands."""

    def build_extension(self, ext: Extension) -> None:
        """Compile one library; without a compiler it is left out, since it is optional."""
        if self.compiler.compiler_type != "msvc":
            ext.extra_compile_args = ["-O3", "-g0", "-ffp-contract=fast", "-fvisibility=hidden"]
        super().build_extension(ext)


# Plain C for every Python and torch: it includes neither's headers and links against neither.
setup(
    ext_modules=[
        Extension(
            "actzoo.kernels.table._table",
            sources=["actzoo/kernels/table/table.c"],
            depends=[str(path) for path in Path("actzoo/kernels/table").glob("*.h")],
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildLibrary},
)
