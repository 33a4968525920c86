"""The wheel, as users get it: what is in it, and that twistd finds it when nothing else of the tree is on the path."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a distribution is built from: building in the tree would leave ``build/`` behind."""
    folder = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
    for name in ("rmqgateway", "protocols", "tap", "twisted"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "twisted" / "plugins" / "dropin.cache").write_bytes(b"never packed")
    return folder


def pip(python: Path | str, *arguments: str, cwd: Path) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip(
        sys.executable, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), ".", cwd=source
    )
    (found,) = folder.glob("*.whl")
    return found


def make_environment(folder: Path) -> Path:
    """A new virtual environment that borrows the dependencies, not the tree, of this one; returns its python.

    A path file puts our site-packages behind its own: pip installs into the new one, offline.
    """
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    # The borrowed twistd script would name the other interpreter.
    script = folder / "bin" / "twistd"
    script.write_text(f"#!{python}\nimport sys\nfrom twisted.scripts.twistd import run\nsys.exit(run())\n")
    script.chmod(0o755)
    return python


def clean_environment(folder: Path) -> dict[str, str]:
    found = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RMQGATEWAY_"))
    }
    return {**found, "HOME": str(folder), "XDG_DATA_HOME": ""}


def run_twistd(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(folder / "bin" / "twistd"), *arguments],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    python = make_environment(folder)
    pip(python, "install", "-q", "--ignore-installed", "--no-deps", "--no-index", str(wheel), cwd=folder)
    return folder


def test_the_wheel_has_all_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "twisted/plugins/rmqgateway_tap.py" in names
    assert "twisted/plugins/rmqgateway_remoting.py" in names
    assert "twisted/__init__.py" not in names
    assert "twisted/plugins/__init__.py" not in names
    assert not [
        name
        for name in names
        if "dropin.cache" in name or name.startswith(("protocols/", "tap/", "tests/", "bench/"))
    ]
    for base, start in ((ROOT, ROOT / "rmqgateway"), (ROOT / "protocols",) * 2, (ROOT / "tap",) * 2):
        for file in start.rglob("*"):
            if file.suffix == ".py" or file.name == "py.typed":
                assert str(file.relative_to(base)) in names
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    front_ends = {folder.name for folder in (ROOT / "protocols").glob("rmqgateway_*/")}
    assert tops == {"rmqgateway", "rmqgateway_tap", "twisted", *front_ends}


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
    metadata = archive.read(name).decode()
    assert "Requires-Python: >=3.11" in metadata
    for needed in ("twisted[tls]", "txaio", "autobahn", "protobuf", "zope.interface", "msgspec"):
        assert f"Requires-Dist: {needed}" in metadata


def test_twistd_of_an_installed_wheel_lists_it_and_its_front_ends(installed: Path) -> None:
    assert "rmqgateway" in run_twistd(installed, "--help")
    text = run_twistd(installed, "rmqgateway", "--help-front-ends")
    assert "\nremoting: " in "\n" + text
    assert "--set front_ends.remoting.max_frame=" in text


def serve(folder: Path, *flags: str) -> tuple[int, str]:
    """Start twistd, connect, end it with SIGTERM; its status and what it wrote."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(folder / "bin" / "twistd"), "-n", "--pidfile=", "rmqgateway", *flags, "-d", str(folder / "data"),
             "--listen", f"remoting=tcp:{port}:interface=127.0.0.1"],
            cwd=folder, env=clean_environment(folder), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while "rmqgateway.hello" not in log.read_text() and process.poll() is None:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            said = subprocess.run(
                [str(folder / "bin" / "python"), "-m", "rmqgateway.hello", f"127.0.0.1:{port}"],
                cwd=folder, env=clean_environment(folder), capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            assert "fetched it again" in said.stdout, said.stdout + said.stderr + log.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=40)
    return status, log.read_text()


def test_an_installed_wheel_serves_and_ends_with_status_0(installed: Path) -> None:
    status, text = serve(installed)
    assert status == 0, text
    assert "Traceback" not in text
    assert str(ROOT) not in text, "it ran from the tree"


def test_an_editable_install_serves_too(source: Path, tmp_path: Path) -> None:
    """setup.cfg says mode = strict: in setuptools' default mode twistd would not find the drop-ins."""
    python = make_environment(tmp_path)
    pip(python, "install", "-q", "--ignore-installed", "--no-deps", "--no-index", "--no-build-isolation", "-e", ".", cwd=source)
    assert "rmqgateway" in run_twistd(tmp_path, "--help")
    status, text = serve(tmp_path)
    assert status == 0, text
