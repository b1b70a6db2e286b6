from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Discriminator, Field, SecretStr, Tag, ValidationError, field_validator

from fmf_core.errors import ConfigurationError
from fmf_core.faults import SettingsError, faults_text
from fmf_core.retry import RetryPolicy
from fmf_core.settings import layered, validate
from fmf_core.value import Value
from fmf_core.yaml_text import load_yaml


class Folder(Value):
    name: str = "folder"
    type: Literal["local"]
    root: str
    include: tuple[str, ...] = ("**/*",)


class Bucket(Value):
    name: str = "bucket"
    type: Literal["s3"]
    bucket: str
    kms_required: bool = False


class Azure(Value):
    endpoint: str | None = None
    api_version: str = "2024-10-21"
    temperature: float = 0.2


class Price(Value):
    input_per_1m: float


class Inference(Value):
    provider: str = "openai"
    azure_openai: Azure | None = None
    timeout_s: float = Field(default=60, gt=0)
    retry: RetryPolicy = RetryPolicy(max_attempts=7)
    prices: dict[str, Price] = Field(default_factory=dict)
    api_key: SecretStr | None = None


class Prompt(Value):
    id: str
    version: int = 1


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Config(Value):
    project: str = "default"
    run_profile: str = "default"
    connectors: tuple[Annotated[Folder | Bucket, Field(discriminator="type")], ...] = ()
    inference: Inference = Field(default_factory=Inference)
    prompt: str | Prompt | None = None
    level: Level = Level.LOW
    log_format: Literal["json", "human"] | None = None
    flag: bool = False
    count: int | None = None
    numbers: list[int] = Field(default=[1, 2, 3])
    tags: dict[str, str] = Field(default_factory=dict)
    anything: Any = None
    mixed: list[str] | dict[str, int] = Field(default_factory=list)
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("project")
    @classmethod
    def _short(cls, project: str) -> str:
        if len(project) > 20:
            raise ValueError(f"the project's name {project!r} is too long")
        return project


FILE = """\
project: from-file
connectors:
  - {name: docs, type: local, root: ./data, include: ['*.md']}
  - name: raw
    type: s3
    bucket: b
inference:
  timeout_s: 30
  azure_openai: {endpoint: https://e, temperature: 0.5}
profiles:
  fast:
    inference: {timeout_s: 5}
  other: {project: other}
"""


@pytest.fixture
def read(tmp_path):
    """Read settings from a file's text and the other layers."""

    def read(text: str = FILE, **layers):
        path = tmp_path / "fmf.yaml"
        path.write_text(text)
        return layered(Config, file=path, **layers)

    return read


@pytest.fixture
def faults(read, tmp_path):
    """The faults of a file's text and the other layers, as lines without the folder."""

    def faults(text: str = FILE, **layers) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            read(text, **layers)
        shown = [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]
        for fault in caught.value.faults:
            assert str(fault) in caught.value.message
        return shown

    return faults


