"""The site and the README: every public name is documented once, every link leads somewhere, the gallery runs."""

import inspect
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bandscope.cube import schema

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
PUBLIC = ("bandscope", "bandscope.nn", "bandscope.scalespace", "bandscope.report.figures", "bandscope.training")
UNDOCUMENTED = ("__version__", "RECIPES")  # plain values
AUTODOC = re.compile(r"^\.\. (currentmodule|auto(?:function|class|exception|data)):: (\S+)$", re.M)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


def documented() -> dict[str, Any]:
    """What the API reference describes: objects by the full name under which they stand there."""
    found: list[str] = []
    for page in sorted((DOCS / "api").glob("*.md")):
        module = ""
        for directive, name in AUTODOC.findall(page.read_text()):
            if directive == "currentmodule":
                module = name
            else:
                found.append(name if name.startswith("bandscope.") else f"{module}.{name}")
    assert not [name for name, times in Counter(found).items() if times > 1]
    return {name: _named(name) for name in found}


def _named(full: str) -> Any:
    module, _, name = full.rpartition(".")
    return getattr(import_module(module), name)


def test_the_reference_holds_every_public_name():
    objects = list(documented().values())
    for module in map(import_module, PUBLIC):
        missing = [
            name
            for name in set(module.__all__) - set(UNDOCUMENTED)
            if not any(getattr(module, name) is described for described in objects)
        ]
        assert not missing, f"{module.__name__}: {missing} stand on no page of docs/api"


@pytest.mark.parametrize("full", [name for name, described in documented().items() if inspect.isfunction(described)])
def test_a_documented_function_says_what_it_takes_and_gives(full: str):
    described = _named(full)
    text, signature = inspect.getdoc(described) or "", inspect.signature(described)
    if signature.parameters:  # that each of them is there is checked by ruff
        assert "\nArgs:\n" in text
    gives = str(signature.return_annotation)
    if "DataFrame" in gives or "Tensor" in gives:
        assert "\nReturns:\n" in text


@pytest.mark.parametrize("full", [name for name, described in documented().items() if is_dataclass(described)])
def test_a_documented_class_lists_its_attributes(full: str):
    described = _named(full)
    text = inspect.getdoc(described) or ""
    listed = re.findall(r"^    (\w+(?:, \w+)*): ", re.split(r"^(?:Attributes|Args):$", text, flags=re.M)[-1], re.M)
    named = [name for names in listed for name in names.split(", ")]
    own = described.__annotations__  # what is inherited is told by the base
    assert not [field.name for field in fields(described) if field.name in own and field.name not in named]


def test_what_is_said_of_a_property_has_no_colon():
    """Sphinx's napoleon takes what stands before it for the property's type."""
    classes = [described for described in documented().values() if inspect.isclass(described)]
    properties = {f"{own.__name__}.{name}": value for own in classes for name, value in vars(own).items()
                  if isinstance(value, property) and not name.startswith("_")}  # fmt: skip
    assert len(properties) > 5
    assert not [name for name, own in properties.items() if ":" in (inspect.getdoc(own) or "")]


def links(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text())
    return [target for target in LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "experiments/README.md", *PAGES],
    ids=lambda page: str(page.relative_to(ROOT)),
)  # fmt: skip
def test_relative_links_lead_to_files(page: Path):
    missing = [target for target in links(page) if not (page.parent / target).exists()]
    assert not missing, f"{page}: {missing}"


def test_links_of_the_readme_are_found_at_all():
    assert "docs/figures/overview-planted.png" in links(ROOT / "README.md")


def test_the_reference_names_every_variable_of_the_cube():
    page = (DOCS / "api/audits.md").read_text()
    variables = (*schema.ROOT_VARIABLES, *schema.CONDITION_VARIABLES, *schema.VIEW_VARIABLES)
    assert not [variable.name for variable in variables if f"`{variable.name}`" not in page]


def test_every_page_is_in_the_contents_once():
    listed: Counter[Path] = Counter()
    for page in PAGES:
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.M | re.S):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed.update((page.parent / f"{entry}.md").resolve() for entry in entries)
    assert listed == Counter(page.resolve() for page in PAGES if page != DOCS / "index.md")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("myst_nb", reason="the site needs pip install '.[docs]'")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-d",
        tmp_path / "trees",
        DOCS,
        tmp_path / "site",
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {page.stem: page.read_text() for page in (tmp_path / "site/gallery").glob("*.html")}
    assert {name for name, page in pages.items() if 'class="output' in page} == pages.keys() - {"index"}
    drawn = {name for name, page in pages.items() if "<img" in page}
    assert drawn == {"audit-your-model", "gaussian-jets", "scale-law", "train-a-gssdnet"}
