"""SQL92 filter expressions over message properties: RocketMQ's grammar and its three-valued logic.

::

    or          and ( OR and )*
    and         equality ( AND equality )*
    equality    comparison ( (= | <>) comparison | IS [NOT] NULL )*
    comparison  unary ( (> | >= | < | <=) unary | [NOT] BETWEEN unary AND unary | [NOT] IN ( 'a', … )
                      | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) 'text' )*
    unary       (+ | -) unary | NOT unary | literal | property | ( or )

Source: ``SelectorParser.jj`` and the expression classes of RocketMQ's ``filter`` module. Property values are text; they are
converted to the type of what they are compared with, and where that fails the message does not match, whatever the
operator (RocketMQ throws there, and its filter takes that as "no").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from rmqgateway.errors import WireError

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "MAX_TERMS", "Selector", "compile_selector"]

#: Limits of an expression: it comes from a client, is compiled once and evaluated for each message.
MAX_LENGTH = 4096
MAX_DEPTH = 64
MAX_TERMS = 256

Value: TypeAlias = "str | bool | int | float | None"
Properties: TypeAlias = Mapping[str, str]
_Evaluate: TypeAlias = Callable[[Properties], Value]

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n\r]*|/\*.*?\*/)
      | (?P<float>[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
      | (?P<int>(?:0|[1-9][0-9]*)[lL]?)
      | (?P<string>'(?:''|[^'])*')
      | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<operator><>|<=|>=|[=<>(),+-])""",
    re.VERBOSE | re.DOTALL,
)
_RESERVED = frozenset(
    [
        "NOT",
        "AND",
        "OR",
        "BETWEEN",
        "IN",
        "TRUE",
        "FALSE",
        "NULL",
        "IS",
        "CONTAINS",
        "STARTSWITH",
        "ENDSWITH",
    ]  # in any case
)
_INT = range(-(2**31), 2**31)
_LONG = range(-(2**63), 2**63)


class _Token(NamedTuple):
    kind: str  # int, float, string, word, operator, end; a reserved word is its own kind in capitals
    text: str
    position: int


class _Mismatch(Exception):
    """A value cannot be converted to what it is compared with."""


class _Node(NamedTuple):
    """A part of the expression. :ivar shape: boolean, property, number, string, null: what it may be combined with."""

    evaluate: _Evaluate
    shape: str
    position: int
    value: Value = None


class Selector:
    """A compiled expression. :ivar expression: as it was given."""

    __slots__ = ("_evaluate", "expression")

    def __init__(self, expression: str, evaluate: _Evaluate) -> None:
        self.expression = expression
        self._evaluate = evaluate

    def matches(self, properties: Properties) -> bool:
        """Whether a message with these properties passes; unknown is no."""
        try:
            return self._evaluate(properties) is True
        except _Mismatch:
            return False


def compile_selector(expression: str) -> Selector:
    """Compile an expression.

    :raise WireError: not fatal: what was expected and what came, with the position counted from 1.
    """
    if len(expression) > MAX_LENGTH:
        raise WireError(
            f"filter: expected at most {MAX_LENGTH} characters, got {len(expression)}", fatal=False
        )
    parser = _Parser(_tokens(expression))
    node = parser.boolean(parser.parse_or(0))
    end = parser.next()
    if end.kind != "end":
        raise _error(end, "AND, OR or the end")
    return Selector(expression, node.evaluate)


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise WireError(
                f"filter: unexpected {expression[position]!r} at character {position + 1}", fatal=False
            )
        kind = str(found.lastgroup)
        text = found.group()
        if kind != "space":
            if kind == "word" and text.upper() in _RESERVED:
                kind = text.upper()
            tokens.append(_Token(kind, text, position + 1))
            if len(tokens) > 4 * MAX_TERMS:
                raise WireError(f"filter: expected at most {4 * MAX_TERMS} words and signs", fatal=False)
        position = found.end()
    tokens.append(_Token("end", "", len(expression) + 1))
    return tokens


def _error(token: _Token, expected: str) -> WireError:
    got = "the end" if token.kind == "end" else repr(token.text)
    return WireError(f"filter: expected {expected}, got {got} at character {token.position}", fatal=False)


