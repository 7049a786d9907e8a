//! Disks: the filesystem under each configured path, of the machine that pgvigil runs on.
//!
//! Asking a filesystem can hang for ever (NFS without its server): each path is asked on a thread of its own, and not
//! again while that hangs.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rustix::{
    fs::{StatVfs, StatVfsMountFlags, statvfs},
    io::Errno,
};
use tokio::time::Instant;

use crate::{
    collector::{Collector, SourceKind, sections},
    settings,
    settings::NamedPath,
    source::{
        blocking_pool::BlockingPool,
        fetch::{Event, EventSink, FetchError, SourceStatus},
        sections::{Tables, answers},
    },
    table::{Cell, Table},
};

/// A filesystem that works answers in microseconds; a scrape waits this long for one that does not, once.
const PATIENCE: Duration = Duration::from_millis(500);

/// The paths of a target.
pub struct DiskSource {
    paths: Vec<Watched>,
}

struct Watched {
    named: NamedPath,
    aside: BlockingPool,
    /// Why it was not known when last asked.
    problem: Mutex<Option<(&'static str, String)>>,
}

impl DiskSource {
    pub fn new(settings: settings::DiskSettings) -> Self {
        let watched = |named| Watched { named, aside: BlockingPool::default(), problem: Mutex::default() };
        DiskSource { paths: settings.paths.into_iter().map(watched).collect() }
    }

    pub fn status(&self) -> SourceStatus {
        SourceStatus::default()
    }

    /// There is nothing to connect to.
    pub async fn connect(&self, _until: Instant) -> Result<bool, FetchError> {
        Ok(false)
    }

    pub fn about(&self) -> String {
        let paths: Vec<_> = self.paths.iter().map(|watched| watched.named.path.display().to_string()).collect();
        format!("filesystems under {}", paths.join(", "))
    }

    /// What is not known, and what to do about it.
    pub fn complaints(&self) -> Vec<String> {
        let of = |watched: &Watched| {
            let problem = watched.problem.lock().clone();
            problem.map(|(reason, message)| format!("path {}: {message} ({reason})", watched.named.path.display()))
        };
        self.paths.iter().filter_map(of).collect()
    }

    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        _discover: bool,
        _until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        report(Event::Answered);
        if !due.is_empty() {
            self.ask(due, report).await;
        }
        Ok(())
    }

    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        self.ask(std::slice::from_ref(collector), report).await;
        Ok(())
    }

    async fn ask(&self, due: &[Arc<Collector>], report: EventSink<'_>) {
        let looks = join_all(self.paths.iter().map(|watched| watched.look(|path| statvfs(path)))).await;
        let tables = Ok(self.tables(&looks));
        for (index, collector) in due.iter().enumerate() {
            report(Event::Collected(index, answers(collector, &tables)));
        }
    }

    fn tables(&self, looks: &[Option<StatVfs>]) -> Tables {
        let of =
            |name| Table::new(sections::section(SourceKind::Disk, name).map_or(&[][..], |s| s.columns).iter().copied());
        let (mut filesystems, mut problems) = (of("filesystems"), of("problems"));
        for (watched, look) in self.paths.iter().zip(looks) {
            if let Some(look) = look {
                push(&mut filesystems, &watched.named.name, look);
            }
            if let Some((reason, _)) = &*watched.problem.lock() {
                problems.push_row([Cell::Text(&watched.named.name), Cell::Text(reason), Cell::Int(1)]);
            }
        }
        BTreeMap::from([
            ("filesystems".to_owned(), Ok(filesystems.into())),
            ("problems".to_owned(), Ok(problems.into())),
        ])
    }
}

impl Watched {
    /// What the filesystem says, within `PATIENCE`; if nothing, `problem` is why.
    async fn look(&self, ask: impl FnOnce(&Path) -> Result<StatVfs, Errno> + Send + 'static) -> Option<StatVfs> {
        let path = self.named.path.clone();
        let looked = self.aside.call(PATIENCE, move || ask(&path)).await;
        let (look, problem) = match looked {
            Some(Ok(look)) => (Some(look), None),
            Some(Err(error)) if error == Errno::NOENT => (None, Some(("missing", "there is no such path".to_owned()))),
            Some(Err(error)) => (None, Some(("failed", error.to_string()))),
            None => (None, Some(("timeout", "its filesystem does not answer: is it a mount that hangs?".to_owned()))),
        };
        *self.problem.lock() = problem;
        look
    }
}

/// Blocks are counted in fragments. Some filesystems (btrfs) have no fixed number of inodes and say 0: unknown.
fn push(table: &mut Table, name: &str, look: &StatVfs) {
    let bytes = |blocks: u64| Cell::Float(blocks as f64 * look.f_frsize as f64);
    let inodes = |number: u64| if look.f_files == 0 { Cell::Absent } else { Cell::Float(number as f64) };
    table.push_row([
        Cell::Text(name),
        bytes(look.f_blocks),
        bytes(look.f_bfree),
        bytes(look.f_bavail),
        inodes(look.f_files),
        inodes(look.f_ffree),
        Cell::Int(look.f_flag.contains(StatVfsMountFlags::RDONLY).into()),
    ]);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn watched(path: &str) -> Watched {
        let named = NamedPath { name: path.to_owned(), path: path.into() };
        Watched { named, aside: BlockingPool::default(), problem: Mutex::default() }
    }

    #[tokio::test]
    async fn a_filesystem_that_hangs_is_asked_once_and_costs_nobody_else() {
        let (hanging, well) = (watched("/"), watched("/"));
        let (release, hangs) = mpsc::channel::<()>();
        let hang = move |path: &Path| {
            _ = hangs.recv();
            statvfs(path)
        };
        let (look, other) = tokio::join!(hanging.look(hang), well.look(|path| statvfs(path)));
        assert!(look.is_none() && other.is_some());
        let began = Instant::now();
        for _ in 0..20 {
            assert!(hanging.look(|_| panic!("it is not asked again")).await.is_none());
            assert_eq!(hanging.problem.lock().as_ref().map(|(reason, _)| *reason), Some("timeout"));
        }
        assert!(began.elapsed() < PATIENCE * 20, "nobody waits again and again");
        release.send(()).unwrap();
        drop(release);
        assert!(well.look(|path| statvfs(path)).await.is_some());
    }
}
