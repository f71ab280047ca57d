"""Swift source as tokens: enough to find expressions and statements, far less than a parser.

It relies on the layout that `swift format` gives: a binary operator has a space or a line break on both sides.
"""
import re

OPENERS, CLOSERS = {'(': ')', '[': ']', '{': '}'}, {')', ']', '}'}
# Binary operators by precedence, the loosest first. Words that end an expression have none.
PRECEDENCE = {op: level for level, ops in enumerate((
    '= += -= *= /= %= &= |= ^= <<= >>= &+= &-= &<<= &>>=', '? :', '||', '&&', '< <= > >= == != === !== ~=', '??',
    'is as', '... ..<', '+ - | ^ &+ &-', '* / % & &*', '<< >> &<< &>>')) for op in ops.split()}
ASSIGNMENT = 0
BOUNDARIES = set('return if guard while where case let var in else throw switch for repeat defer do try await '
                 'consume borrowing mutating func init import default'.split())
KEYWORDS = BOUNDARIES | set('break continue fallthrough class struct enum extension protocol typealias static public '
                            'private package internal fileprivate final override deinit actor subscript nonisolated '
                            'unowned weak lazy indirect'.split())
OPERATOR = re.compile(r'[/=\-+!*%<>&|^~?]+|\.\.[.<]')
WORD = re.compile(r'[A-Za-z_$`][A-Za-z0-9_`]*')
NUMBER = re.compile(r'0x[0-9A-Fa-f_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(\.[0-9][0-9_]*)?')
# Conditions of `#if` that do not hold where the tests run.
INACTIVE = ('arch(arm64)', 'canImport(Musl)')


class Token:
    __slots__ = ('kind', 'text', 'start', 'end', 'line', 'starts_line', 'pair', 'outer', 'is_binary')

    def __init__(self, kind, text, start, line, starts_line):
        self.kind, self.text, self.start, self.end, self.line = kind, text, start, start + len(text), line
        self.starts_line, self.pair, self.outer, self.is_binary = starts_line, None, None, False

    def __repr__(self):
        return '%s:%r' % (self.line, self.text)


class Source:
    def __init__(self, text):
        self.text = text
        self.tokens = list(tokens_of(text))
        self._pair()
        for index, token in enumerate(self.tokens):
            token.is_binary = self._is_binary(index)

    def _pair(self):
        stack = []
        for index, token in enumerate(self.tokens):
            if token.text in CLOSERS and token.kind == 'punctuation' and stack:
                opener = stack.pop()
                self.tokens[opener].pair, token.pair = index, opener
            token.outer = stack[-1] if stack else None
            if token.text in OPENERS and token.kind == 'punctuation':
                stack.append(index)

    def _is_binary(self, index):
        token = self.tokens[index]
        if token.text in ('is', 'as') and token.kind == 'word':
            return True
        if token.kind != 'operator' or token.text == '->' or not 0 < index < len(self.tokens) - 1:
            return False
        return self.tokens[index - 1].end < token.start and self.tokens[index + 1].start > token.end

    def breaks_before(self, index):
        """Whether a statement may end before this token: a line break that no operator and no dot bridges."""
        token, before = self.tokens[index], self.tokens[index - 1]
        if not token.starts_line:
            return False
        if token.is_binary or before.is_binary or token.text == '.' or before.text in (',', '->'):
            return False
        return not (token.text in ('?', ':') and token.kind == 'operator')

    def _ends(self, index, level, strictly):
        token = self.tokens[index]
        if token.kind == 'punctuation' and token.text in ',;:':
            return True
        if token.kind == 'word' and token.text in BOUNDARIES:
            return not self._is_member(index)
        if token.text == '->':
            return True
        if not token.is_binary:
            return False
        other = PRECEDENCE.get(token.text, -1)
        return other <= level if strictly else other < level

    def _is_member(self, index):
        return index > 0 and self.tokens[index - 1].text == '.'

    def left_end(self, index, level):
        """The first token of the left operand of an operator of precedence `level` at `index`."""
        at = index
        while at > 0:
            before = at - 1
            if at != index and self.breaks_before(at):
                break
            token = self.tokens[before]
            if token.kind == 'punctuation' and token.text in OPENERS or self._ends(before, level, False):
                break
            if token.kind == 'punctuation' and token.text in CLOSERS:
                if token.pair is None:
                    break
                if token.text == '}' and self.tokens[at].starts_line:
                    break
                at = token.pair
            else:
                at = before
        return at

    def right_end(self, index, level):
        """The last token of the right operand of an operator of precedence `level` at `index`."""
        at = index
        while at + 1 < len(self.tokens):
            after = at + 1
            if at != index and self.breaks_before(after):
                break
            token = self.tokens[after]
            if token.kind == 'punctuation' and (token.text in CLOSERS or token.text == '{'):
                break
            if self._ends(after, level, True):
                break
            at = token.pair if token.text in '([' and token.kind == 'punctuation' and token.pair else after
        return at

    def postfix_end(self, index):
        """The last token of a primary expression that begins at `index`: a name or bracket and what is attached."""
        at = index
        if self.tokens[at].pair is not None and self.tokens[at].text in '([':
            at = self.tokens[at].pair
        while at + 1 < len(self.tokens):
            token = self.tokens[at + 1]
            if token.start != self.tokens[at].end:
                break
            if token.text in ('(', '[') and token.pair:
                at = token.pair
            elif token.text == '.' or token.kind in ('word', 'number') and self.tokens[at].text == '.':
                at += 1
            elif token.kind == 'operator' and token.text in ('?', '!'):
                at += 1
            else:
                break
        return at

    def starts_statement(self, index):
        token = self.tokens[index]
        if index == 0 or token.outer is None or self.tokens[token.outer].text != '{':
            return False
        before = self.tokens[index - 1]
        if before.text in ('{', ';') or before.text == 'in' and not token.starts_line:
            return True
        if before.text == ':' and not token.starts_line:
            return self.tokens[self.line_start(index)].text in ('case', 'default')
        if before.text == ':':
            return True
        return self.breaks_before(index)

    def line_start(self, index):
        while index > 0 and not self.tokens[index].starts_line:
            index -= 1
        return index

    def statement_end(self, index):
        at = index
        while True:
            token = self.tokens[at]
            if token.kind == 'punctuation' and token.text in OPENERS and token.pair:
                at = token.pair
            if at + 1 >= len(self.tokens):
                return at
            after = self.tokens[at + 1]
            if after.text in ('}', ';') and after.kind == 'punctuation' or self.breaks_before(at + 1):
                return at
            at += 1

    def slice(self, first, last):
        return self.text[self.tokens[first].start:self.tokens[last].end]


