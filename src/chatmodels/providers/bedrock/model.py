"""Models that AWS Bedrock offers, through boto3: `converse` for all of them, `invoke_model` where that is missing."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from chatmodels.capabilities import listed
from chatmodels.errors import ChatModelError
from chatmodels.families import DEFAULT_MODELS, BodyShape
from chatmodels.guard import check_allowed
from chatmodels.iface import ChatModel
from chatmodels.providers.bedrock.client import Access, Runtime
from chatmodels.providers.bedrock.errors import SIGN_IN, translated
from chatmodels.providers.bedrock.invoke import InvokeDecoder, decode_invoke, encode_invoke
from chatmodels.providers.bedrock.line import check_length
from chatmodels.providers.bedrock.models import BODY_SHAPES, Traits, refuse_impossible, traits_of
from chatmodels.providers.bedrock.wire import METADATA, ConverseDecoder, decode, encode
from chatmodels.providers.call import Call
from chatmodels.providers.time_limits import check_seconds
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import ConfigurationError
from fmf_core.portal import in_thread, run_sync
from fmf_core.redact import add_secret, bare_address, without_secrets

Api = Literal["auto", "converse", "invoke_model"]
READ_BYTES: Final = 65536
HEALTH_TIMEOUT_S: Final = 5.0


class BedrockChatModel(ChatModel):
    """A chat model that AWS Bedrock offers.

    Args:
        model: asked when a request names none: a model's id, an inference profile's id (`us.anthropic...`) or an ARN.
        region: without it what boto3 finds: `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's.
        endpoint_url: another endpoint than the region's public one; without it `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`.
        profile: a profile of the AWS configuration; without it `AWS_PROFILE`.
        aws_access_key_id: the key to sign with; without it boto3's own chain (environment, profile, role).
        aws_secret_access_key: its secret.
        aws_session_token: its token, where it is a temporary one.
        api_key: a Bedrock API key, sent instead of a signature; without it `AWS_BEARER_TOKEN_BEDROCK`.
        timeout_s: seconds for one attempt, from the moment a thread is free for it to its last byte.
        connect_timeout_s: seconds for connection and TLS.
        api: `converse`, `invoke_model`, or `auto`: `converse` unless a `shape` is given.
        shape: the body that `invoke_model` takes, where the id does not tell it: `anthropic`, `nova`, `llama3`,
            `llama4`, `mistral` (a prompt) or `mistral_chat` (messages, as OpenAI's).
        native_json: whether the model can be held to a JSON Schema; without it the table of known models says.
        max_threads: how many requests may be under way at once, each in a thread; more wait for their turn.

    boto3 is loaded with the provider, and its own retries are off: whoever calls owns them.

    Raises:
        ConfigurationError: `api`, `shape` or `max_threads` is none of the allowed, `endpoint_url` is no address, or
            a part of a set of keys is given.
    """

    provider_name = "aws_bedrock"

    def __init__(
        self,
        *,
        model: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        profile: str | None = None,
        aws_access_key_id: SecretStr | str | None = None,
        aws_secret_access_key: SecretStr | str | None = None,
        aws_session_token: SecretStr | str | None = None,
        api_key: SecretStr | str | None = None,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 10.0,
        api: Api = "auto",
        shape: BodyShape | None = None,
        native_json: bool | None = None,
        max_threads: int = 64,
    ) -> None:
        check_seconds(self.provider_name, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)
        self.model = model or DEFAULT_MODELS[self.provider_name]
        self.timeout_s = timeout_s
        self.api = api
        self.shape = shape
        self.native_json = native_json
        self._access = Access(
            region=region,
            endpoint_url=endpoint_url,
            profile=profile,
            access_key_id=_secret(aws_access_key_id),
            secret_access_key=_secret(aws_secret_access_key),
            session_token=_secret(aws_session_token),
            api_key=_secret(api_key),
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_threads=max_threads,
        )
        _check(self, self._access)
        self._runtime = Runtime(self._access)

    def __repr__(self) -> str:
        shown = self._access.endpoint_url and bare_address(self._access.endpoint_url)
        where = f"region={self._access.region!r}, endpoint_url={shown!r}"
        return f"{type(self).__name__}(model={self.model!r}, {where}, api={self.api!r})"

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]
        """The endpoint's address; before the first request `None` where only boto3 can tell the region."""
        known = self._runtime.endpoint or self._access.endpoint_url
        known = known or os.environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME") or os.environ.get("AWS_ENDPOINT_URL")
        region = self._access.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return known or (f"https://bedrock-runtime.{region}.amazonaws.com" if region else None)

    @property
    def credentials_id(self) -> int | None:  # type: ignore[override]
        """Tells other keys and profiles apart: each account has limits of its own."""
        return self._access.credentials_id

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """Where Bedrock is and how it is asked, as it holds now."""
        access = self._access
        profile = access.profile or os.environ.get("AWS_PROFILE")
        where = {"region": access.region, "endpoint_url": access.endpoint_url, "profile": profile}
        how = {"api": self.api, "shape": self.shape, "native_json": self.native_json}
        return {"model": self.model, **where, **how}

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` with one request to Bedrock.

        Raises:
            ChatModelError: Bedrock refused, could not be reached in time, or sent something that is no answer.
        """
        call = self._call("complete", request)
        check_allowed(self.provider_name, call.request.model)
        traits = self._traits(call)
        started = perf_counter()
        with _translated(call):
            if self._invokes:
                arguments = encode_invoke(call, traits)
                reply, raw = await self._runtime.ask(partial(_invoke, arguments))
                response = decode_invoke(reply, raw, call, traits)
            else:
                arguments = encode(call, traits)
                response = decode(await self._runtime.ask(partial(_converse, arguments)), call)
        return response.model_copy(update={"latency_ms": (perf_counter() - started) * 1000.0})

    async def stream_async(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` piece by piece; closing the iterator early cuts the connection and frees its thread.

        Raises:
            ChatModelError: as `complete_async`, and when the stream ends before the answer does.
        """
        call = self._call("stream", request)
        check_allowed(self.provider_name, call.request.model)
        traits = self._traits(call)
        if "stream" not in traits.able:
            async for chunk in super().stream_async(request):
                yield chunk
            return
        with _translated(call):
            events, decoder = self._opened(call, traits)
            async with aclosing(events):
                async for event in events:
                    piece = decoder.feed(event)
                    if piece is not None:
                        yield piece
            yield decoder.finish()

    def get_model_info(self) -> ModelInfo:
        """Name, and what is known here of the model's capabilities; Bedrock is not asked."""
        capabilities = listed(self._known_traits(self.model).able)
        return ModelInfo(name=self.model, provider=self.provider_name, capabilities=capabilities)

    def check_health(self) -> HealthStatus:
        """Whether the endpoint answers and takes the credentials: lists asynchronous jobs, which costs no tokens.

        An identity that may not list them is known all the same, and counts as healthy.
        """
        return run_sync(self._health())

    def check_ready(self) -> None:
        """Look whether there is a region, and the profile; who asks is for boto3 to find out with the first request.

        Raises:
            ChatModelError: there is no region, or no such profile.
        """
        with _translated(self._call("connect", ChatRequest(prompt="connect", model=self.model))):
            self._runtime.check_region()

    async def initialize(self) -> None:
        """Load boto3's client and look for credentials, so that a mistake is found before the first request.

        Raises:
            ChatModelError: there are no credentials, no region, or no such profile.
        """
        with _translated(self._call("connect", ChatRequest(prompt="connect", model=self.model))):
            await self._runtime.ask(lambda _: None)

    async def cleanup(self) -> None:
        """Close the connections; the next request opens new ones."""
        await in_thread(self._runtime.close)

    @property
    def _invokes(self) -> bool:
        return self.api == "invoke_model" or (self.api == "auto" and self.shape is not None)

    def _opened(
        self, call: Call, traits: Traits
    ) -> tuple[AsyncGenerator[Mapping[str, Any], None], ConverseDecoder | InvokeDecoder]:
        if self._invokes:
            arguments = encode_invoke(call, traits)
            return self._runtime.events(partial(_invoke_stream, arguments)), InvokeDecoder(call, traits)
        arguments = encode(call, traits)
        return self._runtime.events(partial(_converse_stream, arguments)), ConverseDecoder(call)

    def _call(self, verb: str, request: ChatRequest) -> Call:
        request = request.filled({"model": self.model})
        return Call(self.provider_name, f"{self.provider_name}.{verb}", request, SIGN_IN, "endpoint_url (and region)")

    def _traits(self, call: Call) -> Traits:
        traits = self._known_traits(call.request.model)
        refuse_impossible(call, traits)
        return traits

    def _known_traits(self, model: str) -> Traits:
        traits = traits_of(model)
        if self.shape is not None:
            traits = replace(traits, body=self.shape)
        if self.native_json is not None:
            able = traits.able - {"json_schema"}
            traits = replace(traits, able=able | {"json_schema"} if self.native_json else able)
        return traits

    async def _health(self) -> HealthStatus:
        call = self._call("health", ChatRequest(prompt="health", model=self.model))
        timeout_s = min(HEALTH_TIMEOUT_S, self.timeout_s)
        probe = Runtime(replace(self._access, timeout_s=timeout_s, connect_timeout_s=timeout_s, max_threads=1))
        try:
            check_allowed(self.provider_name, self.model)
            with _translated(call):
                await probe.ask(lambda client: client.list_async_invokes(maxResults=1))
        except ChatModelError as error:
            if error.fields.get("aws_code") in {"AccessDeniedException", "UnknownOperationException"}:
                return HealthStatus(status="healthy", detail="reachable; the identity may not list jobs")
            return HealthStatus(status="unhealthy", detail=str(error))
        finally:
            await in_thread(probe.close)
        return HealthStatus(status="healthy")


