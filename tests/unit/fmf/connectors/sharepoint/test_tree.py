from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fmf.connectors.sharepoint.tree import Tree, key_of, packed, unpacked

NAMES = st.text(min_size=1, max_size=8)
KEYS = ("id", "name", "file", "folder", "root", "deleted", "parentReference", "path", "size", "lastModifiedDateTime")
ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


def item(item_id, name, parent, kind="file", **more):
    return {"id": item_id, "name": name, kind: {}, "parentReference": {"id": parent}, **more}


def paths(tree):
    return {path for path, _, _ in tree.paths()}


@given(
    st.recursive(st.none(), lambda below: st.dictionaries(st.sampled_from("abcde"), below, max_size=4)), st.randoms()
)
def test_items_in_any_order_give_the_same_paths(shape, order):
    told, expected = [], set()

    def walk(folder, parent, prefix):
        for name, below in (folder or {}).items():
            item_id = f"id of {prefix}{name}"
            expected.add(prefix + name)
            told.append(item(item_id, name, parent, "file" if below is None else "folder"))
            walk(below, item_id, f"{prefix}{name}/")

    walk(shape, "root", "")
    random.Random(order.random()).shuffle(told)
    tree = Tree(key_of("root"), "Docs")
    for one in told:
        tree.apply(one)
    assert paths(tree) == expected
    state, again = unpacked(packed({"link": "x"}, tree))
    assert (state["link"], paths(again)) == ("x", expected)


def test_the_last_word_on_an_item_counts():
    tree = Tree(key_of("root"), "")
    tree.apply(item("1", "old.md", "root"))
    tree.apply(item("1", "new.md", "root"))
    tree.apply(item("2", "gone.md", "root"))
    tree.apply({"id": "2", "deleted": {}})
    tree.apply({"id": "3", "file": {}})
    assert paths(tree) == {"new.md"}


def test_circles_and_items_from_elsewhere_are_left_out():
    tree = Tree(key_of("root"), "")
    tree.apply(item("1", "a", "2", "folder"))
    tree.apply(item("2", "b", "1", "folder"))
    tree.apply(item("3", "c.md", "1"))
    tree.apply(item("4", "d.md", "elsewhere"))
    tree.apply(item("5", "e", "5", "folder"))
    tree.apply(item("6", "f.md", "root"))
    assert paths(tree) == {"f.md"}


def test_a_deep_tree_takes_no_call_for_each_level():
    tree = Tree(key_of("0"), "")
    for number in reversed(range(5000)):
        tree.apply(item(str(number + 1), "x", str(number), "folder"))
    assert max(map(len, paths(tree))) == 2 * 5000 - 1


def test_paths_tell_where_nobody_knows_the_root():
    tree = Tree(None, "My Docs")
    for item_id, path in (
        ("1", "/drive/root:/My%20Docs"),
        ("2", "/drives/d/root:/my%20docs/a%23b"),
        ("3", "/drive/root:"),
    ):
        tree.apply({"id": item_id, "name": f"{item_id}.md", "file": {}, "parentReference": {"path": path}})
    assert paths(tree) == {"1.md", "a#b/2.md"}


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(KEYS), ANY | st.dictionaries(st.sampled_from(KEYS), ANY)))
def test_no_item_whatever_it_holds_breaks_the_tree(told):
    tree = Tree(key_of("root"), "")
    tree.apply(told)
    assert all(isinstance(path, str) for path, _, _ in tree.paths())


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_no_other_text_is_a_cursor(text):
    assert unpacked(text if isinstance(text, str) else text.decode("latin-1")) is None
