"""The operators: each finds places in a source, and says what is written there.

A place is replaced by text that has both forms, the original and the wrong one, and chooses between them at run time:
`SWITCH` stands for the condition that is true if the mutant is on.
"""
import re

from swift_text import ASSIGNMENT, KEYWORDS, PRECEDENCE

SWITCH = '\0'
ASSERTIONS = {'assert', 'precondition', 'assertionFailure', 'preconditionFailure', 'fatalError'}
# Orderings of atomic accesses are for InterleavingTests, whose explorer has weaker models than a run on a processor.
REPLACED = {'<': ['<='], '<=': ['<'], '>': ['>='], '>=': ['>'], '==': ['!='], '!=': ['=='], '===': ['!=='],
            '!==': ['==='], '&&': ['||'], '||': ['&&'], '+': ['-'], '-': ['+'], '&+': ['&-'], '&-': ['&+'],
            '|': ['&'], '&': ['|'], '<<': ['>>'], '>>': ['<<']}
NAMES = {'<': 'comparison', '<=': 'comparison', '>': 'comparison', '>=': 'comparison', '==': 'equality',
         '!=': 'equality', '===': 'equality', '!==': 'equality', '&&': 'and-or', '||': 'and-or', '+': 'arithmetic',
         '-': 'arithmetic', '&+': 'arithmetic', '&-': 'arithmetic', '|': 'bits', '&': 'bits', '<<': 'bits',
         '>>': 'bits'}


class Place:
    """What may be changed: the characters from `start` to `end`, and the text that has both forms."""

    def __init__(self, operator, source, first, last, both, wrong):
        self.operator, self.both, self.wrong = operator, both, wrong
        self.start, self.end = source.tokens[first].start, source.tokens[last].end
        self.line, self.last_line = source.tokens[first].line, source.tokens[last].line
        self.original = source.text[self.start:self.end]
        begin, end = source.text.rfind('\n', 0, self.start) + 1, source.text.find('\n', self.end)
        # The whole lines, which tell one zero of a file from another.
        self.old_lines = one_line(source.text[begin:end])
        self.new_lines = one_line(source.text[begin:self.start] + wrong + source.text[self.end:end])
        self.path, self.occurrence = None, 1

    @property
    def key(self):
        return '%s\t%s\t%s\t%s' % (self.path, self.operator, self.old_lines, self.new_lines)

    @property
    def name(self):
        """Distinguishes the place from those of the same text in its file."""
        return '%s\t%d' % (self.key, self.occurrence)

    def written(self, number):
        return self.both.replace(SWITCH, 'ck_mutant(%d)' % number)


def one_line(text):
    return ' '.join(re.sub(r'//[^\n]*', '', text).split())


def places(source):
    """All places of a source, in order."""
    found = []
    silent = list(asserted(source))
    for finder in (dropped_statements, replaced_operators, forced_conditions, negated_choices, changed_constants,
                   inverted_booleans, dropped_negations, ignored_errors, swapped_bounds):
        found += finder(source)
    return sorted((place for place in found if not any(a <= place.start < b for a, b in silent)),
                  key=lambda place: (place.start, place.end, place.operator, place.wrong))


def asserted(source):
    """What only assertions read, and attributes."""
    for index, token in enumerate(source.tokens[:-1]):
        if token.text in ASSERTIONS and source.tokens[index + 1].text == '(':
            yield token.start, source.tokens[source.tokens[index + 1].pair].end
        if token.text == '@' and source.tokens[min(index + 2, len(source.tokens) - 1)].text == '(':
            yield token.start, source.tokens[source.tokens[index + 2].pair].end


def instead(wrong, original):
    return '(%s ? %s : %s)' % (SWITCH, wrong, original)


def dropped_statements(source):
    """A call, an assignment, or a jump that is left out."""
    for index, token in enumerate(source.tokens):
        if token.kind != 'word' or not source.starts_statement(index):
            continue
        last = source.statement_end(index)
        kind = kind_of_statement(source, index, last)
        if kind:
            text = source.slice(index, last)
            yield Place(kind, source, index, last, 'if !%s { %s }' % (SWITCH, text), '')


def kind_of_statement(source, first, last):
    tokens = source.tokens
    text = tokens[first].text
    if text in ('break', 'continue', 'return'):
        is_alone = last == first and not (tokens[first - 1].text == ':' and text == 'break')
        return 'jump dropped' if is_alone else None
    if text in KEYWORDS - {'try', 'await'} or text in ASSERTIONS or text in ('self', 'super') and last == first:
        return None
    binary, at = [], first
    while at <= last:
        if tokens[at].is_binary:
            binary.append(tokens[at].text)
        at = tokens[at].pair + 1 if tokens[at].pair and tokens[at].text in '([{' else at + 1
    assignments = [op for op in binary if PRECEDENCE.get(op) == ASSIGNMENT]
    if assignments and text != '_':
        return 'assignment dropped' if PRECEDENCE.get(binary[0]) == ASSIGNMENT else None
    is_call = tokens[last].text == ')' or tokens[last].text == '}' and any(t.text == '(' for t in tokens[first:last])
    return 'call dropped' if is_call and (not binary or text == '_') and last > first else None


