"""The README and the pages of docs/, read for what they promise."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# As somebody reads them who follows the links from the top.
READ = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("start", "choose", "guides/own_divergence"))]
READ += [path for path in PAGES if path not in READ]
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(text: str, kind: str) -> list[str]:
    """Code blocks whose fence is opened with exactly these words."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def all_blocks(kind: str) -> dict[str, str]:
    """Blocks of all pages by page and number."""
    return {
        f"{path.relative_to(ROOT)}:{number}": block
        for path in PAGES
        for number, block in enumerate(blocks(path.read_text(), kind))
    }


def commands(text: str) -> list[str]:
    """Whole shell commands in the order of a page: lines of its blocks, and those in its prose that have an option."""
    found = []
    for block, line in re.findall(r"^```text\n(.*?)^```|`(abkd [^`|…]*? --[^`…]*)`", text, re.DOTALL | re.MULTILINE):
        lines = [re.sub(r"\s+#.*", "", each) for each in block.splitlines()] or [" ".join(line.split())]
        found += [each for each in lines if re.match(r"(?:[\w./]*/)?(?:abkd|make|python|pip|pre-commit)\s", each)]
    return found


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def mentioned_targets(text: str) -> set[str]:
    """Targets of make that a reader is told to type."""
    return set(re.findall(r"(?:^|`)(?:\w+=\S+ )*make ([\w-]+)", text, re.MULTILINE))


def mentioned_files(text: str) -> set[str]:
    """Files of the repository that are named from its root."""
    return set(re.findall(r"(?<![\w./])((?:configs|benchmarks|examples|docs)/[\w./-]*\w\.(?:yaml|py|md|png))", text))


def mentioned_names(text: str) -> set[str]:
    """Full names of the package's objects."""
    return set(re.findall(r"\blightning_abkd(?:\.\w+)+", text))


def links(text: str) -> set[str]:
    """Targets of links and pictures that are not on the web."""
    return set(re.findall(r"\]\((?!https?:)([^)]+)\)", prose(text)))


def anchors(text: str) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def listed(text: str, heading: str, column: int) -> list[str]:
    """Names in a column of the tables of a section, sorted."""
    section = re.split(rf"^## {re.escape(heading)}\n", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return sorted(name for row in rows for name in re.findall(r"`(\w+)`", row[column - 1]))


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    found = []
    for link in links(page.read_text()):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            found.append(link)
    return found


def classes_of(config: object) -> list[tuple[str, set[str]]]:
    """Class paths in a piece of a config, each with the names of its arguments."""
    if isinstance(config, list):
        return [found for item in config for found in classes_of(item)]
    if not isinstance(config, dict):
        return []
    own = [(config["class_path"], set(config.get("init_args", {})))] if "class_path" in config else []
    return own + [found for item in config.values() for found in classes_of(item)]
