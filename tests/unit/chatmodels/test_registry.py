from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from typing import ClassVar

import pytest

from chatmodels import (
    ChatModel,
    ConfigurationError,
    MockChatModel,
    create_chat_model,
    get_chat_model_metadata,
    list_chat_models,
    register_chat_model,
    unregister_chat_model,
)
from chatmodels.registry import models
from fmf_core.errors import PluginNotFoundError, PluginRegistrationError


@pytest.fixture(autouse=True)
def clean():
    yield
    models.clear()


class Own(MockChatModel):
    """A model of our own.

    With more to say.
    """


def test_what_ships():
    assert {"mock", "openai", "azure_openai", "aws_bedrock", "local"} <= set(list_chat_models())
    assert list_chat_models() == sorted(list_chat_models())


@pytest.mark.parametrize("name", ["mock", "openai", "azure_openai", "aws_bedrock", "local"])
def test_metadata_of_what_ships(name):
    metadata = get_chat_model_metadata(name)
    assert metadata["name"] == name
    assert metadata["description"]
    assert "chat" in metadata["capabilities"]
    assert metadata["default_model"]
    assert metadata["extra"] == {"local": "local", "aws_bedrock": "aws"}.get(name, "")


def test_metadata_imports_nothing():
    code = (
        "import sys, chatmodels\n"
        "all = [chatmodels.get_chat_model_metadata(name) for name in chatmodels.list_chat_models()]\n"
        "vendors = {'openai', 'xllamacpp', 'boto3', 'chatmodels.providers.openai', 'chatmodels.providers.local'}\n"
        "assert all and not vendors & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_class_an_instance_and_a_factory():
    register_chat_model("class", Own)
    register_chat_model("instance", Own("same"))
    register_chat_model("factory", lambda: Own("made"))
    for name in ("class", "instance", "factory"):
        assert create_chat_model(name).invoke("x").content
    assert create_chat_model("instance").unwrapped is create_chat_model("instance").unwrapped
    assert create_chat_model("class").unwrapped is not create_chat_model("class").unwrapped


@pytest.mark.parametrize("thing", [object, 7, "chatmodels.providers.mock:MockChatModel", None, dict])
def test_anything_else_is_refused(thing):
    with pytest.raises(PluginRegistrationError, match="no ChatModel"):
        register_chat_model("thing", thing)
    assert "thing" not in list_chat_models()


def test_metadata_of_ones_own():
    register_chat_model("own", Own, metadata={"capabilities": ["chat"], "default_model": "own-1", "region": "eu"})
    metadata = get_chat_model_metadata("own")
    assert metadata["description"] == "A model of our own."
    assert (metadata["capabilities"], metadata["region"], metadata["extra"]) == (["chat"], "eu", "")
    assert create_chat_model("own").invoke("x").model == "own-1"


def test_a_taken_name_needs_replace():
    register_chat_model("own", Own("a"))
    with pytest.raises(PluginRegistrationError, match="already registered"):
        register_chat_model("own", Own("b"))
    register_chat_model("own", Own("b"), replace=True)
    assert create_chat_model("own").invoke("x").content == "b"


def test_what_ships_is_taken_but_the_mock_gives_way():
    with pytest.raises(PluginRegistrationError):
        register_chat_model("openai", Own)
    register_chat_model("mock", Own("instead"))
    assert create_chat_model("mock").invoke("x").content == "instead"
    unregister_chat_model("mock")
    assert create_chat_model("mock").invoke("x").content == "Mock response"


def test_of_many_threads_one_wins():
    start, outcomes = threading.Barrier(16), []

    def register():
        start.wait()
        try:
            register_chat_model("raced", Own)
            outcomes.append(True)
        except PluginRegistrationError:
            outcomes.append(False)

    threads = [threading.Thread(target=register) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 1


@pytest.mark.parametrize("use", [create_chat_model, get_chat_model_metadata, unregister_chat_model])
def test_an_unknown_name_lists_the_known(use):
    register_chat_model("known", Own)
    with pytest.raises(PluginNotFoundError, match="knwon") as caught:
        use("knwon")
    assert "known" in caught.value.hint


def test_a_subclass_that_answers_is_all_it_takes():
    class Echo(ChatModel):
        provider_name = "echo"

        def complete(self, request):
            return MockChatModel(request.prompt).complete(request)

    register_chat_model("echo", Echo)
    assert create_chat_model("echo").invoke("hello").content == "hello"


@pytest.mark.parametrize("name", ["mock", "openai", "azure_openai", "aws_bedrock", "local"])
def test_a_model_can_do_what_its_metadata_say(name):
    model = create_chat_model(name, api_key="key-of-nobody") if name == "openai" else create_chat_model(name)
    assert set(model.get_model_info().capabilities) <= set(get_chat_model_metadata(name)["capabilities"])
    assert "chat" in model.get_model_info().capabilities


class TestMetadata:
    @pytest.mark.parametrize(
        ("metadata", "said", "hint"),
        [
            ({"capabilities": ["vision"]}, "no capability 'vision'", "did you mean 'images'? known: chat, stream"),
            ({"capabilities": ["tool"]}, "no capability 'tool'", "did you mean 'tools'?"),
            ({"capabilities": ["telepathy"]}, "no capability 'telepathy'", "known: chat"),
            ({"capabilities": "chat"}, "capabilities is str, but should be a list", "give a list of words"),
            ({"descripton": "x"}, "'descripton' is misspelt", "did you mean 'description'?"),
            ({"default-model": "x"}, "'default-model' is misspelt", "did you mean 'default_model'?"),
        ],
    )
    def test_what_is_misspelt_is_refused(self, metadata, said, hint):
        with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
            register_chat_model("own", Own, metadata=metadata)
        assert hint in caught.value.hint
        assert "own" not in list_chat_models()

    def test_a_search_for_what_there_is_no_word_for_is_refused(self):
        with pytest.raises(ConfigurationError, match="no capability 'visoin'"):
            list_chat_models(capability="visoin")
        with pytest.raises(ConfigurationError, match="no capability 'vision'") as caught:
            list_chat_models(capability=("chat", "vision"))
        assert "did you mean 'images'?" in caught.value.hint

    def test_a_class_declares_its_own(self):
        class Declared(Own):
            """Says more."""

            chat_model_metadata: ClassVar = {"default_model": "declared-1", "capabilities": ["chat", "images"]}

        register_chat_model("declared", Declared, metadata={"capabilities": ["chat"]})
        metadata = get_chat_model_metadata("declared")
        assert (metadata["description"], metadata["capabilities"]) == ("Says more.", ["chat"])
        assert create_chat_model("declared").invoke("x").model == "declared-1"

    def test_an_installed_distribution_declares_its_own(self, tmp_path):
        (tmp_path / "theirs.py").write_text(
            "from chatmodels import MockChatModel\n\n\n"
            "class Theirs(MockChatModel):\n"
            '    """Answers from elsewhere."""\n\n'
            '    chat_model_metadata = {"default_model": "theirs-1", "capabilities": ["chat", "images"]}\n',
            encoding="utf-8",
        )
        facts = tmp_path / "theirs-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
        (facts / "entry_points.txt").write_text(
            "[chatmodels.providers]\ntheirs = theirs:Theirs\nbroken = nowhere_to_be_found:Model\n", encoding="utf-8"
        )
        code = (
            "import chatmodels\n"
            "found = chatmodels.get_chat_model_metadata('theirs')\n"
            "assert (found['source'], found['description']) == ('theirs', 'Answers from elsewhere.'), found\n"
            "assert found['default_model'] == 'theirs-1', found\n"
            "assert 'theirs' in chatmodels.list_chat_models(capability='images')\n"
            "assert 'broken' not in chatmodels.list_chat_models(capability='chat')\n"
            "assert 'broken' in chatmodels.list_chat_models()\n"
            "assert chatmodels.create_chat_model('theirs').invoke('x').model == 'theirs-1'\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)
