"""A copy of the source tree with all chosen mutants in it, each behind its switch."""
import collections
import hashlib
import os
import re
import shutil
import subprocess

import operators
import swift_text

FOLDERS = ('Sources/AIOCore/', 'DropIns/Sources/')
MAP_BYTES = 1 << 16
HERE = os.path.dirname(os.path.abspath(__file__))


class MutatedTree:
    """`chosen` has the mutants by number: a place's position in the order that the seed gives. The order is that of
    hashes of the places' texts, so the sample stays nearly the same when the sources change, or when places are found
    not to compile."""

    def __init__(self, root, scratch, count, seed):
        self.root, self.path, self.count = root, os.path.join(scratch, 'tree'), count
        self.files = subprocess.check_output(['git', '-C', root, 'ls-files', '-z'], text=True).split('\0')[:-1]
        self.sources = {}
        self.places = sorted(self._find(), key=lambda place: hashlib.sha256(
            ('%d\t%s' % (seed, place.name)).encode()).digest())
        self.refused, self.chosen = set(), {}
        self.notes = os.path.join(scratch, 'does-not-compile')
        if os.path.exists(self.notes):
            self.refused = set(open(self.notes).read().splitlines())

    def _find(self):
        found = []
        for path in sorted(self.files):
            if path.startswith(FOLDERS) and path.endswith('.swift') and 'Package.swift' not in path:
                with open(os.path.join(self.root, path)) as file:
                    self.sources[path] = swift_text.Source(file.read())
                places = operators.places(self.sources[path])
                alike = collections.Counter()
                for place in places:
                    place.path = path
                    alike[place.key] += 1
                    place.occurrence = alike[place.key]
                found += places
        return found

    def choose(self):
        """Takes places in the order of the seed, but none that compiles not or lies within another one."""
        self.chosen, taken = {}, {}
        for number, place in enumerate(self.places, 1):
            if len(self.chosen) == self.count:
                break
            ranges = taken.setdefault(place.path, [])
            if place.key in self.refused or any(place.start < b and a < place.end for a, b in ranges):
                continue
            ranges.append((place.start, place.end))
            self.chosen[number] = place

    def write(self):
        """Writes what differs from the last time alone, for the sake of incremental builds."""
        by_path = {}
        for number, place in self.chosen.items():
            by_path.setdefault(place.path, []).append((place, number))
        self._remove_others()
        for path in self.files:
            source, target = os.path.join(self.root, path), os.path.join(self.path, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.islink(source):
                if not os.path.islink(target):
                    os.symlink(os.readlink(source), target)
            elif os.path.exists(source):
                with open(source, 'rb') as file:
                    content = file.read()
                if path in by_path:
                    content = self._mutated(self.sources[path].text, by_path[path]).encode()
                put(target, self._with_switch(path, content))
                shutil.copymode(source, target)
        with open(os.path.join(HERE, 'mutation.h'), 'rb') as file:
            header = file.read().replace(b'MUTATION_MAP_BYTES', b'%d' % MAP_BYTES)
        put(os.path.join(self.path, 'Sources/CKernel/mutation.h'), header)

    def _remove_others(self):
        """Removes what an earlier source had, and this one has not; builds are kept."""
        wanted = set(self.files) | {'Sources/CKernel/mutation.h'}
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith('.build')]
            for name in names:
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, self.path)
                is_link = os.path.islink(os.path.join(self.root, relative))
                if relative not in wanted or os.path.islink(path) != is_link:
                    os.remove(path)

    @staticmethod
    def _mutated(text, places):
        for place, number in sorted(places, key=lambda pair: -pair[0].start):
            text = text[:place.start] + place.written(number) + text[place.end:]
        if not re.search(r'^(public|package|internal) import CKernel$', text, re.M):
            # On the line that is there, so that the numbers of lines stay.
            text = re.sub(r'\A((?://[^\n]*\n)*)', r'\1internal import CKernel; ', text, count=1)
        return text

    @staticmethod
    def _with_switch(path, content):
        if path == 'Sources/CKernel/module.modulemap':
            return content.replace(b'    export *', b'    header "mutation.h"\n    export *')
        if path == 'Package.swift':
            # Its tests compile two files of the drop-ins.
            return content.replace(b'name: "DropInSupportTests", dependencies: ["UnitSupport"]',
                                   b'name: "DropInSupportTests", dependencies: ["UnitSupport", "CKernel"]')
        return content

    def refuse(self, output):
        """Drops the mutants that the compiler's messages are about. Returns how many."""
        lines = {}
        for path, line, message in re.findall(r'^([^:\n]+\.swift):(\d+):\d+: error: (.*)', output, re.M):
            path = os.path.relpath(os.path.realpath(os.path.join(self.path, path)), os.path.realpath(self.path))
            found, _ = lines.setdefault(path, (set(), 'not initialized at' in message))
            found.add(int(line))
        guilty = {place for path in lines for place in self._guilty(path, *lines[path])}
        self.refused |= {place.key for place in guilty}
        with open(self.notes, 'w') as file:
            file.write(''.join(key + '\n' for key in sorted(self.refused)))
        return len(guilty)

    def _guilty(self, path, lines, initializing):
        """What is on one of the lines; else, as for a value that is not returned, the last one before the first line;
        else the next one, since an initializer that leaves out a property is named by its first line."""
        here = [place for place in self.chosen.values() if place.path == path]
        exact = [place for place in here if any(place.line <= line <= place.last_line for line in lines)]
        before = sorted((place for place in here if place.line < min(lines)), key=lambda place: place.line)
        after = sorted((place for place in here if place.line > min(lines)), key=lambda place: place.line)
        return exact or (after[:1] if initializing and after else before[-1:] or after[:1])


def put(path, content):
    if os.path.exists(path):
        with open(path, 'rb') as file:
            if file.read() == content:
                return
    with open(path, 'wb') as file:
        file.write(content)
