"""Renders the table of settings in runtime/README.md from the schema.

python -m tests.runtime.config.table     # writes the table into the file
"""

from pathlib import Path

from modelservice_runtime.config import Settings, flag_name, section_fields

README = Path(__file__).resolve().parents[3] / "runtime" / "README.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def render_table() -> str:
    """Return the table as Markdown."""
    lines = ["| key | flag | default | meaning |", "| --- | --- | --- | --- |"]
    for section in Settings.model_fields:
        for key, info in section_fields(section).items():
            default = str(info.default).lower() if isinstance(info.default, bool) else str(info.default)
            shown = f"`{default}`" if default else ""
            lines.append(f"| `{section}.{key}` | `{flag_name(section, key)}` | {shown} | {info.description} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """Return the README with the table as it should be."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{render_table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