def tokens_of(text):
    at, line, starts_line = 0, 1, True
    conditions = []
    while at < len(text):
        char = text[at]
        if char == '\n':
            at, line, starts_line = at + 1, line + 1, True
            continue
        if char.isspace():
            at += 1
            continue
        if text.startswith('//', at):
            at = end_of_line(text, at)
            continue
        if text.startswith('/*', at):
            end = end_of_comment(text, at)
            line, at = line + text.count('\n', at, end), end
            continue
        if char == '#' and starts_line and re.match(r'#(if|elseif|else|endif)\b', text[at:at + 9]):
            end = end_of_line(text, at)
            follow_directive(text[at:end], conditions)
            at = end
            continue
        kind, end = scan(text, at)
        if all(conditions):
            yield Token(kind, text[at:end], at, line, starts_line)
        line, at, starts_line = line + text.count('\n', at, end), end, False


def follow_directive(directive, conditions):
    """Keeps whether the lines that follow are compiled, for each `#if` around them."""
    if directive.startswith('#if'):
        conditions.append(not any(name in directive for name in INACTIVE))
    elif directive.startswith('#endif'):
        conditions.pop()
    elif directive.startswith('#elseif'):
        conditions[-1] = not any(name in directive for name in INACTIVE)
    else:
        conditions[-1] = not conditions[-1]


def scan(text, at):
    char = text[at]
    hashes = re.match(r'#*"', text[at:at + 8])
    if hashes:
        return 'string', end_of_string(text, at, len(hashes.group()) - 1)
    for kind, pattern in (('number', NUMBER), ('word', WORD), ('operator', OPERATOR)):
        found = pattern.match(text, at)
        if found:
            return kind, found.end()
    return 'punctuation', at + 1


def end_of_line(text, at):
    end = text.find('\n', at)
    return len(text) if end < 0 else end


def end_of_comment(text, at):
    depth = 0
    while at < len(text):
        if text.startswith('/*', at):
            depth, at = depth + 1, at + 2
        elif text.startswith('*/', at):
            depth, at = depth - 1, at + 2
            if depth == 0:
                return at
        else:
            at += 1
    return at


def end_of_string(text, at, hashes):
    quote = '"""' if text.startswith('"""', at + hashes) else '"'
    closing, escape = quote + '#' * hashes, '\\' + '#' * hashes
    at += hashes + len(quote)
    while at < len(text) and not text.startswith(closing, at):
        if text.startswith(escape + '(', at):
            at = end_of_interpolation(text, at + len(escape))
        elif text.startswith(escape, at):
            at += len(escape) + 1
        else:
            at += 1
    return at + len(closing)


def end_of_interpolation(text, at):
    depth = 0
    while at < len(text):
        if text[at] == '"':
            at = end_of_string(text, at, 0)
            continue
        depth += {'(': 1, ')': -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            break
    return at
