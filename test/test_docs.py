"""What the documentation shows is so: every example in it is run.

The pages are not changed for it, nor is there a way to leave an example out. Two things
are put in the place of what readers are told to replace: the host ``http2bin.org`` by
the URL of a local ``hyper.http2bin``, and trust, by ``SSL_CERT_FILE``.

The blocks of a page run from top to bottom in one namespace, as a reader would type
them. A block with ``>>>`` prompts is a doctest, so its output is compared, ``...``
standing for anything. A block that imports pytest is a test file and runs as one. A
console block's commands that begin with ``$ hyper`` and show output run as well.

Connections that an example leaves open are closed afterwards, as an interpreter that
ends would close them.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

import hyper
from hyper import http2bin, httplib_compat
from hyper.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.rst", *ROOT.glob("docs/*.rst")])
WITH_EXAMPLES = {
    "README.rst",
    *(f"docs/{name}.rst" for name in ("index", "quickstart", "advanced", "threads")),
    *(f"docs/{name}.rst" for name in ("pool", "requests", "exceptions", "testing")),
    *(
        f"docs/{name}.rst"
        for name in ("debugging", "migrating", "httplib_compat", "httpx")
    ),
}
FLAGS = doctest.ELLIPSIS
BLOCK = re.compile(
    r"^(?P<indent> *)\.\. code-block:: (?P<language>\w+)\n"
    r"\n(?P<text>(?:(?P=indent) +\S.*\n|\s*\n)+)",
    re.MULTILINE,
)
Connection = (
    hyper.HTTP11Connection
    | hyper.HTTP20Connection
    | hyper.HTTPConnection
    | hyper.ConnectionPool
    | httplib_compat.HTTPConnection
)


@dataclass(frozen=True)
class Example:
    """A block of code on a page."""

    page: str
    #: The line of the page that it begins in, from 0.
    line: int
    language: str
    text: str

    @property
    def is_doctest(self) -> bool:
        return self.text.startswith(">>>")

    @property
    def is_test_file(self) -> bool:
        return "import pytest" in self.text


def examples_of(page: str, content: str) -> list[Example]:
    """Return the code blocks of a page in order."""
    return [
        Example(
            page,
            content.count("\n", 0, block.start("text")),
            block["language"],
            textwrap.dedent(block["text"]).rstrip() + "\n",
        )
        for block in BLOCK.finditer(content)
    ]


def read_examples(path: Path, language: str) -> list[Example]:
    found = examples_of(name_of(path), path.read_text(encoding="utf-8"))
    return [example for example in found if example.language == language]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def localised(text: str, url: str) -> str:
    """Replace the host of the documentation by that of a local server.

    By its URL, but for ``http.client``, which takes host and port alone.
    """
    text = text.replace("https://http2bin.org", url)
    text = text.replace(
        "HTTPSConnection('http2bin.org'", f"HTTPSConnection('{url[8:]}'"
    )
    text = re.sub(r"(['\"])http2bin\.org(?::443)?\1", rf"\g<1>{url}\1", text)
    assert "http2bin.org" not in text
    return text


class Reader:
    """Types the examples of one page into an interpreter."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._directory = directory
        self._names: dict[str, object] = {"__name__": "__main__"}
        self._connections: list[Connection] = []

    def run(self, example: Example) -> None:
        """Run an example. Raises what it raises, AssertionError for a wrong output."""
        text = localised(example.text, self._url)
        try:
            if example.is_doctest:
                self._run_doctest(example, text)
            elif example.is_test_file:
                self._run_pytest(text)
            else:
                # The lines before it make the numbers in a traceback those of the page.
                source = "\n" * example.line + text
                exec(compile(source, example.page, "exec"), self._names)
        finally:
            self._connections += [
                value for value in self._names.values() if isinstance(value, Connection)
            ]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._names.clear()

    def _run_doctest(self, example: Example, text: str) -> None:
        parsed = doctest.DocTestParser().get_doctest(
            text, self._names, example.page, example.page, example.line
        )
        # Not a copy: the blocks of a page go on from each other.
        parsed.globs = self._names
        report = io.StringIO()
        runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
        runner.run(parsed, out=report.write, clear_globs=False)
        assert not report.getvalue(), report.getvalue()

    def _run_pytest(self, text: str) -> None:
        file = self._directory / "test_example.py"
        file.write_text(text, encoding="utf-8")
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error", file.name],
            cwd=self._directory,
            env={**os.environ, "PYTHONPATH": str(Path(hyper.__file__).parent.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="module")
def service() -> Iterator[http2bin.Server]:
    with http2bin.serve() as server:
        yield server


@pytest.fixture
def reader(
    service: http2bin.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    assert service.ca_file is not None
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    # To requests these come first.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # For those that write files.
    with contextlib.closing(Reader(service.url, tmp_path)) as reader:
        yield reader


def page(text: str) -> Example:
    """Return the one example of a page."""
    (example,) = examples_of("page.rst", text)
    return example


class TestPages:
    @pytest.mark.parametrize("path", PAGES, ids=name_of)
    def test_every_python_example_runs(self, path: Path, reader: Reader) -> None:
        examples = read_examples(path, "python")
        assert bool(examples) == (name_of(path) in WITH_EXAMPLES)
        for example in examples:
            if "contrib.nghttp2" in example.text:
                try:
                    import_module("hyper.contrib.nghttp2")
                except ImportError:
                    continue  # Its own tests say that the library is missing.
            reader.run(example)

    @pytest.mark.parametrize("path", PAGES, ids=name_of)
    def test_no_example_stands_where_it_is_not_found(self, path: Path) -> None:
        content = path.read_text(encoding="utf-8")
        found = examples_of(name_of(path), content)
        assert len(found) == content.count(".. code-block::")
        assert {example.language for example in found} <= {"python", "console", "text"}
        shown = "".join(example.text for example in found)
        assert content.count(">>> ") == shown.count(">>> ")
        # Other ways of reStructuredText to mark code.
        assert not re.search(r"^ *(?!\.\. ).*::$", content, re.MULTILINE)
        assert not re.search(r"\.\. (code|sourcecode|doctest)::", content)

    @pytest.mark.parametrize("page", ["cli", "debugging"])
    def test_the_commands_print_what_the_documentation_shows(
        self,
        page: str,
        service: http2bin.Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", service.ca_file or "")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "ca.pem").write_bytes(service.ca_pem)
        (tmp_path / "notes.txt").write_text("notes\n")
        for example in read_examples(ROOT / "docs" / f"{page}.rst", "console"):
            for text in re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]:
                line, _, expected = localised(text, service.url).partition("\n")
                name, *words = shlex.split(line)
                assert name == "hyper"
                status = main(words)
                # A terminal shows both; heads come before the body.
                out, err = capsys.readouterr()
                assert (status == 0) == ("hyper: " not in expected), err
                checker = doctest.OutputChecker()
                assert checker.check_output(expected, err + out, FLAGS), (
                    f"line {example.line} of {example.page} shows\n{expected}\n"
                    f"but {line} prints:\n{err}{out}"
                )

    @pytest.mark.parametrize("path", PAGES, ids=name_of)
    def test_lines_are_short(self, path: Path) -> None:
        prose = BLOCK.sub("", path.read_text(encoding="utf-8"))
        assert max(map(len, prose.splitlines())) <= 79

    def test_the_demo_ends_with_http2(self, capsys: pytest.CaptureFixture[str]) -> None:
        source = (ROOT / "docs" / "demo.py").read_text(encoding="utf-8")
        exec(compile(source, "docs/demo.py", "exec"), {"__name__": "__main__"})
        *body, last = capsys.readouterr().out.splitlines()
        assert '"args": {},' in "".join(body)
        assert re.fullmatch(r"HTTP/2 200 OK from https://localhost:\d+/get", last)


class TestHarness:
    """An example that is wrong is found out."""

    def test_one_that_raises_fails(self, reader: Reader) -> None:
        example = page("A\n\n.. code-block:: python\n\n    a = 1\n    a / 0\n\nB\n")
        with pytest.raises(ZeroDivisionError) as caught:
            reader.run(example)
        assert caught.traceback[-1].lineno == 5

    def test_one_whose_output_differs_fails(self, reader: Reader) -> None:
        example = page(".. code-block:: python\n\n    >>> 1 + 1\n    3\n")
        with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
            reader.run(example)

    def test_one_whose_output_is_not_shown_fails(self, reader: Reader) -> None:
        example = page(".. code-block:: python\n\n    >>> 1 + 1\n")
        with pytest.raises(AssertionError, match="Expected nothing"):
            reader.run(example)

    @pytest.mark.parametrize("assertion", ["assert False", "pass"])
    def test_a_test_file_that_fails_or_has_no_test_fails(
        self, reader: Reader, assertion: str
    ) -> None:
        name = "test_it" if assertion == "assert False" else "no_test"
        example = page(
            f".. code-block:: python\n\n    import pytest\n\n"
            f"    def {name}():\n        {assertion}\n"
        )
        with pytest.raises(AssertionError, match=r"1 failed|no tests ran"):
            reader.run(example)

    def test_blocks_share_their_names(self, reader: Reader) -> None:
        reader.run(page(".. code-block:: python\n\n    a = 1\n"))
        reader.run(page(".. code-block:: python\n\n    >>> a\n    1\n    >>> b = 2\n"))
        reader.run(page(".. code-block:: python\n\n    assert a + b == 3\n"))

    def test_a_block_goes_on_over_blank_lines(self) -> None:
        text = ".. code-block:: python\n\n    a\n\n      b\n\nText\n"
        assert page(text).text == "a\n\n  b\n"

    @pytest.mark.parametrize(
        ("shown", "run"),
        [
            ("'http2bin.org'", "'https://localhost:1'"),
            ("'http2bin.org:443'", "'https://localhost:1'"),
            ('"https://http2bin.org/get"', '"https://localhost:1/get"'),
            ("HTTPSConnection('http2bin.org')", "HTTPSConnection('localhost:1')"),
        ],
    )
    def test_only_the_host_is_replaced(self, shown: str, run: str) -> None:
        assert localised(f"f({shown})", "https://localhost:1") == f"f({run})"