class TestPrecedence:
    def test_defaults(self):
        settings = layered(Config)
        assert settings.value == Config()
        assert set(settings.origins.values()) == {"default"}
        assert settings.origins["inference.retry.max_attempts"] == "default"

    def test_a_scalar(self, read):
        assert read().value.project == "from-file"
        assert read(environ={"FMF_PROJECT": "env"}).value.project == "env"
        assert read(environ={"FMF_PROJECT": "env"}, sets=["project=set"]).value.project == "set"
        assert read(profile="other").value.project == "other"
        assert read(profile="other", environ={"FMF_PROJECT": "env"}).value.project == "env"

    def test_a_nested_mapping_keeps_its_other_keys(self, read):
        layers = {"profile": "fast", "environ": {"FMF_INFERENCE__AZURE_OPENAI__API_VERSION": "2024"}}
        settings = read(**layers, sets=["inference.azure_openai.temperature=0.9"])
        assert settings.value.inference.timeout_s == 5
        assert settings.value.inference.azure_openai == Azure(endpoint="https://e", api_version="2024", temperature=0.9)

    def test_a_list_item_keeps_its_other_keys_and_the_other_items(self, read):
        settings = read(environ={"FMF_CONNECTORS__0__ROOT": "/env", "FMF_CONNECTORS__1__BUCKET": "envb"})
        assert settings.value.connectors == (
            Folder(name="docs", type="local", root="/env", include=("*.md",)),
            Bucket(name="raw", type="s3", bucket="envb"),
        )
        settings = read(environ={"FMF_CONNECTORS__0__ROOT": "/env"}, sets=["connectors.0.root=/set"])
        assert settings.value.connectors[0].root == "/set"
        assert settings.value.connectors[1].bucket == "b"

    def test_brackets_work_as_well(self, read):
        assert read(sets=["connectors[1].bucket=x"]).value.connectors[1].bucket == "x"

    def test_one_past_the_end_appends(self, read):
        environ = {"FMF_CONNECTORS__2__TYPE": "local", "FMF_CONNECTORS__2__ROOT": "2024"}
        assert read(environ=environ).value.connectors[2] == Folder(type="local", root="2024")
        assert read(sets=["connectors.2={type: s3, bucket: n}"]).value.connectors[2].bucket == "n"
        assert layered(Config, environ={"FMF_NUMBERS__3": "4"}).value.numbers == [1, 2, 3, 4]

    def test_items_come_in_the_order_of_their_numbers(self):
        environ = {f"FMF_NUMBERS__{index}": str(index) for index in (10, 9, 2, 3, 4, 5, 6, 7, 8, 1, 0, 11)}
        assert layered(Config, environ=environ).value.numbers == list(range(12))

    def test_a_whole_value_comes_before_its_parts(self):
        environ = {"FMF_NUMBERS__0": "9", "FMF_NUMBERS": "[5, 6]"}
        assert layered(Config, environ=environ).value.numbers == [9, 6]

    def test_an_item_of_a_default_list_is_changed_in_place(self):
        assert layered(Config, sets=["numbers.1=20"]).value.numbers == [1, 20, 3]

    def test_a_default_sections_own_values_stay(self):
        retry = layered(Config, sets=["inference.retry.factor=3"]).value.inference.retry
        assert (retry.max_attempts, retry.factor) == (7, 3)

    def test_the_order_of_sets_counts(self):
        assert layered(Config, sets=["project=a", "project=b"]).value.project == "b"

    def test_names_of_the_environment_match_fields_in_any_case(self):
        environ = {"FMF_Inference__Azure_OpenAI__ENDPOINT": "x", "fmf_project": "ignored"}
        settings = layered(Config, environ=environ).value
        assert settings.inference.azure_openai.endpoint == "x"
        assert settings.project == "default"

    def test_keys_of_a_free_mapping_keep_their_spelling(self):
        environ = {"FMF_TAGS__Team": "x", "FMF_TAGS__OLD": "new"}
        assert layered(Config, environ=environ, sets=["tags.old=x", 'tags."a.b"=y']).value.tags == {
            "Team": "x",
            "OLD": "new",
            "old": "x",
            "a.b": "y",
        }

    def test_a_key_that_is_there_is_found_in_any_case(self, read):
        assert read("tags: {team: a}", environ={"FMF_TAGS__TEAM": "b"}).value.tags == {"team": "b"}

    def test_a_model_name_with_dots(self):
        prices = layered(Config, sets=['inference.prices."gpt-4.1".input_per_1m=2']).value.inference.prices
        assert prices == {"gpt-4.1": Price(input_per_1m=2)}

    def test_another_prefix(self):
        settings = layered(Config, env_prefix="APP", environ={"APP_PROJECT": "x", "FMF_PROJECT": "y"})
        assert settings.value.project == "x"

    @given(st.sets(st.integers(0, 3)))
    def test_the_highest_layer_that_speaks_wins(self, tmp_path_factory, speaking):
        path = tmp_path_factory.mktemp("layers") / "fmf.yaml"
        path.write_text("count: 0\n" * (0 in speaking) + "profiles: {p: {" + "count: 1" * (1 in speaking) + "}}\n")
        environ = {"FMF_COUNT": "2"} if 2 in speaking else {}
        sets = ["count=3"] if 3 in speaking else []
        settings = layered(Config, file=path, profile="p", environ=environ, sets=sets)
        assert settings.value.count == (max(speaking) if speaking else None)


