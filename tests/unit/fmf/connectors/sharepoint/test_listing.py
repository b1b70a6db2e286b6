from __future__ import annotations

import threading
import time

import pytest

from fmf.connectors.sharepoint.connector import BY_FOLDERS, NO_FILE, PACKAGES, SHORTCUTS, UNREADABLE
from fmf.errors import ConfigError, ConnectorError, exit_status
from fmf.types import ResourceRef
from fmf_core.errors import Code
from peers.graph_server import DRIVE, SITE_URL, GraphServer, _json, many, throttled, unavailable


def ids(refs):
    return [ref.id for ref in refs]


@pytest.mark.parametrize("refused", [None, (400, "notSupported"), (501, "notImplemented"), (403, "accessDenied")])
def test_450_files_are_listed_over_pages_whether_or_not_there_is_a_delta(graph, connect, refused):
    files = dict(many(450))
    for name, content in files.items():
        graph.put(name, content)
    graph.delta_refused = refused
    connector = connect(graph, root_path="/Policies/")
    found = list(connector.list())
    assert ids(found) == sorted(name.removeprefix("Policies/") for name in files)
    assert graph.count("delta") == (1 if refused else 10)
    assert connector.notices == ({BY_FOLDERS: 1} if refused else {})
    assert (connector.cursor is None) == bool(refused)
    with connector.open(found[123]) as stream:
        assert stream.read() == files[f"Policies/{found[123].id}"]


def test_addresses_are_those_that_people_open(graph, connect):
    graph.put("Policies/a b#1%.md", b"x")
    (ref,) = connect(graph, root_path="Policies").list()
    assert ref.uri == f"{SITE_URL}/Shared%20Documents/Policies/a%20b%231%25.md"
    assert (ref.name, ref.size) == ("a b#1%.md", 1)


@pytest.mark.parametrize("drive", ["Documents", "documents", DRIVE, "Shared Documents"])
def test_a_library_is_found_by_its_name_its_id_and_its_address(graph, connect, drive):
    graph.put("a.md", b"x")
    assert ids(connect(graph, drive=drive).list()) == ["a.md"]


@pytest.mark.parametrize("site", [f"{SITE_URL}/", "contoso.sharepoint.com/sites/hr", f"{SITE_URL}?web=1#top"])
def test_a_site_is_found_by_its_address_in_any_form(graph, connect, site):
    graph.put("a.md", b"x")
    assert ids(connect(graph, site_url=site).list()) == ["a.md"]


def test_an_unknown_library_is_named_with_those_that_are_there(graph, connect):
    with pytest.raises(ConnectorError) as caught:
        connect(graph, drive="Document").list()
    assert caught.value.code is Code.NOT_FOUND
    assert "'Document'" in caught.value.message
    assert "did you mean 'Documents'? it has: Documents, Other" in caught.value.hint


def test_an_unknown_site_and_a_folder_that_is_a_file_are_told(graph, connect):
    graph.put("a.md", b"x")
    with pytest.raises(ConnectorError, match="sites/sales") as caught:
        connect(graph, site_url="https://contoso.sharepoint.com/sites/sales").list()
    assert caught.value.code is Code.NOT_FOUND
    assert "site_url" in caught.value.hint
    with pytest.raises(ConnectorError, match=r"'a\.md' of connector 'docs' is no folder"):
        connect(graph, root_path="a.md").list()
    with pytest.raises(ConnectorError) as caught:
        connect(graph, root_path="gone").list()
    assert "check root_path 'gone'" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"site_url": "https://"}, "site_url"),
        ({"root_path": "a/../../b"}, "root_path"),
        ({"graph_url": "http://graph.example"}, "graph_url"),
        ({"graph_url": "graph.example"}, "graph_url"),
        ({"ca_bundle": "no-such-file.pem"}, "ca_bundle"),
    ],
)
def test_a_malformed_setting_is_named(graph, connect, wrong, named):
    with pytest.raises(ConfigError, match=named):
        connect(graph, **wrong).list()


