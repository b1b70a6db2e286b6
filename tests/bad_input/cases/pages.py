"""HTML, XML, SVG and RTF: depth, entities, scripts, pages without words."""

from __future__ import annotations

from bad_input.case import Case, case, fails, ok
from bad_input.made import xml

PASSWD = ("root:", "/bin/")


def _page(body: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head><title>Plum</title>{head}</head><body>{body}</body></html>".encode()


def _html() -> list[Case]:
    return [
        case("elements 100,000 deep", "a.html", _page("<div>" * 100_000 + "plum"), ok("plum")),
        case("lists 20,000 deep", "a.html", _page("<ul><li>" * 20_000 + "plum"), ok("plum")),
        case("tables 5,000 deep", "a.html", _page("<table><tr><td>" * 5_000 + "plum"), ok("plum")),
        case("100,000 open emphases in HTML", "a.html", _page("<b><i>" * 50_000 + "plum"), ok("plum")),
        case("only markup", "a.html", b"<html><head></head><body><div><br></div></body></html>", fails("no text")),
        case("only a script", "a.html", b"<html><body><script>alert('plum')</script></body></html>", fails("no text")),
        case(
            "a script that never closes", "a.html", _page("<p>plum</p><script>alert(1)"), ok("plum", lacks=("alert",))
        ),
        case("a comment that never closes", "a.html", _page("<p>plum</p><!-- secret"), ok("plum")),
        case("a charset that is a lie", "a.html", _page("<p>plüm</p>", "<meta charset='utf-16'>"), ok("plüm")),
        case("a charset that nobody knows", "a.html", _page("<p>plüm</p>", "<meta charset='plum'>"), ok("plüm")),
        case(
            "UTF-7",
            "a.html",
            _page("<p>plum +ADw-script+AD4-alert(1)+ADw-/script+AD4-</p>", "<meta charset='utf-7'>"),
            ok("plum"),
        ),
        case("a NUL byte in a page", "a.html", _page("<p>pl\0um</p>"), fails("binary")),
        case(
            "100,000 attributes",
            "a.html",
            _page("<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">plum</p>"),
            ok("plum"),
        ),
        case(
            "an attribute of 10 MB",
            "a.html",
            lambda: _page(f"<p>plum</p><img alt='x' src='data:image/png;base64,{'A' * 10_000_000}'>"),
            ok("plum"),
        ),
        case("200,000 tags that close nothing", "a.html", _page("plum" + "</p>" * 200_000), ok("plum")),
        case("an entity beyond Unicode", "a.html", _page("plum &#x110000; &#xD800; &#0; &#99999999999;"), ok("plum")),
        case(
            "cells that span 10,000,000 columns",
            "a.html",
            _page("<table><tr><td colspan='10000000' rowspan='10000000'>plum</td></tr></table>"),
            ok("plum"),
        ),
        case(
            "a table of 2,000 columns",
            "a.html",
            _page("<table>" + ("<tr>" + "<td>plum</td>" * 2_000 + "</tr>") * 20 + "</table>"),
            ok("plum"),
        ),
        case(
            "a page in a page by script",
            "a.html",
            _page("plum<iframe src='file:///etc/passwd'></iframe><object data='file:///etc/passwd'></object>"),
            ok("plum", lacks=("root:",)),
        ),
        case("markup that is only opened", "a.html", b"plum " + b"<" * 100_000, ok("plum")),
        case(
            "billion laughs in XHTML",
            "a.xhtml",
            f"<?xml version='1.0'?>{xml.laughs('html')}<html><body>plum &e9;</body></html>".encode(),
            ok("plum"),
        ),
        case("nothing but text to its end", "a.html", b"<plaintext>plum</plaintext><b>", ok("plum")),
        case(
            "formulas of a hostile page in attributes",
            "a.html",
            _page("<p onclick='alert(1)'>plum</p><a href='javascript:alert(2)'>pear</a>"),
            ok("plum", "pear", lacks=("alert(1)",)),
        ),
    ]


def _xml() -> list[Case]:
    return [
        case("billion laughs in XML", "a.xml", f"{xml.laughs()}<doc>plum &e9;</doc>".encode(), ok("plum", "&e9;")),
        case(
            "quadratic blow-up in XML",
            "a.xml",
            f"{xml.quadratic()}<doc>plum {'&long;' * 9_000}</doc>".encode(),
            ok("plum"),
        ),
        case(
            "an entity that is /etc/passwd in XML",
            "a.xml",
            f"{xml.outside()}<doc>plum &file;</doc>".encode(),
            ok("plum", lacks=PASSWD),
        ),
        case("a remote parameter entity in XML", "a.xml", f"{xml.parameter()}<doc>plum</doc>".encode(), ok("plum")),
        case("XML 100,000 deep", "a.xml", b"<a>" * 100_000 + b"plum", ok("plum")),
        case(
            "an encoding that is a lie",
            "a.xml",
            '<?xml version="1.0" encoding="UTF-16"?><a>plüm</a>'.encode(),
            ok("plüm"),
        ),
        case(
            "billion laughs in SVG",
            "a.svg",
            f"{xml.laughs('svg')}<svg><text>plum &e9;</text></svg>".encode(),
            ok("plum"),
        ),
        case(
            "an entity that is /etc/passwd in SVG",
            "a.svg",
            f"{xml.outside('svg')}<svg><text>plum &file;</text></svg>".encode(),
            ok("plum", lacks=PASSWD),
        ),
        case(
            "a script in SVG",
            "a.svg",
            b"<svg><script>alert(1)</script><text>plum</text><image href='file:///etc/passwd'/></svg>",
            ok("plum", lacks=("root:",)),
        ),
        case(
            "an SVG that uses itself",
            "a.svg",
            b"<svg><g id='a'><text>plum</text><use href='#a'/><use href='#a'/></g></svg>",
            ok("plum"),
        ),
        case("RTF 100,000 deep", "a.rtf", b"{\\rtf1 plum " + b"{" * 100_000 + b"}" * 100_000 + b"}", fails("nested")),
        case(
            "RTF with a file inside",
            "a.rtf",
            b"{\\rtf1 plum {\\object\\objemb{\\*\\objdata " + b"d0cf11e0" * 1_000 + b"}}}",
            ok("plum"),
        ),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_html(), *_xml()]
