"""The tree is as drawn: every package is declared, drop-ins are only drop-ins, nobody shadows anybody."""

from __future__ import annotations

import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = {"rmqgateway": ROOT / "rmqgateway", "protocols": ROOT / "protocols", "tap": ROOT / "tap"}


def setup_cfg() -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def package_dir() -> dict[str, str]:
    pairs = [line.split("=") for line in lines(setup_cfg()["options"]["package_dir"])]
    return {package.strip(): folder.strip() for package, folder in pairs}


def packages_in_tree() -> set[str]:
    found = {"twisted.plugins"}
    for base, start in ((ROOT, ROOT / "rmqgateway"), (ROOT / "protocols",) * 2, (ROOT / "tap",) * 2):
        for init in start.rglob("__init__.py"):
            found.add(".".join(init.parent.relative_to(base).parts))
    return found


def tracked() -> list[str]:
    try:
        done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return done.stdout.splitlines()


def test_every_package_is_declared_in_setup_cfg() -> None:
    assert set(lines(setup_cfg()["options"]["packages"])) == packages_in_tree()


def test_package_dir_names_each_source_root() -> None:
    declared = package_dir()
    for package in packages_in_tree():
        top = "twisted.plugins" if package == "twisted.plugins" else package.split(".")[0]
        assert top in declared, f"package_dir does not say where {top} is"
        assert (ROOT / declared[top]).is_dir()


def test_each_folder_with_python_is_a_package() -> None:
    for root in SOURCE_ROOTS.values():
        for file in root.rglob("*.py"):
            if "__pycache__" not in file.parts:
                assert (file.parent / "__init__.py").exists(), f"{file.parent} has no __init__.py"


def test_source_roots_and_twisted_are_no_packages() -> None:
    for folder in ("protocols", "tap", "twisted", "twisted/plugins"):
        assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/__init__.py would hide other packages"


def test_every_import_package_begins_with_our_name() -> None:
    for package in packages_in_tree() - {"twisted.plugins"}:
        assert package.startswith("rmqgateway")


def test_packages_are_typed() -> None:
    for package in packages_in_tree() - {"twisted.plugins"}:
        if "." not in package:
            assert (ROOT / package_dir()[package] / "py.typed").exists(), f"{package} has no py.typed"


@pytest.mark.parametrize(
    "maker", sorted((ROOT / "protocols").glob("rmqgateway_*")), ids=lambda path: path.name
)
def test_each_front_end_has_a_drop_in(maker: Path) -> None:
    assert (ROOT / "twisted" / "plugins" / f"{maker.name}.py").exists()


def test_no_file_passes_700_lines() -> None:
    for root in (*SOURCE_ROOTS.values(), ROOT / "tools", ROOT / "tests", ROOT / "bench"):
        for file in root.rglob("*.py"):
            if "apis/apache" not in str(file):
                assert len(file.read_text().splitlines()) <= 700, f"{file.relative_to(ROOT)} is too long"


def test_nothing_made_is_tracked() -> None:
    for name in tracked():
        assert not name.endswith((".pyc", "dropin.cache", ".jar", ".class", ".so", "twistd.pid")), name


def test_no_machine_is_named() -> None:
    words = ["/work" + "/main", "/work" + "/shared", "/tmp/" + "rmq55", "/root" + "/"]
    for name in tracked():
        path = ROOT / name
        if path.is_file() and path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".cfg",
            ".sh",
            ".java",
            ".go",
            ".c",
            ".h",
            ".xml",
            "",
        }:
            text = path.read_text(errors="replace")
            for word in words:
                assert word not in text, f"{name} names {word}"


def test_news_fragments_are_of_a_known_type() -> None:
    types = ("feature", "bugfix", "removal", "misc")
    for fragment in (ROOT / "newsfragments").glob("*"):
        if fragment.name not in (".gitignore", "README.md"):
            assert fragment.suffixes and fragment.suffixes[0].lstrip(".") in types, (
                f"{fragment.name}: one of {types}"
            )
            assert fragment.read_text().strip(), f"{fragment.name} is empty"
