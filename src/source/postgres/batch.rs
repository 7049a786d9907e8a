//! One visit on a session: what is asked there, and what is still without an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{try_join_all, try_join3};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    collector::{Collector, Scope},
    source::{
        fetch::{Answers, Event, EventSink, FetchError},
        postgres::session::Session,
        statements::Histories,
    },
};

/// What a visit asks, and what of it is left.
pub struct Batch<'a> {
    due: &'a [Arc<Collector>],
    statement_timeout: Duration,
    /// Also ask which databases there are.
    discover: bool,
    sink: EventSink<'a>,
    histories: &'a Mutex<Histories>,
    left: Mutex<Vec<usize>>,
    answered: AtomicBool,
}

impl<'a> Batch<'a> {
    pub fn new(
        due: &'a [Arc<Collector>],
        statement_timeout: Duration,
        discover: bool,
        sink: EventSink<'a>,
        histories: &'a Mutex<Histories>,
    ) -> Self {
        let left = Mutex::new((0..due.len()).collect());
        Batch { due, statement_timeout, discover, sink, histories, left, answered: AtomicBool::new(false) }
    }

    /// It looks at everything in a database.
    pub fn is_of_database(&self) -> bool {
        self.due.iter().any(|collector| collector.scope == Scope::Database)
    }

    /// The server has answered something.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks what is left on this session. The server's role is asked along; if it is not what was believed, what
    /// was collected under the old role is asked again.
    pub async fn run(&self, session: &mut Session) -> Result<(), FetchError> {
        session.refresh().await?;
        if self.calls_extensions() {
            session.refresh_extensions(self.statement_timeout).await?;
        }
        loop {
            let (tell_role, role) = watch::channel(None);
            let left = self.left.lock().clone();
            let shared: &Session = session;
            let collectors = left.into_iter().map(|index| self.collect(shared, index, role.clone()));
            let ask_role = async {
                let found = self.role(shared).await?;
                self.answered.store(true, Ordering::Relaxed);
                (self.sink)(Event::Answered);
                tell_role.send_replace(Some(found));
                Ok(found)
            };
            let (found, ..) = try_join3(ask_role, self.databases(shared), try_join_all(collectors)).await?;
            if found == session.facts.replica {
                return Ok(());
            }
            session.facts.replica = found;
        }
    }

    fn calls_extensions(&self) -> bool {
        self.due.iter().flat_map(|collector| &collector.queries).any(|query| query.requires.is_some())
    }

    async fn role(&self, session: &Session) -> Result<bool, FetchError> {
        match session.is_replica(self.statement_timeout).await {
            Err(error) if error.reason.is_connection() => Err(error),
            found => Ok(found.unwrap_or(session.facts.replica)),
        }
    }

    async fn databases(&self, session: &Session) -> Result<(), FetchError> {
        if self.discover {
            match session.databases(self.statement_timeout).await {
                Err(error) if error.reason.is_connection() => return Err(error),
                Ok(databases) => (self.sink)(Event::Databases(databases)),
                // What was known of them holds on.
                Err(_) => (),
            }
        }
        Ok(())
    }

    async fn collect(
        &self,
        session: &Session,
        index: usize,
        mut role: watch::Receiver<Option<bool>>,
    ) -> Result<(), FetchError> {
        let answers = session.collect(&self.due[index], self.statement_timeout).await;
        if let Some(error) = answers.iter().find_map(|a| a.as_ref().err().filter(|e| e.reason.is_connection())) {
            return Err(error.clone());
        }
        let role = role.wait_for(Option::is_some).await.map_or(None, |role| *role);
        if role == Some(session.facts.replica) {
            self.left.lock().retain(|left| *left != index);
            self.report_answers(&self.due[index], answers);
        }
        Ok(())
    }

    /// Reports an error for every query that is left.
    pub fn fail(&self, error: impl Fn(&str) -> FetchError) {
        for index in std::mem::take(&mut *self.left.lock()) {
            let answers = self.due[index].queries.iter().map(|query| Err(error(&query.name))).collect();
            self.report_answers(&self.due[index], answers);
        }
    }

    /// A reading of statements is compared with the one before; everything else is reported as it comes.
    fn report_answers(&self, collector: &Arc<Collector>, answers: Answers) {
        let answers = self.histories.lock().take(collector, answers);
        (self.sink)(Event::Collected(collector.clone(), answers));
    }
}
