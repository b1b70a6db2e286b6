"""The schema of a chain file: which documents, which steps, which outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from fmf.chains.references import IMAGES, ROWS, Mode
from fmf.chains.saves import Form
from fmf_core.value import Value
from generative_ai_workflow.control_flow.for_each import MAX_ITEMS
from generative_ai_workflow.definition.grammar import StepDefinition

if TYPE_CHECKING:
    from fmf_core.yaml_text import Yaml

_INSTEAD: Final[Mapping[str, str]] = {
    "conditional": "give the steps inside a `when` each",
    "parallel": "write the steps one after the other: the items of a chain are asked about at the same time",
    "for_each": "write `for_each: ${steps.X}` in the step that is to run for every element of a list",
}
"""Types of steps that hold steps, which only workflow files have, and what a chain has in their place."""


class ImagesInput(Value):
    """How pictures become items."""

    group_size: int = Field(default=1, ge=1, le=16)
    """How many pictures make an item, in the order of the listing; the last item may have fewer."""


class TableInput(Value):
    """Which rows and columns of tables a chain works with."""

    text_column: tuple[str, ...] = ()
    """What `${row.text}` is made of: a column, or several, each on a line with its name; default is all of them."""
    pass_through: tuple[str, ...] = ()
    """Columns that stand in the records as they are, under `row`."""
    sheets: tuple[str, ...] = ()
    """Names of the sheets of workbooks that are read, or patterns for them, as `Order*`; default is all of them."""
    header_row: int | None = Field(default=None, ge=1)
    """The row that holds the names of the columns; default is `processing.tables.header_row` of fmf.yaml."""

    @field_validator("text_column", "pass_through", "sheets", mode="before")
    @classmethod
    def _one_name(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names


class ChainInputs(Value):
    """What a chain reads."""

    connector: str | None = Field(default=None, min_length=1)
    """The name of a connector; default is `run.inputs.connector` of fmf.yaml."""
    select: tuple[str, ...] = ()
    """Patterns; default is `run.inputs.select` of fmf.yaml, then everything that the connector includes."""
    mode: Mode = "chunks"
    """What an item is: a chunk of a document, a whole document, a row of a table, or a group of pictures."""
    images: ImagesInput | None = None
    """For `mode: images_group`."""
    table: TableInput | None = None
    """For `mode: table_rows`."""

    @field_validator("select", mode="before")
    @classmethod
    def _one_pattern(cls, select: Any) -> Any:
        return (select,) if isinstance(select, str) else select

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.images is not None and self.mode != IMAGES:
            raise ValueError(f"images belongs to mode {IMAGES}, and the mode is {self.mode}")
        if self.table is not None and self.mode != ROWS:
            raise ValueError(f"table belongs to mode {ROWS}, and the mode is {self.mode}")
        return self

    @property
    def group_size(self) -> int:
        """How many pictures make an item, where items are made of pictures."""
        return (self.images or ImagesInput()).group_size


class ChainStep(StepDefinition):
    """One step of a chain."""

    mode: Literal["text", "multimodal"] = "text"
    """What the model is shown: the prompt alone, or the pictures of the item behind it."""
    for_each: str | None = Field(default=None, min_length=1)
    """A reference to a list, such as `${steps.topics}`: the step runs for each of its elements, `${each.value}`."""
    max_items: int = Field(default=MAX_ITEMS, ge=1, strict=True)
    """With `for_each`: the longest list; a longer one fails the step before anything is asked."""

    reduce: Literal["tree"] | None = None
    """Of a step over collected answers whose prompt is larger than the model's window: ask about groups that fit, then
    about what came of them; default is an error before anything is asked."""

    @model_validator(mode="after")
    def _has_a_list(self) -> Self:
        if self.for_each is None and "max_items" in self.model_fields_set:
            raise ValueError("max_items belongs to for_each, and there is none")
        if self.for_each is not None and self.reduce is not None:
            raise ValueError("reduce does not go with for_each: collect its answers in a step of their own")
        return self

    @property
    def shows_pictures(self) -> bool:
        """Whether the pictures of the item go with the prompt."""
        return self.mode == "multimodal"


class ChainOutput(Value):
    """Something that a run leaves besides its records: a file (`save`), or rows in a sink (`export`)."""

    model_config = Value.model_config | {"populate_by_name": True}

    save: str | None = Field(default=None, min_length=1)
    """The file, from the folder of fmf.yaml; `${run_id}`, `${chain_id}`, `${date}` and `${now}` are filled in."""
    export: str | None = Field(default=None, min_length=1)
    """The name of a sink of fmf.yaml."""
    source: str = Field(alias="from", min_length=1)
    """The output, or the id of the step, whose answers are written."""
    form: Form | None = Field(default=None, alias="as")
    """How a file is written: jsonl, csv, parquet or text; default is what its ending says."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.save is None) == (self.export is None):
            raise ValueError("an output has either save or export, and not both")
        if self.export is not None and self.form is not None:
            raise ValueError("as belongs to save: a sink has a format of its own")
        return self


