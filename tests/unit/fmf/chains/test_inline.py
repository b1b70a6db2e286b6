from __future__ import annotations

import pytest

from fmf.chains.inline import without_references


@pytest.mark.parametrize(
    ("text", "template", "inputs"),
    [
        ("plain {{ x }} {y}", "plain {{ x }} {y}", {}),
        ("say ${chunk.text}!", "say {{ r_1 }}!", {"r_1": "${chunk.text}"}),
        ("${a} and ${b}", "{{ r_1 }} and {{ r_2 }}", {"r_1": "${a}", "r_2": "${b}"}),
        ("${join(all.x, '}')}.", "{{ r_1 }}.", {"r_1": "${join(all.x, '}')}"}),
        ("price $${a} is $5", "price ${a} is $5", {}),
        ("shell ${VAR:-default} ${", "shell ${VAR:-default} ${", {}),
        ("", "", {}),
    ],
)
def test_references_become_names(text, template, inputs):
    found = without_references(text, "r")
    assert (found.template, found.inputs) == (template, inputs)
