from __future__ import annotations

import sys
import threading
from importlib.metadata import EntryPoint

import pytest

from fmf_core import registry as module
from fmf_core.errors import Code, PluginError, PluginNotFoundError, PluginRegistrationError
from fmf_core.registry import Entry, Registry


def shipped(**more: Entry) -> Registry[object]:
    entries = {
        "ordered": Entry("collections:OrderedDict", metadata={"description": "in order"}),
        "vendor": Entry("a_package_that_is_not_there:Thing", extra="vendor"),
        "fallback": Entry("collections:Counter", replaceable=True),
        **more,
    }
    return Registry("thing", entries)


def test_what_is_shipped_is_imported_when_asked_for():
    from collections import OrderedDict

    assert shipped().get("ordered") is OrderedDict


def test_nothing_is_imported_to_list_or_describe():
    table = shipped(rare=Entry("this_module_is_never_imported:X", metadata={"capabilities": ["a"]}))
    assert table.names() == ["fallback", "ordered", "rare", "vendor"]
    assert table.metadata("rare") == {"name": "rare", "extra": "", "source": "built-in", "capabilities": ["a"]}
    assert "this_module_is_never_imported" not in sys.modules


def test_what_is_added_is_found_and_can_be_taken_back():
    table = shipped()
    table.add("mine", 5, metadata={"description": "five"})
    assert table.get("mine") == 5
    assert "mine" in table
    assert table.metadata("mine")["description"] == "five"
    table.remove("mine")
    assert "mine" not in table
    with pytest.raises(PluginNotFoundError):
        table.remove("mine")


@pytest.mark.parametrize("item", [0, "", (), None, False])
def test_a_thing_that_counts_as_false_is_a_thing(item):
    table = Registry("thing", {})
    table.add("empty", item)
    assert table.get("empty") == item


def test_clear_leaves_what_is_shipped():
    table = shipped()
    table.add("mine", 5)
    table.clear()
    assert table.names() == ["fallback", "ordered", "vendor"]


def test_a_taken_name_is_refused_unless_replaced():
    table = shipped()
    with pytest.raises(PluginRegistrationError, match="already registered"):
        table.add("ordered", 1)
    table.add("ordered", 1, replace=True)
    assert table.get("ordered") == 1
    table.add("fallback", 2)
    assert table.get("fallback") == 2


@pytest.mark.parametrize("name", ["", "  ", None])
def test_a_name_must_say_something(name):
    with pytest.raises(PluginRegistrationError) as caught:
        shipped().add(name, 1)
    assert caught.value.code is Code.INVALID


def test_an_unknown_name_lists_the_known_and_guesses():
    with pytest.raises(PluginNotFoundError) as caught:
        shipped().get("ordred")
    assert "did you mean 'ordered'" in caught.value.hint
    assert "fallback, ordered, vendor" in caught.value.hint
    with pytest.raises(PluginNotFoundError, match="nothing"):
        Registry("thing", {}).metadata("nothing")


def test_a_missing_package_names_the_extra():
    with pytest.raises(PluginError) as caught:
        shipped().get("vendor")
    assert caught.value.code is Code.UNSUPPORTED
    assert "pip install -e '.[vendor]' in a clone of" in caught.value.hint


def test_a_missing_attribute_is_explained():
    table = Registry("thing", {"x": Entry("collections:Nothing")})
    with pytest.raises(PluginError, match="Nothing"):
        table.get("x")


def test_the_check_sees_what_is_added_and_what_is_loaded():
    def check(name, item):
        if not callable(item):
            raise PluginRegistrationError(f"{name} is no class")

    table = Registry("thing", {"flag": Entry("sys:maxsize")}, check=check)
    for attempt in (lambda: table.add("five", 5), lambda: table.get("flag")):
        with pytest.raises(PluginRegistrationError, match="is no class"):
            attempt()


def test_entry_points_come_last_and_are_loaded_once(monkeypatch):
    points = {
        "theirs": EntryPoint("theirs", "collections:deque", "group"),
        "ordered": EntryPoint("ordered", "collections:deque", "group"),
    }
    monkeypatch.setattr(module, "_published", lambda group: points)
    table = Registry("thing", {"ordered": Entry("collections:OrderedDict")}, group="group")
    assert table.get("theirs").__name__ == "deque"
    assert table.get("ordered").__name__ == "OrderedDict"
    assert table.metadata("theirs")["source"] == "entry point"
    with pytest.raises(PluginRegistrationError):
        table.add("theirs", 1)


def test_entry_points_of_this_environment_are_read():
    assert isinstance(Registry("thing", {}, group="console_scripts").names(), list)


def test_of_many_threads_that_add_one_name_only_one_wins():
    table = Registry("thing", {})
    barrier, won, refused = threading.Barrier(16), [], []

    def add(number: int) -> None:
        barrier.wait(10)
        try:
            table.add("name", number)
            won.append(number)
        except PluginRegistrationError:
            refused.append(number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(won) == 1
    assert len(refused) == 15
    assert table.get("name") == won[0]


def test_a_plugin_may_register_itself_while_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "self_registering.py").write_text(
        "import test_table\ntest_table.table.add('late', 1, replace=True)\nThing = 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    holder = type(sys)("test_table")
    holder.table = Registry("thing", {"late": Entry("self_registering:Thing")})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_table", holder)
    assert holder.table.get("late") == 1  # type: ignore[attr-defined]
