"""Untrusted text in Markdown and YAML comes back as it is, and nothing of it is interpreted."""

from __future__ import annotations

import pytest

from recyclenet.core.markdown import escape, table, yaml_text

HOSTILE = (
    "a|b", "`x`", "<script>alert(1)</script>", "[x](http://evil)", "![x](y)", "*b* _i_ ~~s~~",
    "# h", "a\nb", "\x1b[31m\u202e", "&lt;", "\\", "|", "---", ": no", "yes", "玻璃 🍾",
    "'", '"', "{{ x }}",     "\u2028\x85\x7f", "http://evil.example", "trailing\\",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_yaml_reads_the_same_text(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    written = f"- {yaml_text(text)}\n- after\n"
    assert yaml.safe_load(written) == [text, "after"]
    assert len(written.splitlines()) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_keeps_its_cells(text: str) -> None:
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    lines = table(("name", "n"), [(escape(text), "1"), ("last", "2")])
    tokens = markdown.parse("\n".join(lines))
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 6
    kinds = {child.type for cell in cells for child in cell.children or ()}
    assert kinds <= {"text", "text_special"}
    if text.isprintable():
        shown = "".join(child.content for child in cells[2].children or ())
        assert shown == text.strip()
