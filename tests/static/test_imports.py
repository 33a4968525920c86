"""Who may import whom, read from the syntax trees; and what the code never does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted(path for path in (ROOT / "rmqgateway").rglob("*.py"))
FRONT_ENDS = sorted((ROOT / "protocols").glob("rmqgateway_*/"))
TAP = sorted((ROOT / "tap").rglob("*.py"))
ALL = [*CORE, *(path for folder in FRONT_ENDS for path in folder.rglob("*.py")), *TAP]
SANS_IO = [
    path
    for path in ALL
    if (ROOT / "rmqgateway" / "wire") in path.parents or path.stem.split("_")[0] in ("codec", "convert")
]
SANS_IO.append(ROOT / "rmqgateway" / "recognition.py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@lru_cache(None)
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name_of(path))


def imports_of(path: Path, at_run_time: bool = False) -> Iterator[str]:
    """Every module that a file imports, at any place in it; without those that only types need."""
    skipped: set[ast.AST] = set()
    if at_run_time:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                for statement in node.body:
                    skipped.update(ast.walk(statement))
    for node in ast.walk(tree_of(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(modules: Iterator[str], *prefixes: str) -> list[str]:
    return [module for module in modules if any(module == p or module.startswith(p + ".") for p in prefixes)]


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_no_front_end_and_no_tap(path: Path) -> None:
    wrong = [module for module in imports_of(path) if module.split(".")[0].startswith("rmqgateway_")]
    assert not wrong


@pytest.mark.parametrize("folder", FRONT_ENDS, ids=lambda folder: folder.name)
def test_a_front_end_imports_no_other_and_no_backend(folder: Path) -> None:
    for path in folder.rglob("*.py"):
        for module in imports_of(path):
            top = module.split(".")[0]
            assert not top.startswith("rmqgateway_") or top == folder.name, (
                f"{name_of(path)} imports {module}"
            )
            assert not module.startswith("rmqgateway.backend"), (
                f"{name_of(path)} has a private door: {module}"
            )


@pytest.mark.parametrize("path", SANS_IO, ids=name_of)
def test_formats_touch_no_socket_and_no_clock(path: Path) -> None:
    assert not names(imports_of(path, at_run_time=True), "twisted.internet", "socket", "asyncio", "threading")
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called.split(".")[-1] not in (
                "time",
                "time_ns",
                "monotonic",
                "perf_counter",
                "now",
                "utcnow",
                "today",
            ), f"line {node.lineno} reads a clock: {called}"


@pytest.mark.parametrize("path", sorted((ROOT / "twisted" / "plugins").glob("*.py")), ids=name_of)
def test_a_drop_in_imports_next_to_nothing(path: Path) -> None:
    modules = set(imports_of(path))
    allowed = {"rmqgateway.frontend", "rmqgateway.frontend.FrontEndMaker"}
    allowed |= {"twisted.application.service", "twisted.application.service.ServiceMaker"}
    assert modules <= allowed


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_process_no_shell_no_eval(path: Path) -> None:
    """CVE-2023-33246: what cannot start a process cannot be made to."""
    assert not names(imports_of(path), "subprocess", "multiprocessing", "pty", "pickle", "marshal", "shelve")
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in ("eval", "exec", "__import__", "compile"), f"line {node.lineno} calls {called}"
        assert not called.startswith(
            ("os.system", "os.popen", "os.exec", "os.spawn", "os.fork", "os.posix_spawn")
        )
        assert not called.endswith(("spawnProcess", "getProcessOutput"))


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_bare_except_and_no_assert_on_input(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert vanishes under -O"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_reactor_at_import(path: Path) -> None:
    """Importing it installs it; it is a parameter everywhere."""
    for node in tree_of(path).body:
        if isinstance(node, ast.ImportFrom):
            assert not (
                node.module == "twisted.internet" and any(alias.name == "reactor" for alias in node.names)
            )


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_each_module_says_what_it_is_for(path: Path) -> None:
    if path.name != "__init__.py" or path.read_text().strip():
        assert ast.get_docstring(tree_of(path)), "no docstring"