class TestValues:
    @pytest.mark.parametrize(
        ("given", "field", "value"),
        [
            ("project=2024", "project", "2024"),
            ("project=true", "project", "true"),
            ("project=[a", "project", "[a"),
            ("project=a=b", "project", "a=b"),
            ("project=", "project", ""),
            ("project= x ", "project", " x "),
            ("project=null", "project", "null"),
            ("count=5", "count", 5),
            ("count=null", "count", None),
            ("count=~", "count", None),
            ("flag=true", "flag", True),
            ("level=high", "level", Level.HIGH),
            ("log_format=null", "log_format", None),
            ("log_format=json", "log_format", "json"),
            ("numbers=[4, 5]", "numbers", [4, 5]),
            ("prompt=a#v1", "prompt", "a#v1"),
            ("prompt=inline: Say: x", "prompt", "inline: Say: x"),
            ("prompt=2024", "prompt", "2024"),
            ("prompt={id: a}", "prompt", Prompt(id="a")),
            ("prompt=~", "prompt", None),
            ("anything={a: [1, no]}", "anything", {"a": [1, "no"]}),
            ("mixed={a: 1}", "mixed", {"a": 1}),
            ("mixed=[a]", "mixed", ["a"]),
        ],
    )
    def test_text_is_read_as_the_field_wants_it(self, given, field, value):
        name, _, text = given.partition("=")
        assert getattr(layered(Config, sets=[given]).value, field) == value
        assert getattr(layered(Config, environ={f"FMF_{name.upper()}": text}).value, field) == value

    def test_a_secret_is_text(self):
        key = layered(Config, environ={"FMF_INFERENCE__API_KEY": "0123"}).value.inference.api_key
        assert key.get_secret_value() == "0123"

    def test_the_type_of_a_new_item_may_come_later(self):
        settings = layered(Config, sets=["connectors.0.root=2024", "connectors.0.type=local"])
        assert settings.value.connectors == (Folder(type="local", root="2024"),)


class TestReferences:
    def test_are_filled_in_from_the_environment_once(self, read):
        environ = {"NAME": "n", "EMPTY": "", "NESTED": "${NAME}"}
        text = "project: a-${NAME}\ntags: {a: '${NOPE:-d}', b: '${EMPTY:-d}', c: '${EMPTY}', d: '${NESTED}'}\n"
        settings = read(text, environ=environ).value
        assert settings.project == "a-n"
        assert settings.tags == {"a": "d", "b": "d", "c": "", "d": "${NAME}"}

    def test_reach_lists_numbers_and_the_other_layers(self, read):
        environ = {"N": "7", "FMF_PROJECT": "p${N}"}
        settings = read("numbers: [1, '${N}']\n", environ=environ, sets=["count=${N}"]).value
        assert (settings.numbers, settings.project, settings.count) == ([1, 7], "p7", 7)

    @pytest.mark.parametrize("text", ["${run_id}", "${date}/${now}", "${chain_id:-x}", "${chunk.text}", "${}", "$NAME"])
    def test_other_braces_stay(self, read, text):
        assert read(f"tags: {{a: '{text}'}}\n", environ={"run_id": "no", "NAME": "no"}).value.tags["a"] == text

    def test_a_doubled_dollar_escapes(self, read):
        assert read("project: $${NAME}\n").value.project == "${NAME}"

    def test_an_unset_one_is_a_fault_with_its_place(self, faults):
        lines = faults("project: ok\ntags:\n  a: x\n  b: y ${UNSET_NAME}\n")
        assert lines == [
            "fmf.yaml:4:6: tags.b: ${UNSET_NAME} is not set in the environment; set it or write ${UNSET_NAME:-default}"
        ]

    def test_profiles_that_are_not_active_need_nothing(self, read):
        text = "profiles: {a: {project: '${UNSET_NAME}'}, b: {project: '${NAME}'}}\n"
        assert read(text, profile="b", environ={"NAME": "n"}).value.project == "n"

    def test_the_callers_own_names_are_left_alone(self):
        settings = layered(Config, sets=["project=${mine}"], reserved=("mine",))
        assert settings.value.project == "${mine}"


class TestProfiles:
    def test_who_chooses(self, read):
        text = FILE + "run_profile: other\n"
        assert read(text).profile == "other"
        assert read(text, environ={"FMF_PROFILE": "fast"}).profile == "fast"
        assert read(text, environ={"FMF_PROFILE": "fast"}, profile="other").profile == "other"
        assert read(text, sets=["run_profile=fast"]).value.inference.timeout_s == 5
        assert read(text, environ={"FMF_RUN_PROFILE": "fast"}).profile == "fast"

    def test_default_needs_no_entry(self, read):
        assert read(profile="default").value.project == "from-file"

    def test_an_unknown_one_lists_the_known(self, faults):
        assert faults(profile="fsat") == [
            "--profile: there is no profile 'fsat' in fmf.yaml; allowed: default, fast, other; did you mean 'fast'?"
        ]

    def test_faults_are_found_where_the_profile_says_it(self, faults):
        text = "profiles:\n  p:\n    inference:\n      timeot_s: 3\n    run_profile: q\n"
        lines = faults(text, profile="p")
        assert lines[0].startswith("profile p in fmf.yaml:4:")
        assert "inference.timeot_s: unknown key" in lines[0]
        assert lines[1] == "fmf.yaml:5:5: profiles.p.run_profile: a profile cannot choose profiles"

    def test_lists_are_replaced(self, read):
        assert read("numbers: [1, 2]\nprofiles: {p: {numbers: [9]}}\n", profile="p").value.numbers == [9]


