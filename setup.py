"""Build of the accelerator if there is a compiler; without one the program works without it."""

from __future__ import annotations

import os

from setuptools import setup

try:
    from Cython.Build import cythonize
except ImportError:
    EXTENSIONS = []
else:
    EXTENSIONS = cythonize("accelerator/*.pyx", include_path=["."])
    for extension in EXTENSIONS:
        extension.optional = True
        # No debug information: it is not used, and the build takes a third longer with it.
        extension.extra_compile_args = [] if os.name == "nt" else ["-g0"]

setup(ext_modules=EXTENSIONS, options={"build_ext": {"parallel": os.cpu_count()}})
