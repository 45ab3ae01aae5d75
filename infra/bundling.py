"""The assets of the layer and the functions, built at synth by uv and compileall, without Docker.

Invariant: equal inputs give an equal digest, and the digest is the asset's hash, so that deploying again without a
change changes nothing. Inputs are the sources, the locked requirements with their hashes, the bytecode version and
this file. Everything is pure Python, so that one build runs on every architecture.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RUNTIME = (3, 13)
_NATIVE_SUFFIXES = frozenset({".so", ".pyd", ".dylib"})
# Installed beside the packages and read by nothing at run time: package metadata, console scripts, uv's own files,
# and Powertools' event handler, which no function takes (a Pydantic model, which none has, is all that asks for it).
_NOT_NEEDED = ("*.dist-info", "bin", ".lock", "aws_lambda_powertools/event_handler")
_NOT_SOURCE = frozenset({"__pycache__", ".DS_Store"})


class BundlingError(RuntimeError):
    """An asset cannot be built, or must not be deployed as it came out."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A built asset: the folder to upload and the digest of what it was built from."""

    path: Path
    digest: str

    def size(self) -> int:
        """Bytes as they lie unpacked in the function's file system."""
        return sum(len(content) for _, content in _files(self.path))

    def packed_size(self) -> int:
        """Bytes of the archive that is uploaded, near enough: the CDK packs it with its own settings."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in _files(self.path):
                packed.writestr(name, content)
        return archive.tell()


def bundle_layer(root: Path) -> Bundle:
    """Build the shared layer of the project at `root`: the product's package and its locked dependencies."""
    sources = root / "layers" / "scoring" / "python" / "leadscore"
    requirements = _locked_requirements(root)

    def fill(folder: Path) -> None:
        packages = folder / "python"
        _install(root, requirements, packages)
        _copy_sources(sources, packages / "leadscore")

    return _bundle(root, "layer", _digest("layer", requirements.encode(), sources), fill, "/opt")


def bundle_function(root: Path, name: str) -> Bundle:
    """Build the asset of the function in `functions/<name>`: its own modules, with `handler.py` at the top."""
    sources = root / "functions" / name
    if not (sources / "handler.py").is_file():
        raise BundlingError(f"{sources / 'handler.py'}: not there, so the function `{name}` cannot be built")

    def fill(folder: Path) -> None:
        _copy_sources(sources, folder)
        (folder / "__init__.py").unlink(missing_ok=True)

    return _bundle(root, f"function-{name}", _digest(name, b"", sources), fill, "/var/task")


def _bundle(root: Path, name: str, digest: str, fill: Callable[[Path], None], mounted_at: str) -> Bundle:
    built = root / ".build" / f"{name}-{digest[:16]}"
    if not built.is_dir():
        built.parent.mkdir(exist_ok=True)
        # Two synths may run at once: each builds in a folder of its own, and the first rename wins.
        with tempfile.TemporaryDirectory(dir=built.parent, prefix=".partial-") as partial:
            folder = Path(partial) / name
            folder.mkdir()
            fill(folder)
            _refuse_native_code(folder)
            _compile(folder, mounted_at)
            try:
                folder.rename(built)
            except OSError:
                if not built.is_dir():
                    raise
    return Bundle(path=built, digest=digest)


def _digest(name: str, requirements: bytes, sources: Path) -> str:
    digest = hashlib.sha256()
    parts = [name.encode(), importlib.util.MAGIC_NUMBER, Path(__file__).read_bytes(), requirements]
    for path, content in _files(sources):
        if _NOT_SOURCE.isdisjoint(path.split("/")):
            parts += [path.encode(), content]
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _copy_sources(sources: Path, folder: Path) -> None:
    shutil.copytree(sources, folder, ignore=shutil.ignore_patterns(*_NOT_SOURCE), dirs_exist_ok=True)


def _locked_requirements(root: Path) -> str:
    return _run_uv(
        root,
        *("export", "--package", "leadscore-layer", "--frozen", "--no-dev", "--no-emit-workspace"),
        *("--no-annotate", "--no-header"),
    )


def _install(root: Path, requirements: str, folder: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listing:
        listing.write(requirements)
        listing.flush()
        _run_uv(
            root,
            *("pip", "install", "--python", sys.executable, "--target", str(folder), "--link-mode", "copy"),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirements", listing.name),
        )
    for pattern in _NOT_NEEDED:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _run_uv(root: Path, *arguments: str) -> str:
    uv = shutil.which("uv") or shutil.which("uv", path=root / ".tools" / "bin")
    if uv is None:
        raise BundlingError("uv is not on the PATH: it builds the Lambda layer; `make setup` installs it")
    done = subprocess.run([uv, *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundlingError(f"`uv {' '.join(arguments)}` failed:\n{done.stderr.strip()}")
    return done.stdout


def _refuse_native_code(folder: Path) -> None:
    native = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix in _NATIVE_SUFFIXES)
    if native:
        listing = ", ".join(map(str, native))
        raise BundlingError(f"native code in a bundle that must run on every architecture: {listing}")


def _compile(folder: Path, mounted_at: str) -> None:
    """Add bytecode that Lambda loads without a look at the source, and that names the paths of Lambda."""
    if sys.version_info[:2] != RUNTIME:
        wanted = ".".join(map(str, RUNTIME))
        raise BundlingError(f"bytecode must be built with Python {wanted}, not {sys.version.split()[0]}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"),
            *("-s", str(folder), "-p", mounted_at, str(folder)),
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BundlingError(f"bytecode of {folder.name} cannot be built:\n{done.stdout}{done.stderr}")


def _report(root: Path) -> str:
    functions = sorted(path.parent.name for path in (root / "functions").glob("*/handler.py"))
    bundles = {"layer": bundle_layer(root)} | {name: bundle_function(root, name) for name in functions}
    return "".join(
        f"{name:10} {bundle.size() / 1000:9.1f} kB unpacked {bundle.packed_size() / 1000:9.1f} kB packed\n"
        for name, bundle in bundles.items()
    )


if __name__ == "__main__":
    sys.stdout.write(_report(Path(__file__).parent.parent))
