"""The XML: what SDKs send in its four spellings, what is refused, and that what is written can be read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqgateway.errors import WireError
from rmqgateway_mqhttp.codec import (
    MAX_ELEMENTS,
    NAME_SPACE,
    escape,
    is_xml_text,
    read_message,
    read_receipt_handles,
    write_ack_errors,
    write_error,
    write_messages,
    write_published,
)

XML_TEXT = st.text().filter(is_xml_text)

MESSAGES = [
    b'<Message xmlns="http://mq.aliyuncs.com/doc/v1/"><MessageBody>b</MessageBody><MessageTag>t</MessageTag>'
    b"<Properties>k:v|</Properties></Message>",
    b'<?xml version="1.0" encoding="UTF-8"?><Message xmlns="http://mq.aliyuncs.com/doc/v1"><Properties>k:v|</Properties>'
    b"<MessageTag>t</MessageTag><MessageBody>b</MessageBody></Message>",
    b"<Message><MessageBody><![CDATA[b]]></MessageBody><MessageTag><![CDATA[t]]></MessageTag>"
    b"<Properties><![CDATA[k:v|]]></Properties></Message>",
    b'<m:Message xmlns:m="urn:x">\n <m:MessageBody>b</m:MessageBody>\n <m:MessageTag>t</m:MessageTag>'
    b"<m:Properties>k:v|</m:Properties>\n<!-- a comment --></m:Message>\n",
    b'<?xml version="1.0" encoding="ISO-8859-1"?><Message><MessageBody>b</MessageBody><MessageTag>t</MessageTag>'
    b"<Properties>k:<![CDATA[v]]>|</Properties></Message>",
]


@pytest.mark.parametrize("data", MESSAGES)
def test_spellings_of_a_message(data: bytes) -> None:
    assert read_message(data) == ("b", "t", "k:v|")


def test_only_the_body_is_needed() -> None:
    assert read_message(b"<Message><MessageBody> x &lt;&#x4e2d; </MessageBody></Message>") == (
        " x <中 ",
        "",
        "",
    )
    assert read_message(b"<Message><MessageBody/></Message>") == ("", "", "")


def test_the_declared_encoding_does_not_count() -> None:
    data = '<?xml version="1.0" encoding="GBK"?><Message><MessageBody>中</MessageBody></Message>'.encode()
    assert read_message(data)[0] == "中"


BAD = [
    (b"", "no element found"),
    (b"x", "syntax error"),
    (b"<Message>", "no element found"),
    (b"<Message><MessageBody>a</MessageBody></Message>x", "junk after document element"),
    (b"<Massage><MessageBody>a</MessageBody></Massage>", "expected the root <Message>"),
    (b"<Message></Message>", "no <MessageBody>"),
    (b"<Message><MessageBody>a</MessageBody><MessageBody>a</MessageBody></Message>", "twice"),
    (b"<Message><MessageBody>a</MessageBody><Tag>a</Tag></Message>", "got <Tag>"),
    (b"<Message>text<MessageBody>a</MessageBody></Message>", "unexpected text"),
    (b"<Message><MessageBody>a<b/></MessageBody></Message>", "unexpected (text|element)"),
    (b"<Message><MessageBody>\xff</MessageBody></Message>", "invalid token"),
    (b"<Message><MessageBody>\x00</MessageBody></Message>", "invalid token"),
    (b"<Message><MessageBody>&#1;</MessageBody></Message>", "invalid character"),
    (b"<Message><MessageBody>&a;</MessageBody></Message>", "undefined entity"),
    (b"<!DOCTYPE Message><Message><MessageBody>a</MessageBody></Message>", "document type declaration"),
    (
        b'<!DOCTYPE M SYSTEM "file:///etc/passwd"><Message><MessageBody>a</MessageBody></Message>',
        "document type",
    ),
    (
        b'<!DOCTYPE M [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Message><MessageBody>&b;</MessageBody></Message>',
        "document type declaration",
    ),
    (b"<Message><MessageBody>a</MessageBody>" + b"<x/>" * MAX_ELEMENTS + b"</Message>", "too many elements"),
    (
        "<!DOCTYPE M><Message><MessageBody>a</MessageBody></Message>".encode("utf-16"),
        "document type declaration",
    ),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        read_message(data)
    assert not caught.value.fatal


def test_depth_is_limited() -> None:
    with pytest.raises(WireError, match="at most 2 elements within each other"):
        read_message(b"<Message><MessageBody><a><b/></a></MessageBody></Message>", max_depth=2)


def test_handles() -> None:
    data = b"<ReceiptHandles><ReceiptHandle>a 1</ReceiptHandle><ReceiptHandle><![CDATA[b]]></ReceiptHandle></ReceiptHandles>"
    assert read_receipt_handles(data) == ("a 1", "b")
    assert read_receipt_handles(b"<ReceiptHandles/>") == ()
    with pytest.raises(WireError, match="got <Handle>"):
        read_receipt_handles(b"<ReceiptHandles><Handle>a</Handle></ReceiptHandles>")


@given(XML_TEXT, XML_TEXT, XML_TEXT)
def test_what_is_escaped_is_read_again(body: str, tag: str, properties: str) -> None:
    fields = (("MessageBody", body), ("MessageTag", tag), ("Properties", properties))
    xml = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields)
    assert read_message(f"<Message>{xml}</Message>".encode()) == (body, tag, properties)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    for read in (read_message, read_receipt_handles):
        with pytest.raises(WireError):
            read(data)


@given(st.text(alphabet="<>/&;![]'\"= MessageBodyRcptHandl?-:xa\x00中", max_size=200))
def test_garbage_that_looks_like_xml(text: str) -> None:
    try:
        read_message(f"<Message>{text}</Message>".encode())
    except WireError:
        pass


@given(st.text(), st.text(), st.text())
def test_errors_are_well_formed_whatever_they_say(message: str, host: str, handle: str) -> None:
    error = ElementTree.fromstring(write_error("Code", message, "ID", host))
    assert [child.tag for child in error] == [
        f"{{{NAME_SPACE}}}{name}" for name in ("Code", "Message", "RequestId", "HostId")
    ]
    assert all(child.text for child in error)
    (entry,) = ElementTree.fromstring(write_ack_errors([(handle, "Code", message)]))
    assert len(entry) == 3
    assert all(child.text for child in entry)


def test_the_name_space_has_no_final_slash() -> None:
    for data in (
        write_error("C", "m", "r", "h"),
        write_ack_errors([("h", "C", "m")]),
        write_published("id", "md5"),
        write_messages(["<Message/>"]),
    ):
        assert b' xmlns="http://mq.aliyuncs.com/doc/v1">' in data


def test_a_published_half_message_has_a_handle() -> None:
    assert b"<ReceiptHandle>a&amp;b</ReceiptHandle>" in write_published("id", "md5", "a&b")
    assert b"ReceiptHandle" not in write_published("id", "md5")