class TestOrigins:
    def test_every_leaf_has_one(self, read, tmp_path):
        settings = read(
            profile="fast",
            environ={"FMF_CONNECTORS__0__ROOT": "/env"},
            sets=["inference.retry.factor=3"],
        )
        origins = {path: origin.replace(f"{tmp_path}/", "") for path, origin in settings.origins.items()}
        assert origins["project"] == "fmf.yaml:1:10"
        assert origins["connectors[0].root"] == "environment FMF_CONNECTORS__0__ROOT"
        assert origins["connectors[0].name"] == "fmf.yaml:3:12"
        assert origins["connectors[0].include[0]"] == "fmf.yaml:3:55"
        assert origins["connectors[1].kms_required"] == "default"
        assert origins["inference.timeout_s"] == "profile fast in fmf.yaml:12:28"
        assert origins["inference.retry.factor"] == "--set inference.retry.factor"
        assert origins["inference.retry.max_attempts"] == "default"
        assert origins["flag"] == "default"


class TestFaults:
    def test_all_at_once_in_the_order_of_the_file(self, faults):
        text = """\
project: 5
connectors:
  - {name: a, type: lokal, root: ./data}
  - name: b
    bucket: bb
  - {type: local, rot: 1}
  - text
  -
infrence: {}
inference:
  retry:
    max_attempts: many
    factor: 0
  timeout_s: -1
  azure_openai: hey
level: hihg
flag: 3
"""
        top = ", ".join(Config.model_fields)
        assert faults(text, sets=["nope"], environ={"FMF_CONECTORS__0__ROOT": "x"}) == [
            "fmf.yaml:1:10: project: is 5, but should be a text; put it in quotes",
            "fmf.yaml:3:21: connectors[0].type: 'lokal' is not allowed; allowed: local, s3; did you mean 'local'?",
            "fmf.yaml:4:5: connectors[1].type: is missing; allowed: local, s3",
            "fmf.yaml:6:5: connectors[2].root: is missing",
            (
                "fmf.yaml:6:19: connectors[2].rot: unknown key (value 1); allowed: name, type, root, include; "
                "did you mean 'root'?"
            ),
            "fmf.yaml:7:5: connectors[3]: is 'text', but should be a mapping",
            "fmf.yaml:8:4: connectors[4]: is empty, but should be a mapping",
            f"fmf.yaml:9:1: infrence: unknown key (value {{}}); allowed: {top}; did you mean 'inference'?",
            "fmf.yaml:12:19: inference.retry.max_attempts: is 'many', but should be a whole number",
            "fmf.yaml:13:13: inference.retry.factor: 0 should be greater than or equal to 1",
            "fmf.yaml:14:14: inference.timeout_s: -1 should be greater than 0",
            "fmf.yaml:15:17: inference.azure_openai: is 'hey', but should be a mapping or null",
            "fmf.yaml:16:8: level: 'hihg' is not allowed; allowed: low, high; did you mean 'high'?",
            "fmf.yaml:17:7: flag: is 3, but should be true or false",
            f"environment FMF_CONECTORS__0__ROOT: conectors: unknown key; allowed: {top}; did you mean 'connectors'?",
            "--set nope: expected key.path=value",
        ]

    def test_a_fault_has_its_parts(self):
        with pytest.raises(SettingsError) as caught:
            layered(Config, sets=["connectors.0.type=lokal"])
        (fault,) = caught.value.faults
        assert (fault.path, fault.value, fault.allowed, fault.nearest) == (
            "connectors[0].type", "lokal", ("local", "s3"), "local",
        )  # fmt: skip
        assert (fault.source, fault.line, fault.column) == ("--set connectors.0.type", None, None)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("prompt: {id: 1, vers: 2}", "1:14: prompt.id: is 1, but should be a text; put it in quotes"),
            ("prompt: {version: 2}", "1:9: prompt.id: is missing"),
            ("prompt: 5", "1:9: prompt: is 5, but should be a text or a mapping or null; put it in quotes"),
            ("mixed: {a: x}", "1:12: mixed.a: is 'x', but should be a whole number"),
            ("mixed: [1]", "1:9: mixed[0]: is 1, but should be a text; put it in quotes"),
            ("mixed: 5", "1:8: mixed: is 5, but should be a list or a mapping"),
            ("inference:", "1:11: inference: is empty, but should be a mapping; give it settings or remove the key"),
            ("numbers: x", "1:10: numbers: is 'x', but should be a list"),
            ("numbers: [1, x]", "1:14: numbers[1]: is 'x', but should be a whole number"),
            ("log_format: xml", "1:13: log_format: 'xml' is not allowed; allowed: json, human"),
            ("count: 1.5", "1:8: count: 1.5 should be a valid integer, got a number with a fractional part"),
            (f"project: {'x' * 21}", f"1:10: project: the project's name '{'x' * 21}' is too long"),
            ("inference: {prices: {m: {}}}", "1:25: inference.prices.m.input_per_1m: is missing"),
            ("- a", "1:1: is ['a'], but should be a mapping"),
            ("just text", "1:1: is 'just text', but should be a mapping"),
        ],
    )
    def test_each_mistake_is_one_readable_line(self, faults, text, line):
        lines = [found for found in faults(text) if not found.startswith("fmf.yaml:1:17: prompt.vers")]
        assert lines == [f"fmf.yaml:{line}"]

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("connectors.5.root=x", "connectors[5]: the list has 2 items: the next index is 2, not 5"),
            ("connectors.first.root=x", "connectors: is a list: 'first' is no index into it"),
            ("connectors.-1.root=x", "connectors: is a list: '-1' is no index into it"),
            ("project.x=1", "project: is 'from-file', which has nothing inside"),
            ("inference.timeot_s=3", "inference.timeot_s: unknown key (value 3)"),
            ("numbers=[1", "numbers: the value is no YAML: 2:1: "),
            ("=x", "expected key.path=value"),
            ("a..b=x", "expected key.path=value"),
        ],
    )
    def test_sets_that_lead_nowhere(self, faults, given, words):
        (line,) = faults(sets=[given])
        assert line.startswith(f"--set {given.partition('=')[0]}: ")
        assert words in line

    def test_the_environment_that_leads_nowhere(self, faults):
        lines = faults(environ={"FMF_NUMBERS__9": "1", "FMF_INFERENCE____X": "1", "FMF_INFERENCE__NOPE": "1"})
        assert len(lines) == 3
        assert all(line.startswith("environment FMF_") for line in lines)

    def test_names_without_parts_that_are_no_fields_belong_to_somebody_else(self):
        assert layered(Config, environ={"FMF_LOG_LEVEL": "x", "FMF_MODEL_DIR": "/m", "FMF_": "x"}).value == Config()

    def test_secrets_are_never_shown(self, faults):
        text = "inference: {api_key: [hunter2000], api_kee: hunter2001}\nproject: [sk-abcdefgh12345678]\n"
        shown = "\n".join(faults(text))
        assert "hunter" not in shown
        assert "sk-abc" not in shown
        assert "[REDACTED]" in shown

    def test_nor_do_they_hide_in_the_chain_of_causes(self, read):
        with pytest.raises(SettingsError) as caught:
            read("inference: {api_key: [hunter2000]}\n")
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_a_broken_file_is_one_error_with_its_place(self, read):
        with pytest.raises(ConfigurationError, match=r"fmf\.yaml:2:1: a tab"):
            read("a:\n\tb: 1")

    def test_a_missing_file_is_named(self):
        with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
            layered(Config, file="nowhere.yaml")