def test_tenant_and_application_come_from_the_environment_or_are_asked_for(graph, connect, monkeypatch):
    with pytest.raises(ConfigError, match="tenant_id") as caught:
        connect(graph, tenant_id=None)
    assert "AZURE_TENANT_ID" in caught.value.hint
    graph.put("a.md", b"x")
    monkeypatch.setenv("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111")
    assert ids(connect(graph, tenant_id=None).list()) == ["a.md"]


def test_an_application_without_permission_is_a_matter_of_sign_in(graph, connect):
    status, headers, body = unavailable(403)
    graph.faults = [(status, headers, body)]
    with pytest.raises(ConnectorError) as caught:
        connect(graph).list()
    assert exit_status(caught.value) == 3
    assert "Sites.Selected" in caught.value.hint


@pytest.mark.parametrize("refused", [None, (400, "notSupported")])
def test_what_has_no_bytes_is_left_out_with_a_notice(graph, connect, refused):
    graph.put("a.md", b"x")
    graph.folder("Notes", package={"type": "oneNote"})
    graph.put("Notes/section.one", b"inside a notebook")
    graph.folder("Elsewhere", remoteItem={"id": "1"}, folder={})
    graph.folder("Thing", bundle={})
    graph.folder("Empty")
    graph.delta_refused = refused
    connector = connect(graph)
    assert ids(connector.list()) == ["a.md"]
    assert {reason: connector.notices.get(reason) for reason in (PACKAGES, SHORTCUTS, NO_FILE)} == {
        PACKAGES: 1,
        SHORTCUTS: 1,
        NO_FILE: 1,
    }


def test_a_folder_that_may_not_be_read_does_not_stop_the_others(graph, connect):
    graph.put("closed/a.md", b"x")
    graph.put("open/a.md", b"x")
    graph.delta_refused = (400, "notSupported")
    connector = connect(graph)
    graph.denied["closed"] = (403, "accessDenied")
    found = [*connector.list()]
    assert ids(found) == ["open/a.md"]
    assert connector.notices[UNREADABLE] == 1


def test_names_that_are_no_text_stand_in_one_line_and_can_be_opened(graph, connect):
    names = ("a\nb.md", "tab\t.md", "half\ud800.md", "100%25.md", "über/日本.md", "back\\x41.md")
    for name in names:
        graph.put(name, name.encode("utf-8", "surrogatepass"))
    connector = connect(graph)
    found = list(connector.list())
    assert ids(found) == sorted(
        ["a\\x0ab.md", "tab\\x09.md", "half\\xed\\xa0\\x80.md", "100%25.md", "über/日本.md", "back\\x5cx41.md"]
    )
    assert {connector.open(ref).read() for ref in found} == {name.encode("utf-8", "surrogatepass") for name in names}


def test_names_that_would_climb_are_nothing_but_names(graph, connect):
    graph.put("sub/a.md", b"never mistaken for the root's")
    graph.move("sub", "..")
    (ref,) = connect(graph).list()
    assert ref.id == "\\x2e\\x2e/a.md"
    assert "/../" not in ref.uri


def test_a_throttled_listing_waits_as_long_as_it_is_told(graph, connect):
    graph.put("a.md", b"x")
    connector = connect(graph)
    graph.faults = [throttled("1"), unavailable(503), unavailable(504)]
    began = time.monotonic()
    assert ids(connector.list()) == ["a.md"]
    assert time.monotonic() - began >= 1
    assert connector.retries == 3


def test_a_wait_that_is_too_long_and_faults_without_end_are_told(graph, connect):
    graph.put("a.md", b"x")
    graph.faults = [throttled("86400")]
    connector = connect(graph)
    with pytest.raises(ConnectorError) as caught:
        connector.list()
    assert (caught.value.code, connector.retries, caught.value.retry_after) == (Code.RATE_LIMIT, 0, 86400)
    graph.faults = [unavailable(503) for _ in range(20)]
    with pytest.raises(ConnectorError) as caught:
        connector.list()
    assert (caught.value.code, len(graph.faults), caught.value.fields["attempts"]) == (Code.UNAVAILABLE, 16, 4)


