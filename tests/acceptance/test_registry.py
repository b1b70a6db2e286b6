from __future__ import annotations

import pytest

TAKEN = """
import json, threading, time
from chatmodels import (
    ChatRequest, MockChatModel, create_chat_model, get_chat_model_metadata, list_chat_models, register_chat_model,
    unregister_chat_model,
)
from generative_ai_workflow import FrameworkError

def fault(action, *args, **kwargs):
    try:
        action(*args, **kwargs)
    except FrameworkError as error:
        return {"kind": type(error).__name__, "text": f"{error} {error.hint}"}
    return None

class Mine(MockChatModel):
    '''Answers as I like.'''

told = {"before": list_chat_models()}
register_chat_model("mine", Mine("first"), metadata={"capabilities": ["chat"]})
told["again"] = fault(register_chat_model, "mine", Mine("second"))
told["kept"] = create_chat_model("mine").complete(ChatRequest(prompt="?")).content
register_chat_model("mine", Mine("third"), replace=True)
told["replaced"] = create_chat_model("mine").complete(ChatRequest(prompt="?")).content
told["shipped"] = fault(register_chat_model, "openai", Mine("fake"))

import chatmodels.registry
taken = chatmodels.registry.models._taken
def slowly(name):                                # so that whoever looks without a lock is overtaken for certain
    found = taken(name)
    time.sleep(0.002)
    return found
chatmodels.registry.models._taken = slowly
results, barrier = {}, threading.Barrier(16)
def race(number):
    barrier.wait()
    results[number] = fault(register_chat_model, "raced", Mine(f"thread {number}"))
threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
[told["winner"]] = [number for number, found in results.items() if found is None]
told["raced"] = create_chat_model("raced").complete(ChatRequest(prompt="?")).content
told["losers"] = sorted({found["kind"] for found in results.values() if found})
told["unknown"] = fault(create_chat_model, "opnai")
told["unknown_metadata"] = fault(get_chat_model_metadata, "opnai")
told["after"] = list_chat_models()
unregister_chat_model("mine")
told["gone"] = fault(create_chat_model, "mine")
print(json.dumps(told))
"""

PLUGINS = """
import json, threading
from generative_ai_workflow import (
    FrameworkError, LLMStep, MockLLMProvider, PluginNotFoundError, PluginRegistrationError, PluginRegistry, Workflow,
)

def fault(action, *args, **kwargs):
    try:
        action(*args, **kwargs)
    except FrameworkError as error:
        return {"kind": type(error).__name__, "text": f"{error} {error.hint}"}
    return None

PluginRegistry.register_provider("mine", MockLLMProvider({"default": "mine"}))
told = {"again": fault(PluginRegistry.register_provider, "mine", MockLLMProvider())}
PluginRegistry.register_provider("other", MockLLMProvider)
told["listed"] = list(PluginRegistry.list_providers())
told["unknown"] = fault(PluginRegistry.get_provider, "mien")
told["answer"] = Workflow([LLMStep("s", "hello", provider="mine")]).execute({}).output["s"]
PluginRegistry.unregister_provider("mine")
told["gone"] = fault(PluginRegistry.get_provider, "mine")
print(json.dumps(told))
"""

MISSING = """
import json, sys
for name in ("openai", "xllamacpp", "boto3", "botocore"):
    sys.modules[name] = None                     # as if it were not installed
from chatmodels import ChatRequest, create_chat_model, get_chat_model_metadata, list_chat_models
from generative_ai_workflow import FrameworkError

told = {"listed": list_chat_models(), "faults": {}}
told["metadata"] = {name: get_chat_model_metadata(name) for name in told["listed"]}
for name, metadata in told["metadata"].items():
    if metadata["extra"]:
        try:
            create_chat_model(name).complete(ChatRequest(prompt="hello"))
        except FrameworkError as error:
            told["faults"][metadata["extra"]] = f"{error} {error.hint}"
from importlib.metadata import metadata
told["extras"] = metadata("frontier-model-framework").get_all("Provides-Extra")
print(json.dumps(told))
"""

UNTOUCHED = """
import json, sys
from chatmodels import get_chat_model_metadata, list_chat_models

metadata = {name: get_chat_model_metadata(name) for name in list_chat_models()}
vendors = {"openai", "xllamacpp", "httpx", "boto3"}
loaded = sorted({*vendors, *map("chatmodels.providers.".__add__, metadata)} & set(sys.modules))
print(json.dumps({"metadata": metadata, "loaded": loaded}))
"""


@pytest.mark.behaviour(73)
def test_a_taken_name_is_refused_unless_it_is_to_be_replaced(project):
    """Behaviour 73: a taken name is refused unless replace=True, also in a race of threads; unknown names list all."""
    told = project.python(TAKEN)
    assert told["again"]["kind"] == "PluginRegistrationError"
    assert "'mine'" in told["again"]["text"]
    assert "replace=True" in told["again"]["text"]
    assert (told["kept"], told["replaced"]) == ("first", "third")
    assert told["shipped"]["kind"] == "PluginRegistrationError"
    assert told["raced"] == f"thread {told['winner']}"
    assert told["losers"] == ["PluginRegistrationError"]
    for case in ("unknown", "unknown_metadata"):
        assert told[case]["kind"] == "PluginNotFoundError"
        assert all(name in told[case]["text"] for name in ("opnai", "openai", "local", "mock", "mine", "raced"))
    assert sorted(told["before"]) == ["aws_bedrock", "azure_openai", "local", "mock", "openai"]
    assert sorted(told["after"]) == ["aws_bedrock", "azure_openai", "local", "mine", "mock", "openai", "raced"]
    assert told["gone"]["kind"] == "PluginNotFoundError"


@pytest.mark.behaviour(73)
def test_the_registry_of_plugins_refuses_too(project):
    """Behaviour 73: `PluginRegistry` refuses a taken name, lists the known for an unknown one, and is used by steps."""
    told = project.python(PLUGINS)
    assert told["again"]["kind"] == "PluginRegistrationError"
    assert {"mine", "other"} <= set(told["listed"])
    assert told["unknown"]["kind"] == "PluginNotFoundError"
    assert "mine" in told["unknown"]["text"]
    assert "other" in told["unknown"]["text"]
    assert told["answer"] == "mine"
    assert told["gone"]["kind"] == "PluginNotFoundError"


@pytest.mark.behaviour(73)
def test_a_missing_extra_names_the_command_that_installs_it(project):
    """Behaviour 73: without the vendor's library the error names the pip command; metadata is there all the same."""
    told = project.python(MISSING)
    assert "local" in told["faults"]
    for extra, fault in told["faults"].items():
        assert f"pip install -e '.[{extra}]'" in fault
        assert extra in told["extras"], "the command would install nothing"
    assert told["metadata"]["local"]["extra"] == "local"
    assert told["metadata"]["openai"]["extra"] == ""


@pytest.mark.behaviour(73)
def test_metadata_says_what_a_provider_can_do_without_importing_it(project):
    """Behaviour 73: name, description and capabilities are known, and no vendor nor provider was imported."""
    told = project.python(UNTOUCHED)
    assert set(told["loaded"]) <= {"chatmodels.providers.mock"}, "the mock needs no vendor"
    for name, metadata in told["metadata"].items():
        assert metadata["name"] == name
        assert metadata["description"]
        assert "chat" in metadata["capabilities"]
    listed = project.fmf("models", "ls", "--json").well().json
    assert set(told["metadata"]) <= {str(entry.get("name")) for entry in listed.get("providers", [])}
