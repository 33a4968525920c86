"""Links between the documents lead somewhere, and every document is in the index."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\(([^)\s#]+)")


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md"), *ROOT.glob("examples/*/*.md")]


def links(document: Path) -> list[str]:
    return [link for link in _LINK.findall(document.read_text()) if not link.startswith(("http:", "https:", "mailto:"))]


def test_links_lead_somewhere() -> None:
    found = [(document, link) for document in documents() for link in links(document)]
    assert len(found) > 15
    assert [f"{document.name}: {link}" for document, link in found if not (document.parent / link).exists()] == []


def test_each_document_is_in_the_index() -> None:
    named = set(links(ROOT / "docs" / "index.md"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"} <= named
