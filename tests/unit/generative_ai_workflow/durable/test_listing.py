from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from generative_ai_workflow import SQLiteRunStore
from generative_ai_workflow.durable.listing import Listing
from unit.generative_ai_workflow.durable.children import identity, wait_for


@pytest.mark.parametrize("workflow", [None, "w"])
def test_a_page_is_found_along_the_index_and_sorts_nothing(tmp_path, workflow):
    store = SQLiteRunStore(tmp_path / "runs.db")
    wait_for(store.begin(identity("r")))
    wait_for(store.close())
    plans = []

    class Explaining:
        def __init__(self, connection):
            self.connection = connection

        def execute(self, query, values):
            plans.extend(self.connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall())
            return self.connection.execute(query, values)

    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        (row,) = Listing(workflow, "running").page(Explaining(connection), lambda number: number == 1)
    assert row[1] == "r"
    assert row[-1] is True
    told = " / ".join(row[-1] for row in plans)
    assert "runs USING INDEX runs_by_status" in told
    assert "TEMP B-TREE" not in told