class _Parser:
    """Recursive descent over the tokens; gives closures."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._terms = 0

    def peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def take(self, *kinds: str) -> bool:
        """Go past the next tokens if they are of these kinds (a reserved word or an operator's text)."""
        for ahead, kind in enumerate(kinds):
            token = self.peek(ahead)
            if token.kind != kind and not (token.kind == "operator" and token.text == kind):
                return False
        self._at += len(kinds)
        return True

    def boolean(self, node: _Node) -> _Node:
        """Take a node as a condition: a bare property is one that is never true, as in RocketMQ."""
        if node.shape in ("boolean", "null"):
            return node
        if node.shape == "property":
            evaluate = node.evaluate
            return _Node(lambda p: None if evaluate(p) is None else False, "boolean", node.position)
        raise WireError(
            f"filter: expected a condition, got a {node.shape} at character {node.position}", fatal=False
        )

    def parse_or(self, depth: int) -> _Node:
        left = self.parse_and(depth)
        while self.take("OR"):
            left = _or(self.boolean(left), self.boolean(self.parse_and(depth)))
        return left

    def parse_and(self, depth: int) -> _Node:
        left = self.parse_equality(depth)
        while self.take("AND"):
            left = _and(self.boolean(left), self.boolean(self.parse_equality(depth)))
        return left

    def parse_equality(self, depth: int) -> _Node:
        left = self.parse_comparison(depth)
        while True:
            if self.take("="):
                left = _equal(left, self._equal_operand(self.parse_comparison(depth), left))
            elif self.take("<>"):
                left = _not(_equal(left, self._equal_operand(self.parse_comparison(depth), left)))
            elif self.take("IS", "NOT", "NULL"):
                left = _not(_is_null(left))
            elif self.take("IS", "NULL"):
                left = _is_null(left)
            else:
                return left

    def _equal_operand(self, right: _Node, left: _Node) -> _Node:
        for node in (left, right):
            if node.shape == "null":
                raise WireError(
                    f"filter: compare with IS NULL, not = NULL, at character {node.position}", fatal=False
                )
        return right

    def parse_comparison(self, depth: int) -> _Node:
        left = self.parse_unary(depth)
        while True:
            token = self.peek()
            if token.kind == "operator" and token.text in _ORDER:
                self.next()
                left = _ordered(token.text, self._ordered(left), self._ordered(self.parse_unary(depth)))
                continue
            negated = token.kind == "NOT"
            word = self.peek(1).kind if negated else token.kind
            if word not in ("BETWEEN", "IN", *_TEXT):
                return left
            self._at += 2 if negated else 1
            if word == "BETWEEN":
                made = self._between(left, depth)
                left = _not(made) if negated else made
            elif word == "IN":
                left = self._in(left, negated)
            else:
                left = _text(_TEXT[word], left, self._string(), negated)

    def _ordered(self, node: _Node) -> _Node:
        if node.shape in ("string", "boolean", "null"):
            raise WireError(
                f"filter: expected a number or a property to compare, got a {node.shape} at character {node.position}",
                fatal=False,
            )
        return node

    def _between(self, left: _Node, depth: int) -> _Node:
        low = self._ordered(self.parse_unary(depth))
        if not self.take("AND"):
            raise _error(self.peek(), "AND (of BETWEEN … AND …)")
        high = self._ordered(self.parse_unary(depth))
        if (
            low.shape == high.shape == "number"
            and isinstance(low.value, (int, float))
            and isinstance(high.value, (int, float))
            and low.value > high.value
        ):
            raise WireError(
                f"filter: BETWEEN {low.value} AND {high.value} is empty, at character {low.position}",
                fatal=False,
            )
        self._ordered(left)
        return _and(_ordered(">=", left, low), _ordered("<=", left, high))

    def _in(self, left: _Node, negated: bool) -> _Node:
        if left.shape != "property":
            raise WireError(
                f"filter: expected a property before IN, got a {left.shape} at character {left.position}",
                fatal=False,
            )
        if not self.take("("):
            raise _error(self.peek(), "( after IN")
        words = {self._string()}
        while self.take(","):
            words.add(self._string())
        if not self.take(")"):
            raise _error(self.peek(), "a comma or )")
        evaluate = left.evaluate
        found = frozenset(words)

        def is_in(properties: Properties) -> Value:
            value = evaluate(properties)
            return None if value is None else (value in found) is not negated

        return _Node(is_in, "boolean", left.position)

    def _string(self) -> str:
        self._count()
        token = self.next()
        if token.kind != "string":
            raise _error(token, "a text in single quotes")
        return token.text[1:-1].replace("''", "'")

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise WireError(f"filter: expected at most {MAX_TERMS} properties and values", fatal=False)

    def parse_unary(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise WireError(
                f"filter: expected at most {MAX_DEPTH} levels, at character {self.peek().position}",
                fatal=False,
            )
        token = self.next()
        if token.kind == "operator":
            if token.text == "(":
                node = self.parse_or(depth + 1)
                if not self.take(")"):
                    raise _error(self.peek(), ")")
                return node
            if token.text == "+":
                return self.parse_unary(depth + 1)
            if token.text == "-":
                return _negate(self.parse_unary(depth + 1), token.position)
        if token.kind == "NOT":
            return _not(self.boolean(self.parse_unary(depth + 1)))
        self._count()
        return _primary(token)


def _primary(token: _Token) -> _Node:
    value: Value
    if token.kind == "word":
        name = token.text
        return _Node(lambda properties: properties.get(name), "property", token.position)
    if token.kind == "string":
        value, shape = token.text[1:-1].replace("''", "'"), "string"
    elif token.kind == "int":
        value, shape = int(token.text.rstrip("lL")), "number"
        if value > 2**63:  # 2**63 itself may still be negated
            raise _error(token, "a number of 64 bits")
    elif token.kind == "float":
        value, shape = float(token.text), "number"
        if value == float("inf"):
            raise _error(token, "a number that a double can hold")
    elif token.kind in ("TRUE", "FALSE"):
        value, shape = token.kind == "TRUE", "boolean"
    elif token.kind == "NULL":
        value, shape = None, "null"
    else:
        raise _error(token, "a property, a value or (")
    return _Node(lambda _: value, shape, token.position, value)


def _negate(node: _Node, position: int) -> _Node:
    if node.shape == "number" and isinstance(node.value, (int, float)):
        value = -node.value
        return _Node(lambda _: value, "number", position, value)
    # RocketMQ negates numbers only; a property is text, so its negation is unknown.
    if node.shape == "property":
        return _Node(lambda _: None, "property", position)
    raise WireError(
        f"filter: expected a number after -, got a {node.shape} at character {node.position}", fatal=False
    )


def _is_null(node: _Node) -> _Node:
    evaluate = node.evaluate
    return _Node(lambda properties: evaluate(properties) is None, "boolean", node.position)


def _not(node: _Node) -> _Node:
    evaluate = node.evaluate

    def negated(properties: Properties) -> Value:
        value = evaluate(properties)
        return None if value is None else not value

    return _Node(negated, "boolean", node.position)


def _or(left: _Node, right: _Node) -> _Node:
    first, second = left.evaluate, right.evaluate

    def either(properties: Properties) -> Value:
        one = first(properties)
        if one:
            return True
        other = second(properties)
        if other:
            return True
        return None if one is None or other is None else False

    return _Node(either, "boolean", left.position)


def _and(left: _Node, right: _Node) -> _Node:
    first, second = left.evaluate, right.evaluate

    def both(properties: Properties) -> Value:
        one = first(properties)
        if one is False:
            return False
        other = second(properties)
        if other is False:
            return False
        return None if one is None or other is None else True

    return _Node(both, "boolean", left.position)


def _convert(text: str, like: Value) -> Value:
    """Text as the type of what it is compared with, as Java's valueOf does. Raises _Mismatch."""
    if isinstance(like, bool):
        return text.lower() == "true"
    try:
        if isinstance(like, float):
            return float(text.strip())
        number = int(text) if text.isascii() and text.lstrip("+-").isdigit() else None
    except ValueError:
        number = None
    # A Java int literal compares with ints only, a larger one with longs: so does ours.
    if number is None or number not in (_INT if isinstance(like, int) and like in _INT else _LONG):
        raise _Mismatch
    return number


def _alike(one: Value, other: Value) -> tuple[Value, Value]:
    if isinstance(one, str) and not isinstance(other, str):
        return _convert(one, other), other
    if isinstance(other, str) and not isinstance(one, str):
        return one, _convert(other, one)
    return one, other


def _equal(left: _Node, right: _Node) -> _Node:
    first, second = left.evaluate, right.evaluate

    def equal(properties: Properties) -> Value:
        one, other = first(properties), second(properties)
        if one is None:
            return None
        if other is None:
            return False
        one, other = _alike(one, other)
        return one == other and isinstance(one, bool) == isinstance(other, bool)

    return _Node(equal, "boolean", left.position)


_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
}


def _ordered(operator: str, left: _Node, right: _Node) -> _Node:
    first, second, compare = left.evaluate, right.evaluate, _ORDER[operator]

    def ordered(properties: Properties) -> Value:
        one, other = first(properties), second(properties)
        if one is None or other is None:
            return None
        if isinstance(one, str) and isinstance(other, str):
            one, other = _convert(one, 0.0), _convert(other, 0.0)
        else:
            one, other = _alike(one, other)
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            return compare(one, other)
        raise _Mismatch

    return _Node(ordered, "boolean", left.position)


_TEXT: dict[str, Callable[[str, str], bool]] = {
    "CONTAINS": lambda text, part: part in text,
    "STARTSWITH": str.startswith,
    "ENDSWITH": str.endswith,
}


def _text(test: Callable[[str, str], bool], left: _Node, part: str, negated: bool) -> _Node:
    evaluate = left.evaluate

    def tested(properties: Properties) -> Value:
        value = evaluate(properties)
        # An absent property and an empty text match neither way.
        if not isinstance(value, str) or not part:
            return False
        return test(value, part) is not negated

    return _Node(tested, "boolean", left.position)
