from __future__ import annotations

import pytest

from fmf.config.check import check_profiles
from fmf.config.display import settings
from fmf.config.loader import load_config
from fmf.errors import exit_status
from fmf_core.errors import ConfigurationError

FILE = """\
project: from-file
connectors:
  - {name: docs, type: local, root: ./docs, include: ['*.md']}
  - {name: more, type: local, root: ./more}
inference:
  provider: mock
  openai: {model: from-file, temperature: 0.1}
profiles:
  fast:
    project: from-profile
    inference: {openai: {model: from-profile}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE)
    return tmp_path / "fmf.yaml"


def refused(*args, **kwargs):
    with pytest.raises(ConfigurationError) as caught:
        load_config(*args, **{"environ": {}, **kwargs})
    assert exit_status(caught.value) == 2
    return str(caught.value)


def test_without_a_file_there_are_defaults(tmp_path):
    loaded = load_config(environ={})
    assert loaded.path is None
    assert loaded.root == tmp_path
    assert loaded.profile == "default"
    assert loaded.value.project == "default"
    assert loaded.origin("project") == "default"


def test_a_file_that_was_named_must_be_there(tmp_path):
    assert "nope.yaml" in refused("nope.yaml")
    assert "folder" in refused(tmp_path)


def test_an_empty_file_is_a_valid_one(tmp_path):
    (tmp_path / "fmf.yaml").write_text("# nothing yet\n")
    assert load_config(environ={}).value.project == "default"


SCALAR = ["project", "inference.openai.model"]
ITEM = "connectors[0].root"


def value_at(loaded, path):
    found = loaded.value
    for part in path.replace("[", ".").replace("]", "").split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    return found


@pytest.mark.parametrize("path", SCALAR)
def test_what_stands_nearer_to_the_user_wins(file, path):
    env_name = "FMF_" + path.upper().replace(".", "__")
    environ = {env_name: "from-environment"}
    sets = (f"{path}=from-set",)
    assert value_at(load_config(environ={}), path) == "from-file"
    assert value_at(load_config(profile="fast", environ={}), path) == "from-profile"
    assert value_at(load_config(profile="fast", environ=environ), path) == "from-environment"
    assert value_at(load_config(profile="fast", environ=environ, sets=sets), path) == "from-set"


def test_one_item_of_a_list_can_be_changed_and_everything_else_stays(file):
    for changed in (
        load_config(environ={"FMF_CONNECTORS__0__ROOT": "elsewhere"}),
        load_config(environ={}, sets=["connectors.0.root=elsewhere"]),
    ):
        first, second = changed.value.connectors
        assert (first.name, first.root, first.include) == ("docs", "elsewhere", ("*.md",))
        assert (second.name, second.root) == ("more", "./more")
        assert changed.value.inference.openai.temperature == 0.1


def test_text_stays_text_and_numbers_become_numbers(file):
    loaded = load_config(
        environ={"FMF_INFERENCE__AZURE_OPENAI__API_VERSION": "2024", "FMF_INFERENCE__TIMEOUT_S": "7.5"},
        sets=["project=2024", "inference.openai.max_tokens=null"],
    )
    assert loaded.value.inference.azure_openai.api_version == "2024"
    assert loaded.value.inference.timeout_s == 7.5
    assert loaded.value.project == "2024"
    assert loaded.value.inference.openai.max_tokens is None


def test_every_value_knows_where_it_comes_from(file):
    loaded = load_config(
        profile="fast", environ={"FMF_INFERENCE__TIMEOUT_S": "7"}, sets=["connectors.0.root=elsewhere"]
    )
    assert loaded.origin("artefacts_dir") == "default"
    assert "fmf.yaml:7" in loaded.origin("inference.openai.temperature")
    assert "fast" in loaded.origin("project")
    assert "FMF_INFERENCE__TIMEOUT_S" in loaded.origin("inference.timeout_s")
    assert "--set" in loaded.origin(ITEM)
    assert "fmf.yaml:3" in loaded.origin("connectors[0].name")


def test_the_active_profile_is_the_first_of_option_environment_and_file(file):
    file.write_text(FILE + "run_profile: fast\n")
    assert load_config(environ={}).profile == "fast"
    assert load_config(environ={}, profile="default").value.project == "from-file"
    assert load_config(environ={"FMF_PROFILE": "default"}).value.project == "from-file"
    assert load_config(environ={"FMF_PROFILE": "default"}, profile="fast").value.project == "from-profile"
    assert load_config(environ={}, sets=["run_profile=default"]).value.project == "from-file"


def test_an_unknown_profile_names_the_known_ones(file):
    message = refused(profile="fats")
    assert "fats" in message
    assert "fast" in message


def test_names_with_the_prefix_that_are_no_settings_are_left_alone(file):
    loaded = load_config(
        environ={"FMF_LOG_FORMAT": "json", "FMF_LOG_LEVEL": "x", "FMF_MODEL_DIR": "/m", "FMF_SOMETHING": "1"}
    )
    assert loaded.value.project == "from-file"


def test_the_names_of_a_run_are_left_for_the_run(file):
    file.write_text("export: {sinks: [{name: s, type: local, path: 'out/${run_id}/${WHO:-me}'}]}\n")
    assert load_config(environ={"run_id": "never"}).value.export.sinks[0].path == "out/${run_id}/me"


def test_all_faults_are_told_at_once(file):
    file.write_text(
        "connectors: [{name: a, type: ftp}, {name: b, type: local}]\n"
        "inferense: {}\n"
        "inference: {openai: {temprature: 1}}\n"
    )
    message = refused()
    for words in (
        "connectors[0].type",
        "'ftp'",
        "local, s3, sharepoint",
        "connectors[1].root",
        "inferense",
        "inference",
    ):
        assert words in message, message
    assert "temprature" in message
    assert "temperature" in message
    assert "'None'" not in message


def test_an_item_without_a_type_says_so(file):
    file.write_text("connectors: [{name: a, root: x}]\n")
    assert "connectors[0].type" in refused()


def test_malformed_yaml_is_told_with_line_and_column(file):
    file.write_text("project: a\n  connectors: [\n")
    assert "fmf.yaml:2:" in refused()
    file.write_text("- a list\n")
    assert "fmf.yaml" in refused()


def test_the_hash_depends_on_the_values_and_not_on_where_they_come_from(file):
    plain = load_config(environ={}).config_hash
    assert plain.startswith("sha256:")
    assert load_config(environ={}).config_hash == plain
    assert load_config(environ={}, sets=["project=from-file"]).config_hash == plain
    assert load_config(environ={}, sets=["project=other"]).config_hash != plain


def test_relative_paths_start_from_the_folder_of_the_file(file, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_config("../fmf.yaml", environ={}).root.resolve() == tmp_path


def test_profiles_that_are_not_active_are_checked_too(file):
    seen = []
    assert check_profiles(load_config(environ={}), seen.append, environ={}) == ["fast"]
    assert [loaded.profile for loaded in seen] == ["fast"]
    file.write_text("profiles: {slow: {inference: {timeout: 3}}}\n")
    with pytest.raises(ConfigurationError, match="slow"):
        check_profiles(load_config(environ={}), seen.append, environ={})


def test_settings_are_shown_with_origin_and_without_secrets(file):
    file.write_text(
        "project: p\n"
        "export: {sinks: [{name: d, type: delta, path: t, storage_options: {aws_secret_access_key: hushhush}}]}\n"
    )
    shown = settings(load_config(environ={}))
    assert ("project", "p") in [(path, value) for path, value, _ in shown]
    assert "hushhush" not in str(shown)
    origins = {path: origin for path, _, origin in shown}
    assert "fmf.yaml:1" in origins["project"]
    assert origins["artefacts_dir"] == "default"
    assert "fmf.yaml:2" in origins["export.sinks[0].path"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("inference.openai.tempature=0", "temperature"),
        ("inference.tempature=0", "inference.openai.temperature"),
        ("inference.max_file_mb=3", "processing.limits.max_file_mb"),
        ("inference.openai.max_attempts=3", "inference.retry.max_attempts"),
        ("chunking.overlap=3", "processing.text.chunking"),
        ("observability.loglevel=INFO", "log_level"),
        ("inference.zzzz=1", None),
    ],
)
def test_a_key_in_the_wrong_section_is_led_to_the_right_one(given, meant):
    with pytest.raises(ConfigurationError) as caught:
        load_config(sets=[given], environ={})
    (fault,) = caught.value.faults
    assert fault.nearest == meant
    assert ("did you mean" in str(caught.value)) is (meant is not None)


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        ("local, root: docs", "path", "root"),
        ("local, root: docs", "directory", "root"),
        ("s3, bucket: b", "root", "prefix"),
        ("sharepoint, site_url: 'https://example.org'", "path", "root_path"),
        ("fsspec, url: 'memory://x'", "path", "url"),
    ],
)
def test_a_key_of_the_connector_itself_is_meant_before_those_of_other_sections(file, kind, written, meant):
    file.write_text(f"connectors: [{{name: d, type: {kind}, {written}: x}}]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(environ={})
    (fault,) = caught.value.faults
    assert fault.nearest == meant


def test_of_several_sections_the_one_in_use_is_meant():
    with pytest.raises(ConfigurationError) as caught:
        load_config(sets=["inference.local.context=512", "inference.temperature=0"], environ={})
    assert caught.value.faults[0].nearest == "inference.local.temperature"
