from __future__ import annotations

import pytest

from chatmodels import create_chat_model
from chatmodels.conventions import (
    CAPTURE_VARIABLE,
    EVENT_VARIABLE,
    MAIN,
    PROFILE_VARIABLE,
    PROFILES,
    RELEASED,
    Content,
    chosen_content,
    chosen_profiles,
)
from fmf_core.errors import ConfigurationError


def shapes(profile):
    return [
        profile.duration,
        profile.time_to_first_chunk,
        profile.time_per_output_chunk,
        *profile.tokens.values(),
        *profile.totals.values(),
    ]


def test_no_metric_has_the_same_name_in_both_profiles():
    assert not {shape.name for shape in shapes(RELEASED)} & {shape.name for shape in shapes(MAIN)}


@pytest.mark.parametrize("profile", [RELEASED, MAIN], ids=lambda profile: profile.name)
def test_units_and_buckets_fit_together(profile):
    for shape in shapes(profile):
        if shape.name.endswith(("duration", "chunk")):
            assert (shape.unit, shape.buckets[0], len(shape.buckets)) == ("s", 0.01, 14)
        elif ".usage." in shape.name and profile is MAIN:
            assert (shape.unit, shape.buckets) == ("{token}", None)
        else:
            assert (shape.unit, shape.buckets[0], shape.buckets[-1]) == ("{token}", 1, 67108864)


@pytest.mark.parametrize(
    ("asked", "names"),
    [(None, ["released"]), ("", ["released"]), (" Both ", ["released", "genai-main"]), ("genai-main", ["genai-main"])],
)
def test_the_environment_chooses_the_profiles(monkeypatch, asked, names):
    if asked is not None:
        monkeypatch.setenv(PROFILE_VARIABLE, asked)
    assert [profile.name for profile in chosen_profiles()] == names


def test_an_unknown_profile_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv(PROFILE_VARIABLE, "v2")
    with pytest.raises(ConfigurationError) as caught:
        chosen_profiles()
    assert all(name in caught.value.hint for name in PROFILES)


@pytest.mark.parametrize(
    ("mode", "event", "content"),
    [
        ("", "", Content()),
        ("NO_CONTENT", "", Content()),
        ("false", "", Content()),
        ("span_only", "", Content(on_span=True)),
        ("true", "", Content(on_span=True)),
        ("EVENT_ONLY", "", Content(on_event=True, event=True)),
        ("SPAN_AND_EVENT", "", Content(on_span=True, on_event=True, event=True)),
        ("SPAN_AND_EVENT", "false", Content(on_span=True, on_event=True)),
        ("", "true", Content(event=True)),
    ],
)
def test_content_is_told_only_where_it_is_allowed(monkeypatch, mode, event, content):
    monkeypatch.setenv(CAPTURE_VARIABLE, mode)
    monkeypatch.setenv(EVENT_VARIABLE, event)
    assert chosen_content() == content
    assert content.wanted == (content.on_span or content.on_event)


@pytest.mark.parametrize(
    ("variable", "said", "hint"),
    [
        (CAPTURE_VARIABLE, "1", "NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT"),
        (CAPTURE_VARIABLE, "ALL", "SPAN_AND_EVENT"),
        (EVENT_VARIABLE, "yes", "TRUE, FALSE"),
    ],
)
def test_what_means_nothing_is_refused(monkeypatch, variable, said, hint):
    monkeypatch.setenv(variable, said)
    with pytest.raises(ConfigurationError, match=f"{variable} is '{said}'") as caught:
        create_chat_model("mock")
    assert hint in caught.value.hint
