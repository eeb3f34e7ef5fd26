"""Where something stands in a policy's text, and the one line that refuses it there."""

from typing import NoReturn

import yaml

ESCAPES = {"x": 4, "u": 6, "U": 10}
"""How long an escape of a text in double quotes is, backslash included; any other is 2."""


class PolicyError(Exception):
    """One line: file, line, column, what is wrong and what to do."""


class Place:
    """A YAML node in a policy's text. `source` names the text, as a file's path."""

    def __init__(self, source: str, text: str, node: yaml.Node) -> None:
        self._source, self._text, self._node = source, text, node

    def refuse(self, message: str, *, offset: int = 0) -> NoReturn:
        """PolicyError at `offset` characters into the scalar."""
        raise PolicyError(f"{self.at(offset)}: {one_line(message)}")

    def at(self, offset: int = 0) -> str:
        """`file:line:column` of a character of the node; both count from 1."""
        mark = self._node.start_mark
        line, column = mark.line, mark.column
        if isinstance(self._node, yaml.ScalarNode):
            passed = self._text[mark.index : self._index(self._node, offset)]
            line += passed.count("\n")
            column = len(passed) - passed.rindex("\n") - 1 if "\n" in passed else column + len(passed)
        return f"{self._source}:{line + 1}:{column + 1}"

    def _index(self, node: yaml.ScalarNode, offset: int) -> int:
        """The place in the text of a character of the scalar, whose quotes, escapes and line breaks YAML has undone."""
        text, index, end = self._text, node.start_mark.index, node.end_mark.index
        if node.style in ("'", '"'):
            index += 1
        elif node.style in ("|", ">"):
            index = self._begun(text.find("\n", index, end) + 1, end)
        for character in node.value[:offset]:
            index = self._after(character, index, end, node.style)
        return self._begun(index, end) if offset < len(node.value) and not node.value[offset].isspace() else index

    def _after(self, character: str, index: int, end: int, style: str | None) -> int:
        """The index behind the character, which stands at `index` or behind what YAML left out there."""
        text = self._text
        if style == '"' and text.startswith("\\", index) and not text.startswith("\\\n", index):
            return index + ESCAPES.get(text[index + 1], 2)
        if character.isspace():
            behind = self._begun(index, end)
            return behind if "\n" in text[index:behind] else min(index + 1, behind)
        index = self._begun(index, end)
        if style == '"' and text.startswith("\\", index):
            return self._after(character, index if text[index + 1] != "\n" else index + 1, end, style)
        return min(index + (2 if style == "'" and text.startswith("''", index) else 1), end)

    def _begun(self, index: int, end: int) -> int:
        """The first character from here on that is no blank."""
        while index < end and self._text[index].isspace():
            index += 1
        return index


def one_line(message: str) -> str:
    """The message without line breaks, whatever the names in it were."""
    return " ".join(message.split())
