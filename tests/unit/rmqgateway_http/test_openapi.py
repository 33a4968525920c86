"""The OpenAPI document says what the server does; the page renders it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rmqgateway_http.openapi import make_document
from rmqgateway_http.operations import OPERATIONS, find
from tests.unit.rmqgateway_http.kit import Api

DOCUMENT = make_document()
METHODS = ("get", "post", "put", "patch", "delete")
CASES = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]
VALUES = {
    "topic": "t", "group": "g", "queue": "0", "receipt_handle": "h", "recall_handle": "r", "transaction": "x", "reply_to": "y",
}  # fmt: skip


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"]] if "$ref" in value else []
        return found + [one for item in value.values() for one in references(item)]
    if isinstance(value, list):
        return [one for item in value for one in references(item)]
    return []


def concrete(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: VALUES[found.group(1)], path)


def test_every_operation_is_in_it_once() -> None:
    names = [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()]
    assert sorted(names) == sorted(operation.name for operation in OPERATIONS)
    assert len(set(names)) == len(names)
    assert all(item["summary"] for path in DOCUMENT["paths"].values() for item in path.values())


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        _, _, kind, name = reference.split("/")
        assert name in DOCUMENT["components"][kind], reference


@pytest.mark.parametrize(("method", "path"), CASES)
def test_the_variables_of_a_path_are_declared(method: str, path: str) -> None:
    declared = {one["name"] for one in DOCUMENT["paths"][path][method]["parameters"] if one["in"] == "path"}
    assert declared == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize(("method", "path"), CASES)
def test_what_it_names_is_served(method: str, path: str) -> None:
    operation, names, _ = find(method.upper(), concrete(path))
    assert operation is not None
    assert operation.name == DOCUMENT["paths"][path][method]["operationId"]
    assert len(names) == path.count("{")


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_what_it_does_not_name_is_refused(path: str) -> None:
    api = Api()
    for method in METHODS:
        if method not in DOCUMENT["paths"][path]:
            answer = api.request(method.upper(), concrete(path), body=b"")
            assert answer.status == 405, (method, path)
            assert set(METHODS) & set((answer.header("allow") or "").lower().split(", ")) == set(DOCUMENT["paths"][path])


@pytest.mark.parametrize(("method", "path"), CASES)
def test_every_answer_is_declared(method: str, path: str) -> None:
    """Whatever comes of an almost empty request: a status that is declared, or a problem."""
    api = Api()
    api.send("t", b"x", query="?queue_id=0")
    if "stream" in path:
        api.client.start("GET", concrete(path))
        answer = api.client.response(whole=False)
    else:
        answer = api.request(method.upper(), concrete(path) + ("?timeout=0" if path.endswith("requests") else ""), body=b"")
        if path.endswith("requests"):
            return
    declared = DOCUMENT["paths"][path][method]["responses"]
    kind = (answer.header("content-type") or "").split(";")[0]
    said = declared[str(answer.status)]
    if "$ref" in said:
        assert kind == "application/problem+json"
    else:
        content = said.get("content", {})
        assert kind in content if content else not answer.body


@pytest.mark.parametrize(("method", "path"), CASES)
def test_an_unknown_parameter_is_refused_with_what_there_is(method: str, path: str) -> None:
    if path in ("/", "/openapi.json", "/docs", "/healthz", "/readyz"):
        return
    api = Api()
    api.send("t", b"x", query="?queue_id=0")
    answer = api.request(method.upper(), concrete(path) + "?no_such_thing=1", body=b"")
    assert answer.status in (400, 404), answer
    if answer.status == 400 and "transaction" not in path and "reply_to" not in path:
        assert "no_such_thing" in answer.json()["detail"]


def matches(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as the document uses."""
    if "$ref" in schema:
        return matches(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(matches(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return (
            isinstance(value, dict)
            and set(schema.get("required", ())) <= set(value)
            and (not properties or set(value) <= set(properties))
            and all(matches(one, properties.get(name, {})) for name, one in value.items())
        )
    if kind == "array":
        return isinstance(value, list) and all(matches(one, schema.get("items", {})) for one in value)
    kinds: dict[Any, Any] = {"string": str, "integer": int, "boolean": bool, None: object}
    return isinstance(value, kinds[kind])


def answer_schema(name: str, status: int) -> dict[str, Any]:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            if operation["operationId"] == name:
                schema: dict[str, Any] = operation["responses"][str(status)]["content"]["application/json"]["schema"]
                return schema
    raise KeyError(name)


def test_answers_match_their_schemas() -> None:
    api = Api()
    place = "/v1/topics/t/groups/g"
    seen: list[tuple[str, int, Any]] = [("send", 201, api.send("t", b"\xff", query="?tag=a&keys=k&message_group=m&queue_id=0"))]
    seen.append(("send", 201, api.post("/v1/topics/t/messages", {"messages": [{"properties": {"a": "b"}}]}, 201)))
    for name, method, path in (
        ("receive", "GET", f"{place}/messages?max=32"),
        ("peek", "GET", f"{place}/peek"),
        ("query_queues", "GET", "/v1/topics/t/queues"),
        ("query_offsets", "GET", "/v1/topics/t/queues/0/offsets?timestamp=0"),
        ("pull", "GET", "/v1/topics/t/groups/p/queues/0/messages?offset=0"),
        ("check", "GET", "/v1/producer-groups/t/checks"),
        ("health", "GET", "/healthz"),
        ("readiness", "GET", "/readyz"),
    ):
        seen.append((name, 200, api.request(method, path, status=200).json()))
    seen.append(("begin", 201, api.request("POST", "/v1/topics/t/transactions", body=b"x", status=201).json()))
    seen.append(("acknowledge_many", 207, api.post(f"{place}/acks", {"receipt_handles": ["x"]}, 207)))
    for name, status, value in seen:
        assert matches(value, answer_schema(name, status)), (name, value)
    problem = api.problem(404, "GET", "/v1/topics/nowhere/queues")
    assert matches(problem, {"$ref": "#/components/schemas/Problem"})
    assert not matches({"status": 1}, {"$ref": "#/components/schemas/Status"})


def test_it_is_served() -> None:
    answer = Api().request("GET", "/openapi.json", status=200)
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json() == DOCUMENT


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_options_names_the_methods_of_a_path(path: str) -> None:
    answer = Api().request("OPTIONS", concrete(path), status=204)
    named = set((answer.header("allow") or "").lower().split(", "))
    assert named - {"head", "options"} == set(DOCUMENT["paths"][path])


def test_options_of_a_path_that_nobody_serves() -> None:
    Api().problem(404, "OPTIONS", "/v1/nothing")


@pytest.mark.parametrize("status", [400, 404])
def test_what_the_core_refuses_is_a_problem_too(status: int) -> None:
    api = Api()
    answer = api.request("GET", {400: "/v1/topics/%01/queues", 404: "/elsewhere"}[status], status=status)
    assert matches(answer.json(), {"$ref": "#/components/schemas/Problem"})


def test_the_page_needs_nothing_from_elsewhere() -> None:
    answer = Api().request("GET", "/docs", status=200)
    text = answer.body.decode()
    assert "script" not in text.lower()
    assert not re.search(r"(src|href)=.?https?:", text)
    assert "default-src 'none'" in (answer.header("content-security-policy") or "")
    for operation in OPERATIONS:
        assert f"id={operation.name}>" in text


def test_health() -> None:
    api = Api()
    assert api.request("GET", "/healthz", status=200).json() == {"status": "alive"}
    assert api.request("HEAD", "/readyz", status=200).body == b""
    api.world.gateway.draining = True
    assert api.request("GET", "/readyz", status=503).json() == {"status": "shutting down"}
    assert api.request("GET", "/healthz", status=200).status == 200


def test_readiness_says_what_the_backend_says(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    monkeypatch.setattr(api.world.backend, "ready", lambda: "no route to any broker")
    assert api.request("GET", "/readyz", status=503).json() == {"status": "no route to any broker"}
    monkeypatch.undo()
    assert api.request("GET", "/readyz", status=200).json() == {"status": "ready"}