def replaced_operators(source):
    """An operator in place of another, and one operand in place of the two of `&&`, `||`, `&` and `|`."""
    for index, token in enumerate(source.tokens):
        if token.kind != 'operator' or not token.is_binary or token.text not in REPLACED:
            continue
        level = PRECEDENCE[token.text]
        first, last = source.left_end(index, level), source.right_end(index, level)
        if first >= index or last <= index:
            continue
        whole, left, right = source.slice(first, last), source.slice(first, index - 1), source.slice(index + 1, last)
        for other in REPLACED[token.text]:
            wrong = source.text[source.tokens[first].start:token.start] + other \
                + source.text[token.end:source.tokens[last].end]
            yield Place(NAMES[token.text], source, first, last, instead(wrong, whole), wrong)
        if token.text in ('&&', '||', '&', '|'):
            name = 'condition dropped' if len(token.text) == 2 else 'mask or flag dropped'
            for wrong in (left, right):
                yield Place(name, source, first, last, instead(wrong, whole), wrong)


def conditions(source):
    """The Boolean elements of the lists after `if`, `guard`, `while` and the `where` of a loop, as token ranges."""
    tokens = source.tokens
    for index, token in enumerate(tokens):
        is_condition = token.text in ('if', 'guard', 'while') or token.text == 'where' \
            and tokens[source.line_start(index)].text == 'for'
        is_name = tokens[index - 1].text == '.' or tokens[index + 1:index + 2] and tokens[index + 1].text == ':'
        if token.kind != 'word' or not is_condition or is_name:
            continue
        first = at = index + 1
        while at < len(tokens):
            ends = tokens[at].text in ('{', 'else') or at > first and token.text == 'while' and source.breaks_before(at)
            if ends or tokens[at].text == ',':
                if tokens[first].text not in ('let', 'var', 'case', 'true', '#') and at > first:
                    yield first, at - 1
                first = at + 1
            if ends:
                break
            at = tokens[at].pair + 1 if tokens[at].pair and tokens[at].text in '([' else at + 1


def forced_conditions(source):
    for first, last in conditions(source):
        whole = source.slice(first, last)
        for wrong in ('true', 'false'):
            both = '(%s || (%s))' % (SWITCH, whole) if wrong == 'true' else '(!%s && (%s))' % (SWITCH, whole)
            yield Place('condition ' + wrong, source, first, last, both, wrong)


def negated_choices(source):
    """The condition of `a ? b : c`."""
    for index, token in enumerate(source.tokens):
        if token.text != '?' or not token.is_binary:
            continue
        first = source.left_end(index, PRECEDENCE['||'])
        if first < index:
            whole = source.slice(first, index - 1)
            yield Place('choice negated', source, first, index - 1, '(%s != (%s))' % (SWITCH, whole), '!(%s)' % whole)


def changed_constants(source):
    """An integer that is off by one."""
    for index, token in enumerate(source.tokens):
        if token.kind != 'number' or '.' in token.text or source.tokens[index - 1].text in ('.', '<'):
            continue
        value = int(token.text.replace('_', ''), 0)
        wrong = str(value + 1)
        yield Place('constant', source, index, index, instead(wrong, token.text), wrong)


def inverted_booleans(source):
    for index, token in enumerate(source.tokens):
        if token.text in ('true', 'false') and token.kind == 'word' and source.tokens[index - 1].text != 'while':
            both, wrong = ('!' + SWITCH, 'false') if token.text == 'true' else (SWITCH, 'true')
            yield Place('Boolean', source, index, index, both, wrong)


def dropped_negations(source):
    for index, token in enumerate(source.tokens[:-1]):
        after, before = source.tokens[index + 1], source.tokens[index - 1]
        is_prefix = token.text == '!' and after.start == token.end and (before.end < token.start or before.text in '([')
        if not is_prefix or token.is_binary or after.kind not in ('word', 'punctuation'):
            continue
        last = source.postfix_end(index + 1)
        wrong = source.slice(index + 1, last)
        yield Place('negation dropped', source, index, last, '(%s != !%s)' % (SWITCH, wrong), wrong)


def ignored_errors(source):
    """Zero in place of a negative errno."""
    for index, token in enumerate(source.tokens[:-1]):
        if token.text != '-' or token.is_binary or source.tokens[index + 1].start != token.end:
            continue
        last = source.postfix_end(index + 1)
        if re.fullmatch(r'-(Int|Int32)?\(?E[A-Z0-9]{2,}\)?|-\w+\.errno', source.slice(index, last)):
            yield Place('error ignored', source, index, last, instead('0', source.slice(index, last)), '0')


def swapped_bounds(source):
    for index, token in enumerate(source.tokens[:-1]):
        if token.text in ('min', 'max') and token.kind == 'word' and source.tokens[index + 1].text == '(' \
                and source.tokens[index - 1].text not in ('.', 'func'):
            last = source.tokens[index + 1].pair
            wrong = {'min': 'max', 'max': 'min'}[token.text] + source.slice(index + 1, last)
            yield Place('min-max', source, index, last, instead(wrong, source.slice(index, last)), wrong)