def test_a_page_of_a_proxy_is_asked_for_again(graph, connect):
    graph.put("a.md", b"x")
    graph.faults = [(200, {"content-type": "text/html"}, b"<html>sign in to the proxy</html>")]
    connector = connect(graph)
    assert ids(connector.list()) == ["a.md"]
    assert connector.retries == 1


def test_the_token_never_goes_where_a_link_leads_to_another_host(graph, connect):
    for number in range(60):
        graph.put(f"{number}.md", b"x")
    with GraphServer() as other:
        graph.next_host = other.url.removesuffix("/v1.0")
        with pytest.raises(ConnectorError, match="not Graph") as caught:
            connect(graph).list()
        assert (caught.value.code, other.asked) == (Code.REFUSED, [])


def test_pages_that_go_round_in_a_circle_end(graph, connect):
    graph.put("a.md", b"x")
    connector = connect(graph)
    list(connector.list())
    last = graph.asked[-1]
    target = f"{graph.url.removesuffix('/v1.0')}{last.path}?{last.query}"
    page = b'{"value": [], "@odata.nextLink": "%s"}' % target.encode()
    graph.faults = [(200, {}, page)] * 3
    with pytest.raises(ConnectorError, match="circle"):
        connector.list()


def test_a_listing_that_expires_on_its_way_begins_anew(graph, connect):
    for number in range(120):
        graph.put(f"{number:03}.md", b"x")
    connector = connect(graph)
    list(connector.list())
    before = graph.count("delta")
    graph.faults = [unavailable(410)]
    assert len(list(connector.list())) == 120
    assert graph.count("delta") == before + 4


def test_an_item_that_is_refused_fails_alone(graph, connect):
    for name in ("a.md", "b.md", "c.md"):
        graph.put(name, name.encode())
    graph.denied = {"a.md": (403, "accessDenied"), "b.md": (423, "resourceLocked")}
    connector = connect(graph)
    refs = list(connector.list())
    codes = []
    for ref in refs[:2]:
        with pytest.raises(ConnectorError, match=ref.id) as caught:
            connector.open(ref)
        codes.append(caught.value.code)
    assert codes == [Code.REFUSED, Code.CONFLICT]
    assert connector.open(refs[2]).read() == b"c.md"


def test_a_folder_is_no_file(graph, connect):
    graph.put("sub/a.md", b"x")
    for call in ("open", "info"):
        with pytest.raises(ConnectorError, match="no file"):
            getattr(connect(graph), call)(ResourceRef("sub", "x://sub", "sub"))


def test_a_server_that_says_nothing_is_left_in_time(graph, connect, monkeypatch):
    graph.put("a.md", b"x")
    released = threading.Event()
    answer = graph._graph.answer

    def silent(asked):
        released.wait(10)
        return answer(asked)

    monkeypatch.setattr(graph._graph, "answer", silent)
    with pytest.raises(ConnectorError, match="no answer in time") as caught:
        connect(graph, timeout_s=0.2, retry={"max_attempts": 1}).list()
    released.set()
    assert caught.value.code is Code.TIMEOUT


def test_whether_it_can_be_reached_takes_few_requests(graph, connect):
    for name, content in many(450):
        graph.put(name, content)
    assert connect(graph, root_path="Policies").reach() == f"{SITE_URL}/Shared%20Documents/Policies"
    assert len(graph.asked) == 4
    with pytest.raises(ConnectorError) as caught:
        connect(graph, root_path="gone").reach()
    assert "root_path 'gone'" in caught.value.hint


FILE = {"id": "01x", "name": "a.txt", "file": {}, "size": 3}
STRANGE = {
    "an error": {"error": {"code": "generalException", "message": "x"}},
    "nothing": {},
    "no list": {"value": None},
    "no end": {"value": [FILE]},
    "items that are none": {"value": ["a.txt"], "@odata.deltaLink": "x"},
    "an item without id": {"value": [{"name": "a.txt", "file": {}}], "@odata.deltaLink": "x"},
    "an item without name": {"value": [{"id": "01x", "file": {}}], "@odata.deltaLink": "x"},
    "a link that is an object": {"value": [], "@odata.nextLink": {"a": 1}},
    "a link that is a list": {"value": [], "@odata.nextLink": ["a"]},
    "an end that is a number": {"value": [], "@odata.deltaLink": 7},
}