class TestPluginsThatBringTheirOwnTypes:
    class Open(Value):
        model_config = ConfigDict(extra="allow")
        type: str

    def model(self):
        def tag(item: Any) -> str:
            kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
            return "plugin" if kind == "mine" else str(kind)

        item = Annotated[
            Annotated[Folder, Tag("local")] | Annotated[Bucket, Tag("s3")] | Annotated[self.Open, Tag("plugin")],
            Discriminator(tag),
        ]

        class Plugged(Value):
            connectors: tuple[item, ...] = ()  # type: ignore[valid-type]

        return Plugged

    def test_their_keys_are_free(self):
        settings = layered(self.model(), sets=["connectors.0.type=mine", "connectors.0.depth=3"])
        assert settings.value.connectors[0].depth == 3
        assert settings.origins["connectors[0].depth"] == "--set connectors.0.depth"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("{type: lokal}", "connectors[0].type: 'lokal' is not allowed; allowed: local, s3; did you mean 'local'?"),
            ("{name: x}", "connectors[0].type: is missing; allowed: local, s3"),
            ("{type: local, rot: x, root: y}", "connectors[0].rot: unknown key"),
        ],
    )
    def test_mistakes_are_as_readable(self, given, words):
        with pytest.raises(SettingsError, match=re.escape(words)):
            layered(self.model(), sets=[f"connectors.0={given}"])


