"""10,000 objects listed and 2,000 fetched by our connector, beside obstore and boto3 alone, in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure, page

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "documents-benchmarks.md"
BUCKET = "benchmark"
BODY = b"The parcel came two weeks late and the box was open. " * 80
KEYS = {"key_id": "AKIAOFBENCHMARKS0000", "secret": "secret-of-nobody-in-benchmarks"}
CONTENDERS = ("obstore", "fmf", "boto3")
PARTS = ("list", "fetch")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    objects: int = 10_000
    fetched: int = 2_000
    rounds: int = 5


QUICK = Size(objects=1_200, fetched=50, rounds=1)


@dataclass
class Row:
    """What one contender took in each round, by part: seconds of wall time and of CPU."""

    name: str
    wall: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def cells(self, base: Row) -> list[str]:
        """Its line of the table; ratios are made within a round."""
        cells = [f"**{self.name}**" if self.name == "fmf" else self.name]
        for mine, theirs in ((self.wall, base.wall), (self.cpu, base.cpu)):
            cells += [f"{statistics.median(mine[part]):.2f}" for part in PARTS]
            whole = [
                [sum(each) for each in zip(*(side[part] for part in PARTS), strict=True)] for side in (mine, theirs)
            ]
            ratio = statistics.median(left / right for left, right in zip(*whole, strict=True))
            cells.append(f"{ratio:.2f}")
        return cells


def main(options: Sequence[str] = ()) -> None:
    """Print the table.

    `--write` puts it into docs/documents-benchmarks.md as well, `--quick` only tries whether everything runs.
    """
    text = table(QUICK if "--quick" in options else Size())
    print(text, end="")
    if "--write" in options:
        page.write(PAGE, "s3", f"{page.machine()}.\n{text}")


def table(size: Size) -> str:
    """The table of one run; contenders take turns, each in a process of its own."""
    rows = [Row(name) for name in CONTENDERS]
    with server() as peer:
        fill(peer.url, size.objects)
        for number in range(size.rounds + 1):
            for row in rows if number % 2 else rows[::-1]:
                taken = run(row.name, peer.url, size)
                if number:  # the first round warms the server up
                    for part in PARTS:
                        row.wall[part].append(taken[part]["wall"])
                        row.cpu[part].append(taken[part]["cpu"])
    head = ["client", "list, wall s", "fetch, wall s", "to obstore", "list, CPU s", "fetch, CPU s", "to obstore"]
    title = f"{size.objects:,} objects listed and {size.fetched:,} fetched by 8 threads, {size.rounds} rounds"
    return measure.text(title, head, [row.cells(rows[0]) for row in rows])


def server() -> AbstractContextManager[Any]:
    """Ministack in the environment of the tests' servers; `make test` makes it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from peers.ministack import Ministack

    return Ministack()


def run(name: str, url: str, size: Size) -> dict[str, dict[str, float]]:
    """What one contender took, measured in its own process."""
    command = [sys.executable, "-m", "benchmarks.s3", name, url, str(size.objects), str(size.fetched)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def store_of(url: str) -> Any:
    """The bucket as obstore sees it."""
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=url,
        region="us-east-1",
        access_key_id=KEYS["key_id"],
        secret_access_key=KEYS["secret"],
        client_options={"allow_http": True},
    )


def client_of(url: str) -> Any:
    """The bucket as boto3 sees it."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["key_id"],
        aws_secret_access_key=KEYS["secret"],
        config=Config(max_pool_connections=16),
    )


def fill(url: str, objects: int) -> None:
    """Put the objects."""
    client_of(url).create_bucket(Bucket=BUCKET)
    store = store_of(url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"docs/{number // 100:03}/{number:05}.txt", BODY), range(objects)))


def by_obstore(url: str) -> tuple[Callable[[], Iterable[Any]], Callable[[Any], int]]:
    """How obstore lists and fetches."""
    store = store_of(url)

    def listed() -> Iterator[str]:
        for found in store.list("docs", chunk_size=1000):
            yield from (one["path"] for one in found)

    return listed, lambda path: len(store.get(path).bytes())


def by_boto3(url: str) -> tuple[Callable[[], Iterable[Any]], Callable[[Any], int]]:
    """How boto3 lists and fetches."""
    client = client_of(url)

    def listed() -> Iterator[str]:
        for found in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="docs/"):
            yield from (one["Key"] for one in found["Contents"])

    return listed, lambda key: len(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def by_fmf(url: str) -> tuple[Callable[[], Iterable[Any]], Callable[[Any], int]]:
    """How our connector lists and opens."""
    from pydantic import SecretStr

    from fmf.config.models import S3ConnectorConfig
    from fmf.connectors.s3 import S3Connector

    known = {"AWS_ACCESS_KEY_ID": KEYS["key_id"], "AWS_SECRET_ACCESS_KEY": KEYS["secret"]}

    class Known:
        def resolve(self, name: str) -> SecretStr:
            return SecretStr(known[name])

        def find(self, name: str) -> SecretStr | None:
            return SecretStr(known[name]) if name in known else None

    settings = {"name": "s3", "type": "s3", "bucket": BUCKET, "prefix": "docs/", "endpoint_url": url}
    connector = S3Connector(S3ConnectorConfig.model_validate(settings), Known())

    def fetched(ref: Any) -> int:
        with connector.open(ref) as stream:
            return len(stream.read())

    return connector.list, fetched


def work(name: str, url: str, objects: int, fetched: int) -> None:
    """Measure one contender in this process, and print what it took as JSON."""
    listed, fetch = {"obstore": by_obstore, "boto3": by_boto3, "fmf": by_fmf}[name](url)
    fetch(next(iter(listed())))  # connections, and what a client reads only once
    taken = {}
    with ThreadPoolExecutor(8) as pool:
        found: list[Any] = []
        for part in PARTS:
            wall, cpu = time.perf_counter(), time.process_time()
            if part == "list":
                found = list(listed())
            else:
                sizes = list(pool.map(fetch, found[:: max(1, objects // fetched)][:fetched]))
                assert sizes == [len(BODY)] * fetched
            taken[part] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    assert len(found) == objects
    print(json.dumps(taken))


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
