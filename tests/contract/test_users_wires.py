"""Each wire's own credential, right, wrong and forbidden, through its front-end, in its own words."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from rmqgateway import commands as c
from rmqgateway.apis.apache_rocketmq_v2 import definition_pb2 as v2
from rmqgateway.apis.apache_rocketmq_v2 import service_pb2 as service
from rmqgateway.testing import World
from rmqgateway.wire.remoting import JSON, ROCKETMQ, RemotingCommand, RemotingDecoder, encode_request
from rmqgateway.wire.request_codes import RequestCode, ResponseCode
from rmqgateway_http.frontend import HttpFrontEnd
from rmqgateway_mqhttp.credentials import string_to_sign
from rmqgateway_mqhttp.frontend import MqHttpFrontEnd
from rmqgateway_remoting.credentials import signed_content
from rmqgateway_remoting.frontend import RemotingFrontEnd
from tests.unit.apis.fakes import Tester, metadata
from tests.unit.rmqgateway_websocket import websockets

OK, WHO, NO = "ok", "not authenticated", "forbidden"
#: May publish to T and nothing else; its secret is as long as HMAC's block, and longer in bytes.
ALICE = ("alice", "秘" * 30)
Who = tuple[str, str] | None


def hmac_of(secret: str, data: bytes) -> bytes:
    return hmac.digest(secret.encode(), data, "sha1")


class Wire:
    """A front-end of a gateway with users. :ivar world: where `now` is."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, who: Who, topic: str) -> str:
        """Send a message in somebody's name: OK, WHO or NO."""
        raise NotImplementedError


class Remoting(Wire):
    form = JSON

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.protocol, self.transport = world.connect(RemotingFrontEnd())
        self.decoder = RemotingDecoder()

    def ask(self, who: Who, code: int, ext: dict[str, str], body: bytes = b"") -> RemotingCommand:
        if who is not None:
            ext = {**ext, "AccessKey": who[0]}
            request = RemotingCommand(code, 1, 0, 513, "JAVA", None, ext, body, self.form)
            ext["Signature"] = base64.b64encode(hmac_of(who[1], signed_content(request))).decode()
        self.protocol.dataReceived(encode_request(code, 1, ext, body, serialization=self.form))
        self.world.settle()
        return self.take(lambda frame: frame.is_response)

    def take(self, wanted: Callable[[RemotingCommand], bool]) -> RemotingCommand:
        """The one frame of this kind that came."""
        frames = self.decoder.receive_data(self.transport.value())
        self.transport.clear()
        (found,) = [frame for frame in frames if isinstance(frame, RemotingCommand) and wanted(frame)]
        return found

    def send(self, who: Who, topic: str) -> str:
        ext = {"a": "p", "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": "0", "h": "0", "i": "", "j": "0"}
        answer = self.ask(who, RequestCode.SEND_MESSAGE_V2, ext, "hällo".encode())
        if answer.code == 0:
            return OK
        assert answer.code == ResponseCode.NO_PERMISSION
        return NO if "no permission Pub on Topic:" in (answer.remark or "") else WHO


class RemotingBinary(Remoting):
    form = ROCKETMQ


