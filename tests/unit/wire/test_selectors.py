"""SQL92 filters: grammar, three-valued logic, conversions, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway.wire.selectors import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, compile_selector

PROPERTIES = {"a": "5", "b": "hello", "c": "2.5", "t": "true", "TAGS": "TagA", "big": "5000000000", "neg": "-3"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a = 5", True),
        ("a = 6", False),
        ("a <> 6", True),
        ("a > 4 AND a < 6", True),
        ("a >= 5 and a <= 5", True),
        ("5 = a", True),
        ("a = '5'", True),
        ("b = 'hello'", True),
        ("b <> 'x'", True),
        ("b = 5", False),  # no number: not even <> is true
        ("b <> 5", False),
        ("c > 2.4", True),
        ("c > 2", False),  # a fraction is no int: RocketMQ's conversion fails
        ("a = 5.0", True),
        ("big > 5", False),  # Java: Integer.valueOf fails
        ("big > 4999999999", True),
        ("big = 5000000000L", True),
        ("t = TRUE", True),
        ("t = FALSE", False),
        ("t", False),
        ("TRUE", True),
        ("NOT FALSE", True),
        ("missing IS NULL", True),
        ("a IS NOT NULL", True),
        ("a IS NULL", False),
        ("missing = 1", False),
        ("missing <> 1", False),
        ("NOT (missing = 1)", False),  # unknown stays unknown
        ("missing = 1 OR a = 5", True),
        ("missing = 1 AND a = 5", False),
        ("a BETWEEN 1 AND 5", True),
        ("a NOT BETWEEN 1 AND 4", True),
        ("a between 6 and 7", False),
        ("neg BETWEEN -5 AND -1", True),
        ("neg = -3", True),
        ("b IN ('x', 'hello')", True),
        ("b NOT IN ('x')", True),
        ("missing IN ('x')", False),
        ("missing NOT IN ('x')", False),
        ("b CONTAINS 'ell'", True),
        ("b NOT CONTAINS 'ell'", False),
        ("b STARTSWITH 'he'", True),
        ("b ENDSWITH 'lo'", True),
        ("b NOT ENDSWITH 'x'", True),
        ("b CONTAINS ''", False),
        ("missing NOT CONTAINS 'x'", False),
        ("TAGS is not null and TAGS in ('TagA', 'TagB')", True),
        ("a = 5 OR b = 'x' AND c = 9", True),  # AND binds tighter
        ("(a = 5 OR b = 'x') AND c = 9.5", False),
        ("a > c", True),  # texts compare as doubles
        ("a > b", False),
        ("b = 'it''s'", False),
        ("/* note */ a = 5 -- done", True),
        ("+5 = a", True),
        ("- a = 5", False),
        ("a = .5e1", True),
        ("a = -9223372036854775808", False),
    ],
)
def test_values(expression: str, expected: bool) -> None:
    assert compile_selector(expression).matches(PROPERTIES) is expected


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "got the end at character 1"),
        ("a =", "got the end at character 4"),
        ("a = 5 b", "got 'b' at character 7"),
        ("a = NULL", "IS NULL"),
        ("a > 'x'", "got a string at character 5"),
        ("a > TRUE", "boolean"),
        ("5", "expected a condition, got a number"),
        ("'x'", "expected a condition"),
        ("a LIKE 'x%'", "got 'LIKE' at character 3"),
        ("a BETWEEN 1", "AND (of BETWEEN"),
        ("a BETWEEN 5 AND 1", "is empty"),
        ("5 IN ('x')", "property before IN"),
        ("a IN 'x'", "( after IN"),
        ("a IN ('x'", "a comma or )"),
        ("a IN (5)", "text in single quotes"),
        ("a CONTAINS b", "text in single quotes"),
        ("(a = 5", "expected )"),
        ("a = 5 # x", "unexpected '#' at character 7"),
        ("a = 'open", "unexpected"),
        ("a = 9223372036854775809", "64 bits"),
        ("a = 1e999", "double"),
        ("- 'x' = 'y'", "number after -"),
        ("a = 1 AND 5", "expected a condition"),
        ("a IS 5", "got 'IS'"),
        ("(" * (MAX_DEPTH + 2) + "a = 1" + ")" * (MAX_DEPTH + 2), "levels"),
        ("x" * (MAX_LENGTH + 1), "characters"),
        ("NOT " * 200 + "a", "levels"),
        (" OR ".join(["a=1"] * (MAX_TERMS // 2 + 1)), "properties and values"),
        ("+" * 2000 + "a", "words and signs"),
    ],
)
def test_errors_say_what_and_where(expression: str, text: str) -> None:
    with pytest.raises(WireError) as caught:
        compile_selector(expression)
    assert text in caught.value.message
    assert not caught.value.fatal


_WORDS = ["a", "b", "5", "'x'", "=", "<>", "<", "(", ")", "AND", "OR", "NOT", "IS", "NULL", "IN", ",", "BETWEEN", "-", "TRUE",
          "CONTAINS", "1.5", "missing"]  # fmt: skip


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map(" ".join) | st.text(max_size=60))
def test_garbage_raises_nothing_else(expression: str) -> None:
    try:
        selector = compile_selector(expression)
    except WireError:
        return
    selector.matches(PROPERTIES)
    assert selector.expression == expression
