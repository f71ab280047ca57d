"""The builds of the mutated tree, repeated until what does not compile is gone."""
import os
import subprocess
import sys

EMBEDDED = ['-enable-experimental-feature', 'Embedded']


class BuildFailure(Exception):
    pass


def build(tree):
    """The compiler alone first: it finds what does not compile, module by module, in less time than the build."""
    modules = os.path.join(os.path.dirname(tree.path), 'modules')
    os.makedirs(modules, exist_ok=True)
    settle(tree, compile_alone(tree, modules, 'AIOCore', 'Sources/AIOCore', []))
    for name in ('AIOCore', 'DropInSupport', 'LibAIO', 'PosixAIO'):
        folder = 'Sources/AIOCore' if name == 'AIOCore' else 'DropIns/Sources/' + name
        settle(tree, compile_alone(tree, modules, name, folder, EMBEDDED))
    settle(tree, ['Scripts/build-dropins', 'debug'])
    settle(tree, ['swift', 'build', '--build-tests', '-Xswiftc', '-suppress-warnings'])


def compile_alone(tree, modules, name, folder, more):
    """A command that compiles a module as far as all errors are found, for those that import it."""
    files = sorted(path for path in tree.files if path.startswith(folder + '/') and path.endswith('.swift'))
    command = ['swiftc', '-emit-sil', '-emit-module', '-emit-module-path', '%s/%s.swiftmodule' % (modules, name),
               '-o', modules + '/discarded', '-wmo', '-swift-version', '6', '-suppress-warnings', '-I', modules,
               '-module-name', name, '-Xcc', '-fmodule-map-file=Sources/CKernel/module.modulemap',
               '-package-name', 'swift_aio' if name == 'AIOCore' else 'drop_ins', '-DDEBUG'] + more
    for c_target in ('CDropIns', 'CRawCalls', 'CPosixWaits'):
        headers = os.path.abspath(os.path.join(tree.path, 'DropIns/Sources', c_target, 'include'))
        module_map = os.path.join(modules, c_target + '.modulemap')
        with open(module_map, 'w') as file:
            file.write('module %s { umbrella "%s"\n export * }\n' % (c_target, headers))
        command += ['-Xcc', '-fmodule-map-file=' + module_map, '-Xcc', '-I' + headers]
    return command + files


def settle(tree, command):
    """Runs a compiler or a build until it succeeds. The compiler alone, without optimization, also fails at generic
    Embedded code of another module, which is no mutant's fault: the build decides."""
    name = ' '.join(command[:3]) if command[0] != 'swiftc' else 'swiftc ' + command[command.index('-module-name') + 1]
    while True:
        tree.choose()
        tree.write()
        print('mutate: %s' % name, file=sys.stderr, flush=True)
        run = subprocess.run(command, cwd=tree.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode == 0:
            return
        dropped = tree.refuse(run.stdout)
        if dropped == 0 and command[0] == 'swiftc':
            return
        print('mutate: %d do not compile' % dropped, file=sys.stderr, flush=True)
        if dropped == 0:
            raise BuildFailure('%s fails:\n%s' % (name, run.stdout[-4000:]))


def test_program(tree):
    folder = subprocess.check_output(['swift', 'build', '--show-bin-path'], cwd=tree.path, text=True).strip()
    return os.path.join(folder, 'swift-aioPackageTests.xctest')
