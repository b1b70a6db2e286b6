from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.json_formats import EXAMPLES, checks
from chatmodels.json_schema import fault_in

CASES: dict[str, tuple[list[str], list[str]]] = {
    "date": (["2026-02-28", "2024-02-29"], ["2026-13-45", "2026-02-29", "20260228", "2026-2-8"]),
    "date-time": (
        ["2026-11-21T08:30:00Z", "2026-11-21t08:30:00.123+05:30", "1998-12-31T23:59:60Z", "1998-12-31T15:59:60-08:00"],
        [
            "yesterday",
            "2026-11-21",
            "2026-11-21T08:30:00",
            "2026-11-21 08:30:00Z",
            "2026-02-30T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T08:30:60Z",
            "2026-11-21T08:30:00+24:00",
            "2026-11-21T08:30:00Z\n",
            "२०२६-11-21T08:30:00Z",
            "2026-11-21T08:30Z",
            "2026-11-21T08:30:00.Z",
        ],
    ),
    "time": (["08:30:00Z", "23:59:60Z", "00:29:60+00:30", "08:30:00.5-01:00"], ["25:99", "08:30:00", "08:30:60Z"]),
    "duration": (
        ["P1Y", "P1Y2M3DT4H5M6S", "PT36H", "P4DT12H", "P2W", "P0D", "PT0S", "PT1.5S"],
        ["soon", "P", "PT", "P1YT", "P1", "P1D2H", "P2D1Y", "P1Y2W", "PT1D", "p1y", "-P1D"],
    ),
    "email": (
        ["jo@example.org", "a.b+c@x.y", '"a b"@example.org', "a@[127.0.0.1]", "a@[IPv6:::1]"],
        ["no", "a b@example.org", ".a@b.c", "a..b@c.d", "a@", "@b", "a@b c", "a@[1.2.3]", "a@-b.c"],
    ),
    "hostname": (
        ["example", "a-b.example.org", "1.2.3", "x" * 63],
        ["a b", "", ".", "a..b", "-a", "a-", "a_b", "x" * 64, "example.org.", ".".join(["x" * 60] * 5), "é.org"],
    ),
    "uri": (
        [
            "https://example.org/a?b=c#d",
            "urn:isbn:1",
            "mailto:jo@example.org",
            "http://[::1]:80/",
            "a:",
            "http://a:/",
            "http://u:p@h:1/%20;x=1",
            "file:///etc/hosts",
            "http://[v1.a:b]/",
        ],
        [
            "not a uri",
            "/relative",
            "//host/path",
            "1a:b",
            "http://a b",
            "http://[::1",
            "http://h:x/",
            "http://a/%2",
            "http://a/é",
            "http://a/\\",
            "http://a/#a#b",
            ":a",
            "http://[1.2.3.4]/",
            "http://a/{b}",
            "",
        ],
    ),
    "uri-reference": (
        ["", "a", "/a/b", "../a", "?q", "#f", "//h/p", "https://example.org", "a/b:c"],
        ["\\\\", "a b", "1:b", "#a#b", "%", "a|b"],
    ),
    "iri": (["https://exämple.org/ü?é=\ue000"], ["not a", "/ü", "https://a/<b>", "https://a/\ue000"]),
    "iri-reference": (["/ü", ""], ["\\ü", "a b"]),
    "json-pointer": (["", "/", "/a/0", "/a~1b/~0", "//"], ["a", "/~", "/~2", "#/a"]),
    "relative-json-pointer": (["0", "1/a", "0#", "2+1/a"], ["a", "", "/a", "01", "-1", "0##"]),
    "uri-template": (
        ["", "http://a/{b}", "{?x,y*}", "{+path:6}/é", "a%20b"],
        ["{", "}", "{}", "{a b}", "a b", "{a:0}", "<"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_of_a_format_and_what_is_not(name: str) -> None:
    good, bad = CASES[name]
    schema = {"format": name}
    assert [text for text in good if fault_in(text, schema) is not None] == []
    assert [text for text in bad if fault_in(text, schema) is None] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_one(name: str) -> None:
    assert fault_in(EXAMPLES[name], {"format": name}) is None


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_is_a_date_time(moment: dt.datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        moment = moment.astimezone(dt.UTC) if moment.year not in (1, 9999) else moment.replace(tzinfo=dt.UTC)
    assert fault_in(moment.isoformat(), {"format": "date-time"}) is None


@given(st.sampled_from(sorted(checks())), st.text(max_size=30))
def test_any_text_is_judged(name: str, text: str) -> None:
    assert checks()[name](text) in (True, False)
