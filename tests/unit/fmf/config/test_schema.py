from __future__ import annotations

import json

import jsonschema
import pytest

from fmf.config.models import FmfConfig
from fmf.config.schema import json_schema, leaves


@pytest.fixture(scope="module")
def schema():
    return json.loads(json.dumps(json_schema()))


def test_it_is_a_schema_that_accepts_the_defaults(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({}, schema)
    jsonschema.validate(json.loads(FmfConfig().model_dump_json(by_alias=True)), schema)


@pytest.mark.parametrize(
    ("settings", "fine"),
    [
        ({"connectors": [{"name": "a", "type": "local", "root": "x"}]}, True),
        ({"connectors": [{"name": "a", "type": "local", "rot": "x"}]}, False),
        ({"connectors": [{"name": "a", "type": "ours", "host": "x"}]}, True),
        ({"inferense": {}}, False),
        ({"inference": {"openai": {"temperature": 3}}}, False),
    ],
)
def test_it_tells_right_from_wrong(schema, settings, fine):
    assert jsonschema.Draft202012Validator(schema).is_valid(settings) is fine


def test_every_setting_of_this_room_is_described(schema):
    ours = {name: part for name, part in schema["$defs"].items() if name.endswith("Config")}
    bare = [
        f"{name}.{key}"
        for name, part in ours.items()
        for key, told in part["properties"].items()
        if not told.get("description")
    ]
    assert bare == []
    assert schema["properties"]["artefacts_dir"]["default"] == "artefacts"
    assert schema["$defs"]["ChunkingConfig"]["properties"]["overlap"]["default"] == 150


def test_leaves_are_the_settings_themselves():
    known = list(leaves())
    assert len(known) == len(set(known))
    assert {"project", "inference.openai.model", "connectors[local].root", "export.sinks[redshift].schema"} <= set(
        known
    )
    assert "inference.openai" not in known
