from __future__ import annotations

import hashlib
import textwrap
import time

import pytest

from acceptance.outside import Project, fmf_yaml
from peers.buckets import KEY_ID, Bucket
from peers.buckets import SECRET as AWS_SECRET
from peers.certificates import Certificates
from peers.entra_server import CLIENT, TENANT, EntraServer
from peers.entra_server import SECRET as CLIENT_SECRET
from peers.fault_proxy import FaultProxy
from peers.graph_server import SITE_URL, GraphServer, many, throttled

SECRET = "outside-the-root"
FILES = (
    "b.md",
    "a.md",
    "a b.txt",
    "Z.md",
    "sub/c.md",
    "sub/deep/d.txt",
    "sub/deep/e.csv",
    "sub/[x].md",
    ".hidden.md",
    ".folder/f.md",
    "sub/.git/config.md",
)


@pytest.fixture
def tree(project: Project) -> Project:
    """A folder with nested and hidden files, and a link that leads out of it."""
    project.write({f"data/{name}": f"text of {name}" for name in FILES})
    project.write({"fmf.yaml": fmf_yaml(), "beside/secret.md": SECRET})
    return project


def listed(project: Project, *args: str) -> list[str]:
    """The ids that `connect ls` writes, once it is sure that each line is `id<TAB>uri` and nothing else."""
    told = project.fmf("connect", "ls", "docs", *args).well()
    pairs = [line.split("\t") for line in told.lines]
    for resource_id, uri in pairs:
        expected = (project.root.resolve() / "data").joinpath(*resource_id.split("/")).as_uri()
        assert uri == expected
    return [resource_id for resource_id, _ in pairs]


@pytest.mark.behaviour(9)
def test_everything_is_listed_in_a_stable_order_but_hidden_files(tree):
    """Behaviour 9: without patterns all files but hidden ones, sorted by id, twice the same."""
    found = listed(tree)
    assert found == sorted(name for name in FILES if "/." not in f"/{name}")
    assert listed(tree) == found


@pytest.mark.behaviour(9)
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["**/*.md"], ["Z.md", "a.md", "b.md", "sub/[x].md", "sub/c.md"]),
        (["*.md"], ["Z.md", "a.md", "b.md"]),
        (["sub/**/*.{txt,csv}"], ["sub/deep/d.txt", "sub/deep/e.csv"]),
        (["?.md", "sub/*"], ["Z.md", "a.md", "b.md", "sub/[x].md", "sub/c.md"]),
        (["[ab].md"], ["a.md", "b.md"]),
        (["**/.*", ".folder/*"], [".folder/f.md", ".hidden.md"]),
        (["sub/.git/**"], ["sub/.git/config.md"]),
    ],
)
def test_patterns_select(tree, patterns, expected):
    """Behaviour 9: `*`, `?`, `[x]`, `**` and `{a,b}`; hidden files only when a pattern names them."""
    assert listed(tree, *(word for pattern in patterns for word in ("--select", pattern))) == expected


@pytest.mark.behaviour(9)
def test_include_exclude_and_select_go_together(tree):
    """Behaviour 9: a file must match include and --select, and no exclude."""
    connector = {
        "name": "docs",
        "type": "local",
        "root": "data",
        "include": ["**/*.{md,txt}"],
        "exclude": ["sub/deep/**"],
    }
    tree.write({"fmf.yaml": fmf_yaml(connectors=[connector])})
    assert listed(tree) == ["Z.md", "a b.txt", "a.md", "b.md", "sub/[x].md", "sub/c.md"]
    assert listed(tree, "--select", "**/*.txt", "--select", "sub/c.*") == ["a b.txt", "sub/c.md"]
    told = tree.fmf("connect", "ls", "docs", "--json").well()
    assert [resource["id"] for resource in told.json["resources"]] == listed(tree)


@pytest.mark.behaviour(10)
@pytest.mark.parametrize("pattern", ["../*", "sub/../../beside/*", "/etc/*"])
def test_patterns_that_leave_the_root_are_refused(tree, pattern):
    """Behaviour 10: `--select '../*'` and absolute patterns are refused, and nothing is read."""
    told = tree.fmf("connect", "ls", "docs", "--select", pattern)
    assert pattern in told.refused(2)
    assert told.stdout == ""
    assert SECRET not in told.stderr


@pytest.mark.behaviour(10)
def test_links_that_leave_the_root_are_never_read(tree):
    """Behaviour 10: a link to a file or a folder outside is left out with a notice, whatever is selected."""
    data = tree.root / "data"
    (data / "link.md").symlink_to(tree.root / "beside" / "secret.md")
    (data / "folder").symlink_to(tree.root / "beside", target_is_directory=True)
    (data / "inside.md").symlink_to(data / "a.md")
    told = tree.fmf("connect", "ls", "docs", "--select", "link.md", "--select", "folder/*", "--select", "inside.md")
    told.well()
    assert [line.split("\t")[0] for line in told.lines] == ["inside.md"]
    assert "left out" in told.stderr
    told = tree.fmf("process", "--connector", "docs").well()
    left = b"".join(path.read_bytes() for path in told.run.path.iterdir())
    assert SECRET.encode() not in left
    assert SECRET not in told.stderr
    assert [doc["source_uri"].rpartition("/")[2] for doc in told.run.docs if "inside" in doc["source_uri"]]