class TestValidate:
    def test_of_plain_data(self):
        assert validate(Prompt, {"id": "a"}, source="here") == Prompt(id="a")
        with pytest.raises(SettingsError, match=r"1 fault in here\n  here: id: is missing"):
            validate(Prompt, None, source="here")

    def test_with_lines(self):
        yaml = load_yaml("id: a\nversion: x\n", source="p.yaml")
        with pytest.raises(SettingsError) as caught:
            validate(Prompt, yaml.data, source="p.yaml", yaml=yaml)
        assert (caught.value.faults[0].line, caught.value.faults[0].column) == (2, 10)

    def test_aliases_are_what_people_write(self):
        class Output(Value):
            shape: dict[str, Any] | None = Field(default=None, alias="schema")

        assert validate(Output, {"schema": {"a": 1}}, source="x").shape == {"a": 1}
        with pytest.raises(SettingsError, match=r"schem: unknown key .* allowed: schema; did you mean 'schema'"):
            validate(Output, {"schem": {}}, source="x")


def test_a_default_that_hangs_on_a_wrong_value_is_no_further_fault():
    class Chunks(Value):
        size: int = 100
        overlap: int = Field(default_factory=lambda given: given["size"] // 10)

    assert validate(Chunks, {"size": 50}, source="x").overlap == 5
    with pytest.raises(SettingsError) as caught:
        validate(Chunks, {"size": "many"}, source="x")
    assert [fault.path for fault in caught.value.faults] == ["size"]


def test_a_list_with_a_wrong_item_is_not_too_short_as_well():
    class Steps(Value):
        steps: tuple[int, ...] = Field(min_length=1)

    with pytest.raises(SettingsError) as caught:
        validate(Steps, {"steps": ["x"]}, source="x")
    assert [fault.path for fault in caught.value.faults] == ["steps[0]"]
    with pytest.raises(SettingsError) as caught:
        validate(Steps, {"steps": []}, source="x")
    assert [fault.path for fault in caught.value.faults] == ["steps"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.sampled_from([*Config.model_fields, "type", "name", "root", "retry", "api_key", "nonsense"])


def faults_are_told(attempt) -> bool:
    try:
        attempt()
    except SettingsError as error:
        return bool(error.faults) and all(str(fault) in error.message for fault in error.faults)
    return True


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)))
def test_whatever_is_given_is_valid_or_faulty_in_words(value):
    assert faults_are_told(lambda: validate(Config, value, source="x"))


@given(st.text(), st.text())
def test_whatever_is_set_is_valid_or_faulty_in_words(key, text):
    assert faults_are_told(lambda: layered(Config, sets=[f"{key}={text}"], environ={f"FMF_{key}": text}))


class TestSettingsOfPrograms:
    """What a program gives is told in the same words, on one line and without a place."""

    def told(self, data):
        try:
            Config.model_validate(data)
        except ValidationError as error:
            return faults_text(error, Config, data)
        raise AssertionError(data)

    def test_every_mistake_is_there(self):
        assert self.told({"flag": 3, "inference": {"timeout_s": -1}}) in (
            "inference.timeout_s: -1 should be greater than 0; flag: is 3, but should be true or false",
            "flag: is 3, but should be true or false; inference.timeout_s: -1 should be greater than 0",
        )

    def test_a_key_is_led_to_its_section(self):
        assert self.told({"timeout_s": 1}).endswith("did you mean 'inference.timeout_s'?")

    def test_what_is_no_mapping_has_no_path(self):
        assert self.told(3) == "is 3, but should be a mapping"
