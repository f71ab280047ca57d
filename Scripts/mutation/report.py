"""What is printed at the end."""
import collections
import os

CAUGHT = (('assertion', 'by an expectation of a test'), ('crash', 'by a crash or an assertion of the library'),
          ('time', 'by taking too long'))


def equivalents():
    """Mutants that change nothing that can be seen: the file, the operator, the original and the wrong line, and the
    reason."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'equivalent')
    with open(path) as file:
        lines = [line.rstrip('\n') for line in file if line.strip() and not line.startswith('#')]
    return {line.rpartition('\t')[0]: line.rpartition('\t')[2] for line in lines}


def show(tree, results, seed):
    known = equivalents()
    by_operator, chosen = (collections.Counter(place.operator for place in places)
                           for places in (tree.places, tree.chosen.values()))
    print('%-24s %7s %7s' % ('operator', 'places', 'chosen'))
    for name, count in by_operator.most_common():
        print('%-24s %7d %7d' % (name, count, chosen[name]))
    last = max(tree.chosen)
    refused = sum(1 for place in tree.places[:last] if place.key in tree.refused)
    print('%-24s %7d %7d, seed %d; %d others do not compile' % ('all', len(tree.places), len(results), seed, refused))

    ends = collections.Counter()
    for number in sorted(results):
        place, end = tree.chosen[number], (results[number] or {'end': 'not run'})['end']
        ends['equivalent' if end in ('survived', 'not covered', 'not run') and place.key in known else end] += 1
    for end, text in CAUGHT:
        print('caught %-29s %4d' % (text, ends[end]))
    for end in ('equivalent', 'not covered', 'survived', 'not run'):
        print('%-36s %4d' % (end, ends[end]))
    caught, judged = sum(ends[end] for end, _ in CAUGHT), len(results) - ends['equivalent'] - ends['not run']
    print('caught %d of %d that are not equivalent: %.1f %%' % (caught, judged, 100 * caught / max(judged, 1)))
    for number in sorted(results):
        result = results[number] or {'end': 'not run'}
        place = tree.chosen[number]
        if result['end'] in ('survived', 'not covered') and place.key not in known:
            ran = '' if result['tried'] == result['of'] else ', %d of %d suites' % (result['tried'], result['of'])
            print('%s (%d%s) %s:%d: %s\n    - %s\n    + %s' % (
                result['end'], number, ran, place.path, place.line, place.operator, place.old_lines, place.new_lines))
