"""HTTP/1.1 through the server, whatever arrives and however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.http.settings import HttpSettings
from rmqgateway.testing import World
from tests.unit.http.serving import Serves, Sockets, echo

_WORLD = World()

_requests = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"DELETE /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            ]
        ),
        # Bodies come back, and answers are told by their first words.
        st.binary(max_size=300).filter(lambda body: b"HTTP/1.1 " not in body).map(
            lambda body: b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        ),
    ),
    max_size=8,
)


def _answered(pieces: list[bytes]) -> bytes:
    client = _WORLD.http(Serves(echo), Sockets(), settings=HttpSettings(in_flight_bytes=1000))
    for piece in pieces:
        client.send(piece)
    answer: bytes = client.transport.value()
    client.close()
    assert client.protocol.body_bytes == 0
    return answer


def _cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted(place % (len(data) + 1) for place in at)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(_requests, st.lists(st.integers(0, 5000), max_size=30))
def test_answers_do_not_depend_on_how_requests_are_cut(requests: list[bytes], at: list[int]) -> None:
    wire = b"".join(requests)
    whole = _answered([wire])
    assert whole.count(b"HTTP/1.1 ") == len(requests)
    assert _answered(_cut(wire, at)) == whole


@given(_requests, st.binary(max_size=100), st.integers(0, 5000), st.lists(st.integers(0, 5000), max_size=10))
def test_rubbish_in_between_does_not_get_through(requests: list[bytes], rubbish: bytes, place: int, at: list[int]) -> None:
    wire = b"".join(requests)
    place %= len(wire) + 1
    _answered(_cut(wire[:place] + rubbish + wire[place:], at))
    assert not _WORLD.gateway.sessions
