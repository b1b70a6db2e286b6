from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import textwrap
import threading
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fmf_core import redact as redaction
from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, get_logger, log_context, reset_logging
from fmf_core.portal import in_thread, run_sync


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    monkeypatch.setattr(redaction, "_known", type(redaction._known)())
    yield
    reset_logging()


@pytest.fixture
def stream():
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


log = get_logger("fmf.test")


class TestJson:
    def test_one_object_a_line(self, stream):
        log.info("step.completed", step="a", duration_ms=1.5, count=3, ok=True, nothing=None)
        (line,) = lines(stream)
        moment = datetime.fromisoformat(line.pop("timestamp"))
        assert moment.utcoffset().total_seconds() == 0
        assert line == {
            "event": "step.completed", "level": "info", "logger": "fmf.test",
            "step": "a", "duration_ms": 1.5, "count": 3, "ok": True, "nothing": None,
        }  # fmt: skip

    def test_levels(self, stream):
        for level in ("debug", "info", "warning", "error"):
            getattr(log, level)("event")
        assert [line["level"] for line in lines(stream)] == ["debug", "info", "warning", "error"]

    def test_what_is_below_the_level_is_not_written(self):
        stream = io.StringIO()
        configure_logging("warning", stream=stream)
        log.info("no")
        log.warning("yes")
        assert [line["event"] for line in lines(stream)] == ["yes"]
        assert not log.enabled("INFO")
        assert log.enabled("error")
        assert log.enabled(logging.WARNING)

    def test_bound_fields_and_context(self, stream):
        with log_context(correlation_id="c-1", run_id="r"), log_context(run_id="r-2"):
            log.bind(step="a").bind(n=1).info("x", n=2)
        log.info("y")
        first, second = lines(stream)
        assert (first["correlation_id"], first["run_id"], first["step"], first["n"]) == ("c-1", "r-2", "a", 2)
        assert "correlation_id" not in second

    def test_the_context_travels_into_tasks_and_threads(self, stream):
        async def work():
            await in_thread(log.info, "from the thread")

        with log_context(correlation_id="c-1"):
            run_sync(work())
        assert lines(stream)[0]["correlation_id"] == "c-1"

    def test_a_field_cannot_overwrite_what_every_line_has(self, stream):
        log.info("event", event="mine", level=3, timestamp="t", logger="l")
        (line,) = lines(stream)
        assert (line["event"], line["level"], line["logger"]) == ("event", "info", "fmf.test")
        assert (line["event_"], line["level_"]) == ("mine", 3)

    def test_any_value_makes_a_line(self, stream):
        class Broken:
            def __str__(self):
                raise RuntimeError

        circle: dict = {}
        circle["self"] = circle
        log.error(
            "odd", error=ValueError("bad"), many={1, 2}, deep={1: [object, {"a": (1, 2)}]}, huge=2**80, half="\ud800",
            nan=float("nan"), broken=Broken(), circle=circle, data=b"x", nested={"huge": 2**80, "inf": float("inf")},
        )  # fmt: skip
        (line,) = lines(stream)
        assert line["error"] == "ValueError: bad"
        assert line["huge"] == 2**80
        assert line["broken"] == "<Broken>"
        assert line["nan"] is None
        assert line["nested"]["inf"] is None

    @given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.binary(), max_size=4))
    def test_always_exactly_one_line(self, event, fields):
        stream = io.StringIO()
        configure_logging(stream=stream)
        get_logger("fmf.test").info(event, **fields)
        assert stream.getvalue().count("\n") == 1
        assert json.loads(stream.getvalue())["level"] == "info"


class TestRedaction:
    @pytest.mark.parametrize("form", ["json", "human"])
    def test_secrets_never_get_through(self, form):
        redaction.add_secret("hunter2000")
        stream = io.StringIO()
        configure_logging("DEBUG", form, stream)
        with log_context(correlation_id="c-hunter2000"):
            log.bind(bound="hunter2000").debug(
                "got hunter2000",
                plain="hunter2000",
                key="sk-abcdefgh12345678",
                password="swordfish",
                nested=[{"Authorization": "swordfish"}, {"deep": ("hunter2000",)}],
                error=ValueError("Bearer swordfish99 hunter2000"),
                secret=SecretStr("swordfish"),
                api_key=12345678,
            )
        text = stream.getvalue()
        for secret in ("hunter2000", "swordfish", "sk-abc", "12345678"):
            assert secret not in text
        assert text.count("\n") == 1

    def test_token_counts_stay(self, stream):
        log.info("llm.call", prompt_tokens=5, max_tokens=7, tokens=12)
        line = lines(stream)[0]
        assert (line["prompt_tokens"], line["max_tokens"], line["tokens"]) == (5, 7, 12)


