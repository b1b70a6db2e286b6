from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.images.header import KNOWN, HeaderError, size_of
from unit.fmf.pictures import gif, jpeg, png, webp

WHOLE = [
    ("image/png", png(width=3, height=5)),
    ("image/jpeg", jpeg()),
    ("image/gif", gif()),
    ("image/webp", webp("VP8 ")),
    ("image/webp", webp("VP8L")),
    ("image/webp", webp("VP8X")),
]


@pytest.mark.parametrize(("media_type", "data"), WHOLE)
def test_the_size_of_every_kind(media_type, data):
    assert size_of(media_type, data) == (3, 5)
    assert size_of(media_type, data + b"trailing bytes") == (3, 5)


@pytest.mark.parametrize(("media_type", "data"), [WHOLE[0], *WHOLE[3:]])
def test_a_file_that_breaks_off_inside_a_block_is_refused_where_it_tells_its_length(media_type, data):
    starts = {data.find(block) - 4 for block in (b"teXt", b"IDAT", b"IEND") if block in data}
    lengths = [length for length in range(12, len(data)) if not any(0 <= length - start < 8 for start in starts)]
    for length in lengths[: -4 if starts else None]:
        with pytest.raises(HeaderError, match=r"ends inside|cut off"):
            size_of(media_type, data[:length])


@pytest.mark.parametrize(
    ("media_type", "data", "told"),
    [
        ("image/jpeg", jpeg()[:30], "ends inside its header"),
        ("image/jpeg", b"\xff\xd8\xff\xda\x00\x02", "no header with a size"),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x02what", "no header with a size"),
        ("image/gif", gif()[:9], "ends inside its header"),
        ("image/gif", gif(width=0), "0 x 5 pixels"),
        ("image/png", png().replace(b"IHDR", b"IDAT"), "first block is not the header"),
        ("image/png", png(width=0), "0 x 2 pixels"),
        ("image/webp", webp().replace(b"VP8 ", b"ALPH"), "first block is not the header"),
    ],
)
def test_damaged_headers_say_what_is_wrong(media_type, data, told):
    with pytest.raises(HeaderError, match=told):
        size_of(media_type, data)


@given(st.sampled_from(sorted(KNOWN)), st.binary(max_size=200), st.sampled_from([data for _, data in WHOLE]))
def test_no_bytes_lead_to_anything_but_a_size_or_the_error(media_type, noise, start):
    for data in (noise, start[:20] + noise):
        with suppress(HeaderError):
            assert min(size_of(media_type, data)) > 0
