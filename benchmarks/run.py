"""`fmf run` over many small files against a model server of fixed latency: share of the ideal, CPU and memory."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.server import Server

FILES, LATENCY_MS, CONCURRENCY = 200, 50, 8
CONFIG = """
connectors: [{name: docs, type: local, root: docs}]
inference: {provider: openai, openai: {base_url: %s, model: bench}}
"""
CHAIN = """
name: bench
inputs: {connector: docs, select: ['**/*.md']}
concurrency: %d
steps: [{id: ask, prompt: 'inline: Sum up: {{ text }}', inputs: {text: '${chunk.text}'}, output: answer}]
"""
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from openai import AsyncOpenAI

async def main(base_url, concurrency):
    client, gate = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0), asyncio.Semaphore(concurrency)
    with open("script.jsonl", "w") as out:
        async def one(path):
            text = path.read_text()
            async with gate:
                reply = await client.chat.completions.create(
                    model="bench", messages=[{"role": "user", "content": "Sum up: " + text}])
            out.write(json.dumps({"file": str(path), "answer": reply.choices[0].message.content}) + "\\n")
        await asyncio.gather(*[one(path) for path in sorted(Path("docs").glob("*.md"))])

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def main(rounds: int = 5) -> None:
    """Print the table."""
    ideal = FILES * LATENCY_MS / 1000 / CONCURRENCY
    fmf = str(Path(sys.executable).with_name("fmf"))
    with tempfile.TemporaryDirectory() as folder, Server(LATENCY_MS) as base_url:
        root = Path(folder)
        (root / "docs").mkdir()
        for number in range(FILES):
            text = f"# Note {number}\n\n" + f"Line {number} of a plain report about bicycles and their parts. " * 40
            (root / "docs" / f"{number:04}.md").write_text(text)
        (root / "fmf.yaml").write_text(CONFIG % base_url)
        (root / "chain.yaml").write_text(CHAIN % CONCURRENCY)
        (root / "script.py").write_text(SCRIPT)
        lines = {
            "hand-written asyncio script, AsyncOpenAI": [sys.executable, "script.py", base_url, str(CONCURRENCY)],
            "fmf run": [fmf, "--json", "run", "--chain", "chain.yaml"],
        }
        taken: dict[str, list[measure.Taken]] = {name: [] for name in lines}
        for _ in range(rounds):
            for name, command in lines.items():
                taken[name].append(measure.run(command, folder=folder))
        rows = [
            [
                name,
                measure.spread([run.wall_s for run in runs]),
                f"{measure.median(runs).wall_s / ideal:.2f}",
                f"{measure.median(runs).cpu_s:.2f}",
                f"{measure.median(runs).peak_mb:.0f}",
            ]
            for name, runs in taken.items()
        ]
    measure.table(
        f"{FILES} Markdown files, {LATENCY_MS} ms a call, {CONCURRENCY} at once (ideal {ideal:.2f} s; whole processes)",
        ["line", "wall s (lowest-highest)", "x ideal", "CPU s", "peak MB"],
        rows,
    )
