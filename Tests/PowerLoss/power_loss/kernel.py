"""Mounts, loop devices, and a sandbox that takes everything down with its process."""
import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_NOATIME, MS_REC, MS_PRIVATE = 1 << 10, 1 << 14, 1 << 18
PR_SET_PDEATHSIG = 1
LOOP_CONFIGURE, LOOP_CTL_GET_FREE = 0x4C0A, 0x4C82
# The exit status if the machine cannot do what is needed, as a container may.
UNAVAILABLE = 77
LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO = 4, 16


class Unavailable(Exception):
    pass


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def mount(source, target, kind, options='', flags=0):
    check(libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), options.encode()),
          f'mount {kind or source}')


def require(kind):
    """Loads a file system: a mount of nothing does, and fails."""
    try:
        mount('none', '/mnt', kind)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EPERM):
            raise Unavailable(f'{kind} cannot be mounted here: {error.strerror}') from error


def unmount(target):
    check(libc.umount2(target.encode(), 0), f'unmount {target}')


@contextlib.contextmanager
def mounted(source, target, kind, options=''):
    mount(source, target, kind, options, MS_NOATIME)
    try:
        yield
    finally:
        unmount(target)


@contextlib.contextmanager
def loop_device(path, direct, block_size):
    """A block device over a file, which its last user takes with it."""
    with contextlib.ExitStack() as stack:
        def opened(name):
            descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            return descriptor

        file = opened(path)
        control = opened('/dev/loop-control')
        # struct loop_config: the descriptor, the block size, and the flags at 60.
        configuration = bytearray(304)
        configuration[0:4] = file.to_bytes(4, sys.byteorder)
        configuration[4:8] = block_size.to_bytes(4, sys.byteorder)
        flags = LO_FLAGS_AUTOCLEAR | (LO_FLAGS_DIRECT_IO if direct else 0)
        configuration[60:64] = flags.to_bytes(4, sys.byteorder)
        while True:
            name = f'/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}'
            device = opened(name)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, configuration)
                break
            except OSError as error:
                # Another process has taken the device.
                if error.errno != errno.EBUSY:
                    raise
        yield name


def run_in_sandbox(body):
    """Runs `body` as the first process of a new process namespace, with mounts of its own. Whatever ends it ends its
    children, takes its mounts down, and with them the loop devices. Returns the exit status."""
    try:
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID), 'unshare')
    except OSError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    child = os.fork()
    if child == 0:
        status = 2
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            # The parent decides what a signal means.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *_: None)
            mount('none', '/', None, flags=MS_REC | MS_PRIVATE)
            mount('proc', '/proc', 'proc')
            status = body()
        except Unavailable as error:
            print(error, file=sys.stderr)
            status = UNAVAILABLE
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def end(number, _):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) & 255