@pytest.mark.behaviour(10)
def test_a_connector_that_points_outside_by_itself_is_the_users_own_choice(tree):
    """A root outside of the project is a root like any other, and nothing above it is reached."""
    told = tree.fmf("connect", "ls", "docs", "--set", "connectors.0.root=beside").well()
    assert [line.split("\t")[0] for line in told.lines] == ["secret.md"]


@pytest.mark.parametrize("command", [("connect", "ls", "docs"), ("process", "--connector", "docs")])
def test_a_missing_folder_is_one_error(project, command):
    """Bad input: a missing folder is one error that names it, ends with 4, and leaves nothing."""
    project.write({"fmf.yaml": fmf_yaml()})
    told = project.fmf(*command)
    error = told.refused(4)
    assert str(project.root / "data") in error
    assert error.count("error:") == 1
    assert told.stdout == ""
    assert project.files == {"fmf.yaml"}


def test_an_unknown_connector_names_the_known(project):
    """An unknown connector ends with 2 and names the known ones."""
    project.write({"fmf.yaml": fmf_yaml(), "data/a.md": "a"})
    assert "docs" in project.fmf("process", "--connector", "dogs").refused(2)


@pytest.fixture
def library(project, tmp_path_factory):
    """A SharePoint library on loopback, with its sign-in, as the connector `docs`."""
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with EntraServer(certificates.context("good")) as entra, GraphServer(page=100) as graph:
        graph.valid = lambda token: token in entra.tokens
        connector = {
            "name": "docs",
            "type": "sharepoint",
            "site_url": SITE_URL,
            "drive": "Documents",
            "root_path": "Policies/",
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "graph_url": graph.url,
            "authority": entra.url,
            "ca_bundle": str(certificates.authority),
        }
        project.environment["AZURE_CLIENT_SECRET"] = CLIENT_SECRET
        project.write({"fmf.yaml": fmf_yaml(connectors=[connector])})
        yield graph
        assert graph.with_token == []


@pytest.mark.behaviour(14)
@pytest.mark.parametrize("delta", [True, False])
def test_a_sharepoint_library_is_listed_over_pages_and_waits_when_told_to(project, library, delta):
    """Behaviour 14: 450 files over pages, in order, with and without delta; `Retry-After` is honoured."""
    files = dict(many(450))
    for name, content in files.items():
        library.put(name, content)
    library.delta_refused = None if delta else (400, "notSupported")
    library.faults = [throttled("1")]
    began = time.monotonic()
    told = project.fmf("connect", "ls", "docs").well()
    assert time.monotonic() - began >= 1
    assert [line.split("\t")[0] for line in told.lines] == sorted(name.removeprefix("Policies/") for name in files)
    assert library.count("/delta") == (5 if delta else 1)
    assert told.lines[0].split("\t")[1].startswith(f"{SITE_URL}/Shared%20Documents/Policies/")
    assert CLIENT_SECRET not in told.stderr


