"""``document_matrix.py FILE``: write the page of the cross-protocol matrix from the tables that its suite runs by.

``--check`` only tells, by its status, whether the file is as it would be written. A cell that is in the table and fails, fails
``tests/contract/test_matrix.py``; a pair of official clients that fails, fails ``tests/interop/test_matrix.py``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for _folder in (".", "protocols", "tap"):
    sys.path.insert(0, str(ROOT / _folder))

HEAD = """# Which protocols meet

<!-- Written by tools/document_matrix.py (make docs) from the tables that the suite runs by. Do not edit. -->

A message may enter by any front-end and leave by any other. Each cell below is a test of the contract suite
(`tests/contract/test_matrix.py`, in memory, our own codecs): it carries a message of each kind end to end and compares, at
the receiver, body, tag, keys, user properties, message id, born time and born host, delivery time, priority, message group,
lite topic and attempt count; it gives a message back (it comes again with the next attempt, and the old receipt handle is
void), acknowledges, and sees that nothing comes after that. Kinds: {kinds}.

**✓**: all {count} kinds. A number refers to what is refused, below.

"""


def page() -> str:
    """The page."""
    matrix = importlib.import_module("tests.contract.matrix")
    pairs = importlib.import_module("tests.interop.matrix_pairs")
    names = matrix.TITLES
    lines = [HEAD.format(kinds=", ".join(matrix.KINDS), count=len(matrix.KINDS))]
    lines.append("| enters by ↓ leaves by → | " + " | ".join(names[name] for name in matrix.FRONT_ENDS) + " |\n")
    lines.append("|---" * (len(matrix.FRONT_ENDS) + 1) + "|\n")
    refusals = list(matrix.REFUSALS)
    for entry in matrix.FRONT_ENDS:
        marks = [str(refusals.index(key) + 1) for key in refusals if key[0] == entry]
        cell = "✓" if not marks else "✓ but " + ", ".join(marks)
        lines.append(f"| **{names[entry]}** | " + " | ".join([cell] * len(matrix.FRONT_ENDS)) + " |\n")
    lines.append("\nRefused, since the protocol has no word for it:\n\n")
    for number, (entry, kind) in enumerate(refusals, 1):
        lines.append(f"{number}. {kind} entering by {names[entry]}: “{matrix.REFUSALS[entry, kind]}”\n")
    lines.append(
        "\nReceipts: who cannot give a message back (MQ HTTP) lets its invisible duration pass; everything else is the same.\n"
        "A born host is the address that a message came from, or what its producer said instead (gRPC clients name their\n"
        "host): Remoting consumers find the latter in the property `__BORNHOST`, since their field holds addresses only.\n"
        "Java's Remoting client 5.5.0 has no method for a lite topic; on the wire it is the property `__LITE_TOPIC`, and lite\n"
        "topics are received by POP_LITE_MESSAGE after LITE_SUBSCRIPTION_CTL. Over HTTP they are the parameter `lite_topics`,\n"
        "over MQ HTTP `liteTopics`, over WebSocket the field `liteTopics`.\n"
    )
    lines.append("\n## With official clients\n\nThese pairs run in `tests/interop/test_matrix.py` against a gateway process:\n\n")
    lines.append("| sends | receives | kinds |\n|---|---|---|\n")
    grouped: dict[tuple[str, str], list[str]] = {}
    for sender, receiver, kind in pairs.PAIRS:
        grouped.setdefault((sender, receiver), []).append(kind)
    for (sender, receiver), kinds in grouped.items():
        lines.append(f"| {pairs.CLIENTS[sender]} | {pairs.CLIENTS[receiver]} | {', '.join(kinds)} |\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """See the module."""
    check = "--check" in arguments
    (target,) = [Path(argument) for argument in arguments if not argument.startswith("--")]
    text = page()
    if check:
        if target.read_text(encoding="utf-8") == text:
            return 0
        print(f"{target} is not as tools/document_matrix.py writes it: run `make docs`", file=sys.stderr)
        return 1
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
