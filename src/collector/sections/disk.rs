//! The sections of disks.

use crate::collector::sections::row::sections;

sections! {
    // The filesystem under a path that answered.
    "filesystems": FilesystemRow { path, size, free, available, inodes, inodes_free, read_only }
    // Why one is not known.
    "problems": DiskProblemRow { path, reason, present }
}
