from __future__ import annotations

import pytest
from pydantic import ValidationError

from fmf.auth.base import secret_providers
from fmf.config.models import ChunkingConfig, FmfConfig, LocalConnectorConfig, PluginConnectorConfig
from fmf.connectors.base import connectors


def config(**settings):
    return FmfConfig.model_validate(settings)


def faults(**settings):
    with pytest.raises(ValidationError) as caught:
        FmfConfig.model_validate(settings)
    return " ".join(str(fault["loc"]) + fault["msg"] for fault in caught.value.errors())


def test_nothing_at_all_is_a_configuration():
    made = FmfConfig()
    assert made.artefacts_dir == "artefacts"
    assert made.inference.provider == "openai"
    assert made.inference.openai.temperature == 0.7
    assert made.processing.text.chunking.overlap == 150
    assert made.prompt_registry.index_file == "prompts/index.yaml"


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError):
        FmfConfig().project = "other"


def test_items_become_the_class_of_their_type():
    made = config(
        connectors=[
            {"name": "a", "type": "local", "root": "."},
            {"name": "b", "type": "s3", "bucket": "b"},
            {"name": "c", "type": "sharepoint", "site_url": "https://s"},
        ]
    )
    assert [type(item).__name__ for item in made.connectors] == [
        "LocalConnectorConfig",
        "S3ConnectorConfig",
        "SharePointConnectorConfig",
    ]
    assert isinstance(made.connectors[0], LocalConnectorConfig)
    assert made.connectors[0].include == ("**/*",)


@pytest.fixture
def plugin():
    class Ftp:
        @classmethod
        def from_config(cls, config, *, base, secrets):
            return cls()

    connectors.add("ftp", Ftp)
    yield
    connectors.remove("ftp")


def test_a_registered_type_may_have_keys_of_its_own(plugin):
    (made,) = config(connectors=[{"name": "a", "type": "ftp", "host": "h", "port": 21}]).connectors
    assert isinstance(made, PluginConnectorConfig)
    assert made.arguments() == {"host": "h", "port": 21}


def test_an_unregistered_type_is_refused():
    assert "'ftp'" in faults(connectors=[{"name": "a", "type": "ftp"}])


def test_small_chunks_bring_their_own_overlap():
    assert ChunkingConfig(max_tokens=100).overlap < 100
    assert ChunkingConfig(max_tokens=4).overlap == 0
    assert ChunkingConfig(max_tokens=4000).overlap == 150


def test_the_index_lies_in_the_folder_of_the_prompts():
    assert config(prompt_registry={"path": "my/prompts"}).prompt_registry.index_file == "my/prompts/index.yaml"


@pytest.mark.parametrize("version", ["2024", "2024-10-21"])
def test_sections_of_providers_that_are_not_chosen_may_be_partial(version):
    assert config(inference={"azure_openai": {"api_version": version}}).inference.azure_openai.api_version == version


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"connectors": [{"name": "a", "type": "local", "root": "."}] * 2}, ["several connectors", "'a'"]),
        ({"export": {"sinks": [{"name": "s", "type": "local", "path": "."}] * 2}}, ["several sinks", "'s'"]),
        ({"export": {"default_sink": "x"}}, ["default_sink 'x'", "none"]),
        ({"run": {"inputs": {"connector": "x"}}}, ["run.inputs.connector 'x'"]),
        ({"inference": {"openai": {"temperature": 2.1}}}, ["temperature"]),
        ({"inference": {"provider": "opena"}}, ["'opena'", "openai", "azure_openai"]),
        ({"inference": {"provider": "azure_openai"}}, ["inference.azure_openai.endpoint"]),
        ({"inference": {"provider": "aws_bedrock"}}, ["inference.aws_bedrock.model_id"]),
        ({"inference": {"options": {"base_url": "x"}}}, ["options", "inference.openai.base_url"]),
        (
            {
                "inference": {
                    "provider": "azure_openai",
                    "azure_openai": {"endpoint": "https://x"},
                    "options": {"model": "m"},
                }
            },
            ["options", "inference.azure_openai.deployment"],
        ),
        ({"inference": {"concurrency": 8}}, ["max: 8", "chain"]),
        ({"inference": {"concurrency": None}}, ["adaptive: false", "remove the key"]),
        ({"inference": {"concurrency": {"start": 8, "max": 4}}}, ["start is 8", "a start of 4 at most"]),
        ({"inference": {"capabilities": ["vision"]}}, ["'vision'", "did you mean 'images'?"]),
        ({"inference": {"fallbacks": ["azure-openai"]}}, ["fallbacks[0]", "did you mean 'azure_openai'?"]),
        ({"inference": {"fallbacks": ["ollama"]}}, ["fallbacks[0]", "http://localhost:11434/v1"]),
        ({"inference": {"local": {"model": "smollm-135m"}}}, ["did you mean 'smollm2-135m-instruct'", ".gguf"]),
        ({"inference": {"fallback_on": ["budget"]}}, ["budget", "decided to stop"]),
        ({"inference": {"fallbacks": [{"provider": "opena"}]}}, ["fallbacks[0]", "'opena'", "azure_openai"]),
        ({"inference": {"fallbacks": ["azure_openai"]}}, ["fallbacks[0]", "inference.azure_openai.endpoint"]),
        ({"inference": {"fallbacks": ["x", {"temperature": 3}]}}, ["fallbacks[1]: temperature"]),
        ({"inference": {"fallbacks": [{"retry": {"max_attempt": 2}}]}}, ["fallbacks[0]", "max_attempts"]),
        ({"inference": {"fallbacks": [{"local": 1, "provider": 3}]}}, ["fallbacks[0]", "unknown provider 3"]),
        ({"inference": {"fallbacks": [{"api_key": "k", "api_key_secret": "K"}]}}, ["api_key_secret", "api_key"]),
        ({"auth": {"provider": "envv"}}, ["'envv'", "env, azure_key_vault, aws_secrets"]),
        ({"auth": {"provider": "azure_key_vault"}}, ["vault_url"]),
        ({"auth": {"options": {"a": 1}}}, ["auth.options"]),
        ({"observability": {"log_level": "LOUD"}}, ["Invalid log level", "'LOUD'"]),
        ({"export": {"sinks": [{"name": "s", "type": "local", "path": ".", "compression": "snappy"}]}}, ["snappy"]),
        ({"export": {"sinks": [{"name": "s", "type": "local", "path": ".", "mode": "upsert"}]}}, ["key_fields"]),
        (
            {
                "export": {
                    "sinks": [
                        {"name": "s", "type": "redshift", "database": "d", "table": "t", "unload_staging_s3": "s"}
                    ]
                }
            },
            ["host", "cluster_id"],
        ),
        ({"artefacts_retain_last": 0}, ["artefacts_retain_last"]),
        ({"inferense": {}}, ["inferense"]),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(settings, words):
    told = faults(**settings)
    assert all(word in told for word in words), told


def test_a_level_may_be_written_in_any_case():
    assert config(observability={"log_level": "debug"}).observability.log_level == "DEBUG"


def test_a_registered_secret_provider_may_be_named():
    secret_providers.add("mine", lambda: None)
    try:
        assert config(auth={"provider": "mine", "options": {"a": 1}}).auth.options == {"a": 1}
    finally:
        secret_providers.remove("mine")
