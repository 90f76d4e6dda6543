"""Builds edge_rnn._native: the kernel once per instruction set, each with its own flags, in one abi3 extension.

Everything else is in pyproject.toml. Where no compiler is, or it knows no vector extensions, the install goes on: with
the portable kernel alone, or without the extension, and NumPy runs the models (one line in the build log says so).
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, PlatformError
from setuptools.modified import newer_group

KERNEL = Path("edge_rnn/kernel")
LAYERS = ["dense.c", "rnn.c", "gru.c", "lstm.c", "fastgrnn.c", "past.c", "attention.c"]
PORTABLE = [*LAYERS, "matrix.c", "network.c", "snapshot.c", "tanh_table.c"]
HOST = ["simd/check.c", "simd/select.c", "simd/portable.c", "csv.c", "frames.c"]
BOUND = ["arrays", "graph", "kernel", "runs", "stepper", "abreast", "csv", "frames", "receive", "softmax"]
WIRE = Path("firmware_bridge/device")  # the board's own decoder of frames
BINDING = [KERNEL / "binding.c", *(KERNEL / f"{part}_binding.c" for part in BOUND)]
SOURCES = [*(KERNEL / name for name in PORTABLE + HOST), *BINDING, WIRE / "ernn_frame.c", WIRE / "ernn_crc.c"]


def variants(machine: str) -> dict[str, list[str]]:
    """Name -> flags of each variant that GCC or Clang builds for a machine; none: the portable kernel alone.

    The machine is the last word of the platform's name, so that a cross compiler is told what to build for by
    _PYTHON_HOST_PLATFORM=linux-aarch64, as the interpreter's own build is.
    """
    v4 = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
    x86 = {
        "baseline": ["-march=x86-64"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": v4,
        "avx512vnni": [*v4, "-mavx512vnni", "-mavx512vbmi"],
    }
    return {"x86_64": x86, "aarch64": {"neon": []}, "arm64": {"neon": []}}.get(machine, {})


class PerVariant(build_ext):
    """build_ext, but simd/variant.c is compiled once for each instruction set."""

    def build_extension(self, ext: Extension) -> None:
        """Compile the variants into objects, then let setuptools compile the rest and link."""
        target = self.get_ext_fullpath(ext.name)
        if not self.force and not newer_group([*ext.sources, *ext.depends, "setup.py"], target, "newer"):
            return
        if self.compiler.compiler_type == "unix":
            try:
                ext.extra_objects += self.compile_variants()
            except CompileError:
                self.warn("the compiler gave no vector variant of the kernel: trying the portable one alone")
            ext.extra_compile_args += ["-std=gnu11", "-O2", "-fwrapv", "-ffp-contract=off", "-fvisibility=hidden"]
        try:
            import numpy
        except ImportError:
            pass  # samples come through the buffer protocol, which costs 50 ns more
        else:
            ext.include_dirs.append(numpy.get_include())
            ext.define_macros.append(("ERNN_NUMPY", None))
        if not ext.extra_objects:
            ext.define_macros.append(("ERNN_PORTABLE_ONLY", None))
        try:
            super().build_extension(ext)
        except (CCompilerError, PlatformError):
            self.warn("no C compiler built the native engine: NumPy will run the models")
            raise  # the extension is optional: build_ext goes on without it

    def compile_variants(self) -> list[str]:
        """Object files, one for each instruction set of the machine that is built for."""
        objects: list[str] = []
        for name, flags in variants(self.plat_name.rpartition("-")[2]).items():
            objects += self.compiler.compile(
                [str(KERNEL / "simd" / "variant.c")],
                output_dir=str(Path(self.build_temp) / name),
                macros=[("ERNN_VARIANT", name)],
                extra_postargs=["-std=gnu11", "-O3", "-fwrapv", "-fvisibility=hidden", *flags],
            )
        return objects


native = Extension(
    "edge_rnn._native",
    sources=[str(path) for path in SOURCES],
    depends=[str(path) for path in [*sorted(KERNEL.rglob("*.[ch]")), *sorted(WIRE.glob("*.[ch]"))]],
    define_macros=[("Py_LIMITED_API", "0x030B0000"), ("ERNN_LINK_MAX_PAYLOAD", "240")],
    py_limited_api=True,
    optional=True,
)

if __name__ == "__main__":
    setup(ext_modules=[native], cmdclass={"build_ext": PerVariant})
