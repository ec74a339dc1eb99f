"""Functions as lists of lines, and modules of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tatamu.engine.kernels.llvm_text.types import POINTER, VOID, Type, Value


class Block:
    """Instructions that run one after the other, and the one that says where to go from there."""

    __slots__ = ("lines", "name", "terminator")

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.terminator = ""


class Function(Value):
    """A function of a module: declared until it has blocks.

    An ``internal`` one is called by its module alone. Its name is written with a dot before it: where a
    kernel's own goes when modules are linked.
    """

    __slots__ = ("args", "attributes", "blocks", "internal", "module", "name", "named", "result")

    def __init__(
        self,
        module: Module,
        name: str,
        arguments: Sequence[Type],
        result: Type = VOID,
        *,
        internal: bool = False,
        attributes: str = "",
    ) -> None:
        if name in module.functions:
            raise ValueError(f"a second function of the name {name}")
        super().__init__(POINTER, f'@"{"." if internal else ""}{name}"')
        self.module, self.name, self.result = module, name, result
        self.internal, self.attributes = internal, attributes
        self.args = [Value(type_, f"%a{position}") for position, type_ in enumerate(arguments)]
        self.blocks: list[Block] = []
        self.named = 0
        """How many results of its instructions have names."""
        module.functions[name] = self

    def append_block(self, name: str) -> Block:
        """A new block after the others; its name gets a number."""
        block = Block(f"{name}{len(self.blocks)}")
        self.blocks.append(block)
        return block

    @property
    def size(self) -> int:
        """How many instructions it has."""
        return sum(len(block.lines) for block in self.blocks)

    def declaration(self) -> str:
        """The function as it is seen from another module."""
        types = ", ".join([argument.type.text for argument in self.args])
        return f"declare {self.result.text} {self.text}({types}) {self.attributes}"

    def definition(self) -> Iterable[str]:
        """The lines of the function, for all to see."""
        arguments = ", ".join([f"{argument.type.text} {argument.text}" for argument in self.args])
        yield f"define {self.result.text} {self.text}({arguments}) {self.attributes} {{"
        for block in self.blocks:
            yield f"{block.name}:"
            yield from block.lines
            yield block.terminator
        yield "}"


class Module:
    """Functions by their names, for one target."""

    def __init__(self, triple: str) -> None:
        self.triple = triple
        self.functions: dict[str, Function] = {}

    def text(self, defined: Iterable[Function], kernel: str) -> str:
        """A module in which these functions are defined, if they have blocks, and the others declared.

        Internal functions bear the name of the ``kernel`` before their own, so that no two kernels' clash.
        """
        chosen = set(defined)
        lines = [f'target triple = "{self.triple}"']
        for function in self.functions.values():
            lines += (
                function.definition() if function in chosen and function.blocks else (function.declaration(),)
            )
        return "\n".join(lines).replace('@".', f'@"{kernel}.')