class TestHuman:
    def test_reads_easily(self):
        stream = io.StringIO()
        configure_logging(format="human", stream=stream)
        log.warning("run.slow", seconds=1.23456789, file="a b.txt", nothing=None, n=3)
        assert stream.getvalue()[8:] == " WARNING run.slow seconds=1.23457 file='a b.txt' n=3\n"

    def test_fields_cannot_drive_the_terminal_or_begin_lines(self):
        stream = io.StringIO()
        configure_logging(format="human", stream=stream)
        log.info("event\nforged \x1b[31m", text="\x1b[31mred\nINFO forged", many=["\x1b[31m"])
        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()


class TestConfiguration:
    @pytest.mark.parametrize("level", ["LOUD", "", 7, None])
    def test_bad_levels_are_refused(self, level):
        with pytest.raises(ConfigurationError, match="Invalid log level"):
            configure_logging(level)

    def test_bad_formats_are_refused(self):
        with pytest.raises(ConfigurationError, match="Invalid log format"):
            configure_logging(format="xml")  # type: ignore[arg-type]

    @pytest.mark.parametrize("level", ["info", " Info ", logging.INFO])
    def test_levels_in_any_case(self, level):
        configure_logging(level, stream=io.StringIO())
        assert log.enabled("INFO")
        assert not log.enabled("DEBUG")

    def test_goes_to_whatever_stderr_is_now(self, monkeypatch):
        configure_logging()
        for _ in range(2):
            stream = io.StringIO()
            monkeypatch.setattr(sys, "stderr", stream)
            log.info("here")
            assert "here" in stream.getvalue()

    def test_a_broken_stream_costs_no_work(self, monkeypatch):
        stream = io.StringIO()
        configure_logging(stream=stream)
        stream.close()
        log.error("nobody hears")
        configure_logging()
        monkeypatch.setattr(sys, "stderr", None)
        log.error("nobody hears")

    @pytest.mark.parametrize("form", ["json", "human"])
    def test_a_stream_that_knows_only_ascii(self, form):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
        configure_logging(format=form, stream=stream)
        log.info("x", name="é😀")
        assert raw.getvalue().isascii()
        if form == "json":
            assert json.loads(raw.getvalue())["name"] == "é😀"

    def test_lines_of_many_threads_do_not_mix(self, stream):
        def work(number: int) -> None:
            for _ in range(50):
                log.info("event", number=number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(lines(stream)) == 400


class TestWithoutConfiguration:
    def test_nothing_is_written_and_the_hosts_set_up_is_untouched(self):
        code = """
            import logging
            before = (logging.root.level, list(logging.root.handlers))
            from fmf_core.logs import get_logger
            log = get_logger("fmf.x")
            log.error("nobody listens", a=1)
            assert not log.enabled("INFO")
            assert (logging.root.level, list(logging.root.handlers)) == before
            assert logging.getLogger("fmf").level == 0
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_a_host_that_listens_gets_redacted_records(self, caplog):
        redaction.add_secret("hunter2000")
        with caplog.at_level(logging.INFO), log_context(correlation_id="c-1"):
            log.info("event", a=1, b="hunter2000", password="x")
            log.debug("too quiet")
        (record,) = caplog.records
        assert record.name == "fmf.test"
        assert record.getMessage() == "event correlation_id=c-1 a=1 b=[REDACTED] password=[REDACTED]"
        assert record.event == "event"
        assert record.fields == {"correlation_id": "c-1", "a": 1, "b": "[REDACTED]", "password": "[REDACTED]"}
        assert record.funcName == "test_a_host_that_listens_gets_redacted_records"


class TestLeast:
    def test_a_logger_may_have_a_higher_level_of_its_own(self):
        stream = io.StringIO()
        configure_logging("INFO", stream=stream, least={"chatty": "WARNING"})
        get_logger("chatty.engine").info("step.started")
        get_logger("chatty.engine").warning("step.failed")
        get_logger("fmf.run").info("run.started")
        assert [line["event"] for line in lines(stream)] == ["step.failed", "run.started"]
        assert not get_logger("chatty").enabled("INFO")

    def test_its_level_is_checked(self):
        with pytest.raises(ConfigurationError, match="Invalid log level 'LOUD'"):
            configure_logging("INFO", least={"chatty": "LOUD"})
