"""One pipeline of others over a list of files: `python -P peer.py NAME LISTING ROOT OUT`.

Each reads with its own loaders and cuts with its own splitter, to 800 tokens with 150 of overlap where it can count
tokens (all are given our counter, which is the fastest), else to as many characters or words as these are.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

MAX_TOKENS, OVERLAP = 800, 150
MAX_CHARS, OVERLAP_CHARS = 3600, 650
MAX_WORDS, OVERLAP_WORDS = 560, 105
Cut = Callable[[Path], Iterator[str]]


def count(text: str) -> int:
    """The tokens of a text."""
    import toktok

    return toktok.truncate(text, 1 << 31, "o200k_base")[1]


def langchain() -> Cut:
    from langchain_community import document_loaders as loaders
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    def plain(path: str) -> Any:
        return loaders.TextLoader(path, encoding="utf-8")

    makers = {
        "txt": plain,
        "md": plain,
        "json": plain,
        "jsonl": plain,
        "html": lambda path: loaders.BSHTMLLoader(
            path, open_encoding="utf-8", bs_kwargs={"features": "lxml"}, get_text_separator="\n"
        ),
        "csv": lambda path: loaders.CSVLoader(path, encoding="utf-8"),
        "pdf": loaders.PyPDFLoader,
        "docx": loaders.Docx2txtLoader,
    }
    splitter = RecursiveCharacterTextSplitter(chunk_size=MAX_TOKENS, chunk_overlap=OVERLAP, length_function=count)

    def cut(path: Path) -> Iterator[str]:
        for document in splitter.split_documents(makers[path.suffix[1:]](str(path)).lazy_load()):
            yield document.page_content

    return cut


def llama_index() -> Cut:
    from llama_index.core import SimpleDirectoryReader
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(chunk_size=MAX_TOKENS, chunk_overlap=OVERLAP, tokenizer=lambda text: range(count(text)))

    def cut(path: Path) -> Iterator[str]:
        documents = SimpleDirectoryReader(input_files=[str(path)]).load_data()
        for node in splitter.get_nodes_from_documents(documents):
            yield node.get_content()

    return cut


def haystack() -> Cut:
    from haystack.components import converters
    from haystack.components.preprocessors import DocumentSplitter

    text = converters.TextFileToDocument()
    by_ending = {
        "txt": text,
        "md": text,
        "json": text,
        "jsonl": text,
        "html": converters.HTMLToDocument(),
        "csv": converters.CSVToDocument(),
        "xlsx": converters.XLSXToDocument(),
        "pdf": converters.PyPDFToDocument(),
        "docx": converters.DOCXToDocument(),
        "pptx": converters.PPTXToDocument(),
    }
    splitter = DocumentSplitter(split_by="word", split_length=MAX_WORDS, split_overlap=OVERLAP_WORDS)
    splitter.warm_up()

    def cut(path: Path) -> Iterator[str]:
        documents = by_ending[path.suffix[1:]].run(sources=[path])["documents"]
        for document in splitter.run(documents=documents)["documents"]:
            yield document.content

    return cut


def markitdown() -> Cut:
    from markitdown import MarkItDown

    from benchmarks.documents.by_hand import packed

    converter = MarkItDown(enable_plugins=False)

    def cut(path: Path) -> Iterator[str]:
        for text, _ in packed(iter([converter.convert(path).text_content])):
            yield text

    return cut


def kreuzberg() -> Cut:
    from kreuzberg import ChunkingConfig, ExtractionConfig, extract_file_sync

    config = ExtractionConfig(chunking=ChunkingConfig(max_chars=MAX_CHARS, max_overlap=OVERLAP_CHARS), use_cache=False)

    def cut(path: Path) -> Iterator[str]:
        for chunk in extract_file_sync(path, config=config).chunks or ():
            yield chunk if isinstance(chunk, str) else chunk.content

    return cut


def unstructured() -> Cut:
    from unstructured.chunking.title import chunk_by_title
    from unstructured.partition.auto import partition

    def cut(path: Path) -> Iterator[str]:
        elements = partition(str(path))
        for chunk in chunk_by_title(
            elements, max_characters=MAX_CHARS, new_after_n_chars=MAX_CHARS, overlap=OVERLAP_CHARS
        ):
            yield chunk.text

    return cut


PIPELINES: Mapping[str, Callable[[], Cut]] = {
    "langchain": langchain,
    "llama_index": llama_index,
    "haystack": haystack,
    "markitdown": markitdown,
    "kreuzberg": kreuzberg,
    "unstructured": unstructured,
}


def main(name: str, listing: str, root: str, out: str) -> None:
    """Read every file of the listing; one that cannot be read is told of in a line of its own."""
    import orjson

    warnings.simplefilter("ignore")
    cut = PIPELINES[name]()
    with open(out, "wb") as lines:
        for path in json.loads(Path(listing).read_text()):
            began = time.perf_counter()
            try:
                for index, text in enumerate(cut(Path(root, path))):
                    row = {"source": path, "index": index, "text": text}
                    lines.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            except Exception as error:
                failed = {"source": path, "error": f"{type(error).__name__}: {error}"[:300]}
                lines.write(orjson.dumps(failed, option=orjson.OPT_APPEND_NEWLINE))
            took = {"source": path, "took_s": time.perf_counter() - began}
            lines.write(orjson.dumps(took, option=orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main(*sys.argv[1:])
