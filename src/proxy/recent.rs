//! What was found out a moment ago.
//!
//! A burst of mail to one domain would decide the same thing over and over, and Postfix asks the same question for each
//! message. What that rests on is cached below, answer by answer; here the result itself is kept for the rest of the
//! second in which it was found. It counts only as long as what is remembered of policies and MX hosts has not
//! changed: with its moment all of it goes. Whoever keeps something sees to it that it rests on no look-up that failed.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crate::discover::Revision;
use crate::name::{Destination, Domain};
use crate::policy::decide::Decision;
use crate::policy::postfix::{Answer, Attributes};
use crate::time::UnixTime;
use crate::usage::{CacheUse, Cached, Usage};

/// What was decided about mail to a destination, from a sender.
pub type Decisions = Recent<(Destination, Option<Domain>), Arc<Decision>>;

/// What Postfix was told where it asked for a key, and the decision that it rests on.
pub type Answers = Recent<(Attributes, Box<str>), (Arc<Answer>, Arc<Decision>)>;

/// Answers of one gate, by question. Clones share them.
#[derive(Clone)]
pub struct Recent<Q, A> {
    now: Arc<Mutex<Now<Q, A>>>,
    max_kept: usize,
    cache: Cached,
    usage: Usage,
}

/// What is kept of one moment; of none before the first question.
struct Now<Q, A> {
    moment: Option<Moment>,
    kept: HashMap<Q, A>,
}

/// A second, and what was remembered in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub(super) now: UnixTime,
    pub(super) revision: Revision,
}

impl<Q: Hash + Eq, A: Clone> Recent<Q, A> {
    /// Room for so many; with 0 none is kept.
    pub fn new(cache: Cached, max_kept: usize) -> Self {
        Self {
            now: Arc::new(Mutex::new(Now::at(None))),
            max_kept,
            cache,
            usage: Usage::default(),
        }
    }

    /// How it was used since somebody asked last, and what is left of it at this moment.
    pub(super) fn cache_use(&self, at: Moment) -> CacheUse {
        let entries = self.at(at, HashMap::len);
        self.usage.taken(self.cache, entries as u64)
    }

    /// The answer that was found at this moment.
    pub fn known(&self, question: &Q, at: Moment) -> Option<A> {
        let known = self.at(at, |kept| kept.get(question).cloned());
        match known {
            Some(_) => self.usage.hit(),
            None => self.usage.miss(),
        }
        known
    }

    /// Keeps an answer for those who ask at the moment at which it was asked for, unless that is over.
    pub fn keep(&self, question: Q, at: Moment, answer: A) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.moment == Some(at) && now.kept.len() < self.max_kept {
            now.kept.insert(question, answer);
        }
    }

    /// Looks at what is kept of this moment; what is of another one goes.
    fn at<T>(&self, at: Moment, look: impl FnOnce(&HashMap<Q, A>) -> T) -> T {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (now.moment != Some(at)).then(|| mem::replace(&mut *now, Now::at(Some(at))));
        let seen = look(&now.kept);
        // It may be much: nobody else waits while it is dropped.
        drop(now);
        drop(over);
        seen
    }
}

impl<Q, A> Now<Q, A> {
    fn at(moment: Option<Moment>) -> Self {
        Self {
            moment,
            kept: HashMap::new(),
        }
    }
}