# ----------------------------------------------------------------------------------------------- what runs in a thread


def _converse(arguments: Mapping[str, Any], client: Any) -> Mapping[str, Any]:
    reply: Mapping[str, Any] = client.converse(**arguments)
    return reply


def _converse_stream(arguments: Mapping[str, Any], client: Any) -> Generator[Mapping[str, Any], None, None]:
    yield from _read(client.converse_stream(**arguments), "stream")


def _invoke(arguments: Mapping[str, Any], client: Any) -> tuple[Mapping[str, Any], bytes]:
    reply = client.invoke_model(**arguments)
    with closing(reply["body"]) as body:
        check_length(reply[METADATA]["HTTPHeaders"].get("content-length"))
        pieces, length = [], 0
        while piece := body.read(READ_BYTES):
            pieces.append(piece)
            length += len(piece)
            check_length(length)
    return reply, b"".join(pieces)


def _invoke_stream(arguments: Mapping[str, Any], client: Any) -> Generator[Mapping[str, Any], None, None]:
    yield from _read(client.invoke_model_with_response_stream(**arguments), "body")


def _read(reply: Mapping[str, Any], name: str) -> Generator[Mapping[str, Any], None, None]:
    try:
        yield {METADATA: reply[METADATA]}
        yield from reply[name]
    finally:
        reply[name].close()


