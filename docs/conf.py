"""How Sphinx builds the documentation. Nothing here needs the network."""

import sys
from pathlib import Path

from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

# The code that is documented is that beside this folder, installed or not.
sys.path.insert(0, str(Path(__file__).parent.parent))

import hyper

project = "hyper"
author = "The hyper developers"
copyright = f"2026, {author}"
release = version = hyper.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hyper {release}"
html_copy_source = False

autodoc_member_order = "bysource"
# The texts say in words what an argument may be. The types behind the words, unions of
# a protocol, two mappings and an iterable, are for the type checker.
autodoc_typehints = "none"
# `timeout=UNSET` instead of the address of an object.
autodoc_preserve_defaults = True

nitpicky = True
nitpick_ignore_regex = [
    # Other projects: their inventories would have to be fetched at each build.
    (r"py:.*", r"(ssl|io|h2|http|requests)\..*"),
    (r"py:exc", r"(TypeError|ValueError|KeyError|NotImplementedError)"),
    (r"py:exc", r"(FileNotFoundError|OSError|RuntimeError)"),
]


def find_by_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: object
) -> object:
    """Find what a docstring calls by the module that it is defined in.

    It is documented once, by the name that users import it by: ``hyper.Name``.
    """
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in hyper.__all__:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env,
        node["refdoc"],
        app.builder,
        "obj",
        f"hyper.{name}",
        node,
        content,
    )


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", find_by_public_name)
