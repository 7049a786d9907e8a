//! Disks as a source: the filesystem under each configured path, on the machine that pgvigil runs on.
//!
//! A filesystem may never answer (NFS without its server): each path is read on a thread of its own, and not again
//! while that hangs.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use tokio::time::Instant;

use crate::collector::SourceKind;
use crate::collector::sections::disk::{DiskProblemRow, FilesystemRow, SECTIONS};
use crate::collector::sections::row::SectionTables;
use crate::settings;
use crate::settings::NamedPath;
use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::FetchError;
use crate::source::sections::{Source, SourceProblem, Tables, known};
use crate::table::Cell;

/// A working filesystem answers in microseconds; for one that hangs, a scrape waits this long, once.
const PATIENCE: Duration = Duration::from_millis(500);

/// The paths of a target.
pub struct DiskSource {
    paths: Vec<WatchedPath>,
}

struct WatchedPath {
    named: NamedPath,
    calls: BlockingPool,
    /// Why the last attempt failed.
    problem: Mutex<Option<(&'static str, String)>>,
}

impl DiskSource {
    pub fn new(settings: settings::DiskSettings) -> Self {
        DiskSource { paths: settings.paths.into_iter().map(WatchedPath::new).collect() }
    }

    async fn fetch(&self) -> SectionTables {
        let answers = join_all(self.paths.iter().map(|watched| watched.ask(|path| statvfs(path)))).await;
        let mut tables = SectionTables::new(SECTIONS);
        for (watched, answer) in self.paths.iter().zip(answers) {
            let path = Cell::Text(&watched.named.name);
            if let Some(filesystem) = answer {
                tables.push(row(path, &filesystem));
            }
            if let Some((reason, _)) = *watched.problem.lock() {
                tables.push(DiskProblemRow { path, reason: reason.into(), present: Cell::Int(1) });
            }
        }
        tables
    }
}

impl Source for DiskSource {
    fn answers(&self, kind: SourceKind) -> bool {
        kind == SourceKind::Disk
    }

    fn description(&self) -> String {
        let paths: Vec<_> = self.paths.iter().map(|watched| watched.named.path.display().to_string()).collect();
        format!("filesystems under {}", paths.join(", "))
    }

    fn tables<'a>(&'a self, _sections: &'a [&'a str], _until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        async { Ok(known(self.fetch().await)) }.boxed()
    }

    fn problems(&self) -> Vec<SourceProblem> {
        let of = |watched: &WatchedPath| {
            let (reason, message) = watched.problem.lock().clone()?;
            let message = format!("path {}: {message} ({reason})", watched.named.path.display());
            Some(SourceProblem { message, remedy: None })
        };
        self.paths.iter().filter_map(of).collect()
    }
}

impl WatchedPath {
    fn new(named: NamedPath) -> Self {
        WatchedPath { named, calls: BlockingPool::default(), problem: Mutex::default() }
    }

    /// The filesystem's answer within `PATIENCE`; without one, `problem` has the reason.
    async fn ask(&self, ask: impl FnOnce(&Path) -> Result<StatVfs, Errno> + Send + 'static) -> Option<StatVfs> {
        let path = self.named.path.clone();
        let (answer, problem) = match self.calls.call(PATIENCE, move || ask(&path)).await {
            Some(Ok(answer)) => (Some(answer), None),
            Some(Err(error)) if error == Errno::NOENT => (None, Some(("missing", "there is no such path".to_owned()))),
            Some(Err(error)) => (None, Some(("failed", error.to_string()))),
            None => (None, Some(("timeout", "its filesystem does not answer: is it a mount that hangs?".to_owned()))),
        };
        *self.problem.lock() = problem;
        answer
    }
}

/// Blocks are counted in fragments. Some filesystems (btrfs) have no fixed number of inodes and report 0: unknown.
fn row<'a>(path: Cell<'a>, filesystem: &StatVfs) -> FilesystemRow<'a> {
    let bytes = |blocks: u64| Cell::Float(blocks as f64 * filesystem.f_frsize as f64);
    let inodes = |number: u64| (filesystem.f_files > 0).then_some(number as f64).into();
    FilesystemRow {
        path,
        size: bytes(filesystem.f_blocks),
        free: bytes(filesystem.f_bfree),
        available: bytes(filesystem.f_bavail),
        inodes: inodes(filesystem.f_files),
        inodes_free: inodes(filesystem.f_ffree),
        read_only: filesystem.f_flag.contains(StatVfsMountFlags::RDONLY).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn watched(path: &str) -> WatchedPath {
        WatchedPath::new(NamedPath { name: path.to_owned(), path: path.into() })
    }

    #[tokio::test]
    async fn a_filesystem_that_hangs_is_asked_once_and_costs_nobody_else() {
        let (hanging, well) = (watched("/"), watched("/"));
        let (release, hangs) = mpsc::channel::<()>();
        let hang = move |path: &Path| {
            _ = hangs.recv();
            statvfs(path)
        };
        let (answer, other) = tokio::join!(hanging.ask(hang), well.ask(|path| statvfs(path)));
        assert!(answer.is_none() && other.is_some());
        let began = Instant::now();
        for _ in 0..20 {
            assert!(hanging.ask(|_| panic!("it is not asked again")).await.is_none());
            assert_eq!(hanging.problem.lock().as_ref().map(|(reason, _)| *reason), Some("timeout"));
        }
        assert!(began.elapsed() < PATIENCE * 20, "nobody waits again and again");
        release.send(()).unwrap();
        drop(release);
        assert!(well.ask(|path| statvfs(path)).await.is_some());
    }
}
