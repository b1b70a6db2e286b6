from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from chatmodels import (
    ChatModel,
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
