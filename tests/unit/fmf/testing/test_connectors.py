"""The exam of connectors: the local one passes, and each fault is noticed by the test that is there for it."""

from __future__ import annotations

import io
import time
import unittest

import pytest

from fmf.connectors.local import LocalConnector
from fmf.errors import ConnectorError
from fmf.testing import ConnectorExam, RemoteConnectorExam
from fmf.testing import connectors as exams
from fmf.types import ResourceRef
from fmf_core.errors import Code


class TestLocal(ConnectorExam):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.folder = tmp_path
        self.made = 0

    def make_connector(self, files, *, include=("**/*",), exclude=()):
        self.made += 1
        self.root = self.folder / str(self.made)
        self.root.mkdir()
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.connector("docs", self.root, include, exclude)

    connector = LocalConnector

    def make_unreachable(self):
        return self.connector("docs", self.folder / "nowhere")

    def change(self, resource_id, content):
        path = self.root / resource_id
        path.write_bytes(content) if content is not None else path.unlink()
        return True


@pytest.mark.parametrize("left_out", ["a_file_that_changes_is_never_mixed", "an_unreachable_place_is_told_by_the_call"])
def test_what_a_place_cannot_do_is_skipped_for_all_to_see(left_out, tmp_path):
    exam = TestLocal()
    exam.folder, exam.made = tmp_path, 0
    exam.change, exam.make_unreachable = (lambda *_: False), (lambda: None)
    with pytest.raises(unittest.SkipTest):
        getattr(exam, f"test_{left_out}")()


def failed(connector, tmp_path):
    """The tests of the exam that a connector fails."""
    found = []
    for name in (name for name in dir(ConnectorExam) if name.startswith("test_")):
        exam = TestLocal()
        exam.connector, exam.folder, exam.made = connector, tmp_path / name, 0
        exam.folder.mkdir()
        try:
            getattr(exam, name)()
        except AssertionError:
            found.append(name.removeprefix("test_"))
    return found


class Backwards(LocalConnector):
    def list(self, select=()):
        return iter(sorted(super().list(select), key=lambda ref: ref.id, reverse=True))


class Short(LocalConnector):
    def open(self, ref):
        with super().open(ref) as stream:
            return io.BytesIO(stream.read(1000))


class Careless(LocalConnector):
    def open(self, ref):
        return (self.root / ref.id).open("rb")


class Late(LocalConnector):
    def list(self, select=()):
        yield from super().list(select)


class Rude(LocalConnector):
    def info(self, ref):
        try:
            return super().info(ref)
        except ConnectorError as error:
            raise ConnectorError("no", code=Code.UNAVAILABLE) from error


@pytest.mark.parametrize(
    ("connector", "faults"),
    [
        (Backwards, {"every_file_is_listed_once_and_in_order", "a_large_folder_is_listed_in_full"}),
        (Short, {"a_large_file_is_whole", "many_threads_may_read_at_once"}),
        (Careless, {"a_missing_file_is_one_clear_error", "ids_that_leave_the_root_are_refused"}),
        (Late, {"an_unreachable_place_is_told_by_the_call", "patterns_that_leave_the_root_are_refused_at_once"}),
        (Rude, {"a_missing_file_is_one_clear_error", "ids_that_leave_the_root_are_refused"}),
    ],
)
def test_a_fault_is_noticed(connector, faults, tmp_path):
    assert faults <= set(failed(connector, tmp_path))


def test_a_sound_connector_passes(tmp_path):
    assert failed(LocalConnector, tmp_path) == []


def test_an_exam_without_a_connector_says_what_is_missing():
    with pytest.raises(AssertionError, match="must define make_connector"):
        ConnectorExam().test_it_describes_itself()


class Remote:
    """A connector over a place that may be spoilt; subclasses have one fault each."""

    name = "remote"

    def __init__(self, files):
        self.files, self.left, self.asked_to_wait, self.drips, self.retries = files, None, 0, False, 0

    def list(self, select=()):
        for number, name in enumerate(sorted(self.files)):
            if self.left is not None and number // 50 >= self.left:
                self.cut_short()
                return
            yield ResourceRef(name, f"remote://{name}", name, size=len(self.files[name]))

    def open(self, ref):
        if self.asked_to_wait:
            self.retries += 1
            self.wait(self.asked_to_wait)
        if self.drips:
            self.read_slowly()
        return io.BytesIO(self.files[ref.id])

    def cut_short(self):
        raise ConnectorError("the listing is not whole", op="remote.list", code=Code.BAD_REPLY, hint="run again")

    def wait(self, seconds):
        time.sleep(seconds)

    def read_slowly(self):
        time.sleep(60)


class Forgetful(Remote):
    def cut_short(self):
        pass


class Hasty(Remote):
    def wait(self, seconds):
        pass


class Uncounted(Remote):
    def wait(self, seconds):
        time.sleep(seconds)
        self.retries = 0


class Deaf(Remote):
    def read_slowly(self):
        for _ in range(2):
            try:
                time.sleep(1)
            except KeyboardInterrupt as error:
                heard = error
        raise heard


class Impatient(Remote):
    def read_slowly(self):
        self.cut_short()


class TestRemote(RemoteConnectorExam):
    connector = Remote

    def make_connector(self, files):
        self.made = self.connector(files)
        return self.made

    def spoil_listing(self, after):
        self.made.left = after

    def ask_to_wait(self, seconds):
        self.made.asked_to_wait = seconds

    def drip(self):
        self.made.drips = True


@pytest.mark.parametrize(
    ("connector", "fault"),
    [
        (Forgetful, "a_listing_that_cannot_be_had_in_full_is_an_error"),
        (Hasty, "a_place_that_asks_to_wait_is_asked_no_sooner"),
        (Uncounted, "a_place_that_asks_to_wait_is_asked_no_sooner"),
        (Deaf, "an_interrupt_is_heard_while_bytes_drip"),
        (Impatient, "an_interrupt_is_heard_while_bytes_drip"),
    ],
)
def test_a_fault_of_a_remote_connector_is_noticed(connector, fault, monkeypatch):
    monkeypatch.setattr(exams, "HEARD_S", 0.1)
    exam = TestRemote()
    exam.connector = connector
    with pytest.raises(AssertionError):
        getattr(exam, f"test_{fault}")()
