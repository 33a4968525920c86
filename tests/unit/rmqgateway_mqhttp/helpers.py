"""A client of the MQ HTTP wire in memory; what the SDKs do, by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from email.utils import formatdate
from xml.etree import ElementTree

from rmqgateway.http.testing import HttpClient, HttpResponse
from rmqgateway.testing import World
from rmqgateway_mqhttp.frontend import MqHttpFrontEnd, MqHttpSettings

NAME_SPACE = "http://mq.aliyuncs.com/doc/v1"


def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def fields(element: ElementTree.Element) -> dict[str, str]:
    return {local(child.tag): child.text or "" for child in element}


class Client:
    """`post`, `get` and `delete` return the response; `messages`, `error` read it."""

    def __init__(self, world: World | None = None, settings: MqHttpSettings | None = None) -> None:
        self.world = world or World()
        self.front_end = MqHttpFrontEnd(now=lambda: self.world.wall_ms / 1000)
        if settings is not None:
            self.front_end.configure(settings)
        self.http: HttpClient = self.world.http(self.front_end)

    def headers(self, method: str, target: str, body: bytes | None) -> list[tuple[str, str]]:
        date = formatdate(self.world.wall_ms / 1000, usegmt=True)
        kind = "text/xml;charset=utf-8"
        text = f"{method}\n\n{kind}\n{date}\nx-mq-version:2015-06-06\n{target}"
        digest = hmac.new(b"secret", text.encode(), hashlib.sha1).digest()
        return [
            ("x-mq-version", "2015-06-06"),
            ("Date", date),
            ("Content-Type", kind),
            ("Authorization", f"MQ key:{base64.b64encode(digest).decode()}"),
        ]

    def ask(self, method: str, target: str, body: str | None = None) -> HttpResponse:
        data = None if body is None else body.encode()
        return self.http.request(method, target, self.headers(method, target, data), data)

    def publish(
        self, topic: str, body: str, tag: str = "", properties: str = "", query: str = ""
    ) -> dict[str, str]:
        xml = f"<Message><MessageBody>{body}</MessageBody>"
        xml += f"<MessageTag>{tag}</MessageTag>" if tag else ""
        xml += f"<Properties>{properties}</Properties>" if properties else ""
        response = self.ask("POST", f"/topics/{topic}/messages{query}", xml + "</Message>")
        assert response.status == 201, response
        return fields(root(response, "Message"))

    def consume(self, topic: str, group: str, query: str = "&numOfMessages=16") -> list[dict[str, str]]:
        response = self.ask("GET", f"/topics/{topic}/messages?consumer={group}{query}")
        return messages(response)

    def delete(self, topic: str, query: str, handles: Sequence[str]) -> HttpResponse:
        xml = "".join(f"<ReceiptHandle>{handle}</ReceiptHandle>" for handle in handles)
        return self.ask(
            "DELETE", f"/topics/{topic}/messages?{query}", f"<ReceiptHandles>{xml}</ReceiptHandles>"
        )


def root(response: HttpResponse, name: str) -> ElementTree.Element:
    assert (response.header("content-type") or "").startswith("text/xml")
    element = ElementTree.fromstring(response.body)
    assert element.tag == f"{{{NAME_SPACE}}}{name}"
    return element


def messages(response: HttpResponse) -> list[dict[str, str]]:
    assert response.status == 200, response
    return [fields(child) for child in root(response, "Messages")]


def error(response: HttpResponse) -> tuple[int, str]:
    """Status and code."""
    found = fields(root(response, "Error"))
    assert list(found) == ["Code", "Message", "RequestId", "HostId"]
    assert all(found.values())
    assert found["RequestId"] == response.header("x-mq-request-id")
    return response.status, found["Code"]


def ack_errors(response: HttpResponse) -> list[dict[str, str]]:
    assert response.status == 404
    found = [fields(child) for child in root(response, "Errors")]
    for one in found:
        assert sorted(one) == ["ErrorCode", "ErrorMessage", "ReceiptHandle"]
        assert all(one.values())
    return found
