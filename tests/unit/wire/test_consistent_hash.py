"""Message groups go to the queues to which Guava 32.0.1 sends them."""

from __future__ import annotations

import pytest

from rmqgateway.wire.consistent_hash import consistent_hash, java_hash

BUCKETS = (1, 2, 3, 4, 7, 8, 16, 64, 1000)

#: text: String.hashCode, then Hashing.consistentHash of it for each of BUCKETS, by a JVM with Guava 32.0.1.
VECTORS = {
    "": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "a": (97, 0, 0, 0, 0, 0, 0, 0, 29, 346),
    "abc": (96354, 0, 0, 0, 0, 0, 7, 8, 8, 379),
    "order-1": (-1207111310, 0, 0, 0, 3, 3, 3, 3, 3, 489),
    "group": (98629247, 0, 0, 0, 0, 0, 0, 8, 8, 391),
    "中文": (646394, 0, 0, 0, 3, 3, 3, 3, 36, 401),
    "\U0001f600x": (54959989, 0, 1, 2, 3, 5, 5, 5, 27, 914),
    "0123456789012345678901234567890123456789012345678901234567890123": (
        -2103577760, 0, 1, 1, 1, 1, 1, 9, 58, 86,
    ),
    "ORDER_20260101_000017": (-1432641552, 0, 0, 2, 3, 4, 4, 4, 45, 978),
}  # fmt: skip

#: n * 0x9E3779B9 as Java's int, for 8 and 1000 buckets.
NUMBERS = (
    "0:0,0 -1640531527:0,790 1013904242:4,268 -626627285:2,28 2027808484:0,812 387276957:0,342 -1253254570:7,492 "
    "1401181199:1,520 -239350328:1,134 -1879881855:1,234 774553914:6,594 -865977613:6,599 1788458156:7,722 147926629:5,729 "
    "-1492604898:5,204 1161830871:2,257 -478700656:2,218 -2119232183:2,588 535203586:2,182 -1105327941:4,761 "
    "1549107828:2,373 -91423699:2,586 -1731955226:2,611 922480543:0,72 -718050984:0,113 1936384785:5,411 295853258:3,771 "
    "-1344678269:3,799 1309757500:6,831 -330774027:5,933 -1971305554:5,757 683130215:2,785 -957401312:7,16 1697034457:6,495 "
    "56502930:7,517 -1584028597:7,405 1070407172:1,284 -570124355:1,96 2084311414:7,939 443779887:4,145"
)


@pytest.mark.parametrize("text", VECTORS, ids=ascii)
def test_a_group_goes_where_apaches_proxy_sends_it(text: str) -> None:
    number, *buckets = VECTORS[text]
    assert java_hash(text) == number
    assert [consistent_hash(number, count) for count in BUCKETS] == buckets


def test_numbers_of_either_sign() -> None:
    for item in NUMBERS.split():
        number, _, places = item.partition(":")
        assert [consistent_hash(int(number), count) for count in (8, 1000)] == [int(x) for x in places.split(",")]


def test_few_groups_move_when_a_queue_is_added() -> None:
    groups = [java_hash(f"group-{number}") for number in range(2000)]
    moved = [group for group in groups if consistent_hash(group, 8) != consistent_hash(group, 9)]
    assert all(consistent_hash(group, 9) == 8 for group in moved)
    assert 2000 / 9 * 0.7 < len(moved) < 2000 / 9 * 1.3