@pytest.mark.parametrize("times", [2, 99])
@pytest.mark.parametrize("page", STRANGE.values(), ids=STRANGE)
def test_a_strange_page_is_asked_for_again_and_never_taken_for_the_end(graph, connect, monkeypatch, page, times):
    for number in range(120):
        graph.put(f"{number:03}.md", b"x")
    answer, left = graph._answer, [times]

    def strange(asked):
        if "skiptoken" in asked.query and left[0]:
            left[0] -= 1
            return _json(page)
        return answer(asked)

    monkeypatch.setattr(graph, "_answer", strange)
    connector = connect(graph)
    if times == 2:
        assert len(list(connector.list())) == 120
        assert connector.retries == 2
        return
    with pytest.raises(ConnectorError, match="listing Documents") as caught:
        connector.list()
    assert (caught.value.code, caught.value.fields["attempts"]) == (Code.BAD_REPLY, 4)
    assert caught.value.hint


@pytest.mark.parametrize("page", [{"error": {"code": "x"}}, {}, {"value": None}, {"value": [{"name": "a.txt"}]}])
def test_a_strange_page_of_a_folder_is_no_empty_folder(graph, connect, monkeypatch, page):
    graph.put("sub/a.md", b"x")
    graph.delta_refused = (400, "notSupported")
    answer = graph._answer
    monkeypatch.setattr(graph, "_answer", lambda asked: _json(page) if "/items/" in asked.path else answer(asked))
    refs = connect(graph).list()
    with pytest.raises(ConnectorError, match="listing 'sub'") as caught:
        list(refs)
    assert caught.value.code is Code.BAD_REPLY


def test_links_that_are_ever_new_have_an_end(graph, connect, monkeypatch):
    answer, asked_for = graph._answer, []

    def endless(asked):
        if "/delta" not in asked.path:
            return answer(asked)
        asked_for.append(asked)
        again = [FILE] if len(asked_for) % 2 else []
        return _json({"value": again, "@odata.nextLink": f"{graph.url}/drives/x/delta?n={len(asked_for)}"})

    monkeypatch.setattr(graph, "_answer", endless)
    with pytest.raises(ConnectorError, match="nothing new") as caught:
        connect(graph).list()
    assert caught.value.code is Code.BAD_REPLY
    assert len(asked_for) < 1100


@pytest.mark.parametrize("inside", [lambda _: "L", lambda number: f"L{number}"])
def test_folders_that_contain_themselves_have_an_end(graph, connect, monkeypatch, inside):
    graph.delta_refused = (501, "notSupported")
    answer = graph._answer

    def looped(asked):
        if not asked.path.endswith("children"):
            return answer(asked)
        folder = {"id": inside(len(graph.asked)), "name": "loop", "folder": {}}
        return _json({"value": [folder, {**FILE, "id": f"01{len(graph.asked)}"}]})

    monkeypatch.setattr(graph, "_answer", looped)
    refs = connect(graph).list()
    with pytest.raises(ConnectorError, match=r"loop.* was there before|loop.* lies deeper") as caught:
        list(refs)
    assert caught.value.code is Code.BAD_REPLY
    assert len(graph.asked) < 450


def test_an_item_that_comes_on_two_pages_of_a_folder_is_listed_once(graph, connect, monkeypatch):
    graph.delta_refused = (501, "notSupported")
    answer = graph._answer

    def twice(asked):
        if not asked.path.endswith("children"):
            return answer(asked)
        more = {} if "again" in asked.query else {"@odata.nextLink": f"{graph.url}{asked.path[5:]}?again"}
        return _json({"value": [FILE], **more})

    monkeypatch.setattr(graph, "_answer", twice)
    assert ids(connect(graph).list()) == ["a.txt"]