class Grpc(Wire):
    def send(self, who: Who, topic: str) -> str:
        fields = metadata()
        if who is not None:
            date = datetime.fromtimestamp(self.world.wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
            signature = hmac_of(who[1], date.encode()).hex().upper()
            words = f"MQv2-HMAC-SHA1 Credential={who[0]}, SignedHeaders=x-mq-date-time, Signature={signature}"
            fields |= {b"x-mq-date-time": date.encode(), b"authorization": words.encode()}
        message = v2.Message(
            topic=v2.Resource(name=topic), body=b"x", system_properties=v2.SystemProperties(message_id="1" * 32)
        )
        tester = Tester(world=self.world)
        request = service.SendMessageRequest(messages=[message])
        answer = tester.call("SendMessage", request, service.SendMessageResponse, fields)
        return {v2.OK: OK, v2.UNAUTHORIZED: WHO, v2.FORBIDDEN: NO}[answer.status.code]


class Http(Wire):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.http = world.http(HttpFrontEnd())

    def send(self, who: Who, topic: str) -> str:
        headers = []
        if who is not None:
            headers = [("Authorization", "Basic " + base64.b64encode(":".join(who).encode()).decode())]
        answer = self.http.request("POST", f"/v1/topics/{topic}/messages", headers, b"x")
        if answer.status == 201:
            return OK
        assert answer.header("content-type") == "application/problem+json"
        assert (answer.header("www-authenticate") is not None) is (answer.status == 401)
        return {401: WHO, 403: NO}[answer.status]


class MqHttp(Wire):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.http = world.http(MqHttpFrontEnd(lambda: world.wall_ms / 1000))
        self.code = ""
        self.late = 0.0

    def send(self, who: Who, topic: str) -> str:
        body = b"<Message><MessageBody>x</MessageBody></Message>"
        target = f"/topics/{topic}/messages"
        date = format_datetime(datetime.fromtimestamp(self.world.wall_ms / 1000 - self.late, UTC), usegmt=True)
        headers = [("Date", date), ("Content-Type", "text/xml"), ("x-mq-version", "2015-06-06")]
        if who is not None:
            text = string_to_sign(
                b"POST", b"", b"text/xml", date.encode(), [(b"x-mq-version", b"2015-06-06")], target.encode()
            )
            signature = base64.b64encode(hmac_of(who[1], text)).decode()
            headers.append(("Authorization", f"MQ {who[0]}:{signature}"))
        answer = self.http.request("POST", target, headers, body)
        if answer.status == 201:
            return OK
        assert answer.status == 403
        self.code = answer.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()
        return NO if self.code == "AccessDenied" else WHO


class WebSocket(Wire):
    def send(self, who: Who, topic: str) -> str:
        gateway = websockets.Gateway(self.world)
        browser = gateway.client()
        if who is not None:
            answer = browser.ask("connect", accessKey=who[0], secretKey=who[1])
            if answer["op"] == "error":
                assert answer["code"] == "UNAUTHORIZED"
                return WHO
        answer = browser.ask("send", topic=topic, messages=[{"text": "x"}])
        return {"sent": OK}.get(answer["op"]) or {"UNAUTHORIZED": WHO, "FORBIDDEN": NO}[answer["code"]]


@pytest.fixture
def world() -> World:
    made = World()
    root = made.session()
    made.execute(root, c.CreateUser("root", "r00t", c.UserType.SUPER))
    root.sign_in("root", "r00t")
    made.execute(root, c.CreateUser(*ALICE))
    made.execute(root, c.CreateUser("former", "secret", c.UserType.SUPER, c.UserStatus.DISABLE))
    made.execute(root, c.CreateAcl("User:alice", (c.Policy(entries=(c.PolicyEntry("Topic:T", ("Pub",)),)),)))
    return made


@pytest.fixture(params=[Remoting, RemotingBinary, Grpc, Http, MqHttp, WebSocket], ids=lambda wire: wire.__name__)
def wire(request: pytest.FixtureRequest, world: World) -> Wire:
    made: Wire = request.param(world)
    return made


def test_in_everybodys_name(wire: Wire) -> None:
    assert wire.send(ALICE, "T") == OK
    assert wire.send(("root", "r00t"), "other") == OK
    assert wire.send(ALICE, "other") == NO
    assert wire.send(None, "T") == WHO
    assert wire.send(("alice", "guess"), "T") == WHO
    assert wire.send(("stranger", "x"), "T") == WHO
    assert wire.send(("former", "secret"), "T") == WHO
    assert wire.send(ALICE, "T") == OK


def test_mq_http_says_which(world: World) -> None:
    wire = MqHttp(world)
    for who, code in (
        (("alice", "guess"), "SignatureDoesNotMatch"),
        (("stranger", "x"), "InvalidAccessKeyId"),
        (None, "AccessIDAuthError"),
    ):
        assert wire.send(who, "T") == WHO and wire.code == code
    for _ in range(3):
        assert wire.send(ALICE, "T") == OK  # the same bytes, thrice
    world.advance(11, step=1)
    wire.late = 11
    assert wire.send(ALICE, "T") == WHO and wire.code == "InvalidDate", "a replay"
    wire.late = 1000
    assert wire.send(ALICE, "T") == WHO and wire.code == "InvalidDate", "too old"


def test_answers_of_remoting_clients_are_not_signed(world: World) -> None:
    """They are answers to what was asked on this very connection."""
    wire = Remoting(world)
    beat = json.dumps(
        {
            "clientID": "member",
            "consumerDataSet": [
                {
                    "groupName": "G",
                    "consumeType": "CONSUME_PASSIVELY",
                    "messageModel": "CLUSTERING",
                    "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET",
                    "subscriptionDataSet": [],
                }
            ],
            "producerDataSet": [],
        }
    ).encode()
    assert wire.ask(("root", "r00t"), RequestCode.HEART_BEAT, {}, beat).code == 0
    root = world.session()
    root.sign_in("root", "r00t")
    waiting = world.start(root, c.GetRunningInformation("G", "member"))
    world.settle()
    asked = wire.take(lambda frame: frame.code == RequestCode.GET_CONSUMER_RUNNING_INFO)
    answer = encode_request(0, asked.opaque, {}, b'{"x":1}').replace(b'"flag":0', b'"flag":1')
    wire.protocol.dataReceived(answer)
    world.settle()
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found and found[0].body == b'{"x":1}', found


def test_who_did_not_get_a_message_does_not_acknowledge_it_on_the_stream_of_another(world: World) -> None:
    """A stream's messages are settled by other requests: by the same user's only, who must be proven."""
    front_end = HttpFrontEnd()

    def basic(secret: str, name: str = "root") -> list[tuple[str, str]]:
        return [("Authorization", "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode())]

    reader, other = world.http(front_end), world.http(front_end)
    assert other.request("POST", "/v1/topics/T/messages", basic("r00t"), b"x").status == 201
    reader.start("GET", "/v1/topics/T/groups/G/stream", [*basic("r00t"), ("Accept", "application/x-ndjson")])
    world.advance(1)
    answer = reader.response(whole=False)
    message = json.loads(answer.body.splitlines()[-1])
    target = f"/v1/topics/T/groups/G/messages/{message['receipt_handle']}"
    assert other.request("DELETE", target).status == 401
    assert other.request("DELETE", target, basic("guess")).status == 401
    assert other.request("DELETE", target, basic(ALICE[1], "alice")).status == 403
    assert other.request("DELETE", target, basic("r00t")).status == 204