class ChainSpec(Value):
    """A chain file."""

    name: str = Field(min_length=1)
    """What records call the chain, and `${chain_id}`."""
    description: str | None = None
    inputs: ChainInputs = ChainInputs()
    concurrency: int = Field(default=8, ge=1, le=1024)
    """How many items are asked about at once."""
    continue_on_error: bool = True
    """Whether a failure leaves the other items alone; otherwise no call starts after it."""
    system_prompt: str | None = None
    """What the model is told first: a text, or any form that a step's prompt may have."""
    steps: tuple[ChainStep, ...] = Field(min_length=1)
    outputs: tuple[ChainOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """A chain, and where it came from."""

    spec: ChainSpec
    source: str
    """What messages call it."""
    path: Path | None
    """The file; `None` for a chain that was given as a mapping."""
    hash: str
    """`sha256:` and the hash of the file's bytes, or of the mapping as canonical JSON."""
    yaml: Yaml | None = None
    """The text with its lines and columns, where there is one."""


def load_chain(chain: str | Path | Mapping[str, Any]) -> LoadedChain:
    """Read a chain file, or take a mapping of the same shape.

    Raises:
        ConfigError: there is no such file, it is no YAML, or something in it is wrong; all faults with line and column.
    """
    import orjson

    from fmf_core.settings import validate
    from fmf_core.yaml_text import load_yaml_file

    if isinstance(chain, Mapping):
        raw = orjson.dumps(chain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
        _refuse_holders(chain, "the chain", None)
        spec = validate(ChainSpec, dict(chain), source="the chain")
        return LoadedChain(spec, "the chain", None, "sha256:" + hashlib.sha256(raw).hexdigest())
    path = Path(chain)
    yaml = load_yaml_file(path)
    _refuse_holders(yaml.data, str(chain), yaml)
    spec = validate(ChainSpec, yaml.data, source=str(chain), yaml=yaml)
    return LoadedChain(spec, str(chain), path.absolute(), f"sha256:{yaml.sha256}", yaml)


def _refuse_holders(data: Any, source: str, yaml: Yaml | None) -> None:
    """Say of a step that holds steps that chains have none, not that its keys are misspelt."""
    from fmf_core.faults import Fault, SettingsError

    steps = data.get("steps") if isinstance(data, Mapping) else None
    faults: list[Fault] = []
    for number, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
        kind = step.get("type") if isinstance(step, Mapping) else None
        if isinstance(kind, str) and kind in _INSTEAD:
            path = f"steps[{number}].type"
            line, column = (yaml.position(path) if yaml is not None else None) or (None, None)
            message = f"type {kind!r} holds steps, which only workflow files have ({_INSTEAD[kind]})"
            faults.append(Fault(path, message, kind, source=source, line=line, column=column))
    if faults:
        raise SettingsError.of(faults)


def chain_schema() -> dict[str, Any]:
    """The schema of a chain file as JSON Schema (draft 2020-12), every key with its description and default."""
    from fmf_core.described import described_schema

    schema = described_schema(ChainSpec, "chain file")
    properties = schema["$defs"]["ChainStep"]["properties"]
    properties["output"]["anyOf"].append({"type": "string", "minLength": 1})
    properties["type"]["not"] = {"enum": list(_INSTEAD)}
    tables = (("TableInput", name) for name in ("text_column", "pass_through", "sheets"))
    for owner, name in (("ChainInputs", "select"), *tables):
        told = schema["$defs"][owner]["properties"][name]
        schema["$defs"][owner]["properties"][name] = {
            "anyOf": [{"type": "string"}, {"type": "array", "items": told["items"]}],
            **{key: told[key] for key in ("description", "default") if key in told},
        }
    return schema
