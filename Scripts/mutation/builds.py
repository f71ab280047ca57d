"""The builds of the mutated tree, repeated until what does not compile is gone."""
import os
import subprocess
import sys

CORE = ['swiftc', '-emit-sil', '-wmo', '-swift-version', '6', '-package-name', 'swift_aio', '-module-name', 'AIOCore',
        '-Xcc', '-fmodule-map-file=Sources/CKernel/module.modulemap', '-o', '/dev/null', '-suppress-warnings']
EMBEDDED = ['-enable-experimental-feature', 'Embedded']


class BuildFailure(Exception):
    pass


def build(tree, only=None):
    """The compiler alone first: it finds most of what does not compile, in seconds."""
    core = sorted(path for path in tree.files if path.startswith('Sources/AIOCore/') and path.endswith('.swift'))
    for command in (CORE + core, CORE + EMBEDDED + core, ['Scripts/build-dropins', 'debug'],
                    ['swift', 'build', '--build-tests', '-Xswiftc', '-suppress-warnings']):
        settle(tree, command, only)


def settle(tree, command, only):
    name = ' '.join(word for word in command[:3])
    while True:
        tree.choose(only)
        tree.write()
        print('mutate: %s' % name, file=sys.stderr, flush=True)
        run = subprocess.run(command, cwd=tree.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode == 0:
            return
        dropped = tree.refuse(run.stdout)
        print('mutate: %d do not compile' % dropped, file=sys.stderr, flush=True)
        if dropped == 0 or only is not None:
            raise BuildFailure('%s fails:\n%s' % (name, run.stdout[-4000:]))


def test_program(tree):
    folder = subprocess.check_output(['swift', 'build', '--show-bin-path'], cwd=tree.path, text=True).strip()
    return os.path.join(folder, 'swift-aioPackageTests.xctest')