# ------------------------------------------------------------------------------------------------------------- checks


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        told = translated(error, call)
        if told is error:
            raise
        raise told from without_secrets(error)


def _secret(given: SecretStr | str | None) -> SecretStr | None:
    secret = SecretStr(given) if isinstance(given, str) else given
    if secret is None or not secret.get_secret_value():
        return None
    add_secret(secret)
    return secret


def _check(model: BedrockChatModel, access: Access) -> None:
    for name, value, allowed in (("api", model.api, get_args(Api)), ("shape", model.shape, (*BODY_SHAPES, None))):
        if value not in allowed:
            raise _wrong(f"{name} is {value!r}", f"allowed: {', '.join(filter(None, allowed))}")
    if access.max_threads < 1:
        raise _wrong(f"max_threads is {access.max_threads}", "give 1 or more")
    if (access.access_key_id is None) != (access.secret_access_key is None):
        raise _wrong(
            "only one of aws_access_key_id and aws_secret_access_key is given", "give both, or leave both to boto3"
        )
    if access.session_token is not None and access.access_key_id is None:
        hint = "give aws_access_key_id and aws_secret_access_key with it, or leave all three to boto3"
        raise _wrong("aws_session_token is given without the keys that it belongs to", hint)
    if access.endpoint_url is not None and not _is_address(access.endpoint_url):
        shown = bare_address(access.endpoint_url)
        raise _wrong(f"endpoint_url {shown!r} is no address", "write http(s)://host[:port]")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _wrong(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"chat model 'aws_bedrock': {message}", op="aws_bedrock.create", hint=hint)
