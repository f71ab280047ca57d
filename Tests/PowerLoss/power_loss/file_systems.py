"""How each file system is made, mounted and examined."""
import subprocess


class FileSystem:
    def __init__(self, name, mebibytes, make, examine, options='', sector=512):
        self.name, self.mebibytes, self.make, self.examine = name, mebibytes, make, examine
        self.options = options
        # The size that a device writes as a whole.
        self.sector = sector

    @property
    def tools(self):
        return [self.make[0], self.examine[0]]

    def format(self, image):
        subprocess.run(self.make + [image], check=True, stdout=subprocess.DEVNULL)

    def faults(self, image):
        """What the file system's own check finds after a mount has replayed the journal; None for nothing."""
        result = subprocess.run(self.examine + [image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return None if result.returncode == 0 else result.stdout.decode(errors='replace')[-2000:]


ALL = {system.name: system for system in [
    FileSystem('ext4', 256, ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
               ['e2fsck', '-f', '-n']),
    # xfs_repair refuses images whose mounted twin has the same identity, as mount does.
    FileSystem('xfs', 300, ['mkfs.xfs', '-q', '-f'], ['xfs_repair', '-n'], 'nouuid'),
    # Btrfs writes its superblock in place, in one piece of 4 KiB: it does not mount when half of that was written.
    FileSystem('btrfs', 256, ['mkfs.btrfs', '-q', '-f'], ['btrfs', 'check', '--readonly'], sector=4096),
]}
