"""Patterns over ids."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.connectors.globs import GlobSet
from fmf.errors import ConfigError

IDS = [
    "a.md",
    "b.txt",
    "docs/a.md",
    "docs/deep/er/c.md",
    "docs/x[1].md",
    "docs/{y}.md",
    ".env",
    ".github/workflows/ci.yml",
    "docs/.hidden.md",
    "docs/.git/config",
    "sp ace/é.md",
]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.md"], ["a.md"]),
        (["**/*.md"], ["a.md", "docs/a.md", "docs/deep/er/c.md", "docs/x[1].md", "docs/{y}.md", "sp ace/é.md"]),
        (["docs/**"], ["docs/a.md", "docs/deep/er/c.md", "docs/x[1].md", "docs/{y}.md"]),
        (["docs/"], ["docs/a.md", "docs/deep/er/c.md", "docs/x[1].md", "docs/{y}.md"]),
        (["./docs/a.md"], ["docs/a.md"]),
        (["docs/**/c.md"], ["docs/deep/er/c.md"]),
        (["**/deep/**"], ["docs/deep/er/c.md"]),
        (["docs/*/c.md"], []),
        (["{a,b}.{md,txt}"], ["a.md", "b.txt"]),
        (["{docs/{a,b},a}.md"], ["a.md", "docs/a.md"]),
        (["docs/[a-c].md"], ["docs/a.md"]),
        (["docs/[!b].md"], ["docs/a.md"]),
        (["docs/x[[]1].md"], ["docs/x[1].md"]),
        ([r"docs/x\[1\].md"], ["docs/x[1].md"]),
        (["docs/{y}.md"], ["docs/{y}.md"]),
        (["?.md", "?.txt"], ["a.md", "b.txt"]),
        (["docs?a.md"], []),
        (["docs[/]a.md"], []),
        ([".env"], [".env"]),
        ([".*"], [".env"]),
        (["**/.*"], [".env", "docs/.hidden.md"]),
        ([".github/**"], [".github/workflows/ci.yml"]),
        (["**/.git/*"], ["docs/.git/config"]),
        (["*p?a?e/?.md"], ["sp ace/é.md"]),
        ([], []),
    ],
)
def test_what_a_pattern_matches(patterns, expected):
    assert [one for one in IDS if GlobSet(patterns).matches(one)] == expected


def test_wildcards_match_hidden_parts_when_they_are_let_in():
    globs = GlobSet(["**/*"])
    assert [one for one in IDS if globs.matches(one, hidden=True)] == IDS


@pytest.mark.parametrize("pattern", ["../*", "a/../b", "/etc/*", "C:/x", "{a,../b}", "{a,/b}", "", "/", "a/.."])
def test_patterns_that_leave_the_root_are_refused_with_their_text(pattern):
    with pytest.raises(ConfigError) as caught:
        GlobSet([pattern])
    assert repr(pattern) in caught.value.message
    assert caught.value.hint


def test_braces_cannot_explode():
    with pytest.raises(ConfigError, match="more than 1000"):
        GlobSet(["{a,b}" * 20])


def test_a_folder_is_entered_only_where_a_match_may_be():
    globs = GlobSet(["docs/*/x.md", "a/**/b"])
    assert globs.may_match_below("")
    assert globs.may_match_below("docs")
    assert globs.may_match_below("docs/any")
    assert globs.may_match_below("a/b/c/d")
    assert not globs.may_match_below("docs/any/more")
    assert not globs.may_match_below("other")
    assert GlobSet(["node_modules/**", "**/cache/"]).takes_all_below("x/cache")
    assert not GlobSet(["x/**/*.md"]).takes_all_below("x")


PARTS = st.text(alphabet="ab.", min_size=1, max_size=3).filter(lambda part: part.strip("."))
IDS_ANY = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.sampled_from(["**", "*", "a*", "?b", ".*", "a", "b.", "[ab]*"]), min_size=1, max_size=4).map(
    "/".join
)


@given(IDS_ANY, PATTERNS)
def test_whatever_matches_lies_in_folders_that_may_be_entered(one, pattern):
    globs = GlobSet([pattern])
    if globs.matches(one, hidden=True):
        parts = one.split("/")
        assert all(globs.may_match_below("/".join(parts[:depth])) for depth in range(len(parts)))
    else:
        assert not globs.matches(one)


@given(st.text(min_size=1, max_size=20))
def test_any_text_is_a_pattern_or_a_clear_refusal(text):
    try:
        globs = GlobSet([text])
    except ConfigError:
        return
    globs.matches("a/b")
    if not re.search(r"[*?\[\]{}\\/]", text):
        assert globs.matches(text) or text == "."


def test_many_stars_take_no_exponential_time():
    started = time.monotonic()
    assert not GlobSet(["*a" * 30 + "b"]).matches("a" * 3000)
    assert time.monotonic() - started < 5
