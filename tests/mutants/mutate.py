"""Makes the mutants of a C file: each is one small fault that the compiler might not mind.

It works on tokens and knows no more of C than where functions, statements, conditions and operands
begin and end. What it takes for something else than it is does not compile, and is not counted.

    negate      a condition of if, while, for, do or ?: is turned round
    not         a ! or ~ is left out
    operand     an operand of && or || or | is left out
    logic       && becomes ||, and || becomes &&
    relation    < becomes <=, > becomes >=, == becomes !=, and back
    arithmetic  + becomes -, * becomes /, << becomes >>, ++ becomes --, and back; += and the like too
    swap        the operands of - / % << >> change places
    constant    an integer is one more, or one less; -1, any negative number mostly, only becomes 0
    truth       true becomes false, and back
    drop        a call, an assignment, a return, break, continue, goto or case is left out
    log         any of these within a call that logs

Left alone: lines that begin with #, texts, characters, assertions, and what is declared, not done.
"""

import hashlib
import re
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/|\#(?:\\\n|[^\n])*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<number>\d\w*)
    |(?P<word>\w+)
    |(?P<sign>->|\+\+|--|<<=|>>=|\.\.\.|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|.)""",
    re.X | re.S,
)
LOGS = re.compile(r"log_")
ASSERTIONS = ("assert", "static_assert", "_Static_assert")
TYPES = {"const", "static", "volatile", "struct", "union", "enum", "unsigned", "signed", "int", "char", "long", "short",
         "bool", "void", "size_t", "ssize_t", "va_list"}  # fmt: skip
KEYWORDS = {"return", "case", "sizeof", "else", "goto", "do"}
LEAVES = ("return", "break", "continue", "goto")
LEVELS = [["||"], ["&&"], ["|"], ["^"], ["&"], ["==", "!="], ["<", "<=", ">", ">="], ["<<", ">>"], ["+", "-"],
          ["*", "/", "%"]]  # fmt: skip
LEVEL = {sign: level for level, signs in enumerate(LEVELS) for sign in signs}
NEUTRAL = {"&&": "true", "||": "false", "|": "0"}
ENDS = {",", ";", "?", ":", "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "return", "case"}
OPEN, CLOSE = "([{", ")]}"
BECOMES = {
    "logic": {"&&": "||", "||": "&&"},
    "relation": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "arithmetic": {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "&": "|", "^": "&", "<<": ">>",
                   ">>": "<<", "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "%=": "*=", "&=": "|=", "|=": "&=",
                   "^=": "&=", "<<=": ">>=", ">>=": "<<=", "++": "--", "--": "++"},
    "truth": {"true": "false", "false": "true"},
}  # fmt: skip
SWAPPED = {"-", "/", "%", "<<", ">>"}


class Mutant(NamedTuple):
    """TEXT is the whole file; CHANGE shows what is changed of a statement: `if (left [> -> >=] most)`."""

    file: str
    function: str
    kind: str
    change: str
    id: str
    text: str


def bare(change):
    """A change without its white space, for line breaks come and go."""
    return re.sub(r"\s+", "", change)


class Source:
    def __init__(self, file, content):
        self.file, self.content = file, content
        self.spans = [match for match in TOKEN.finditer(content) if match.lastgroup != "space"]
        self.tokens = [match.group() for match in self.spans]
        self.kinds = [match.lastgroup for match in self.spans]
        self.pair = {}
        self.mutants = []
        self.seen = {}
        self.function = ""
        self.logs = False
        waiting = []
        for i, token in enumerate(self.tokens):
            if token in OPEN:
                waiting.append(i)
            elif token in CLOSE:
                self.pair[i] = waiting.pop()
                self.pair[self.pair[i]] = i

    def slice(self, first, end):
        """The text of the tokens from FIRST up to END, as it stands in the file."""
        return self.content[self.spans[first].start() : self.spans[end - 1].end()] if first < end else ""

    def gap(self, i):
        return " " if self.spans[i - 1].end() < self.spans[i].start() else ""

    def line(self, first, end):
        """The same in one line, without comments and directives."""
        return "".join(self.tokens[i] + (self.gap(i + 1) if i + 1 < end else "") for i in range(first, end))

    def add(self, kind, first, end, new, context, header=""):
        """Replaces the tokens from FIRST up to END, which are part of CONTEXT."""
        begin, over = self.spans[first].start(), self.spans[end - 1].end()
        before = self.line(context[0], first) + self.gap(first) if context[0] < first else ""
        after = self.gap(end) + self.line(end, context[1]) if end < context[1] else ""
        change = f"{header}{before}[{self.line(first, end)} -> {' '.join(new.split())}]{after}"
        kind = "log" if self.logs else kind
        key = (self.file, self.function, kind, bare(change))
        self.seen[key] = self.seen.get(key, 0) + 1
        name = hashlib.sha256("\0".join((*key, str(self.seen[key]))).encode()).hexdigest()[:12]
        # Lines keep their numbers, which __LINE__ may have put into the object.
        lines = "\n" * (self.content.count("\n", begin, over) - new.count("\n"))
        text = self.content[:begin] + new + lines + self.content[over:]
        self.mutants.append(Mutant(self.file, self.function, kind, change, name, text))

    def skip(self, i, stops, end):
        """The first of STOPS from I on that is not in brackets, or END."""
        while i < end and self.tokens[i] not in stops:
            i = self.pair[i] + 1 if self.tokens[i] in OPEN else i + 1
        return min(i, end)

    def is_cast(self, close):
        inside = self.tokens[self.pair[close] + 1 : close]
        before = self.pair[close] - 1
        called = self.kinds[before] == "word" and self.tokens[before] not in KEYWORDS - {"sizeof"}
        return not called and bool(inside) and (inside[-1] == "*" or inside[0] in TYPES or inside[0].endswith("_t"))

    def is_binary(self, i):
        before = self.tokens[i - 1]
        if self.tokens[i + 1] == ")":
            return False
        if before == ")":
            return not self.is_cast(i - 1)
        if self.kinds[i - 1] == "word":
            return before not in KEYWORDS | TYPES
        return before == "]" or self.kinds[i - 1] in ("number", "text")

    def left(self, i, level, first):
        """Where the operand before the operator at I begins; of a chain of && or || or |, the last before it."""
        while i > first:
            token = self.tokens[i - 1]
            if token in OPEN or token in ENDS:
                break
            if LEVEL.get(token, 99) < level + (level < 3) and self.is_binary(i - 1):
                break
            i = self.pair[i - 1] if token in CLOSE else i - 1
        return i

    def right(self, i, level, end):
        """Where the operand ends that stands behind the operator at I."""
        i += 1
        while i < end:
            token = self.tokens[i]
            if token in CLOSE or token in ENDS or (LEVEL.get(token, 99) <= level and self.is_binary(i)):
                break
            i = self.pair[i] + 1 if token in OPEN else i + 1
        return min(i, end)

    def negate(self, first, end, context):
        """Turns a condition round, unless that is what another mutant does: a == b, !a."""
        signs, i = set(), first
        while i < end:
            signs.add(self.tokens[i])
            i = self.pair[i] + 1 if self.tokens[i] in OPEN else i + 1
        lone = not signs & {"&&", "||"} and (signs & {"==", "!="} or self.tokens[first] == "!")
        if first < end and not lone and self.tokens[first:end] not in (["true"], ["false"], ["1"], ["0"]):
            self.add("negate", first, end, f"!({self.slice(first, end)})", context)

    def number(self, i, context):
        digits, suffix = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)(\w*)", self.tokens[i]).groups()
        base = 16 if digits[1:2] in ("x", "X") else 8 if digits[0] == "0" else 10
        value = int(digits, base)
        sentinel = value == 1 and self.tokens[i - 1] == "-" and not self.is_binary(i - 1)
        for other in (value - 1, value + 1):
            if other >= 0 and not (sentinel and other == 2):
                self.add("constant", i, i + 1, (f"{other:#x}" if base == 16 else str(other)) + suffix, context)

    def place(self, i, context):
        """What shows a token's place: its statement, or if that is a table, the row or the member."""
        first, end = context
        row = None
        for brace in range(first, i):
            if self.tokens[brace] == "{" and self.pair[brace] > i:
                row = brace
        if row is None:
            return context
        begin = row + 1
        while (comma := self.skip(begin, ",", self.pair[row])) <= i:
            begin = comma + 1
        named = "=" in self.tokens[begin:comma]
        return (begin, comma) if named else (row, self.pair[row] + 1)

    def expression(self, first, end, context):
        for i in range(first, end):
            token, where = self.tokens[i], self.place(i, context)
            if self.kinds[i] == "number":
                self.number(i, where)
            if token == "?":
                begin = self.left(i, 0, first)
                self.negate(begin, i, where)
            if token in "!~":
                self.add("not", i, i + 1, "", where)
            if token in LEVEL and not self.is_binary(i):
                continue
            for kind, table in BECOMES.items():
                if token in table:
                    self.add(kind, i, i + 1, table[token], where)
            if token in NEUTRAL:
                begin, over = self.left(i, LEVEL[token], first), self.right(i, LEVEL[token], end)
                if self.tokens[begin - 1] != token:
                    self.add("operand", begin, i, NEUTRAL[token], where)
                self.add("operand", i + 1, over, NEUTRAL[token], where)
            if token in SWAPPED:
                begin, over = self.left(i, LEVEL[token], first), self.right(i, LEVEL[token], end)
                new = f"({self.slice(i + 1, over)}) {token} ({self.slice(begin, i)})"
                self.add("swap", begin, over, new, where)

    def is_declaration(self, i):
        if self.kinds[i] != "word":
            return False
        after = i + 1
        while self.tokens[after] == "*":
            after += 1
        return self.tokens[i] in TYPES or self.kinds[after] == "word"

    def initializer(self, first, end, context):
        """A declaration does something only behind its =."""
        self.expression(self.skip(first, "=", end), end, context)

    def block(self, first, end, header):
        i = first
        while i < end:
            label = self.tokens[i] in ("case", "default") or (self.kinds[i] == "word" and self.tokens[i + 1] == ":")
            if label:
                over = self.skip(i, ":", end) + 1
                header = self.line(i, over) + " "
                if self.tokens[i] == "case":
                    self.add("drop", i, over, "", (i, over))
                self.expression(i, over - 1, (i, over))
                i = over
            else:
                i = self.statement(i, header)

    def loop(self, i, close, context):
        """The head of a for."""
        first = self.skip(i, ";", close)
        second = self.skip(first + 1, ";", close)
        part = self.initializer if self.is_declaration(i) else self.expression
        part(i, first, context)
        self.negate(first + 1, second, context)
        self.expression(first + 1, close, context)

    def statement(self, i, header):
        """Where the statement that begins at I ends. HEADER is what it depends on."""
        token = self.tokens[i]
        if token == "{":
            self.block(i + 1, self.pair[i], header)
            return self.pair[i] + 1
        if token in ("if", "while", "switch", "for"):
            close = self.pair[i + 1]
            context = (i, close + 1)
            if token == "for":
                self.loop(i + 2, close, context)
            else:
                if token != "switch":
                    self.negate(i + 2, close, context)
                self.expression(i + 2, close, context)
            end = self.statement(close + 1, self.line(*context) + " ")
            if token == "if" and self.tokens[end : end + 1] == ["else"]:
                end = self.statement(end + 1, self.line(*context) + " else ")
            return end
        if token == "do":
            i = self.statement(i + 1, "do ")
            close = self.pair[i + 1]
            self.negate(i + 2, close, (i, close + 1))
            self.expression(i + 2, close, (i, close + 1))
            return close + 2
        end = self.skip(i, ";", len(self.tokens)) + 1
        if token == ";" or token in ASSERTIONS or (token == "continue" and header.startswith(("for", "while"))):
            return end
        self.logs = bool(LOGS.match(token))
        if self.is_declaration(i) and token not in LEAVES:
            self.initializer(i, end, (i, end))
        else:
            self.add("drop", i, end, ";", (i, end), header if token in LEAVES else "")
            self.expression(i, end, (i, end))
        self.logs = False
        return end

    def top(self):
        """Functions, enumerations, and variables that begin with a value."""
        i = begin = 0
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == "{" and self.tokens[i - 1] == ")":
                self.function = self.tokens[self.pair[i - 1] - 1]
                self.statement(i, "")
            elif (token == "{" and "enum" in self.tokens[max(begin, i - 2) : i]) or token == "=":
                end = self.pair[i] if token == "{" else self.skip(i, ";", len(self.tokens))
                self.function = ""
                self.expression(i + 1, end, (begin, end))
                i = end
            if token == ";" or (token == "{" and self.tokens[i - 1] == ")"):
                begin = (self.pair[i] if token == "{" else i) + 1
            i = self.pair[i] + 1 if self.tokens[i] in OPEN else i + 1
        return self.mutants


def mutants_of(root, file):
    """All mutants of a file below ROOT."""
    return Source(file, (root / file).read_text()).top()
