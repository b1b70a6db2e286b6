"""Web pages saved as one file (MHTML): the page, without the pictures and styles that are saved with it."""

from __future__ import annotations

from fmf.config.processing import ProcessingConfig
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.inner import inner_text
from fmf.processing.loaders.mail.letters import LARGEST
from fmf.processing.loaders.mail.mime import read_letter
from fmf.processing.loaders.web.html import page_of, tidy
from fmf.processing.loaders.web.html_text import head_of
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.unreadable import unreadable


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The text of the saved page; its title is that of its head, else the subject, else the file's name.

    Raises:
        ProcessingError: there is no page in it, or it is too large.
    """
    if source.size > LARGEST:
        raise unreadable(source, "mhtml", f"it has more than {LARGEST / MEGABYTE:g} MB", hint="exclude the file")
    letter = read_letter(source, source.stream, "mhtml")
    body = next((each for each in letter.body if each.html), None)
    if body is None:
        raise unreadable(source, "mhtml", "there is no page in it")
    text = "".join(inner_text(source, "page", body.data, settings, charset=body.charset, markup=True))
    head, page = head_of(text), page_of(text, settings)
    metadata = head.metadata() | page.notes
    title = head.title or letter.headers.get("Subject") or source.ref.name
    return Loaded(tidy(page, settings), title=title, markdown=page.markdown, metadata=metadata)
