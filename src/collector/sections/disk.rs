//! The sections of disks.

use crate::collector::sections::Section;

/// All there are: the filesystem under each path that could be asked, and why the others could not.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "filesystems",
        of_target: true,
        columns: &["path", "size", "free", "available", "inodes", "inodes_free", "read_only"],
    },
    Section { name: "problems", of_target: true, columns: &["path", "reason", "present"] },
];
