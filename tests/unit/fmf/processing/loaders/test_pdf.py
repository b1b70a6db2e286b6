"""PDFs page by page, in reading order, and one clear error for each that cannot be read."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import pytest
from PIL import Image

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import pdf as loader
from fmf.processing.loaders.base import Mark
from fmf.processing.ocr.base import OcrResult, engines
from fmf.processing.pdf import document
from fmf.processing.pdf.columns import ColumnOrder
from fmf.testing.loaders import LoaderExam, opened, read_through
from fmf_core.errors import Code
from unit.fmf.processing.pdf_files import Line, lines, pdf, scanned
from unit.fmf.processing.rendered import drawn

LEFT = (
    "The brakes of the bicycle were\ninspected in March. Both pads\nhad worn down, and the cable\n"
    "showed rust near the lever.\nA customer in Hamburg told us\nof a loud squeal in the rain."
)
RIGHT = (
    "Please check the saddle clamp\nand the chain before the bike\nleaves the shop. The warranty\n"
    "ends two years after delivery\nand does not cover the parts\nthat wear out in normal use."
)
INFO = {"Title": "On brakes", "Author": "Ann", "CreationDate": "D:20240215103000+01'00'"}


def read(data: bytes, **settings: Any):
    with opened(data, "a.pdf") as source:
        return read_through(loader.load(source, ProcessingConfig(**settings)))


class TestPdfExam(LoaderExam):
    words: ClassVar = {"small.pdf": ["brakes", "second page"], "columns.pdf": ["squeal", "saddle"]}
    damages = 8

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {
            "small.pdf": pdf(["All about brakes.", "The second page."], info=INFO),
            "columns.pdf": pdf([mixed()]),
        }


def mixed() -> list[Line]:
    """Two columns whose lines take turns in the file."""
    pairs = zip(lines(LEFT, top=700), lines(RIGHT, x=320, top=700), strict=True)
    return [Line("A heading over both columns", 72, 740, 14), *(line for pair in pairs for line in pair)]


def test_each_page_has_its_mark_and_a_blank_line_stands_between():
    found = read(pdf(["First.", "Second,\nwith two lines.", "Third."], info=INFO))
    assert found.text == "First.\n\nSecond,\nwith two lines.\n\nThird."
    assert [(at, mark) for at, mark in found.marks] == [
        (0, Mark("page", 1)),
        (8, Mark("page", 2)),
        (33, Mark("page", 3)),
    ]
    assert found.title == "On brakes"
    assert found.metadata == {"pages": 3, "author": "Ann", "created": "2024-02-15T10:30:00+01:00"}


def test_a_file_without_a_title_is_called_by_its_name():
    assert read(pdf(["Words."])).title == "a.pdf"


def test_a_title_that_is_no_text_is_left_out():
    data = pdf(["Words."], info={"Title": "a" * 12, "Author": "Ann"}).replace(b"(aaaaaaaaaaaa)", b"<FEFFD8000041>")
    found = read(data)
    assert (found.title, found.metadata["author"]) == ("a.pdf", "Ann")


def test_columns_whose_lines_take_turns_are_read_one_after_the_other():
    assert read(pdf([mixed()])).text == f"A heading over both columns\n\n{LEFT}\n\n{RIGHT}"


def test_columns_in_their_order_stay_so():
    found = read(pdf([[*lines(LEFT, top=700), *lines(RIGHT, x=320, top=700)]]))
    assert found.text == f"{LEFT}\n{RIGHT}"


def test_an_order_that_would_lose_letters_is_not_taken(monkeypatch):
    monkeypatch.setattr(ColumnOrder, "text", lambda self, index: LEFT)
    assert "bicycle were Please check" in read(pdf([mixed()])).text


def test_what_the_order_of_columns_cannot_be_told_of_is_empty():
    assert ColumnOrder(b"no PDF").text(0) == ""
    assert ColumnOrder(pdf(["Words."])).text(7) == ""


def test_large_files_are_read_where_they_lie(monkeypatch):
    monkeypatch.setattr(document, "_IN_MEMORY", 0)
    assert read(pdf(["First.", mixed()])).text == f"First.\n\nA heading over both columns\n\n{LEFT}\n\n{RIGHT}"


def test_what_is_typed_into_a_form_is_read_behind_the_page():
    data = pdf(["Name:"])
    look = b"BT /F1 11 Tf 2 2 Td (Ann Example) Tj ET"
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 3 0 R >> >>"
    field = (
        b"/Annots [<< /Type /Annot /Subtype /Widget /FT /Tx /F 4 /T (name) /V (Ann Example) "
        b"/Rect [120 700 320 720] /AP << /N 9 0 R >> >>] /Contents "
    )
    data = data.replace(b"/Contents ", field).replace(
        b"xref\n", b"9 0 obj\n<< %s /Length %d >>\nstream\n%s\nendstream\nendobj\nxref\n" % (form, len(look), look), 1
    )
    assert read(data).text.split() == ["Name:", "Ann", "Example"]


def test_tables_are_read_row_by_row():
    rows = [Line(text, x, 700 - 14 * row) for row in range(8) for x, text in ((72, f"pad {row}"), (300, f"{row}.50"))]
    assert read(pdf([rows])).text.split("\n")[1] == "pad 1 1.50"


def test_cells_of_a_row_never_run_into_each_other():
    rows = [["Item", "Qty", "Price"], ["pad", "4", "12.50"], ["2024", "5", "6"], ["a", "b", "c"], ["400.01", "3", ""]]
    page = [
        Line(cell, x, 700 - 20 * number)
        for number, row in enumerate(rows)
        for x, cell in zip((72, 180, 300), row, strict=True)
        if cell
    ]
    assert read(pdf([page])).text == "\n".join(" ".join(row).strip() for row in rows)


def test_cells_that_lie_beside_what_is_outside_of_the_page_do_not_run_into_each_other_either():
    page = [Line("outside 77", 900, 720), Line("head", y=720), Line("2024", 72), Line("5", 200), Line("6", 300)]
    page += [Line("2024", 72, 700), Line("5", 200, 700), Line("6", 300, 700)]
    assert read(pdf([page])).text.split() == ["head", "2024", "5", "6", "2024", "5", "6"]


def test_what_touches_its_word_stays_at_it():
    page = [Line("head", y=720), Line("cancer", 72, 700), Line("1", 105.5, 700, 7), Line("x", 180, 700)]
    assert read(pdf([page])).text == "head\ncancer1 x"


def test_white_space_follows_the_settings():
    page = pdf([[Line("Trailing blanks   "), Line("below", y=700)]])
    assert read(page).text == "Trailing blanks\nbelow"
    assert read(page, text={"normalize_whitespace": False}).text.startswith("Trailing blanks")


def test_words_divided_at_the_end_of_a_line_are_whole():
    assert (
        read(pdf([lines("This was an inspec-\ntion of all brakes.")])).text == "This was an inspection of all brakes."
    )


def test_pages_without_text_are_noted():
    found = read(pdf(["One.", [], drawn(), "Four."]))
    assert found.text == "One.\n\nFour."
    assert found.metadata["pages_without_text"] == [2, 3]
    assert found.metadata["pages_not_read"] == [3]
    assert [mark.number for _, mark in found.marks] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("data", "settings", "message", "code"),
    [
        (pdf([drawn()]), {}, "none has text: it is scanned, and processing.images.ocr.enabled is", Code.UNSUPPORTED),
        (pdf([[], []]), {}, "has 2 pages, all blank", Code.INVALID),
        (pdf(["a"] * 3), {"limits": {"max_pages": 2}}, "has 3 pages, and 2 are allowed", Code.INVALID),
        (pdf(["a"])[:-40], {}, "is cut off", Code.INVALID),
        (b"not a PDF", {}, "is no PDF", Code.INVALID),
        (b"%PDF-1.4\nnothing else\n%%EOF", {}, "is a damaged PDF", Code.INVALID),
    ],
    ids=["scanned", "blank", "pages", "cut off", "no PDF", "damaged"],
)  # fmt: skip
def test_each_failure_says_why(data, settings, message, code):
    with pytest.raises(ProcessingError) as caught:
        read(data, **settings)
    assert message in caught.value.message
    assert caught.value.code is code
    assert caught.value.hint


def test_a_page_that_is_missing_fails_with_its_number():
    data = pdf(["one", "two"])
    broken = data.replace(b"7 0 obj\n<< /Type /Page ", b"7 0 obj\n<< /Type /Nope ")
    assert broken != data
    with pytest.raises(ProcessingError, match="page 2 of 2 cannot be read"):
        read(broken)


def test_a_page_with_too_many_characters_is_refused(monkeypatch):
    monkeypatch.setattr(document, "LARGEST_TEXT", 10)
    with pytest.raises(ProcessingError, match=r"page 1 has 2\d characters; 10 are allowed"):
        read(pdf(["twenty characters, or more"]))


def test_what_stands_before_the_file_is_passed_over():
    assert read(b"HTTP/1.1 200 OK\r\n\r\n" + pdf(["Words."])).text == "Words."


# Encryption


PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(text: str, password: bytes) -> bytes:
    """A page under the oldest encryption of the standard, opened by `password`."""
    padded = (password + PADDING)[:32]
    owner = rc4(hashlib.md5((b"owner" + PADDING)[:32]).digest()[:5], padded)
    ident = bytes(range(16))
    key = hashlib.md5(padded + owner + (-4 & 0xFFFFFFFF).to_bytes(4, "little") + ident).digest()[:5]
    data = pdf([text])
    start = data.index(b"stream\n") + 7
    end = data.index(b"\nendstream")
    number = int(data[: data.rindex(b" 0 obj", 0, start)].rsplit(b"\n", 1)[1])
    own = hashlib.md5(key + number.to_bytes(3, "little") + bytes(2)).digest()[:10]
    data = data[:start] + rc4(own, data[start:end]) + data[end:]
    rights = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<%s> <%s>]" % (
        owner.hex().encode(), rc4(key, PADDING).hex().encode(), ident.hex().encode(), ident.hex().encode(),
    )  # fmt: skip
    return data.replace(b"trailer\n<<", b"trailer\n<< " + rights)


def test_an_encrypted_file_that_opens_without_a_password_is_read():
    assert read(encrypted("Confidential brakes", b"")).text == "Confidential brakes"


def test_an_encrypted_file_that_needs_a_password_is_one_error():
    with pytest.raises(ProcessingError, match="is encrypted, and opens only with a password") as caught:
        read(encrypted("Confidential brakes", b"secret"))
    assert caught.value.code is Code.UNSUPPORTED


# Scanned pages

OCR = {"images": {"ocr": {"enabled": True}}}


def page_of(image: Image.Image) -> Image.Image:
    """The picture on a sheet of the shape that a page has."""
    sheet = Image.new("L", (1240, 1754), 255)
    sheet.paste(image, (150, 200))
    return sheet


def test_scanned_pages_are_read_by_ocr():
    found = read(pdf(["Typed.", page_of(drawn())]), **OCR)
    assert found.text.startswith("Typed.\n\nThe brakes were inspected in March.")
    assert "pages_without_text" not in found.metadata
    assert found.metadata["ocr_engine"] == "tesseract"
    assert found.metadata["language"] == "eng"
    assert found.metadata["ocr_pages"] == [2]
    assert found.metadata["confidence"] > 85


def test_scanned_pages_that_lie_upside_down_are_read_too():
    found = read(scanned(page_of(drawn()).rotate(180)), **OCR)
    assert "Both pads had worn down" in found.text
    assert found.metadata["rotations"] == {"1": 180}


def test_a_page_that_the_file_turns_is_drawn_turned():
    found = read(pdf([page_of(drawn()).transpose(Image.Transpose.ROTATE_90)], rotate=90), **OCR)
    assert "Both pads had worn down" in found.text


class Blind:
    """An engine that sees sizes alone."""

    seen: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, settings):
        pass

    def read(self, image):
        self.seen.append(image.size)
        return OcrResult("")


@pytest.fixture
def blind():
    engines.add("blind", Blind)
    Blind.seen.clear()
    yield {"images": {"ocr": {"enabled": True, "engine": "blind"}}}
    engines.remove("blind")


def test_pages_in_whose_pictures_nothing_is_found_fail_together(blind):
    with pytest.raises(ProcessingError, match="has 2 pages, and blind found no text in the pictures of them"):
        read(scanned(drawn(), drawn()), **blind)
    assert Blind.seen == [(2480, 3509)] * 2


def test_little_memory_gives_small_pictures(blind):
    with pytest.raises(ProcessingError, match="found no text"):
        read(scanned(drawn()), limits={"max_memory_mb": 12}, **blind)
    assert Blind.seen[0][0] * Blind.seen[0][1] < 1_100_000


def test_a_picture_that_is_too_large_is_not_unpacked(blind):
    huge = scanned(Image.new("L", (64, 64))).replace(b"/Width 64 /Height 64", b"/Width 64000 /Height 64000")
    with pytest.raises(ProcessingError, match="a picture on page 1 has 64,000 x 64,000 pixels"):
        read(huge, **blind)


def test_blank_pages_are_not_shown_to_the_engine(blind):
    assert read(pdf(["Words.", []]), **blind).metadata["pages_without_text"] == [2]
    assert Blind.seen == []
