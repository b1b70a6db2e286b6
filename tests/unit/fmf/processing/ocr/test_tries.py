"""Which tries are made, and which of the readings is taken."""

from __future__ import annotations

from PIL import Image

from fmf.processing.ocr.tries import NOTHING, Reading, best_reading, enlarged, prepared
from unit.fmf.processing.rendered import drawn

SURE = Reading("good words", (("good", 95.0), ("words", 96.0)), 40.0)
POOR = Reading("g00d w", (("g00d", 50.0), ("w", 41.0)), 40.0)


def tries(*readings: Reading) -> tuple[Reading, int, list[tuple[int, int]]]:
    """The best of readings that come one after the other, and the sizes of the pictures that were tried."""
    sizes = []

    def recognise(image: Image.Image) -> Reading:
        sizes.append(image.size)
        return readings[min(len(sizes), len(readings)) - 1]

    return *best_reading(drawn("words", size=40).resize((200, 100)), recognise), sizes


def test_a_good_reading_is_the_only_one():
    assert tries(SURE) == (SURE, 0, [(200, 100)])


def test_a_poor_one_is_turned_first_and_its_turn_is_told():
    assert tries(POOR, SURE) == (SURE, 180, [(200, 100)] * 2)


def test_every_way_is_tried_until_one_is_good():
    best, turn, sizes = tries(POOR, POOR, POOR, POOR, SURE)
    assert (best, turn) == (SURE, 90)
    assert sizes == [(200, 100)] * 4 + [(100, 200)]


def test_where_no_line_is_found_the_picture_is_cleaned_and_tilted():
    best, turn, sizes = tries(NOTHING)
    assert (best, turn) == (NOTHING, 0)
    assert sizes[:3] == [(200, 100)] * 3
    assert len(sizes) == 5
    assert tries(NOTHING, NOTHING, SURE)[::2] == (SURE, [(200, 100)] * 3)


def test_slanting_lines_are_made_level_until_that_is_no_better():
    slanting = [Reading("some", (("some", sure),), 40.0, slant=5.0) for sure in (80.0, 85.0, 84.0)]
    best, turn, sizes = tries(*slanting)
    assert (best, turn) == (slanting[1], 0)
    assert len(sizes) == 3
    assert sizes[0] < sizes[1] < sizes[2]


def test_small_text_is_read_from_a_larger_picture():
    small = Reading("small", (("small", 70.0),), 10.0)
    assert tries(small, SURE) == (SURE, 0, [(200, 100), (800, 400)])


def test_lines_that_run_down_the_picture_count_as_a_turn():
    down = Reading("good words", SURE.words, 40.0, sideways=True)
    assert tries(down)[1] == 270
    assert tries(POOR, down)[1] == 90


def test_longer_words_weigh_more_and_unsure_ones_nothing():
    reading = Reading("", (("ab", 40.0), ("abcdef", 100.0)))
    assert reading.confidence == 85.0
    assert reading.weight == 6.0
    assert NOTHING.confidence == NOTHING.weight == 0


def test_pictures_become_dark_on_light():
    for image in (drawn("x", ink=0, paper=255), drawn("x", ink=200, paper=40), drawn("x", ink=100, paper=120)):
        grey = prepared(image)
        assert grey.mode == "L"
        assert grey.getpixel((0, 0)) == 255


def test_pictures_are_not_made_larger_than_makes_sense():
    image = Image.new("L", (100, 50))
    assert enlarged(image, 1.1) is image
    assert enlarged(image, 2.0).size == (200, 100)
    assert enlarged(image, 99.0).size == (400, 200)
    large = Image.new("1", (8000, 8000))
    assert enlarged(large, 2.0) is large