@pytest.mark.behaviour(14)
def test_a_download_from_sharepoint_is_streamed_and_resumed_where_it_broke_off(project, library):
    """Behaviour 14: the bytes come from the download host, without a token, and a broken body is not begun again."""
    content = "".join(f"line {number} of a long text\n" for number in range(40_000)).encode()
    library.put("Policies/long.txt", content)
    library.broken = [100_000, 70_000]
    told = project.fmf("process", "--connector", "docs").well()
    (doc,) = told.run.docs
    assert (doc["bytes"], doc["hash"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
    assert [asked.headers.get("range") for asked in library.downloads] == [None, "bytes=100000-", "bytes=170000-"]
    left = b"".join(path.read_bytes() for path in told.run.path.iterdir())
    assert b"entra-token" not in left + told.stderr.encode()


@pytest.fixture
def signed_in(project: Project) -> Project:
    """A project whose environment has the keys of nobody."""
    project.environment.update(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=AWS_SECRET)
    return project


def s3_yaml(url: str, bucket: str, **more: object) -> str:
    """An `fmf.yaml` with the connector `docs` over a bucket."""
    where = {"name": "docs", "type": "s3", "bucket": bucket, "endpoint_url": url, "timeout_s": 30}
    return fmf_yaml(connectors=[{**where, "retry": {"first_wait_s": 0.01}, **more}])


@pytest.mark.peer
@pytest.mark.behaviour(11)
def test_a_bucket_of_many_pages_is_listed_in_full(signed_in, ministack):
    """Behaviour 11: 1,100 keys over several pages, folder markers left out, patterns relative to the prefix."""
    names = [f"2026/{number:04}.txt" for number in range(1100)]
    keys = {f"raw/{name}": b"text" for name in names} | {"raw/": b"", "raw/2026/": b"", "raw/notes.md": b"# notes"}
    bucket = Bucket(ministack.url, keys | {"raw-not/x.txt": b"x", "other.txt": b"x"})
    signed_in.write({"fmf.yaml": s3_yaml(ministack.url, bucket.name, prefix="raw/")})
    told = signed_in.fmf("connect", "ls", "docs").well()
    assert told.lines == [f"{name}\ts3://{bucket.name}/raw/{name}" for name in [*names, "notes.md"]]
    told = signed_in.fmf("connect", "ls", "docs", "--select", "2026/000?.txt", "--select", "*.md").well()
    assert [line.split("\t")[0] for line in told.lines] == [*names[:10], "notes.md"]
    told = signed_in.fmf("connect", "ls", "docs", "--select", "raw/**")
    assert told.refused(11)
    assert "reachable" in signed_in.fmf("doctor").stdout
    bucket.close()


@pytest.mark.peer
@pytest.mark.behaviour(12)
def test_an_object_without_a_kms_key_is_not_read(signed_in, moto):
    """Behaviour 12: with kms_required each unencrypted object is refused when it is read, and the others are read."""
    bucket = Bucket(moto.url, {"plain.txt": b"plain"})
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    bucket.put("safe.txt", b"safe", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    bucket.close()
    signed_in.write({"fmf.yaml": s3_yaml(moto.url, bucket.name, kms_required=True)})
    run = signed_in.fmf("process", "--connector", "docs")
    assert "plain.txt" in run.refused(10)
    assert [(doc["source_uri"], doc["status"]) for doc in run.run.docs] == [
        (f"s3://{bucket.name}/plain.txt", "failed"),
        (f"s3://{bucket.name}/safe.txt", "ok"),
    ]
    (error,) = run.run.errors
    assert (error["op"], error["code"]) == ("s3.open", "refused")
    assert "kms_required" in error["hint"]
    assert [chunk["text"] for chunk in run.run.chunks] == ["safe"]


@pytest.mark.peer
@pytest.mark.behaviour(13)
@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_is_busy_is_asked_again(signed_in, moto, status):
    """Behaviour 13: refused twice, the listing is complete, and the two retries are counted."""
    bucket = Bucket(moto.url, {"a.txt": b"a", "b.txt": b"b"})
    bucket.close()
    with FaultProxy(moto.url) as proxy:
        signed_in.write({"fmf.yaml": s3_yaml(proxy.url, bucket.name)})
        proxy.answer(status, times=2, where="list-type")
        told = signed_in.fmf("connect", "ls", "docs", "--json").well()
        proxy.answer(status, times=2, where="list-type")
        read = signed_in.fmf("process", "--connector", "docs", "--json").well()
    assert (read.run.record["metrics"]["retries"], read.run.record["metrics"]["source_retries"]) == (2, 2)
    assert [resource["id"] for resource in told.json["resources"]] == ["a.txt", "b.txt"]
    assert told.json["retries"] == 2
    assert "2 requests were made again" in told.stderr


def test_a_connector_of_somebody_else_is_found(project):
    """A distribution that publishes a connector in the group `fmf.connectors` adds its type."""
    code = """
        import io
        from fmf.types import ResourceRef

        class Words:
            def __init__(self, config, secrets):
                self.name, self.words, self.secrets = config.name, config.arguments()["words"], secrets

            @classmethod
            def from_config(cls, config, *, base, secrets):
                return cls(config, secrets)

            def list(self, select=()):
                return iter([ResourceRef(f"{word}.txt", f"words://{word}.txt", f"{word}.txt") for word in self.words])

            def open(self, ref):
                return io.BytesIO(b"%d letters" % len(self.secrets.resolve("WORD").get_secret_value()))

            def info(self, ref):
                return ref
    """
    info = "site/words_connector-1.0.dist-info"
    project.write(
        {
            "site/words_connector.py": textwrap.dedent(code),
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: words-connector\nVersion: 1.0\n",
            f"{info}/entry_points.txt": "[fmf.connectors]\nwords = words_connector:Words\n",
            "fmf.yaml": fmf_yaml(connectors=[{"name": "docs", "type": "words", "words": ["a", "b"]}]),
        }
    )
    project.environment.update(PYTHONPATH=str(project.root / "site"), WORD="told in confidence")
    told = project.fmf("connect", "ls", "docs").well()
    assert told.lines == ["a.txt\twords://a.txt", "b.txt\twords://b.txt"]
    run = project.fmf("process", "--connector", "docs").well().run
    assert [chunk["text"] for chunk in run.chunks] == ["18 letters"] * 2
