from __future__ import annotations

import pytest

from chatmodels.transport.address import MOST_HEADS, USER_AGENT, Target
from chatmodels.transport.seam import TransportFault
from fmf_core.errors import Code
from fmf_core.redact import redact


def refused(base_url: str, headers: dict[str, str] | None = None) -> TransportFault:
    with pytest.raises(TransportFault) as caught:
        _ = Target(base_url, headers or {}).origin
    return caught.value


def lines(target: Target, method: str = "POST", path: str = "/chat") -> list[str]:
    return target.head(method, path).decode().split("\r\n")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "must begin with http://"),
        ("localhost:8000/v1", "must begin with http://"),
        ("//host/v1", "must begin with http://"),
        ("ftp://host/v1", "must begin with http://"),
        ("http://", "must begin with http://"),
        ("http:///v1", "must begin with http://"),
        ("https://user:private@host/v1", "credentials do not belong"),
        ("https://@host/v1", "credentials do not belong"),
        (" http://host", "white space"),
        ("http://host/v 1", "white space"),
        ("http://host/v1\n", "white space"),
        ("http://ho\tst/v1", "white space"),
        ("http://host/v1\x00", "white space"),
        ("http://host:port", "malformed"),
        ("http://host:99999", "malformed"),
        ("http://host:0", "malformed"),
        ("http://[::1", "malformed"),
        ("http://host\u2100.example", "malformed"),
        ("http://host/caf\u00e9", "%XX"),
        ("http://host/v1?caf\u00e9", "%XX"),
        ("http://b\u00fccher..example", "no name of a server"),
    ],
)
def test_an_address_that_is_none_has_one_clear_fault(address: str, said: str) -> None:
    fault = refused(address)
    assert said in fault.message
    assert (fault.code, fault.hint) == (Code.INVALID, "check {address_names}")
    assert "is no address of a server" in fault.message


@pytest.mark.parametrize(
    "address", ["http://me:private@host:port", "http://me:private@[::1", "ftp://me:private@host/v1"]
)
def test_credentials_are_in_no_fault(address: str) -> None:
    assert "private" not in refused(address).message


def test_the_head_of_a_request() -> None:
    assert lines(Target("http://host/v1/", {"Authorization": "Bearer k"})) == [
        "POST /v1/chat HTTP/1.1",
        "host: host",
        f"user-agent: {USER_AGENT}",
        "accept-encoding: gzip",
        "content-type: application/json",
        "authorization: Bearer k",
        "content-length: ",
    ]


def test_a_header_of_ones_own_stands_instead_of_ours() -> None:
    head = lines(Target("http://host", {"User-Agent": "mine", "Host": "virtual"}))
    assert [line for line in head if line.startswith(("user-agent", "host"))] == ["host: virtual", "user-agent: mine"]


@pytest.mark.parametrize(
    ("address", "first", "host"),
    [
        ("http://host:80", "GET /models HTTP/1.1", "host: host"),
        ("https://host:443/v1", "GET /v1/models HTTP/1.1", "host: host"),
        ("https://host:80/v1", "GET /v1/models HTTP/1.1", "host: host:80"),
        ("HTTP://HOST:8000/V1", "GET /V1/models HTTP/1.1", "host: host:8000"),
        ("http://host/v1?api-version=2&x=%20", "GET /v1/models?api-version=2&x=%20 HTTP/1.1", "host: host"),
        ("http://host?x", "GET /models?x HTTP/1.1", "host: host"),
        ("http://[::1]:8000/v1", "GET /v1/models HTTP/1.1", "host: [::1]:8000"),
        ("http://b\u00fccher.example/v1", "GET /v1/models HTTP/1.1", "host: xn--bcher-kva.example"),
    ],
)
def test_where_a_request_goes(address: str, first: str, host: str) -> None:
    assert lines(Target(address, {}), "GET", "/models")[:2] == [first, host]


def test_the_origin_tells_what_to_connect_to() -> None:
    assert Target("https://host/v1", {}).origin[:3] == ("host", 443, True)
    assert Target("http://[::1]:8000/v1", {}).origin[:3] == ("::1", 8000, False)
    assert Target("http://b\u00fccher.example", {}).origin[:3] == ("xn--bcher-kva.example", 80, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-team", "a\r\nhost: elsewhere"),
        ("x-team", "a\n"),
        ("x-team", "caf\u00e9"),
        ("x-team\r\nhost", "elsewhere"),
        ("x-team: a\r\nhost", "elsewhere"),
        ("x team", "a"),
        ("x-team:", "a"),
        ("", "a"),
        ("Content-Length", "7"),
        ("transfer-encoding", "chunked"),
    ],
)
def test_no_header_can_be_smuggled_in(name: str, value: str) -> None:
    fault = refused("http://host", {name: value})
    assert fault.code is Code.INVALID
    assert "default_headers" in fault.hint


# -------------------------------------------------------------------------------------------------------- proxies


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("name", "value", "plain", "secure"),
    [
        ("HTTP_PROXY", "http://p:3128", "http://p:3128", None),
        ("HTTPS_PROXY", "p:3128", None, "http://p:3128"),
        ("all_proxy", "http://p", "http://p", "http://p"),
        ("HTTP_PROXY", "", None, None),
    ],
)
def test_the_environment_names_the_proxy(
    name: str, value: str, plain: str | None, secure: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert Target("http://host", {}).origin.proxy == plain
    assert Target("https://host", {}).origin.proxy == secure


@pytest.mark.parametrize(
    "spared", ["host.example", ".example", "other,host.example:8000", "*", "127.0.0.1, host.example"]
)
def test_hosts_that_need_no_proxy(spared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:3128")
    monkeypatch.setenv("NO_PROXY", spared)
    assert Target("http://host.example:8000/v1", {}).origin.proxy is None
    if spared != "*":
        assert Target("http://elsewhere:8000/v1", {}).origin.proxy == "http://p:3128"


@pytest.mark.parametrize("proxy", ["socks5://me:private@p:1080", "https://me:private@p"])
def test_a_proxy_of_another_kind_is_refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    fault = refused("http://host")
    assert fault.code is Code.UNSUPPORTED
    assert proxy.partition("://")[0] in fault.message
    assert "private" not in fault.message
    assert "NO_PROXY" in fault.hint


@pytest.mark.parametrize("proxy", ["http://me:private@p:port", "http://[p", "http://:3128", "http://p:0"])
def test_a_proxy_whose_address_is_none(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    fault = refused("http://host")
    assert fault.code is Code.INVALID
    assert "no address of a proxy" in fault.message
    assert "private" not in fault.message


def test_what_stands_in_address_headers_and_proxy_is_blanked_when_the_other_side_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:Pa55-of-proxy@p:3128")
    target = Target("http://host/v1?code=Pa55-of-address", {"x-gateway-key": "Pa55-of-header"})
    head = target.head("POST", "/chat").decode()
    told = redact(f"{head} {target.origin.proxy}")
    assert "Pa55" in head
    assert "Pa55" not in told
    assert "bWU6" not in told


def test_heads_of_many_paths_do_not_pile_up() -> None:
    target = Target("http://host/v1", {})
    for number in range(3 * MOST_HEADS):
        assert f"/v1/{number} ".encode() in target.head("POST", f"/{number}")
    assert len(target._heads) <= MOST_HEADS
