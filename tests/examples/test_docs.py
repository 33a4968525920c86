"""Every snippet of ``docs/writing-a-front-end.md`` runs, in order, or is in the example as it stands there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "writing-a-front-end.md"
EXAMPLE = ROOT / "examples" / "rmqgateway-stomp"
FENCE = re.compile(r"^```(\w+)(?: excerpt=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = FENCE.findall(PAGE.read_text())


def test_there_are_snippets_of_both_kinds() -> None:
    assert len([path for _, path, _ in SNIPPETS if path]) >= 5
    assert len([path for _, path, _ in SNIPPETS if not path]) >= 5


@pytest.mark.parametrize(("path", "text"), [(path, text) for _, path, text in SNIPPETS if path])
def test_excerpts_are_in_the_example(path: str, text: str) -> None:
    assert text in (EXAMPLE / path).read_text()


def test_the_others_run_in_their_order() -> None:
    namespace: dict[str, object] = {}
    for language, path, text in SNIPPETS:
        if language == "python" and not path:
            exec(compile(dedent(text), str(PAGE), "exec"), namespace)  # noqa: S102  # what this test is for


def test_files_and_names_that_the_text_mentions_exist() -> None:
    text = PAGE.read_text()
    for path in re.findall(r"`((?:rmqgateway|tests|docs|examples)/[\w/.-]+)`", text):
        assert (ROOT / path).exists(), path
    dotted = re.findall(r"`rmqgateway\.([a-z_.]+)\.([A-Z]\w+|number)`", text)
    assert len(dotted) >= 6
    for module, name in dotted:
        assert hasattr(import_module(f"rmqgateway.{module}"), name), (module, name)
